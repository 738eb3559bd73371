//! `weir consume -g`: reading as a member of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::args::{Commit, ConsumeArgs};
use super::plan::no_match;
use super::printing::{Printing, form};
use crate::base::size::print_bytes;
use crate::base::time::{as_ms, print_ms};
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::global::is_glob;
use crate::cli::offset::{Place, parse_place};
use crate::cli::output::{count, print_warning};
use crate::cli::signals::Signals;
use crate::client::{
    Admin, Client, GroupConsumer, GroupEvent, GroupState, OwnedPartition, Partition, Start, Topic,
};

/// Between two looks whether everybody in the group has what is theirs.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long nobody wonders that there is nothing to read yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// Topic and partition.
type Name = (String, i32);

/// Joins, reads, commits and leaves.
pub(super) async fn run(context: &Context, args: &ConsumeArgs, group: &str) -> Result<Exit, Failure> {
    let start = start(args, context.now_ms())?;
    let form = form(context, args)?;
    let begun = context.monotonic();
    let client = context.client().await?;
    let admin = client.admin();
    let topics = topics(&admin, &args.topics).await?;
    let mut consumer = join(context, &client, args, (group, start, &topics)).await?;
    let mut reading = Membership {
        context,
        args,
        ends: ends(&topics),
        places: BTreeMap::new(),
        unheard: BTreeSet::new(),
        failed: BTreeSet::new(),
        wait_said_at: Some(context.monotonic() + PATIENCE),
        printing: Printing::new(context, args, form, begun),
    };
    let mut signals = Signals::caught();
    let ended = reading.read_all(&admin, &mut consumer, &mut signals).await;
    reading.printing.progress.clear();
    let printed = reading.printing.flush();
    // What could not be printed is not done.
    let ended = printed.and(ended)?;
    let left = tokio::select! {
        left = consumer.close() => left,
        // A second one does not wait for the broker.
        exit = signals.next() => return Ok(exit),
        () = context.sleep(context.global.timeout) => Err(not_told(group)),
    };
    if let Ended::Stopped(exit) = ended {
        left.unwrap_or_else(|error| print_warning(&in_words(&error)));
        return Ok(exit);
    }
    left?;
    reading.say_end(ended, context.monotonic().saturating_sub(begun));
    match ended {
        Ended::Fenced => reading.printing.end().map(|exit| exit.and(Exit::Failed)),
        _ => reading.printing.end(),
    }
}

/// The broker did not hear that the member goes.
fn not_told(group: &str) -> Error {
    let message = format!(
        "the broker did not answer that the member leaves group '{group}'; others get its partitions when its session is over, \
         and what was not committed is read again"
    );
    Error::new(ErrorKind::TimedOut, message)
}

/// Where the group begins where it has not read before.
fn start(args: &ConsumeArgs, now_ms: i64) -> Result<Start, Failure> {
    let wrong = |reason: &str| Failure::usage(format!("-o: {reason}; a group begins at start, end or @TIME"));
    match args.offset.as_slice() {
        [] => Ok(Start::Beginning),
        [word] => match parse_place(word, now_ms) {
            Ok(Place::Start) => Ok(Start::Beginning),
            Ok(Place::End) => Ok(Start::End),
            Ok(Place::Time(ms)) => Ok(Start::Timestamp(ms)),
            _ => Err(wrong(&format!("'{word}' is no place where a group can begin"))),
        },
        _ => Err(wrong("there is more than one place")),
    }
}

/// The topics as they are at this moment. WHY an error for one that does not exist: a group may wait for it, but here it is a typing
/// mistake.
async fn topics(admin: &Admin, names: &[String]) -> Result<Vec<Topic>, Failure> {
    let mut topics = Vec::new();
    for name in names {
        if !is_glob(name) {
            topics.push(admin.describe_topic(name).await?);
            continue;
        }
        let found = admin.list_topics().matching(name).await?;
        if found.is_empty() {
            return Err(no_match(name).into());
        }
        topics.extend(found);
    }
    Ok(topics)
}

/// Where each partition ends.
fn ends(topics: &[Topic]) -> BTreeMap<Name, Offset> {
    let of_topic = |topic: &Topic| -> Vec<(Name, Offset)> {
        let end =
            |partition: &Partition| ((topic.name.clone(), partition.partition), partition.high_watermark);
        topic.partitions.iter().map(end).collect()
    };
    topics.iter().flat_map(of_topic).collect()
}

