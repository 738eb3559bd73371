//! What was sent, what became of it, and whether a log agrees with that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// An acknowledgement may be noted so long after the cut before which it came.
const LATE: Duration = Duration::from_secs(1);

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
    /// Nothing for certain: it may be there.
    Open,
    /// Nothing, as it was asked for with acks 0: it may be there.
    Unasked,
    /// Acknowledged at this offset, −1 where the broker did not remember it, under this epoch.
    Stored(i64, i32),
    /// Refused for good: it must not be there.
    NotWritten,
}

/// What a log may do to a record without being wrong.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Allowed {
    /// Whether the end of a partition may be lost: what was acknowledged at or behind the place where its epoch ends.
    pub(crate) lost_end: bool,
    /// Producers from this number on have no producer id: what they send again may be there twice.
    pub(crate) twice_from: u32,
}

impl Allowed {
    /// Nothing at all.
    pub(crate) const NOTHING: Self = Self { lost_end: false, twice_from: u32::MAX };
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
    UsedAgain,
    PastFailedSync,
    LostTooMuch,
}

/// Everything wrong that was found, each with a sentence.
pub(crate) type Findings = Vec<(Wrong, String)>;

/// What became of each record.
#[derive(Default)]
pub(crate) struct Sent {
    /// Fates by producer and partition, then number.
    fates: BTreeMap<(u32, i32), Vec<Fate>>,
    /// When it was acknowledged, as its producer knows.
    acknowledged_at: BTreeMap<Origin, Instant>,
}

/// A moment of a history.
pub(crate) struct Mark(BTreeMap<(u32, i32), usize>);

impl Sent {
    /// Counts a record that is about to be sent.
    pub(crate) fn begin(&mut self, producer: u32, partition: i32) -> Origin {
        let fates = self.fates.entry((producer, partition)).or_default();
        fates.push(Fate::Open);
        Origin { producer, partition, number: fates.len() as u32 - 1 }
    }

    pub(crate) fn set(&mut self, origin: Origin, fate: Fate) {
        self.fates.get_mut(&(origin.producer, origin.partition)).unwrap()[origin.number as usize] = fate;
        if matches!(fate, Fate::Stored(..)) {
            self.acknowledged_at.insert(origin, Instant::now());
        }
    }

