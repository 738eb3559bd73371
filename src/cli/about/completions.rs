//! `weir completions`, and what a shell that uses them asks for: commands, flags, and names of topics and groups as they are now.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::{Map, json};

use super::args::{CompletionsArgs, Shell};
use crate::cli::args::Cli;
use crate::cli::contexts;
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::{Global, duration};
use crate::cli::output::{print_document, print_raw};
use crate::cli::run::runtime;
use crate::client::{Admin, Client};

/// The variable by which the script of a shell asks.
const VARIABLE: &str = "COMPLETE";
/// How long a shell waits for names.
const PATIENCE: Duration = Duration::from_millis(150);
/// The variable that says how long instead.
const PATIENCE_VARIABLE: &str = "WEIR_COMPLETION_TIMEOUT";

/// Prints the script that makes a shell ask this program.
pub(in crate::cli) fn run(global: &Global, args: &CompletionsArgs) -> Result<Exit, Failure> {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Elvish => "elvish",
    };
    let script =
        script(name).map_err(|error| Failure::failed(format!("the script can't be made: {error}")))?;
    if global.json {
        let script = String::from_utf8_lossy(&script);
        let fields = [("shell".to_owned(), json!(name)), ("script".to_owned(), json!(script))];
        print_document("completions", Map::from_iter(fields))?;
    } else {
        print_raw(script)?;
    }
    Ok(Exit::Done)
}

fn script(shell: &str) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).expect("every shell of the list is built in");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "weir", "weir", "weir", &mut script)?;
    Ok(script)
}

/// Answers a shell and ends the process; does nothing when no shell asks.
pub(in crate::cli) fn complete() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// Topics whose names begin like this, from the broker of the variables or the context; none when it does not answer.
pub fn topic_names(begun: &OsStr) -> Vec<CompletionCandidate> {
    candidates(begun, async |admin| {
        let topics = admin.list_topics().await.ok()?;
        Some(topics.into_iter().map(|topic| topic.name).collect())
    })
}

/// Groups whose names begin like this, likewise.
pub fn group_names(begun: &OsStr) -> Vec<CompletionCandidate> {
    candidates(begun, async |admin| {
        let groups = admin.list_groups().await.ok()?;
        Some(groups.into_iter().map(|group| group.name).collect())
    })
}

fn candidates(begun: &OsStr, ask: impl AsyncFn(Admin) -> Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let asked = async { ask(admin_of_variables().await?).await };
    let names = runtime().ok().and_then(|runtime| runtime.block_on(asked));
    let names = names.unwrap_or_default().into_iter().filter(|name| name.starts_with(&*begun));
    names.map(CompletionCandidate::new).collect()
}

async fn admin_of_variables() -> Option<Admin> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let mut global = Global::of_broker(variable("WEIR_BOOTSTRAP"), variable("WEIR_CONTEXT"));
    contexts::resolve(&mut global).ok()?;
    let patience = duration(&variable(PATIENCE_VARIABLE)).unwrap_or(PATIENCE);
    let builder = Client::builder(&global.bootstrap).connect_timeout(patience).request_timeout(patience);
    Some(builder.connect().await.ok()?.admin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script() {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let script = String::from_utf8(script(shell).expect("made")).expect("text");
            assert!(script.contains("weir") && script.contains(VARIABLE), "{shell}: {script}");
        }
    }
}
