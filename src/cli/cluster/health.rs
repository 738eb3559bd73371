//! `weir cluster health`: one line and an exit code for whoever watches over brokers.

use serde_json::{Map, Value, json};

use super::args::HealthArgs;
use crate::base::Error;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, in_words};
use crate::cli::output::{count, print, print_document};
use crate::cli::progress::with_progress;
use crate::client::{Admin, Stats};

/// The path of this command: whatever keeps it from asking is told as health UNKNOWN.
pub(crate) const CHECK: &str = "cluster health";

/// A health in the words of Nagios.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// All is well.
    Ok,
    /// Requests may fail soon.
    Warning,
    /// Requests fail.
    Critical,
    /// The broker can't be asked.
    Unknown,
}

impl Health {
    /// The health that the problems of a broker come to.
    pub(crate) fn of(stats: &Stats) -> Self {
        match stats.problems.iter().map(|problem| problem.is_critical).max() {
            None => Self::Ok,
            Some(false) => Self::Warning,
            Some(true) => Self::Critical,
        }
    }

    /// The word that checks print first.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The code of this command. WHY other names: Nagios gave these numbers their own meaning.
    fn exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Done,
            Self::Warning => Exit::Failed,
            Self::Critical => Exit::Usage,
            Self::Unknown => Exit::Unreachable,
        }
    }
}

/// What one look told.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Look {
    health: Health,
    problems: Vec<String>,
    /// What there is, when all is well.
    summary: String,
}

impl Look {
    fn of(asked: &Result<Stats, Error>) -> Self {
        let stats = match asked {
            Ok(stats) => stats,
            Err(error) => {
                let problems = vec![in_words(error)];
                return Self { health: Health::Unknown, problems, summary: String::new() };
            }
        };
        let problems: Vec<String> = stats.problems.iter().map(|problem| problem.message.clone()).collect();
        let (topics, partitions) = (count(stats.topics, "topic"), count(stats.partitions, "partition"));
        let summary = format!("{topics}, {partitions}, 0 offline");
        Self { health: Health::of(stats), problems, summary }
    }

    fn line(&self) -> String {
        let told = if self.problems.is_empty() { &self.summary } else { &self.problems.join("; ") };
        format!("{}: {told}\n", self.health.word())
    }

    fn fields(&self) -> Map<String, Value> {
        let fields = [("health", json!(self.health.word())), ("problems", json!(self.problems))];
        fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
    }
}

/// Looks once, or until it is well, or until its time is over, or nobody reads what it finds.
pub(super) async fn run(context: &Context, admin: &Admin, args: &HealthArgs) -> Result<Exit, Failure> {
    if args.within.is_some() && !args.watch && !args.exit_when_healthy {
        return Err(Failure::usage(
            "--within says for how long --watch or --exit-when-healthy goes on: give one of them",
        ));
    }
    let mut told = None;
    let begun = context.monotonic();
    loop {
        let look = Look::of(&with_progress(context, admin.stats()).await);
        let is_done = match args.exit_when_healthy {
            true => look.health == Health::Ok,
            false => !args.watch,
        };
        if told.as_ref() != Some(&look) {
            match context.global.json {
                true => print_document("cluster health", look.fields())?,
                false => print(look.line())?,
            }
        }
        if is_done {
            return Ok(look.health.exit());
        }
        let left = args.within.map(|within| within.saturating_sub(context.monotonic().saturating_sub(begun)));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(look.health.exit());
        }
        told = Some(look);
        tokio::select! {
            () = context.sleep(left.map_or(args.delay, |left| left.min(args.delay))) => {}
            () = context.reader_gone() => return Ok(Exit::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;
    use crate::client::Problem;

    fn stats(problems: &[(bool, &str)]) -> Stats {
        let problem = |(is_critical, message): &(bool, &str)| Problem {
            is_critical: *is_critical,
            message: (*message).to_owned(),
        };
        Stats {
            topics: 1,
            partitions: 12,
            problems: problems.iter().map(problem).collect(),
            ..Stats::default()
        }
    }

    #[test]
    fn lines_and_codes_are_those_of_nagios() {
        let unreachable = Error::new(ErrorKind::Unavailable, "can't reach it");
        for (asked, line, code) in [
            (Ok(stats(&[])), "OK: 1 topic, 12 partitions, 0 offline\n", 0),
            (Ok(stats(&[(false, "disk nearly full")])), "WARNING: disk nearly full\n", 1),
            (Ok(stats(&[(true, "1 offline"), (false, "memory")])), "CRITICAL: 1 offline; memory\n", 2),
            (Err(unreachable), "UNKNOWN: can't reach it   [UNAVAILABLE]\n", 3),
        ] {
            let look = Look::of(&asked);
            assert_eq!((look.line().as_str(), look.health.exit() as u8), (line, code));
        }
    }
}
