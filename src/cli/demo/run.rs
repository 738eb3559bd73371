//! The order of events: broker, records, check, what to try next, stop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::activity::{self, Ending};
use super::args::DemoArgs;
use super::check::Verdict;
use super::flow;
use super::readers::GROUP;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::machine::this_machine;
use crate::cli::output::{print, print_document};
use crate::cli::serve::{Running, Stopped};
use crate::cli::signals::Signals;
use crate::config::{
    BrokerSettings,
    load::{Inputs, load},
};

/// How long the stop may take.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Runs `weir demo`.
pub async fn run(context: &Context, args: &DemoArgs) -> Result<Exit, Failure> {
    // WHY first: whoever interrupts it while it starts wants the folder gone as well.
    let mut signals = Signals::caught();
    let folder = Folder::make(context.now_ms())?;
    let begun = context.monotonic();
    let running = Running::start(settings(&folder.0)?).await?;
    let address = running.address().to_string();
    let ready_in = context.monotonic().saturating_sub(begun).as_millis();
    say(
        context,
        format!(
            "broker on {address}, data in {} (removed at the end), ready in {ready_in} ms\n",
            folder.0.display()
        ),
    )?;
    let end = tokio::select! {
        end = show(context, args, &address, &mut signals) => end,
        reason = running.failed() => Err(Failure::failed(reason)),
    };
    // WHY: requests of the demo's own client are gone by now, so the stop has nothing to wait for.
    // And no other signal cuts it short: the folder would go while the broker still writes there.
    let stopped = running.stop(STOP_DEADLINE).await;
    let end = end?;
    say(context, if stopped == Stopped::Cleanly { "stopped cleanly\n" } else { "stopped\n" })?;
    Ok(end)
}

/// Both scenes with their checks; then, unless it is to end here, until a signal.
async fn show(
    context: &Context,
    args: &DemoArgs,
    address: &str,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let context = context.with(|global| global.bootstrap = address.to_owned());
    let client = context.client().await?;
    flow::create_topics(&client).await?;
    let topics = flow::TOPICS.map(|(kind, partitions)| format!("{} ({partitions} partitions)", kind.name()));
    say(&context, format!("sending sample records to {}, and reading them back\n", topics.join(", ")))?;
    // Without `--once` a signal is the way to end it.
    let unfinished = if args.once { Exit::Interrupted } else { Exit::Done };
    let Some(flowed) = flow::run(&context, args, &client, signals).await? else { return Ok(unfinished) };
    say(&context, format!("{flowed}\n"))?;
    let said = format!("\nsending more to activity, read by group '{GROUP}', whose readers come and go\n");
    say(&context, said)?;
    let Some(read) = activity::run(&context, args, &client, signals).await? else { return Ok(unfinished) };
    say(&context, format!("{read}\n"))?;
    let passed = [flowed.passed(), read.order.passed()];
    match context.global.json {
        true => print_document("demo", fields(address, flowed, read))?,
        false => print(format!("\n{}\n", conclusion(passed)))?,
    }
    if args.once {
        return Ok(if passed == [true; 2] { Exit::Done } else { Exit::Failed });
    }
    say(&context, next_steps(address))?;
    signals.next().await;
    Ok(Exit::Done)
}

/// Prints a line for people.
pub(super) fn say(context: &Context, line: impl AsRef<str>) -> Result<(), Failure> {
    if context.global.json { Ok(()) } else { print(line) }
}

fn fields(address: &str, flowed: Verdict, read: Ending) -> Map<String, Value> {
    let mut fields = flowed.fields();
    fields.insert("address".to_owned(), json!(address));
    fields.insert("passed".to_owned(), json!(flowed.passed() && read.order.passed()));
    fields.insert("group".to_owned(), read.document());
    fields
}

/// What the checks of both scenes come to.
fn conclusion(passed: [bool; 2]) -> &'static str {
    match passed {
        [true, true] => "both checks passed",
        [false, true] => "FAILED: the check of the first scene",
        [true, false] => "FAILED: the check of the second scene, of the group",
        [false, false] => "FAILED: the checks of both scenes",
    }
}

fn next_steps(address: &str) -> String {
    format!(
        "\nTry next, in another terminal:
  weir -b {address} topic list
  weir -b {address} consume prices -o start -e -f '%p/%o %k %v\\n'
  weir -b {address} consume activity --tail 3 -J
  weir -b {address} produce emails 'hello from me'
  weir -b {address} group describe {GROUP}
Ctrl-C stops the broker and removes its data.\n"
    )
}

fn settings(folder: &Path) -> Result<BrokerSettings, Failure> {
    let flags = [
        ("data.dir", folder.display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("log.level", "warn".to_owned()),
    ];
    let flags = flags.map(|(key, value)| (key.to_owned(), value)).into();
    load(&Inputs { flags, ..Default::default() }, &this_machine()).map_err(|errors| {
        Failure::failed(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn make(now_ms: i64) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("weir-demo-{}-{now_ms}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|error| Failure::failed(format!("can't make the folder {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::cli::output::print_warning(&format!("can't remove {}: {error}", self.0.display()));
        }
    }
}
