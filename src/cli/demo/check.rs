//! Whether what came out is what went in: nothing lost, nothing twice, nothing changed, every key in order. Pure.
//!
//! Each record carries its number in a header, so that it is known again whatever happens to the rest of it.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::cli::output::thousands;
use crate::client::{ConsumerRecord, Record};

/// Header with the number of a record.
pub(super) const NUMBER_HEADER: &str = "demo-number";

/// What has to stay in order: the records of a key, or of a partition where there are no keys.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Order {
    Key(String, Bytes),
    Partition(String, i32),
}

/// A record that went in.
#[derive(Debug)]
struct Sent {
    record: Record,
    seen: u32,
}

/// Compares what is read with what was sent.
#[derive(Default, Debug)]
pub(super) struct Check {
    sent: Vec<Sent>,
    /// Number and partition of the last record of each order.
    last: HashMap<Order, (usize, i32)>,
    twice: u64,
    out_of_order: u64,
    changed: u64,
    unknown: u64,
    read: u64,
}

/// The result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    sent: u64,
    lost: u64,
    twice: u64,
    out_of_order: u64,
    changed: u64,
}

impl Check {
    /// Gives a record its number and remembers it.
    pub(super) fn send(&mut self, record: Record) -> Record {
        let record = record.header(NUMBER_HEADER, self.sent.len().to_string());
        self.sent.push(Sent { record: record.clone(), seen: 0 });
        record
    }

    /// Takes a record that was read.
    pub(super) fn read(&mut self, record: &ConsumerRecord) {
        self.read += 1;
        let Some(number) = number_of(record).filter(|number| *number < self.sent.len()) else {
            self.unknown += 1;
            return;
        };
        let sent = &mut self.sent[number];
        sent.seen += 1;
        self.twice += u64::from(sent.seen > 1);
        self.changed += u64::from(!is_same(&sent.record, record));
        self.in_order(number, record);
    }

    fn in_order(&mut self, number: usize, record: &ConsumerRecord) {
        let topic = record.topic.to_string();
        let order = match &record.key {
            Some(key) => Order::Key(topic, key.clone()),
            None => Order::Partition(topic, record.partition),
        };
        let last = self.last.insert(order, (number, record.partition));
        let broken =
            last.is_some_and(|(before, partition)| before >= number || partition != record.partition);
        self.out_of_order += u64::from(broken);
    }

    /// How many records went in.
    pub(super) fn sent_count(&self) -> u64 {
        self.sent.len() as u64
    }

    /// How many came out.
    pub(super) fn read_count(&self) -> u64 {
        self.read
    }

    /// The result, when nothing more is to come. A record that nobody sent counts as changed.
    pub(super) fn verdict(&self) -> Verdict {
        Verdict {
            sent: self.sent_count(),
            lost: self.sent.iter().filter(|sent| sent.seen == 0).count() as u64,
            twice: self.twice,
            out_of_order: self.out_of_order,
            changed: self.changed + self.unknown,
        }
    }
}

impl Verdict {
    /// Whether everything is as it should be.
    pub(super) fn passed(&self) -> bool {
        self.sent > 0 && self.lost + self.twice + self.out_of_order + self.changed == 0
    }
}

impl Verdict {
    /// The fields of a document.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let counts = [
            ("records", self.sent),
            ("lost", self.lost),
            ("twice", self.twice),
            ("out_of_order", self.out_of_order),
            ("changed", self.changed),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), json!(count)));
        counts.into_iter().chain([("passed".to_owned(), json!(self.passed()))]).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed() { "passed" } else { "failed" };
        let Self { sent, lost, twice, out_of_order, changed } = self;
        let sent = thousands(*sent);
        write!(f, "check {word}: {sent} records, {lost} lost, {twice} twice, {out_of_order} out of order")?;
        if *changed > 0 { write!(f, ", {changed} changed") } else { Ok(()) }
    }
}

fn number_of(record: &ConsumerRecord) -> Option<usize> {
    let (_, value) = record.headers.iter().rfind(|(key, _)| key == NUMBER_HEADER)?;
    std::str::from_utf8(value.as_deref()?).ok()?.parse().ok()
}

fn is_same(sent: &Record, read: &ConsumerRecord) -> bool {
    sent.topic == read.topic
        && sent.key == read.key
        && sent.value == read.value
        && sent.headers == read.headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::TimestampType;

    fn read_of(sent: &Record, partition: i32, offset: i64) -> ConsumerRecord {
        ConsumerRecord {
            topic: sent.topic.clone(),
            partition,
            offset,
            timestamp: 0,
            timestamp_type: TimestampType::Create,
            leader_epoch: 0,
            key: sent.key.clone(),
            value: sent.value.clone(),
            headers: sent.headers.clone(),
        }
    }

    /// Two keyed records of one key, and one without key.
    fn sent() -> (Check, Vec<ConsumerRecord>) {
        let mut check = Check::default();
        let records = [
            Record::to("prices").key("a").value("1"),
            Record::to("prices").key("a").value("2"),
            Record::to("emails").value("x"),
        ];
        let read = records.map(|record| read_of(&check.send(record), 0, 0)).into();
        (check, read)
    }

    #[test]
    fn what_comes_out_as_it_went_in_passes() {
        let (mut check, read) = sent();
        for index in [2, 0, 1] {
            check.read(&read[index]);
        }
        assert!(check.verdict().passed());
        assert_eq!(check.verdict().to_string(), "check passed: 3 records, 0 lost, 0 twice, 0 out of order");
    }

    #[test]
    fn nothing_at_all_does_not_pass() {
        assert!(!Check::default().verdict().passed());
    }

    #[test]
    fn each_fault_is_counted() {
        let (mut check, read) = sent();
        check.read(&read[0]);
        check.read(&read[1]);
        assert_eq!(check.verdict().to_string(), "check failed: 3 records, 1 lost, 0 twice, 0 out of order");

        let (mut check, read) = sent();
        [0, 1, 2, 2].iter().for_each(|index| check.read(&read[*index]));
        assert_eq!(check.verdict().twice, 1);

        let (mut check, read) = sent();
        [1, 0, 2].iter().for_each(|index| check.read(&read[*index]));
        assert_eq!(check.verdict().out_of_order, 1);

        let (mut check, mut read) = sent();
        read[1].partition = 1;
        read.iter().for_each(|record| check.read(record));
        assert_eq!(check.verdict().out_of_order, 1, "a key in two partitions has no order");

        let (mut check, mut read) = sent();
        read[1].value = None;
        read.iter().for_each(|record| check.read(record));
        assert_eq!((check.verdict().changed, check.verdict().lost), (1, 0));
        assert!(check.verdict().to_string().ends_with(", 1 changed"));

        let (mut check, mut read) = sent();
        read[1].headers.clear();
        read.iter().for_each(|record| check.read(record));
        assert_eq!((check.verdict().changed, check.verdict().lost), (1, 1));
    }
}
