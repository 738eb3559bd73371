//! How a command ends: exit codes, and errors as people and scripts see them.

use std::io;

use crate::base::{Error, ErrorKind};

/// Exit code of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// At least one item failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The broker can't be reached, or did not answer in time: a retry makes sense.
    Unreachable = 3,
    /// `serve` only: config or data directory has to be changed before another start (`EX_CONFIG`).
    Config = 78,
    /// SIGHUP.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The code of a broker's or client's error.
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::ShuttingDown => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }

    /// The code of an error by its [`reason`].
    pub fn of_error(error: &Error) -> Self {
        Self::of(reason(error).kind)
    }

    /// The code when this and another item ended: a failure that a retry may cure yields to one that it won't.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Exit::Done => 0,
            Exit::Unreachable => 1,
            Exit::Failed => 2,
            Exit::Usage => 3,
            Exit::Config => 4,
            Exit::HungUp | Exit::Interrupted | Exit::Terminated => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Why a command ends early.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// What to print after `error: `; empty when there is nothing more to say.
    pub message: String,
    /// The kind of the broker's or client's error that it was.
    kind: Option<ErrorKind>,
    /// Whether stderr has it already.
    is_said: bool,
}

impl Failure {
    /// A failure that ends the command with this code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), kind: None, is_said: false }
    }

    /// A command line that makes no sense; `message` names the argument and says what would.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An item that failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Nothing more is wanted: no failure, and no word.
    pub fn enough() -> Self {
        Self::new(Exit::Done, "")
    }

    /// What a failed write to stdout means: a reader that has gone away wanted no more, which is no failure.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::enough();
        }
        Self::failed(format!("can't write to stdout: {error}"))
    }

    /// What a command on several things ends with, after it has said what is wrong with each: this one is left for the
    /// document. `first` is the first error, `exit` the worst end.
    pub fn said(exit: Exit, kind: Option<ErrorKind>, first: impl Into<String>) -> Self {
        Self { exit, message: first.into(), kind, is_said: true }
    }

    /// The same, where stderr has it by now.
    pub fn after_all_is_said(self) -> Self {
        Self { is_said: true, ..self }
    }

    /// Whether stderr has it already.
    pub fn is_said(&self) -> bool {
        self.is_said
    }

    /// The reason as JSON documents tell it: that of the error, else what the exit code means.
    pub fn reason(&self) -> &'static str {
        match (self.kind, self.exit) {
            (Some(kind), _) => kind.row().reason,
            (None, Exit::Usage) => "USAGE",
            (None, Exit::Config) => "CONFIG",
            (None, Exit::Unreachable) => ErrorKind::Unavailable.row().reason,
            (None, _) => "FAILED",
        }
    }

    /// The message with the reason of an error in brackets, as the last thing on the line.
    pub fn in_words(&self) -> String {
        match self.kind {
            Some(kind) => format!("{}   [{}]", self.message, kind.row().reason),
            None => self.message.clone(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { exit: Exit::of_error(&error), kind: Some(error.kind), message: error.message, is_said: false }
    }
}

/// A partition that a topic of `count` partitions does not have. Only the broker knows them: no usage error.
pub fn no_partition(topic: &str, partition: i32, count: usize) -> Error {
    let there = match count {
        0 | 1 => "its only partition is 0".to_owned(),
        _ => format!("its partitions are 0 to {}", count - 1),
    };
    let message = format!("topic '{topic}' has no partition {partition}; {there}");
    Error::new(ErrorKind::PartitionNotFound, message)
}

/// Why an error came: time that ran out has a cause where the broker answered before.
pub fn reason(error: &Error) -> &Error {
    match &error.source {
        Some(source) if error.kind == ErrorKind::TimedOut => source.downcast_ref().unwrap_or(error),
        _ => error,
    }
}

/// An error with its reason in brackets, as the last thing on the line.
pub fn in_words(error: &Error) -> String {
    format!("{}   [{}]", error.message, error.kind.row().reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_kind() {
        assert_eq!(Exit::of(ErrorKind::Unavailable) as u8, 3);
        assert_eq!(Exit::of(ErrorKind::TimedOut) as u8, 3);
        assert_eq!(Exit::of(ErrorKind::TopicNotFound) as u8, 1);
    }

    #[test]
    fn time_that_ran_out_has_the_code_of_its_cause() {
        let late = |cause| Error::new(ErrorKind::TimedOut, "late").caused_by(Error::new(cause, "why"));
        assert_eq!(Exit::of_error(&late(ErrorKind::DiskFull)), Exit::Failed);
        assert_eq!(Exit::of_error(&late(ErrorKind::Unavailable)), Exit::Unreachable);
        assert_eq!(Exit::of_error(&Error::new(ErrorKind::TimedOut, "late")), Exit::Unreachable);
    }

    #[test]
    fn the_worse_end_wins() {
        assert_eq!(Exit::Done.and(Exit::Unreachable), Exit::Unreachable);
        assert_eq!(Exit::Unreachable.and(Exit::Failed), Exit::Failed);
        assert_eq!(Exit::Failed.and(Exit::Done), Exit::Failed);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let gone = Failure::stdout(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.exit, gone.message.as_str()), (Exit::Done, ""));
        assert_eq!(Failure::stdout(&io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::Failed);
    }

    #[test]
    fn the_reason_ends_the_line() {
        let failure = Failure::from(Error::new(ErrorKind::TopicNotFound, "topic 'x' does not exist"));
        assert_eq!(failure.in_words(), "topic 'x' does not exist   [TOPIC_NOT_FOUND]");
        assert_eq!(failure.reason(), "TOPIC_NOT_FOUND");
    }

    #[test]
    fn every_failure_has_a_reason() {
        let reasons = [Exit::Usage, Exit::Config, Exit::Failed, Exit::Unreachable]
            .map(|exit| Failure::new(exit, "x").reason());
        assert_eq!(reasons, ["USAGE", "CONFIG", "FAILED", "UNAVAILABLE"]);
        assert_eq!(Failure::usage("x").in_words(), "x");
    }
}
