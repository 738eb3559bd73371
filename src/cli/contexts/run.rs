//! Runs `weir context`, and finds the broker that a command talks to.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::{AddArgs, ContextArgs, ContextCommand, RemoveArgs, ShowArgs};
use super::store::{self, Contexts, Saved};
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{Column, Form, Table, form, print, print_document, print_error, print_warning};
use crate::cli::stderr;
use crate::client::read_addresses;

/// Where a broker is looked for when nobody says where.
const DEFAULT_BOOTSTRAP: &str = "127.0.0.1:7070";

/// Settles `--bootstrap`: the flag or its variable, else the context, else this machine.
///
/// Errors: usage, when a context that was asked for is not there or the file of contexts can't be read.
pub fn resolve(global: &mut Global) -> Result<(), Failure> {
    if global.bootstrap.is_empty() {
        global.bootstrap = from_context(global).map_err(Failure::usage)?;
    }
    Ok(())
}

fn from_context(global: &Global) -> Result<String, String> {
    let default = || DEFAULT_BOOTSTRAP.to_owned();
    let path = match store::path() {
        Err(_) if global.context.is_none() => return Ok(default()),
        path => path?,
    };
    let contexts = store::read(&path)?;
    match global.context.as_ref().or(contexts.current.as_ref()) {
        Some(name) => Ok(contexts.get(name)?.bootstrap.clone()),
        None => Ok(default()),
    }
}

/// Names of all contexts; none where the file can't be read.
pub fn names() -> Vec<String> {
    let contexts = store::path().and_then(|path| store::read(&path));
    contexts.map(|contexts| contexts.contexts.into_keys().collect()).unwrap_or_default()
}

/// Runs `weir context`.
pub fn run(global: &Global, args: &ContextArgs) -> Result<Exit, Failure> {
    let path = store::path().map_err(Failure::failed)?;
    let read = || store::read(&path).map_err(Failure::failed);
    match &args.command {
        ContextCommand::List(_) => list(global, &read()?),
        ContextCommand::Show(args) => show(&read()?, args),
        command => {
            let _held = store::lock(&path).map_err(Failure::failed)?;
            change(global, &path, read()?, command)
        }
    }
}

fn change(
    global: &Global,
    path: &Path,
    mut contexts: Contexts,
    command: &ContextCommand,
) -> Result<Exit, Failure> {
    match command {
        ContextCommand::List(_) | ContextCommand::Show(_) => {}
        ContextCommand::Remove(args) => return remove(global, path, &mut contexts, args),
        ContextCommand::Add(args) => {
            let done = add(global, &mut contexts, args)?;
            store::write(path, &contexts).map_err(Failure::failed)?;
            tell(global, &contexts, ("context add", done), &args.name)?;
        }
        ContextCommand::Use(args) => switch(global, path, &mut contexts, ("context use", &args.name))?,
        ContextCommand::Back(_) => {
            let before = contexts.previous.clone();
            let before = before.ok_or_else(|| {
                Failure::failed("no context was used before; `weir context use NAME` chooses one")
            })?;
            switch(global, path, &mut contexts, ("context -", &before))?;
        }
    }
    Ok(Exit::Done)
}

/// Adds a context or gives it another broker; tells which of both.
fn add(global: &Global, contexts: &mut Contexts, args: &AddArgs) -> Result<&'static str, Failure> {
    store::check_name(&args.name).map_err(Failure::usage)?;
    let given = if global.bootstrap.is_empty() { DEFAULT_BOOTSTRAP } else { &global.bootstrap };
    let bootstrap =
        read_addresses(given).map_err(|error| Failure::usage(format!("-b: {}", error.message)))?;
    let bootstrap = bootstrap.join(",");
    let before = contexts.contexts.insert(args.name.clone(), Saved { bootstrap });
    if contexts.current.is_none() {
        contexts.current = Some(args.name.clone());
    }
    Ok(if before.is_some() { "changed" } else { "added" })
}

fn switch(
    global: &Global,
    path: &Path,
    contexts: &mut Contexts,
    (command, name): (&str, &str),
) -> Result<(), Failure> {
    contexts.switch(name).map_err(Failure::failed)?;
    store::write(path, contexts).map_err(Failure::failed)?;
    tell(global, contexts, (command, "in use"), name)?;
    // Whoever has just chosen a broker and talks to another one is in for a surprise.
    for variable in ["WEIR_BOOTSTRAP", "WEIR_CONTEXT"] {
        let value = std::env::var(variable).unwrap_or_default();
        if !value.is_empty() && value != name && value != contexts.contexts[name].bootstrap {
            print_warning(&format!("{variable}={value} is set and wins over the context in use; unset it"));
        }
    }
    Ok(())
}

