//! `weir group delete` and `weir group delete-offsets`.

use serde_json::{Map, Value, json};

use super::args::{DeleteArgs, DeleteOffsetsArgs};
use super::standing::active_members;
use crate::base::{Error, ErrorKind};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::{error_json, print, print_document, print_error};
use crate::client::Admin;

/// Deletes groups.
pub(super) async fn groups(context: &Context, admin: &Admin, args: &DeleteArgs) -> Result<Exit, Failure> {
    let (mut exit, mut results) = (Exit::Done, Vec::new());
    for name in &args.groups {
        let result = match admin.delete_group(name).await {
            Err(error) if error.kind == ErrorKind::GroupNotEmpty => {
                Err(with_members(admin, name, error).await)
            }
            result => result,
        };
        match &result {
            Ok(()) if !context.global.json => print(format!("deleted {name}\n"))?,
            Ok(()) => {}
            Err(error) => {
                print_error(&in_words(error));
                exit = exit.and(Exit::of(error.kind));
            }
        }
        results.push(result_json(json!({ "group": name }), &result));
    }
    if context.global.json {
        print_document("group delete", Map::from_iter([("groups".to_owned(), json!(results))]))?;
    }
    Ok(exit)
}

/// Names those who are in the way.
async fn with_members(admin: &Admin, name: &str, error: Error) -> Error {
    let group = admin.describe_group(name).await.ok();
    match group.as_ref().and_then(active_members) {
        Some(members) => Error::new(error.kind, format!("group '{name}' has {members}; stop them first")),
        None => error,
    }
}

/// Forgets offsets of a group.
pub(super) async fn offsets(
    context: &Context,
    admin: &Admin,
    args: &DeleteOffsetsArgs,
) -> Result<Exit, Failure> {
    let (mut exit, mut results) = (Exit::Done, Vec::new());
    for selection in &args.topics {
        let partitions = selection.partitions.iter().copied();
        for changed in admin.delete_offsets(&args.group, &selection.topic, partitions).await? {
            let (topic, partition) = (&changed.topic, changed.partition);
            match &changed.result {
                Ok(()) if !context.global.json => {
                    print(format!("deleted the offset of {} in {topic}/{partition}\n", args.group))?;
                }
                Ok(()) => {}
                Err(error) => {
                    print_error(&in_words(error));
                    exit = exit.and(Exit::of(error.kind));
                }
            }
            let place = json!({ "topic": topic, "partition": partition });
            results.push(result_json(place, &changed.result));
        }
    }
    if context.global.json {
        let fields = [("group".to_owned(), json!(args.group)), ("partitions".to_owned(), json!(results))];
        print_document("group delete-offsets", Map::from_iter(fields))?;
    }
    Ok(exit)
}

fn result_json(mut place: Value, result: &Result<(), Error>) -> Value {
    if let Err(error) = result {
        place["error"] = error_json(error);
    }
    place
}
