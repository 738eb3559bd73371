//! What was sent, what became of it, and whether a log agrees with that.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Where a record comes from. Numbers count from 0 for each producer and partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Origin {
    pub(crate) producer: u32,
    pub(crate) partition: i32,
    pub(crate) number: u32,
}

/// What the producer was told of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Nothing for certain: it may be there, once.
    Open,
    /// Acknowledged at this offset; −1 where the broker did not remember the offset of a repeated batch.
    Stored(i64),
    /// Refused for good: it must not be there.
    NotWritten,
}

/// A record as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    /// `None`: its bytes are not those of any record that a producer makes.
    pub(crate) origin: Option<Origin>,
}

/// What can be wrong with a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Wrong {
    Lost,
    Twice,
    OutOfOrder,
    Moved,
    Changed,
    Unknown,
    NotWritten,
    Gap,
    Epoch,
    Reader,
}

/// Everything wrong that was found, each with a sentence.
pub(crate) type Findings = Vec<(Wrong, String)>;

/// Fates by producer and partition, then number.
#[derive(Default)]
pub(crate) struct Sent(BTreeMap<(u32, i32), Vec<Fate>>);

impl Sent {
    /// Counts a record that is about to be sent.
    pub(crate) fn begin(&mut self, producer: u32, partition: i32) -> Origin {
        let fates = self.0.entry((producer, partition)).or_default();
        fates.push(Fate::Open);
        Origin { producer, partition, number: fates.len() as u32 - 1 }
    }

    pub(crate) fn set(&mut self, origin: Origin, fate: Fate) {
        self.0.get_mut(&(origin.producer, origin.partition)).unwrap()[origin.number as usize] = fate;
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Stored(_)))
    }

    pub(crate) fn count(&self, which: impl Fn(Fate) -> bool) -> usize {
        self.0.values().flatten().filter(|fate| which(**fate)).count()
    }

    /// What is wrong with a log, one list of records for each partition, read from offset 0 to the end.
    pub(crate) fn check(&self, log: &[Vec<Found>]) -> Findings {
        let mut findings = Findings::new();
        let mut seen: BTreeMap<(u32, i32), Vec<bool>> =
            self.0.iter().map(|(key, fates)| (*key, vec![false; fates.len()])).collect();
        for (partition, records) in log.iter().enumerate() {
            check_places(partition, records, &mut findings);
            let mut last: BTreeMap<u32, u32> = BTreeMap::new();
            for found in records {
                let place = format!("partition {partition}, offset {}", found.offset);
                let Some(origin) = found.origin else {
                    findings.push((Wrong::Changed, format!("{place}: not a record that anybody makes")));
                    continue;
                };
                let key = (origin.producer, origin.partition);
                let fate = self.0.get(&key).and_then(|fates| fates.get(origin.number as usize));
                let Some(fate) = fate.filter(|_| origin.partition == partition as i32) else {
                    findings.push((Wrong::Unknown, format!("{place}: nobody sent {origin:?} here")));
                    continue;
                };
                let was_seen = &mut seen.get_mut(&key).unwrap()[origin.number as usize];
                let before = last.insert(origin.producer, origin.number);
                if std::mem::replace(was_seen, true) {
                    findings.push((Wrong::Twice, format!("{place}: {origin:?} again")));
                } else if before.is_some_and(|before| before > origin.number) {
                    findings.push((Wrong::OutOfOrder, format!("{place}: {origin:?} after {before:?}")));
                }
                findings.extend(disagreement(*fate, found.offset).map(|wrong| {
                    (wrong, format!("{place}: {origin:?} is here, its producer was told {fate:?}"))
                }));
            }
        }
        self.check_lost(&seen, &mut findings);
        findings
    }

    fn check_lost(&self, seen: &BTreeMap<(u32, i32), Vec<bool>>, findings: &mut Findings) {
        for (key, fates) in &self.0 {
            for (number, fate) in fates.iter().enumerate() {
                if matches!(fate, Fate::Stored(_)) && !seen[key][number] {
                    findings
                        .push((Wrong::Lost, format!("{key:?} number {number}, acknowledged as {fate:?}")));
                }
            }
        }
    }
}

/// Offsets count from 0 without gaps, epochs do not fall.
fn check_places(partition: usize, records: &[Found], findings: &mut Findings) {
    let mut epoch = i32::MIN;
    for (expected, found) in (0..).zip(records) {
        if found.offset != expected {
            let text = format!("partition {partition}: offset {} instead of {expected}", found.offset);
            return findings.push((Wrong::Gap, text));
        }
        if found.epoch < epoch {
            let text =
                format!("partition {partition}, offset {expected}: epoch {} after {epoch}", found.epoch);
            findings.push((Wrong::Epoch, text));
        }
        epoch = found.epoch;
    }
}

fn disagreement(fate: Fate, offset: i64) -> Option<Wrong> {
    match fate {
        Fate::Stored(told) if told >= 0 && told != offset => Some(Wrong::Moved),
        Fate::NotWritten => Some(Wrong::NotWritten),
        _ => None,
    }
}

/// Whether somebody who read all the time saw what is there in the end.
pub(crate) fn compare(seen: &[Vec<Found>], log: &[Vec<Found>]) -> Findings {
    let mut findings = Findings::new();
    for (partition, (seen, log)) in seen.iter().zip(log).enumerate() {
        if let Some(at) = (0..seen.len().max(log.len())).find(|at| seen.get(*at) != log.get(*at)) {
            let text = format!("partition {partition}: saw {:?}, there is {:?}", seen.get(at), log.get(at));
            findings.push((Wrong::Reader, text));
        }
    }
    findings
}

