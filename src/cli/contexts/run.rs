//! Runs `weir context`, and finds the broker that a command talks to.

use serde_json::{Map, Value, json};

use super::args::{AddArgs, ContextArgs, ContextCommand, RemoveArgs, ShowArgs};
use super::store::{self, Contexts, Saved};
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::Global;
use crate::cli::output::{Column, Form, Table, form, print, print_document, print_error};
use crate::cli::stderr;

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

/// Runs `weir context`.
pub fn run(global: &Global, args: &ContextArgs) -> Result<Exit, Failure> {
    let path = store::path().map_err(Failure::failed)?;
    let mut contexts = store::read(&path).map_err(Failure::failed)?;
    match &args.command {
        ContextCommand::List(_) => return list(global, &contexts),
        ContextCommand::Show(args) => return show(global, &contexts, args),
        ContextCommand::Add(args) => print(add(global, &mut contexts, args))?,
        ContextCommand::Use(args) => switch(&mut contexts, &args.name)?,
        ContextCommand::Back(_) => {
            let before = contexts.previous.clone();
            let before = before.ok_or_else(|| {
                Failure::failed("no context was used before; `weir context use NAME` chooses one")
            })?;
            switch(&mut contexts, &before)?;
        }
        ContextCommand::Remove(args) => return remove(&path, &mut contexts, args),
    }
    store::write(&path, &contexts).map_err(Failure::failed)?;
    Ok(Exit::Done)
}

fn add(global: &Global, contexts: &mut Contexts, args: &AddArgs) -> String {
    let bootstrap = match global.bootstrap.as_str() {
        "" => DEFAULT_BOOTSTRAP.to_owned(),
        given => given.to_owned(),
    };
    let line = format!("{}: {bootstrap}", args.name);
    let before = contexts.contexts.insert(args.name.clone(), Saved { bootstrap });
    let verb = if before.is_some() { "changed" } else { "added" };
    if contexts.current.is_none() {
        contexts.current = Some(args.name.clone());
        return format!("{verb} {line}, in use\n");
    }
    format!("{verb} {line}\n")
}

fn switch(contexts: &mut Contexts, name: &str) -> Result<(), Failure> {
    contexts.switch(name).map_err(Failure::failed)?;
    print(format!("in use: {name}, {}\n", contexts.contexts[name].bootstrap))
}

fn remove(path: &std::path::Path, contexts: &mut Contexts, args: &RemoveArgs) -> Result<Exit, Failure> {
    let mut end = Exit::Done;
    for name in &args.names {
        match contexts.remove(name) {
            Ok(()) => print(format!("removed {name}\n"))?,
            Err(error) => {
                print_error(&error);
                end = end.and(Exit::Failed);
            }
        }
    }
    store::write(path, contexts).map_err(Failure::failed)?;
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

fn show(global: &Global, contexts: &Contexts, args: &ShowArgs) -> Result<Exit, Failure> {
    let name = args.name.as_ref().or(contexts.current.as_ref()).ok_or_else(|| {
        Failure::failed(format!(
            "no context is in use: commands talk to {DEFAULT_BOOTSTRAP}; `weir context add NAME` makes one"
        ))
    })?;
    let saved = contexts.get(name).map_err(Failure::failed)?;
    if global.json {
        print_document("context show", fields(contexts, name, saved))?;
    } else if form() == Form::Name {
        print(format!("{name}\n"))?;
    } else {
        print(format!("{name}  {}\n", saved.bootstrap))?;
    }
    Ok(Exit::Done)
}
