//! Opens what a crash left of a log, and holds it against what clients were told.

use weir::base::offset::NO_OFFSET;
use weir::base::{LeaderEpoch, Offset};
use weir::env::SimDisk;
use weir::log::{LogSlice, PartitionLog, ReadError, Wait};
use weir::record::RecordBatch;
use weir::record::builder::ProducerFields;

use super::life::{Keeper, Life, batch};
use super::told::{Sent, Told};

/// Epochs of the lives that look at a crash, where nobody else gives them out.
const CHECK_EPOCH: LeaderEpoch = 90;

/// Batches of a producer whose original offset is told at a retry.
const OFFSETS_KNOWN: usize = 5;

/// More than any retention of a scenario, in ms.
const LONG_MS: u64 = 1 << 40;

/// Offset, leader epoch and value of a record.
type Record = (Offset, LeaderEpoch, String);

/// Opens the disk again and holds what is there against what was told; then goes on: retries, an append, retention, one more
/// recovery.
pub(super) fn check(disk: &SimDisk, keeper: &Keeper, told: &Told) -> Result<(), String> {
    if let Some(complaint) = &told.complaint {
        return Err(complaint.clone());
    }
    let mut after = Told::default();
    let mut life = Life::begin(disk, keeper, CHECK_EPOCH, &mut after).ok_or("does not open")?;
    let records = read_all(&life.log)?;
    hold_records(&life.log, &records, told)?;
    retry_all(&mut life, &records, told)?;
    let new = append_new(&mut life, told)?;
    let mut expected = read_all(&life.log)?;
    if expected.last().map(|last| last.0) != Some(new) {
        return Err(format!("the new record at {new} is not the last one"));
    }
    if told.expires {
        expire(&mut life)?;
        expected.clear();
    }
    let end = life.log.offsets().log_end;
    let killed = disk.kill();
    let mut last = Told::default();
    let again = Life::begin(&killed, keeper, CHECK_EPOCH + 1, &mut last).ok_or("does not open twice")?;
    if read_all(&again.log)? != expected || again.log.offsets().log_end != end {
        return Err("recovery of a recovery differs".to_owned());
    }
    Ok(())
}

/// What stands in the log.
fn hold_records(log: &PartitionLog, records: &[Record], told: &Told) -> Result<(), String> {
    let start = log.offsets().log_start;
    for (at, (offset, _, _)) in records.iter().enumerate() {
        if *offset != start + at as Offset {
            return Err(format!("offset {offset} stands where {} was due", start + at as Offset));
        }
    }
    if !(told.start_at_least..=told.start_at_most.max(told.start_at_least)).contains(&start) {
        let (least, most) = (told.start_at_least, told.start_at_most);
        return Err(format!("the log starts at {start}, it should at {least} to {most}"));
    }
    for (offset, value) in told.acked.iter().filter(|(offset, _)| *offset >= start) {
        match records.iter().find(|record| record.0 == *offset) {
            Some(found) if found.2 == *value => {}
            found => return Err(format!("acknowledged '{value}' at {offset}, found {found:?}")),
        }
    }
    for (offset, epoch, value) in records {
        if told.not_written.contains(value) {
            return Err(format!("'{value}' at {offset} was answered not written"));
        }
        if told.placed.get(&(*epoch, *offset)).is_some_and(|placed| placed != value) {
            return Err(format!("epoch {epoch} offset {offset} names two records"));
        }
    }
    for pair in records.windows(2).filter(|pair| pair[0].1 != pair[1].1) {
        let (epoch, end) = (pair[0].1, pair[1].0);
        let known = log.end_of_epoch(epoch);
        if known != (epoch, end) {
            return Err(format!("epoch {epoch} ends at {end}, readers of it are told {known:?}"));
        }
    }
    let end = log.offsets().log_end;
    if end < told.shown {
        return Err(format!("offset {end} would be used again, {} was shown", told.shown));
    }
    Ok(())
}