/// The bytes of a record: they name its origin, and the rest follows from that.
pub(crate) fn value_of(origin: Origin) -> String {
    let Origin { producer, partition, number } = origin;
    let mut rng =
        fastrand::Rng::with_seed(u64::from(producer) << 40 ^ (partition as u64) << 32 ^ u64::from(number));
    let mut value = format!("{producer} {partition} {number} ");
    for _ in 0..rng.usize(..40) {
        write!(value, "{:x}", rng.u32(..)).unwrap();
    }
    value
}

/// The origin that a value names, when every byte of it is right.
pub(crate) fn origin_of(value: &[u8]) -> Option<Origin> {
    let text = std::str::from_utf8(value).ok()?;
    let mut words = text.split(' ');
    let producer = words.next()?.parse().ok()?;
    let partition = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let origin = Origin { producer, partition, number };
    (value_of(origin) == text).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three acknowledged records and an open one, of producer 7 in partition 0.
    fn sent() -> Sent {
        let mut sent = Sent::default();
        for number in 0..4 {
            let origin = sent.begin(7, 0);
            if number < 3 {
                sent.set(origin, Fate::Stored(number));
            }
        }
        sent
    }

    fn log(numbers: &[u32]) -> Vec<Vec<Found>> {
        let found = |(offset, number): (i64, &u32)| Found {
            offset,
            epoch: 0,
            origin: Some(Origin { producer: 7, partition: 0, number: *number }),
        };
        vec![(0..).zip(numbers).map(found).collect()]
    }

    fn wrongs(log: &[Vec<Found>]) -> Vec<Wrong> {
        let mut wrongs: Vec<Wrong> = sent().check(log).into_iter().map(|(wrong, _)| wrong).collect();
        wrongs.dedup();
        wrongs
    }

    #[test]
    fn a_good_log_has_no_findings_with_the_open_record_or_without() {
        assert_eq!(wrongs(&log(&[0, 1, 2])), []);
        assert_eq!(wrongs(&log(&[0, 1, 2, 3])), []);
    }

    #[test]
    fn a_lost_record_is_found() {
        assert_eq!(wrongs(&log(&[0, 1])), [Wrong::Lost]);
        assert_eq!(wrongs(&log(&[1, 2])), [Wrong::Moved, Wrong::Lost]);
        assert_eq!(wrongs(&[]), [Wrong::Lost]);
    }

    #[test]
    fn a_record_that_is_there_twice_is_found() {
        assert_eq!(wrongs(&log(&[0, 1, 2, 2])), [Wrong::Twice, Wrong::Moved]);
        assert_eq!(wrongs(&log(&[0, 1, 2, 3, 3])), [Wrong::Twice]);
    }

    #[test]
    fn a_wrong_order_is_found() {
        assert_eq!(wrongs(&log(&[0, 2, 1])), [Wrong::Moved, Wrong::OutOfOrder, Wrong::Moved]);
        let mut sent = Sent::default();
        for _ in 0..3 {
            sent.begin(7, 0);
        }
        let findings = sent.check(&log(&[2, 0]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].0, Wrong::OutOfOrder);
    }

    #[test]
    fn a_changed_record_is_found() {
        let mut changed = log(&[0, 1, 2]);
        changed[0][1].origin = None;
        assert_eq!(wrongs(&changed), [Wrong::Changed, Wrong::Lost]);
        let value = value_of(Origin { producer: 7, partition: 1, number: 9 });
        assert!(origin_of(value.as_bytes()).is_some());
        for at in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(origin_of(&bytes), None, "byte {at} of {value}");
        }
    }

    #[test]
    fn a_record_that_nobody_sent_is_found() {
        assert_eq!(wrongs(&log(&[0, 1, 2, 4])), [Wrong::Unknown]);
        let elsewhere = [log(&[0, 1, 2]).remove(0), log(&[3]).remove(0)];
        assert_eq!(wrongs(&elsewhere), [Wrong::Unknown]);
    }

    #[test]
    fn a_refused_record_that_is_there_is_found() {
        let mut sent = sent();
        sent.set(Origin { producer: 7, partition: 0, number: 3 }, Fate::NotWritten);
        assert_eq!(sent.check(&log(&[0, 1, 2])), []);
        assert_eq!(sent.check(&log(&[0, 1, 2, 3]))[0].0, Wrong::NotWritten);
    }

    #[test]
    fn gaps_and_falling_epochs_are_found() {
        let mut gap = log(&[0, 1, 2, 3]);
        gap[0][3].offset = 4;
        assert_eq!(wrongs(&gap), [Wrong::Gap]);
        let mut falling = log(&[0, 1, 2]);
        falling[0][0].epoch = 1;
        assert_eq!(wrongs(&falling), [Wrong::Epoch]);
    }

    #[test]
    fn a_reader_that_saw_something_else_is_found() {
        let there = log(&[0, 1, 2]);
        assert_eq!(compare(&there, &there), []);
        for seen in [log(&[0, 1]), log(&[0, 1, 2, 3]), log(&[0, 2, 1])] {
            assert_eq!(compare(&seen, &there)[0].0, Wrong::Reader);
        }
    }
}
