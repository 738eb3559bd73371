//! `weir topic create`, `alter` and `delete`.

use serde_json::{Map, Value, json};

use super::args::{AlterArgs, CreateArgs, DeleteArgs};
use super::found::{find, name_of, report};
use super::show::{config, records, size_bytes};
use crate::base::size::print_bytes;
use crate::base::{Error, ErrorKind};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Form, config_value, count, error_json, form, print, print_document, print_warning};
use crate::client::{Admin, Topic, UpdatedTopic};

/// One topic of a command that takes several: what was done, or why not.
struct Item {
    name: String,
    result: Result<String, Error>,
}

/// Creates topics with the same settings. A topic that fails does not keep the others from being created.
pub(super) async fn create(context: &Context, admin: &Admin, args: &CreateArgs) -> Result<Exit, Failure> {
    refuse_twice(&args.configs, &[])?;
    let mut items = Vec::new();
    for name in &args.names {
        let mut request = admin.create_topic(name);
        if let Some(partitions) = args.partitions {
            request = request.partitions(partitions);
        }
        for (key, value) in &args.configs {
            request = request.config(key, value);
        }
        if args.dry_run {
            request = request.validate_only();
        }
        let verb = if args.dry_run { "would create" } else { "created" };
        let result = match request.await {
            Ok(topic) => Ok(format!("{verb} {name}: {}", made(&topic))),
            Err(error) if error.kind == ErrorKind::TopicExists && args.if_not_exists => {
                Ok(format!("{name} exists already"))
            }
            Err(error) => Err(error),
        };
        items.push(Item { name: name.clone(), result });
    }
    finish(context, "topic create", args.dry_run, items)
}

/// A setting that is given twice has no value that whoever wrote the line could be sure of.
fn refuse_twice(set: &[(String, String)], deleted: &[String]) -> Result<(), Failure> {
    let keys: Vec<&String> = set.iter().map(|(key, _)| key).chain(deleted).collect();
    match keys.iter().enumerate().find(|(at, key)| keys[..*at].contains(key)) {
        None => Ok(()),
        Some((_, key)) => Err(Failure::usage(format!("the setting {key} is given twice: keep one of them"))),
    }
}

/// Partitions, replicas, and the settings that differ from the default.
fn made(topic: &Topic) -> String {
    let mut text = format!("{}, 1 replica", count(topic.partitions.len() as i64, "partition"));
    for setting in topic.configs.iter().filter(|setting| setting.is_set) {
        text += &format!(", {}={}", setting.key, config_value(&setting.key, &setting.value));
    }
    text
}

/// Changes settings, or shows what would change.
pub(super) async fn alter(context: &Context, admin: &Admin, args: &AlterArgs) -> Result<Exit, Failure> {
    if args.configs.is_empty() && args.deleted.is_empty() && args.partitions.is_none() {
        return Err(Failure::usage("nothing to change: give -c KEY=VALUE, -d KEY or -p N"));
    }
    refuse_twice(&args.configs, &args.deleted)?;
    let mut request = admin.update_topic(&args.name);
    for (key, value) in &args.configs {
        request = request.set_config(key, value);
    }
    for key in &args.deleted {
        request = request.delete_config(key);
    }
    if let Some(partitions) = args.partitions {
        request = request.partitions(partitions);
    }
    if args.dry_run {
        request = request.validate_only();
    }
    let updated = request.await?;
    let changes = changes(&updated);
    if context.global.json {
        let change =
            |(key, from, to): &(String, String, String)| json!({ "key": key, "from": from, "to": to });
        let fields = [
            ("topic".to_owned(), json!(args.name)),
            ("dry_run".to_owned(), json!(args.dry_run)),
            ("changes".to_owned(), changes.iter().map(change).collect()),
        ];
        print_document("topic alter", Map::from_iter(fields))?;
    } else if form() == Form::Name {
        print(format!("{}\n", args.name))?;
    } else {
        print(changed(&args.name, &changes, args.dry_run))?;
    }
    tell_next(context, &updated, args.dry_run && !changes.is_empty());
    Ok(Exit::Done)
}

/// Key, old and new value of everything that differs.
fn changes(updated: &UpdatedTopic) -> Vec<(String, String, String)> {
    let mut changes = Vec::new();
    for setting in &updated.topic.configs {
        let before = config(&updated.previous, &setting.key).unwrap_or_default();
        if before != setting.value {
            changes.push((setting.key.clone(), before.to_owned(), setting.value.clone()));
        }
    }
    let (before, after) = (updated.previous.partitions.len(), updated.topic.partitions.len());
    if before != after {
        changes.push(("partitions".to_owned(), before.to_string(), after.to_string()));
    }
    changes
}