async fn join(
    context: &Context,
    client: &Client,
    args: &ConsumeArgs,
    (group, start, topics): (&str, Start, &[Topic]),
) -> Result<GroupConsumer, Failure> {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut builder = client.consumer().group(group).topics(names).client_id("weir").start(start);
    if args.commit == Commit::None {
        builder = builder.manual_commit();
    }
    if let Some(bytes) = context.settings()?.size("fetch.max.bytes") {
        builder = builder.max_bytes(bytes);
    }
    Ok(builder.build().await?)
}

/// Why the reading is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// Every owned partition stands where it ended at the start, and nothing moves any more.
    Reached,
    /// So many records as were asked for.
    Counted,
    /// No record came for the idle timeout.
    Idle,
    /// Another took the member's place.
    Fenced,
    /// A signal asked for it.
    Stopped(Exit),
    /// Nobody reads stdout any more.
    Unread,
}

/// One stay in a group.
struct Membership<'a> {
    context: &'a Context,
    args: &'a ConsumeArgs,
    /// Where partitions ended at the start.
    ends: BTreeMap<Name, Offset>,
    /// What is owned, and where it stands.
    places: BTreeMap<Name, Offset>,
    /// What stands above that end, and of which nothing was heard yet. WHY: records may have come since, or it is no place at all.
    unheard: BTreeSet<Name>,
    /// What stands still after an error.
    failed: BTreeSet<Name>,
    /// When it is to say that it has nothing yet.
    wait_said_at: Option<Duration>,
    printing: Printing<'a>,
}