/// What was done to a context, and what it is now.
fn tell(
    global: &Global,
    contexts: &Contexts,
    (command, done): (&str, &str),
    name: &str,
) -> Result<(), Failure> {
    let saved = &contexts.contexts[name];
    let is_current = contexts.current.as_deref() == Some(name);
    if global.json {
        let mut fields = fields(contexts, name, saved);
        fields.insert("done".to_owned(), json!(done));
        return print_document(command, fields);
    }
    print(match form() {
        Form::Name => format!("{name}\n"),
        _ if done == "in use" => format!("in use: {name}, {}\n", saved.bootstrap),
        _ if is_current => format!("{done} {name}: {}, in use\n", saved.bootstrap),
        _ => format!("{done} {name}: {}\n", saved.bootstrap),
    })
}

fn remove(global: &Global, path: &Path, contexts: &mut Contexts, args: &RemoveArgs) -> Result<Exit, Failure> {
    let before = contexts.current.clone();
    let removed: Vec<(&String, Result<(), String>)> =
        args.names.iter().map(|name| (name, contexts.remove(name))).collect();
    store::write(path, contexts).map_err(Failure::failed)?;
    if global.json {
        let show = |(name, result): &(&String, Result<(), String>)| match result {
            Ok(()) => json!({ "name": name, "done": "removed" }),
            Err(error) => json!({ "name": name, "error": { "reason": "FAILED", "message": error } }),
        };
        let results: Vec<Value> = removed.iter().map(show).collect();
        print_document("context remove", Map::from_iter([("results".to_owned(), json!(results))]))?;
    }
    let mut end = Exit::Done;
    for (name, result) in removed {
        match result {
            Ok(()) if global.json => {}
            Ok(()) if form() == Form::Name => print(format!("{name}\n"))?,
            Ok(()) => print(format!("removed {name}\n"))?,
            Err(error) => {
                print_error(&error);
                end = end.and(Exit::Failed);
            }
        }
    }
    if let (Some(name), None, false) = (before, &contexts.current, global.quiet) {
        stderr::say(&format!(
            "{name} was in use: from now on commands talk to {DEFAULT_BOOTSTRAP}; `weir context use NAME` chooses another"
        ));
    }
    Ok(end)
}

fn fields(contexts: &Contexts, name: &str, saved: &Saved) -> Map<String, Value> {
    let current = contexts.current.as_deref() == Some(name);
    Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("bootstrap".to_owned(), json!(saved.bootstrap)),
        ("current".to_owned(), json!(current)),
    ])
}

fn list(global: &Global, contexts: &Contexts) -> Result<Exit, Failure> {
    if global.json {
        let all = contexts.contexts.iter().map(|(name, saved)| json!(fields(contexts, name, saved)));
        let all: Vec<Value> = all.collect();
        print_document("context list", Map::from_iter([("contexts".to_owned(), json!(all))]))?;
        return Ok(Exit::Done);
    }
    if contexts.contexts.is_empty() {
        if !global.quiet {
            stderr::say("no contexts; add one: weir context add NAME -b HOST:PORT");
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[Column::Left("NAME"), Column::Left("BOOTSTRAP"), Column::Left("IN-USE")]);
    for (name, saved) in &contexts.contexts {
        let mark = if contexts.current.as_ref() == Some(name) { "yes" } else { "" };
        table.row([name.clone(), saved.bootstrap.clone(), mark.to_owned()]);
    }
    print(table.print())?;
    Ok(Exit::Done)
}

fn show(contexts: &Contexts, args: &ShowArgs) -> Result<Exit, Failure> {
    let name = args.name.as_ref().or(contexts.current.as_ref()).ok_or_else(|| {
        Failure::failed(format!(
            "no context is in use: commands talk to {DEFAULT_BOOTSTRAP}; `weir context add NAME` makes one"
        ))
    })?;
    let saved = contexts.get(name).map_err(Failure::failed)?;
    match form() {
        Form::Json | Form::Yaml => print_document("context show", fields(contexts, name, saved))?,
        Form::Name => print(format!("{name}\n"))?,
        Form::Plain => print(format!("{name}\t{}\n", saved.bootstrap))?,
        Form::Table | Form::Wide => print(format!("{name}  {}\n", saved.bootstrap))?,
    }
    Ok(Exit::Done)
}