fn changed(name: &str, changes: &[(String, String, String)], dry_run: bool) -> String {
    if changes.is_empty() {
        return format!("{name}: nothing changes\n");
    }
    let verb = if dry_run { "would change" } else { "changed" };
    let show = |(key, from, to): &(String, String, String)| {
        format!("{key} {} -> {}", config_value(key, from), config_value(key, to))
    };
    format!("{verb} {name}:  {}\n", changes.iter().map(show).collect::<Vec<_>>().join("   "))
}

/// Warns of keys that move, and after a trial of something tells how to do it.
fn tell_next(context: &Context, updated: &UpdatedTopic, dry_run: bool) {
    if updated.topic.partitions.len() > updated.previous.partitions.len() {
        let next = if dry_run { " Run again without --dry-run to apply." } else { "" };
        print_warning(&format!(
            "more partitions moves keys: records of one key may be in two partitions.{next}"
        ));
    } else if dry_run {
        context.hint("Run again without --dry-run to apply.");
    }
}

/// Deletes topics. One that fails does not keep the others from being deleted.
pub(super) async fn delete(context: &Context, admin: &Admin, args: &DeleteArgs) -> Result<Exit, Failure> {
    let found = find(admin, &args.names).await?;
    let mut items = Vec::new();
    for topic in &found.topics {
        let held = format!("{}, {}", count(records(topic), "record"), print_bytes(size_bytes(topic)));
        let verb = if args.dry_run { "would delete" } else { "deleted" };
        let request = admin.delete_topic(&topic.name);
        let request = if args.dry_run { request.validate_only() } else { request };
        let result = request.await.map(|()| format!("{verb} {}: {held}", topic.name));
        items.push(Item { name: topic.name.clone(), result });
    }
    for error in found.missing {
        let name = name_of(&error);
        let result = if args.if_exists { Ok(error.message.clone()) } else { Err(error) };
        items.push(Item { name, result });
    }
    finish(context, "topic delete", args.dry_run, items)
}

/// Prints what became of each item: successes to stdout, failures to stderr.
fn finish(context: &Context, command: &str, dry_run: bool, items: Vec<Item>) -> Result<Exit, Failure> {
    if context.global.json {
        let show = |item: &Item| match &item.result {
            Ok(done) => json!({ "topic": item.name, "done": done }),
            Err(error) => json!({ "topic": item.name, "error": error_json(error) }),
        };
        let results: Vec<Value> = items.iter().map(show).collect();
        let fields = [("dry_run".to_owned(), json!(dry_run)), ("results".to_owned(), json!(results))];
        print_document(command, Map::from_iter(fields))?;
    } else {
        for (item, done) in items.iter().filter_map(|item| Some((item, item.result.as_ref().ok()?))) {
            print(format!("{}\n", if form() == Form::Name { &item.name } else { done }))?;
        }
    }
    let end = report(items.iter().filter_map(|item| item.result.as_ref().err()));
    if dry_run && end == Exit::Done {
        context.hint("Run again without --dry-run to apply.");
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;
    use crate::client::{ConfigValue, Partition};

    fn topic(partitions: i32, retention: &str) -> Topic {
        let partition = |partition| Partition {
            partition,
            leader_epoch: 1,
            log_start_offset: 0,
            high_watermark: 0,
            log_end_offset: 0,
            flushed_offset: 0,
            segment_count: 1,
            size_bytes: 0,
            error: None,
        };
        let value =
            |key: &str, value: &str, is_set| ConfigValue { key: key.into(), value: value.into(), is_set };
        Topic {
            name: "orders".to_owned(),
            topic_id: Some(TopicId([1; 16])),
            internal: false,
            partitions: (0..partitions).map(partition).collect(),
            configs: vec![value("retention.ms", retention, true), value("flush", "ack", false)],
            rate: None,
        }
    }

    #[test]
    fn a_new_topic_is_told_as_in_the_documentation() {
        assert_eq!(made(&topic(6, "604800000")), "6 partitions, 1 replica, retention.ms=604800000 (7d)");
        assert!(made(&topic(1, "1")).starts_with("1 partition, "));
    }

    #[test]
    fn changes_are_told_as_in_the_documentation() {
        let updated = UpdatedTopic { topic: topic(12, "86400000"), previous: topic(6, "604800000") };
        assert_eq!(
            changed("orders", &changes(&updated), true),
            "would change orders:  retention.ms 604800000 (7d) -> 86400000 (1d)   partitions 6 -> 12\n"
        );
        let same = UpdatedTopic { topic: topic(6, "1"), previous: topic(6, "1") };
        assert_eq!(changed("orders", &changes(&same), false), "orders: nothing changes\n");
    }
}