    /// How many records each producer has sent to each partition until now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.fates.iter().map(|(key, fates)| (*key, fates.len())).collect())
    }

    /// How many records of a partition that were sent after the mark are acknowledged.
    pub(crate) fn acknowledged_since(&self, mark: &Mark, partition: i32) -> usize {
        let here = self.fates.iter().filter(|((_, number), _)| *number == partition);
        let since = here.flat_map(|(key, fates)| &fates[mark.0.get(key).map_or(0, |count| *count)..]);
        since.filter(|fate| matches!(fate, Fate::Stored(..))).count()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Stored(..)))
    }

    /// The records that were acknowledged, with offset and epoch as their producers were told.
    pub(crate) fn stored(&self) -> Vec<(Origin, i64, i32)> {
        let of_one = |(place, fates): (&(u32, i32), &Vec<Fate>)| {
            let (producer, partition) = *place;
            let numbered = (0..).zip(fates.clone());
            numbered
                .filter_map(move |(number, fate)| match fate {
                    Fate::Stored(offset, epoch) if offset >= 0 => {
                        Some((Origin { producer, partition, number }, offset, epoch))
                    }
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        self.fates.iter().flat_map(of_one).collect()
    }

    pub(crate) fn count(&self, which: impl Fn(Fate) -> bool) -> usize {
        self.fates.values().flatten().filter(|fate| which(**fate)).count()
    }

    /// What is wrong with a log, one list of records for each partition, read from offset 0 to the end.
    pub(crate) fn check(&self, log: &[Vec<Found>], allowed: Allowed) -> Findings {
        let mut findings = Findings::new();
        let mut places = Places::new();
        for (partition, records) in log.iter().enumerate() {
            check_places(partition, records, &mut findings);
            let mut last: BTreeMap<u32, u32> = BTreeMap::new();
            for found in records {
                let place = format!("partition {partition}, offset {}", found.offset);
                let Some(origin) = found.origin else {
                    findings.push((Wrong::Changed, format!("{place}: not a record that anybody makes")));
                    continue;
                };
                if !self.knows(origin, partition) {
                    findings.push((Wrong::Unknown, format!("{place}: nobody sent {origin:?} here")));
                    continue;
                }
                let at = places.entry(origin).or_default();
                at.push(found.offset);
                if at.len() > 1 {
                    if origin.producer < allowed.twice_from {
                        findings.push((Wrong::Twice, format!("{place}: {origin:?} again")));
                    }
                    continue;
                }
                let before = last.insert(origin.producer, origin.number);
                if before.is_some_and(|before| before > origin.number) {
                    findings.push((Wrong::OutOfOrder, format!("{place}: {origin:?} after {before:?}")));
                }
            }
        }
        self.check_fates(log, &places, allowed, &mut findings);
        findings
    }

    /// How many of the acknowledged records are there, where their producers were told.
    pub(crate) fn found(&self, log: &[Vec<Found>]) -> usize {
        self.stored().iter().filter(|(origin, offset, _)| is_there(*origin, *offset, log)).count()
    }

    /// Acknowledged records that are lost although they were acknowledged earlier than `window` before the cut that took them.
    pub(crate) fn check_window(&self, log: &[Vec<Found>], cuts: &[Instant], window: Duration) -> Findings {
        let mut findings = Findings::new();
        for (origin, offset, _) in self.stored() {
            let at = self.acknowledged_at[&origin];
            let is_by = |cut: &Instant| *cut <= at + window && at <= *cut + LATE;
            if is_there(origin, offset, log) || cuts.iter().any(is_by) {
                continue;
            }
            let before = cuts.iter().find(|cut| **cut > at).map(|cut| *cut - at);
            let text = format!(
                "{origin:?}, acknowledged at {offset} {before:?} before a cut, at most {window:?} are promised"
            );
            findings.push((Wrong::LostTooMuch, text));
        }
        findings
    }

    fn knows(&self, origin: Origin, partition: usize) -> bool {
        origin.partition == partition as i32 && self.fate(origin).is_some()
    }

    fn fate(&self, origin: Origin) -> Option<Fate> {
        self.fates.get(&(origin.producer, origin.partition))?.get(origin.number as usize).copied()
    }

    /// What is wrong with what was shown at any time, be it there in the end or not: nothing that was refused is ever read, and an
    /// offset of an epoch names one record for ever.
    pub(crate) fn check_shown(&self, seen: &[Vec<Seen>]) -> Findings {
        let mut findings = Findings::new();
        let mut named: BTreeMap<_, Origin> = BTreeMap::new();
        for (origin, offset, epoch) in self.stored() {
            name(&mut named, (origin.partition, epoch, offset), origin, &mut findings);
        }
        for (partition, found) in (0..).zip(seen).flat_map(|(partition, seen)| records_of(partition, seen)) {
            let place = format!("partition {partition}, offset {}, at some time", found.offset);
            match found.origin {
                Some(origin) if !self.knows(origin, partition as usize) => {
                    findings.push((Wrong::Unknown, format!("{place}: nobody sent {origin:?} here")));
                }
                Some(origin) => {
                    if self.fate(origin) == Some(Fate::NotWritten) {
                        findings.push((Wrong::NotWritten, format!("{place}: {origin:?} was refused")));
                    }
                    name(&mut named, (partition, found.epoch, found.offset), origin, &mut findings);
                }
                None => findings.push((Wrong::Changed, format!("{place}: not a record that anybody makes"))),
            }
        }
        findings
    }

    fn check_fates(&self, log: &[Vec<Found>], places: &Places, allowed: Allowed, findings: &mut Findings) {
        for ((producer, partition), fates) in &self.fates {
            for (number, fate) in (0..).zip(fates) {
                let origin = Origin { producer: *producer, partition: *partition, number };
                let at = places.get(&origin).map_or(&[][..], Vec::as_slice);
                let records = log.get(*partition as usize).map_or(&[][..], Vec::as_slice);
                let wrong = disagreement(*fate, at, records, allowed);
                findings.extend(wrong.map(|wrong| {
                    (wrong, format!("{origin:?} is at {at:?}, its producer was told {fate:?}"))
                }));
            }
        }
    }
}

fn is_there(origin: Origin, offset: i64, log: &[Vec<Found>]) -> bool {
    let found = log.get(origin.partition as usize).and_then(|records| records.get(offset as usize));
    found.is_some_and(|found| found.origin == Some(origin))
}

/// Where each record is found.
type Places = BTreeMap<Origin, Vec<i64>>;

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

/// What is wrong with a record of this fate that is found at these offsets of its partition.
fn disagreement(fate: Fate, at: &[i64], records: &[Found], allowed: Allowed) -> Option<Wrong> {
    match fate {
        Fate::Open | Fate::Unasked => None,
        Fate::NotWritten => (!at.is_empty()).then_some(Wrong::NotWritten),
        Fate::Stored(told, epoch) if told >= 0 && !at.contains(&told) => {
            if allowed.lost_end && !records.iter().any(|found| found.epoch == epoch && found.offset >= told) {
                return None;
            }
            Some(if at.is_empty() { Wrong::Lost } else { Wrong::Moved })
        }
        Fate::Stored(..) => (at.is_empty() && !allowed.lost_end).then_some(Wrong::Lost),
    }
}

/// What a reader was given of one partition, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// A record.
    Record(Found),
    /// An error that says that what was given from this offset on is gone.
    Setback(i64),
}

/// The records that a reader was given of a partition.
pub(crate) fn records_of(partition: i32, seen: &[Seen]) -> impl Iterator<Item = (i32, Found)> {
    seen.iter().filter_map(move |seen| match seen {
        Seen::Record(found) => Some((partition, *found)),
        Seen::Setback(_) => None,
    })
}

/// Notes which record a place, that is partition, epoch and offset, was said to hold.
fn name(
    named: &mut BTreeMap<(i32, i32, i64), Origin>,
    place: (i32, i32, i64),
    origin: Origin,
    findings: &mut Findings,
) {
    let before = *named.entry(place).or_insert(origin);
    if before != origin {
        let (partition, epoch, offset) = place;
        let text =
            format!("partition {partition}, epoch {epoch}, offset {offset}: {before:?} and {origin:?}");
        findings.push((Wrong::UsedAgain, text));
    }
}

/// How many records are there once more than they were sent.
pub(crate) fn duplicates(log: &[Vec<Found>]) -> usize {
    let all = || log.iter().flatten().filter_map(|found| found.origin);
    all().count() - all().collect::<BTreeSet<_>>().len()
}

/// Whether somebody who read all the time knows in the end what is there, and was told of everything that went.
pub(crate) fn compare(seen: &[Vec<Seen>], log: &[Vec<Found>], allowed: Allowed) -> Findings {
    let mut findings = Findings::new();
    for (partition, (seen, log)) in seen.iter().zip(log).enumerate() {
        let mut view: Vec<Found> = Vec::new();
        for item in seen {
            match *item {
                Seen::Record(found) => view.push(found),
                Seen::Setback(to) if allowed.lost_end && to <= view.len() as i64 => {
                    view.truncate(to as usize)
                }
                Seen::Setback(to) => {
                    let text = format!("partition {partition}: told to go back to {to} at {}", view.len());
                    findings.push((Wrong::Reader, text));
                }
            }
        }
        if let Some(at) = (0..view.len().max(log.len())).find(|at| view.get(*at) != log.get(*at)) {
            let text = format!("partition {partition}: saw {:?}, there is {:?}", view.get(at), log.get(at));
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
                sent.set(origin, Fate::Stored(number, 0));
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
        let mut wrongs: Vec<Wrong> =
            sent().check(log, Allowed::NOTHING).into_iter().map(|(wrong, _)| wrong).collect();
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
        assert_eq!(wrongs(&log(&[1, 2])), [Wrong::Lost, Wrong::Moved]);
        assert_eq!(wrongs(&[]), [Wrong::Lost]);
    }

    #[test]
    fn a_record_that_is_there_twice_is_found() {
        assert_eq!(wrongs(&log(&[0, 1, 2, 2])), [Wrong::Twice]);
        assert_eq!(wrongs(&log(&[0, 1, 2, 3, 3])), [Wrong::Twice]);
    }

    #[test]
    fn a_wrong_order_is_found() {
        assert_eq!(wrongs(&log(&[0, 2, 1])), [Wrong::OutOfOrder, Wrong::Moved]);
        let mut sent = Sent::default();
        for _ in 0..3 {
            sent.begin(7, 0);
        }
        let findings = sent.check(&log(&[2, 0]), Allowed::NOTHING);
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
        assert_eq!(sent.check(&log(&[0, 1, 2]), Allowed::NOTHING), []);
        assert_eq!(sent.check(&log(&[0, 1, 2, 3]), Allowed::NOTHING)[0].0, Wrong::NotWritten);
    }

    #[test]
    fn what_was_shown_for_a_while_counts_as_well() {
        let seen = |numbers: &[u32]| {
            log(numbers)
                .iter()
                .map(|log| log.iter().copied().map(Seen::Record).collect())
                .collect::<Vec<Vec<_>>>()
        };
        let mut sent = sent();
        assert_eq!(sent.check_shown(&seen(&[0, 1, 2, 3])), []);
        sent.set(Origin { producer: 7, partition: 0, number: 3 }, Fate::NotWritten);
        assert_eq!(sent.check_shown(&seen(&[0, 1, 2])), []);
        assert_eq!(sent.check_shown(&seen(&[0, 1, 2, 3]))[0].0, Wrong::NotWritten);
        assert_eq!(sent.check_shown(&seen(&[0, 1, 1]))[0].0, Wrong::UsedAgain, "2 was acknowledged there");
        assert_eq!(sent.check_shown(&seen(&[0, 1, 2, 9]))[0].0, Wrong::Unknown);
    }

    #[test]
    fn duplicates_are_counted() {
        assert_eq!(duplicates(&log(&[0, 1, 2])), 0);
        assert_eq!(duplicates(&log(&[0, 1, 1, 2, 1])), 2);
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
    fn where_the_end_may_be_lost_only_the_end_may_be() {
        let lost_end = Allowed { lost_end: true, ..Allowed::NOTHING };
        let wrongs = |log: &[Vec<Found>]| {
            sent().check(log, lost_end).into_iter().map(|(wrong, _)| wrong).collect::<Vec<_>>()
        };
        assert_eq!(wrongs(&log(&[0, 1])), []);
        assert_eq!(wrongs(&log(&[])), []);
        assert_eq!(wrongs(&log(&[0, 1, 3])), [Wrong::Lost], "another record of the same epoch is there");
        let mut after = log(&[0, 1, 3]);
        after[0][2].epoch = 1;
        assert_eq!(wrongs(&after), []);
    }

    #[test]
    fn what_was_acknowledged_long_before_a_cut_may_not_be_lost() {
        let (sent, window) = (sent(), Duration::from_secs(2));
        let at = sent.acknowledged_at.values().copied().max().unwrap();
        let lost = |log: &[Vec<Found>], after: u64| {
            sent.check_window(log, &[at + Duration::from_secs(after)], window).len()
        };
        assert_eq!((lost(&log(&[0, 1]), 1), lost(&log(&[0, 1, 2]), 9)), (0, 0));
        assert_eq!((lost(&log(&[0, 1]), 9), lost(&[], 9)), (1, 3));
    }

    #[test]
    fn a_producer_without_id_may_store_a_record_twice_but_not_lose_it() {
        let plain = Allowed { twice_from: 7, ..Allowed::NOTHING };
        assert_eq!(sent().check(&log(&[0, 1, 2, 1, 2]), plain), []);
        assert_eq!(sent().check(&log(&[0, 1, 1]), plain)[0].0, Wrong::Lost);
        assert_eq!(sent().check(&log(&[0, 2, 1, 2]), plain)[0].0, Wrong::OutOfOrder);
    }

    #[test]
    fn a_reader_that_saw_something_else_is_found() {
        let seen =
            |numbers: &[u32]| vec![log(numbers).remove(0).into_iter().map(Seen::Record).collect::<Vec<_>>()];
        let there = log(&[0, 1, 2]);
        assert_eq!(compare(&seen(&[0, 1, 2]), &there, Allowed::NOTHING), []);
        for wrong in [seen(&[0, 1]), seen(&[0, 1, 2, 3]), seen(&[0, 2, 1])] {
            assert_eq!(compare(&wrong, &there, Allowed::NOTHING)[0].0, Wrong::Reader);
        }
        let mut told = seen(&[0, 3]);
        told[0].push(Seen::Setback(1));
        told[0].extend(&seen(&[0, 1, 2])[0][1..]);
        let lost_end = Allowed { lost_end: true, ..Allowed::NOTHING };
        assert_eq!(compare(&told, &there, lost_end), []);
        assert_eq!(compare(&told, &there, Allowed::NOTHING)[0].0, Wrong::Reader, "nothing may go");
    }
}
