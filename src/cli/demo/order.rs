//! Whether a group has read what users did: every record at least once, and those of each user in order. Pure.
//!
//! Each record carries its user and the number that it has among those of that user, which counts from 1. Where a reader
//! went without a commit, the next one reads again from the last commit: that is no fault, and is counted.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::output::thousands;

/// What a record says of itself.
#[derive(Deserialize)]
struct Action {
    user: String,
    seq: usize,
}

/// One user.
#[derive(Default, Debug)]
struct User {
    /// Which records were sent and read: that of number n at n − 1.
    seen: Vec<bool>,
    /// Number of the last one that was read, and its reader.
    last: Option<(usize, usize)>,
}

/// Compares what a group reads with what was sent.
#[derive(Default, Debug)]
pub(super) struct OrderCheck {
    users: HashMap<String, User>,
    sent: u64,
    unread: u64,
    again: u64,
    out_of_order: u64,
}

/// The result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OrderVerdict {
    sent: u64,
    users: u64,
    lost: u64,
    again: u64,
    out_of_order: u64,
}

impl OrderCheck {
    /// Takes the value of a record that is sent.
    pub(super) fn send(&mut self, value: &[u8]) {
        self.sent += 1;
        self.unread += 1;
        if let Ok(Action { user, .. }) = serde_json::from_slice(value) {
            self.users.entry(user).or_default().seen.push(false);
        }
    }

    /// Takes the value of a record that `reader` has read. One that nobody sent counts as out of order.
    pub(super) fn read(&mut self, reader: usize, value: &[u8]) {
        let Some((user, seq)) = self.find(value) else {
            self.out_of_order += 1;
            return;
        };
        let (before, last_reader) = user.last.replace((seq, reader)).unwrap_or((0, reader));
        let is_again = std::mem::replace(&mut user.seen[seq - 1], true);
        let is_next = seq == before + 1;
        let is_taken_over = is_again && reader != last_reader;
        self.unread -= u64::from(!is_again);
        self.again += u64::from(is_again);
        self.out_of_order += u64::from(!is_next && !is_taken_over);
    }

    fn find(&mut self, value: &[u8]) -> Option<(&mut User, usize)> {
        let Action { user, seq } = serde_json::from_slice(value).ok()?;
        let user = self.users.get_mut(&user)?;
        (1..=user.seen.len()).contains(&seq).then_some((user, seq))
    }

    /// Whether everything that was sent was read.
    pub(super) fn is_complete(&self) -> bool {
        self.unread == 0
    }

    /// The result, when nothing more is to come.
    pub(super) fn verdict(&self) -> OrderVerdict {
        OrderVerdict {
            sent: self.sent,
            users: self.users.len() as u64,
            lost: self.unread,
            again: self.again,
            out_of_order: self.out_of_order,
        }
    }
}

impl OrderVerdict {
    /// Whether everything is as it should be.
    pub(super) fn passed(&self) -> bool {
        self.users > 0 && self.lost + self.out_of_order == 0
    }

    /// A part of a document.
    pub(super) fn document(&self) -> Value {
        let Self { sent, users, lost, again, out_of_order } = self;
        json!({
            "records": sent,
            "users": users,
            "lost": lost,
            "again": again,
            "out_of_order": out_of_order,
            "passed": self.passed(),
        })
    }
}

impl fmt::Display for OrderVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed() { "passed" } else { "failed" };
        let Self { sent, lost, again, out_of_order, .. } = self;
        let (sent, again) = (thousands(*sent), thousands(*again));
        write!(f, "check {word}: {sent} sent, {lost} lost, {again} again, {out_of_order} out of order")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(user: &str, seq: usize) -> Vec<u8> {
        format!("{{\"user\":\"{user}\",\"seq\":{seq}}}").into_bytes()
    }

    /// Three records of one user and one of another; then what readers read.
    fn verdict(read: &[(usize, &str, usize)]) -> OrderVerdict {
        let mut check = OrderCheck::default();
        for (user, seq) in [("a", 1), ("a", 2), ("b", 1), ("a", 3)] {
            check.send(&action(user, seq));
        }
        read.iter().for_each(|(reader, user, seq)| check.read(*reader, &action(user, *seq)));
        check.verdict()
    }

    #[test]
    fn each_user_in_order_passes_whoever_reads() {
        let verdict = verdict(&[(1, "b", 1), (1, "a", 1), (2, "a", 2), (3, "a", 3)]);
        assert!(verdict.passed());
        assert_eq!(verdict.to_string(), "check passed: 4 sent, 0 lost, 0 again, 0 out of order");
    }

    #[test]
    fn another_reader_may_begin_again() {
        let verdict =
            verdict(&[(1, "b", 1), (1, "a", 1), (1, "a", 2), (2, "a", 1), (2, "a", 2), (2, "a", 3)]);
        assert!(verdict.passed());
        assert_eq!(verdict.again, 2);
    }

    #[test]
    fn nothing_at_all_does_not_pass() {
        assert!(!OrderCheck::default().verdict().passed());
    }

    #[test]
    fn each_fault_is_counted() {
        let lost = verdict(&[(1, "a", 1), (1, "a", 2), (1, "a", 3)]);
        assert_eq!((lost.lost, lost.out_of_order, lost.passed()), (1, 0, false));

        let swapped = verdict(&[(1, "b", 1), (1, "a", 2), (1, "a", 1), (1, "a", 3)]);
        assert_eq!((swapped.lost, swapped.out_of_order, swapped.passed()), (0, 3, false));

        let back = verdict(&[(1, "b", 1), (1, "a", 1), (1, "a", 2), (1, "a", 1), (1, "a", 2), (1, "a", 3)]);
        assert_eq!((back.again, back.out_of_order), (2, 1), "the same reader goes back");

        let ahead = verdict(&[(1, "b", 1), (1, "a", 1), (2, "a", 3)]);
        assert_eq!((ahead.lost, ahead.out_of_order), (1, 1), "the next reader skips a record");

        let unknown =
            verdict(&[(1, "b", 1), (1, "a", 1), (1, "a", 2), (1, "a", 3), (1, "c", 1), (1, "a", 4)]);
        assert_eq!((unknown.lost, unknown.out_of_order), (0, 2));
    }
}