/// Every producer sends everything again, the oldest first: what is there is a duplicate with its offset, the rest is stored, once.
fn retry_all(life: &mut Life<'_>, records: &[Record], told: &Told) -> Result<(), String> {
    let start = life.log.offsets().log_start;
    for (at, sent) in told.sent.iter().enumerate() {
        if sent.acked.is_some_and(|offset| offset < start) {
            continue;
        }
        retry(life, sent, newer_count(&told.sent[at..]), records)?;
    }
    life.store.committer().round(true);
    let stored = read_all(&life.log)?;
    let mut expected = told.sent.iter().filter(|sent| sent.acked.is_none_or(|offset| offset >= start));
    let wrong = expected.find_map(|sent| {
        let found: Vec<Offset> =
            stored.iter().filter(|record| sent.values.contains(&record.2)).map(|record| record.0).collect();
        (found.len() != sent.values.len())
            .then(|| format!("{} is at {found:?} after a retry", sent.values[0]))
    });
    wrong.map_or(Ok(()), Err)
}

/// How many batches the producer of the first sent after it.
fn newer_count(sent: &[Sent]) -> usize {
    sent[1..].iter().filter(|newer| newer.is_of(sent[0].fields.producer_id)).count()
}

fn retry(life: &mut Life<'_>, sent: &Sent, newer: usize, records: &[Record]) -> Result<(), String> {
    let name = &sent.values[0];
    let there = records.iter().find(|record| record.2 == *name).map(|record| record.0);
    let outcome = life.log.append(batch(&sent.values, sent.fields)).peek().ok_or("the retry hangs")?;
    let appended = outcome.map_err(|error| format!("the retry of {name} is refused: {error}"))?;
    match (there, appended.duplicate) {
        (Some(offset), true) if appended.base_offset == offset => Ok(()),
        (Some(_), true) if appended.base_offset == NO_OFFSET && newer >= OFFSETS_KNOWN => Ok(()),
        (None, false) => Ok(()),
        _ => Err(format!(
            "{name} is at {there:?}, acknowledged at {:?}; its retry gives {appended:?}",
            sent.acked
        )),
    }
}

/// Appends one record, durably, and gives its offset.
fn append_new(life: &mut Life<'_>, told: &Told) -> Result<Offset, String> {
    let new = batch(&["new".to_owned()], ProducerFields::NONE);
    let outcome = life.log.append(new).peek().ok_or("the append hangs")?;
    let appended = outcome.map_err(|error| error.to_string())?;
    if told.placed.contains_key(&(appended.leader_epoch, appended.base_offset)) {
        return Err("a new record takes a used epoch and offset".to_owned());
    }
    life.store.committer().round(true);
    Ok(appended.base_offset)
}

/// Retention takes everything but the log's end.
fn expire(life: &mut Life<'_>) -> Result<(), String> {
    let end = life.log.offsets().log_end;
    // The first time the last segment may only be rolled, which makes it no younger.
    for _ in 0..2 {
        life.pass(LONG_MS);
        life.housekeep();
    }
    let offsets = life.log.offsets();
    if (offsets.log_start, offsets.log_end) != (end, end) {
        return Err(format!("everything expired up to {end}, and now {offsets:?}"));
    }
    Ok(())
}

/// Every record below the high watermark.
pub(super) fn read_all(log: &PartitionLog) -> Result<Vec<Record>, String> {
    let offsets = log.offsets();
    read_all_with(offsets.log_start, |from| log.read(from, offsets.high_watermark, 1 << 20, Wait::Allowed))
}

/// Every record from `next` on that a reader gives.
pub(super) fn read_all_with(
    mut next: Offset,
    read: impl Fn(Offset) -> Result<LogSlice, ReadError>,
) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    loop {
        let slice = read(next).map_err(|e| e.to_string())?;
        let mut rest = slice.bytes;
        if rest.is_empty() {
            return Ok(records);
        }
        while let Some(batch) = RecordBatch::take_first(&mut rest).map_err(|e| e.to_string())? {
            for record in batch.records(1 << 20).map_err(|e| e.to_string())?.iter() {
                let record = record.map_err(|e| e.to_string())?;
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                if record.offset >= next {
                    records.push((record.offset, batch.header().leader_epoch, value));
                }
            }
        }
        next = slice.next_offset;
    }
}