impl Membership<'_> {
    async fn read_all(
        &mut self,
        admin: &Admin,
        consumer: &mut GroupConsumer,
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        let limit = self.args.count.unwrap_or(u64::MAX);
        while self.printing.records < limit {
            let is_at_end = self.args.exit && self.is_at_end();
            if is_at_end && self.is_settled(admin, consumer).await? {
                return Ok(Ended::Reached);
            }
            let context = self.context;
            let idle = self.args.idle_timeout;
            let silent = context.monotonic().saturating_sub(self.printing.last_at);
            let idle_left = idle.unwrap_or_default().saturating_sub(silent);
            let say_in = self.wait_said_at.map(|at| at.saturating_sub(context.monotonic()));
            tokio::select! {
                biased;
                exit = signals.next() => return Ok(Ended::Stopped(exit)),
                event = consumer.next_event() => match event {
                    Some(event) => self.take(event)?,
                    None => return Ok(Ended::Fenced),
                },
                () = context.reader_gone() => return Ok(Ended::Unread),
                () = context.sleep(say_in.unwrap_or_default()), if say_in.is_some() => self.say_assignment(),
                () = context.sleep(idle_left), if idle.is_some() => return Ok(Ended::Idle),
                () = context.sleep(LOOK_EVERY), if is_at_end => {}
            }
        }
        Ok(Ended::Counted)
    }

    fn take(&mut self, event: GroupEvent) -> Result<(), Failure> {
        match event {
            GroupEvent::Record(record) => {
                self.printing.take(&record)?;
                // WHY at once: the record counts as processed with the next call, and may be committed then.
                self.printing.flush()?;
                self.advance((record.topic.to_string(), record.partition), record.offset + 1);
            }
            GroupEvent::Assigned(came) => {
                for owned in &came {
                    self.take_place(name(owned), owned.position);
                }
                self.say_assignment();
            }
            GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => {
                for owned in &gone {
                    self.places.remove(&name(owned));
                    self.unheard.remove(&name(owned));
                    self.failed.remove(&name(owned));
                }
                self.say_assignment();
            }
            GroupEvent::CaughtUp { topic, partition, next_offset } => {
                self.advance((topic.to_string(), partition), next_offset);
            }
            GroupEvent::Error(error) => self.note(&error),
        }
        Ok(())
    }

    fn take_place(&mut self, name: Name, position: Offset) {
        if self.ends.get(&name).is_some_and(|end| position > *end) {
            self.unheard.insert(name.clone());
        }
        self.places.insert(name, position);
    }

    fn advance(&mut self, name: Name, position: Offset) {
        self.unheard.remove(&name);
        if let Some(place) = self.places.get_mut(&name) {
            *place = position;
        }
    }

    fn note(&mut self, error: &Error) {
        if matches!(error.kind, ErrorKind::UnknownMember | ErrorKind::PartitionNotOwned) {
            self.printing.progress.clear();
            print_warning(&in_words(error));
            return;
        }
        self.printing.report(error);
        let partition = error.metadata.get("partition").and_then(|partition| partition.parse().ok());
        let Some((topic, partition)) = error.metadata.get("topic").zip(partition) else { return };
        if error.kind == ErrorKind::OffsetOutOfRange {
            let group = self.args.group.as_deref().unwrap_or_default();
            self.context.hint(&format!(
                "to read it from its start: weir group reset-offsets {group} --to start -t {topic}:{partition} --execute"
            ));
        }
        self.failed.insert((topic.clone(), partition));
    }

    /// Whether every owned partition is where it ended at the start; those that came to be later are not waited for.
    fn is_at_end(&self) -> bool {
        let is_there = |(name, position): (&Name, &Offset)| {
            let end = self.ends.get(name).copied().unwrap_or(0);
            self.failed.contains(name) || (*position >= end && !self.unheard.contains(name))
        };
        self.places.iter().all(is_there)
    }

    /// Whether the member has what is its own, and nobody waits for anything.
    async fn is_settled(&self, admin: &Admin, consumer: &GroupConsumer) -> Result<bool, Failure> {
        let group = admin.describe_group(consumer.group()).await?;
        let id = consumer.member_id();
        let mine = group.members.iter().find(|member| member.member_id == *id);
        let has_all = mine.is_some_and(|member| member.assigned.iter().eq(self.places.keys()));
        Ok(group.listing.state == GroupState::Stable && has_all)
    }

    fn say_assignment(&mut self) {
        self.wait_said_at = None;
        self.printing.progress.clear();
        if self.places.is_empty() {
            let group = self.args.group.as_deref().unwrap_or_default();
            self.context.hint(&format!(
                "waiting for partitions: `weir group describe {group} --members` shows who has them"
            ));
            return;
        }
        let partitions = count(self.places.len() as i64, "partition");
        self.context.hint(&format!("reading {partitions}"));
    }

    /// Silent of what failed: the errors were the end of it.
    fn say_end(&self, ended: Ended, elapsed: Duration) {
        let reached = self.places.keys().filter(|name| !self.failed.contains(*name)).count();
        let what = match ended {
            Ended::Reached if reached > 0 || self.failed.is_empty() => {
                format!("reached end of {}", count(reached as i64, "partition"))
            }
            Ended::Idle => {
                format!("no record came for {}", print_ms(as_ms(self.args.idle_timeout.unwrap_or_default())))
            }
            _ => return,
        };
        let (counted, bytes) = (self.printing.counted(), print_bytes(self.printing.value_bytes));
        self.context.hint(&format!("{what}: {counted}, {bytes}, {:.2} s", elapsed.as_secs_f64()));
    }
}

fn name(owned: &OwnedPartition) -> Name {
    (owned.topic.to_string(), owned.partition)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn args(line: &str) -> ConsumeArgs {
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        let Command::Consume(args) = cli.command else { panic!("not consume") };
        args
    }

    #[test]
    fn a_group_begins_at_a_place_that_is_one_in_every_partition() {
        let of = |line: &str| start(&args(line), 3_600_000);
        assert!(matches!(of("weir consume t -g g"), Ok(Start::Beginning)));
        assert!(matches!(of("weir consume t -g g -o end"), Ok(Start::End)));
        assert!(matches!(of("weir consume t -g g -o @-1h"), Ok(Start::Timestamp(0))));
        for wrong in ["-5", "7", "1:2"] {
            assert_eq!(of(&format!("weir consume t -g g -o {wrong}")).expect_err(wrong).exit, Exit::Usage);
        }
    }

    #[test]
    fn what_makes_no_sense_in_a_group_is_refused() {
        for line in
            ["weir consume t -g g -p 1", "weir consume t -g g --tail 5", "weir consume t --commit none"]
        {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
