//! Finds out which offsets of an index interval that does not fit its CRC are damaged, and which are not.
//!
//! A batch proves most of itself: its CRC covers all but its first 21 bytes, its length must lead to the next batch, its base offset
//! must follow. What is left is the leader epoch: it is found by trying which batch's epoch has to be another for the interval to fit.
//! When nothing explains the misfit, the whole interval counts as damaged. A record that may have changed is never given out.

use super::misfit::change_of_word;
use super::offset_index::{IndexEntry, Interval};
use super::scan::DamagedSpan;
use crate::base::{LeaderEpoch, Offset};
use crate::record::header::{HEADER_BYTES, LEADER_EPOCH_AT, MAGIC, MAGIC_AT};
use crate::record::{BatchHeader, batch};

/// A batch that is valid by itself.
struct Valid {
    at: usize,
    total: usize,
    header: BatchHeader,
}

/// The damaged spans of `interval`, which ends at `end`. `bytes` are its bytes, fewer when the file is too short.
pub fn assess(interval: &Interval, end: &IndexEntry, bytes: &[u8]) -> Vec<DamagedSpan> {
    let mut spans = Vec::new();
    let mut batches: Vec<Valid> = Vec::new();
    let (mut at, mut expected) = (0, interval.first_offset);
    while at < bytes.len() {
        if let Some(valid) =
            valid_at(bytes, at, end.offset).filter(|valid| valid.header.base_offset == expected)
        {
            at += valid.total;
            expected = valid.header.last_offset() + 1;
            batches.push(valid);
            continue;
        }
        let next = next_sound(bytes, at, expected, end.offset);
        let (stop, offset) =
            next.map_or((bytes.len(), end.offset), |valid| (valid.at, valid.header.base_offset));
        spans.push(span(at, stop, expected, offset));
        (at, expected) = (stop, offset);
    }
    if expected < end.offset {
        // The file is too short, or recovery closed the interval so because the records behind these are missing.
        spans.push(span(at, (end.position - interval.start) as usize, expected, end.offset));
    }
    if spans.is_empty() {
        spans.push(odd_epoch(&batches, end, bytes).unwrap_or(span(
            0,
            bytes.len(),
            interval.first_offset,
            end.offset,
        )));
    }
    for span in &mut spans {
        span.start += interval.start;
        span.end += interval.start;
    }
    spans
}

fn span(start: usize, end: usize, first_offset: Offset, end_offset: Offset) -> DamagedSpan {
    DamagedSpan { start: start as u64, end: end as u64, first_offset, end_offset: Some(end_offset) }
}

fn valid_at(bytes: &[u8], at: usize, limit: Offset) -> Option<Valid> {
    let rest = bytes.get(at..)?;
    if *rest.get(MAGIC_AT)? != MAGIC || rest.len() < HEADER_BYTES {
        return None;
    }
    let total = BatchHeader::read(rest)?.total_bytes()?;
    let header = batch::verify(rest.get(..total)?).ok()?;
    (header.last_offset_delta >= 0 && header.last_offset() < limit).then_some(Valid { at, total, header })
}

/// What looks like the header of a batch.
fn header_at(bytes: &[u8], at: usize) -> Option<BatchHeader> {
    let rest = bytes.get(at..)?;
    BatchHeader::read(rest).filter(|_| rest[MAGIC_AT] == MAGIC)
}

/// The sound batch behind the damaged one at `at`. WHY not the first that is found: a value may hold a batch, which must not be taken
/// for one of the log. So the damaged batch's own length is believed when it leads to a batch or to the end; else whole batches must
/// lead to the end and to its offset, and their offsets must lie behind those of the damaged batch as far as it tells them.
fn next_sound(bytes: &[u8], at: usize, expected: Offset, limit: Offset) -> Option<Valid> {
    let damaged = header_at(bytes, at);
    if let Some(total) = damaged.and_then(|header| header.total_bytes()) {
        if at + total == bytes.len() {
            return None;
        }
        let next = valid_at(bytes, at + total, limit).filter(|valid| valid.header.base_offset >= expected);
        if next.is_some() {
            return next;
        }
    }
    let least = damaged.map_or(expected, |header| expected + i64::from(header.last_offset_delta.max(0)) + 1);
    (at + 1..bytes.len()).find_map(|next| chained_at(bytes, next, least, limit))
}

/// A valid batch with offsets from `least` on, from which whole batches lead to the end and to the offset `limit`.
fn chained_at(bytes: &[u8], at: usize, least: Offset, limit: Offset) -> Option<Valid> {
    header_at(bytes, at).filter(|header| header.base_offset >= least && header.last_offset() < limit)?;
    let first = valid_at(bytes, at, limit)?;
    let (mut next, mut offset) = (first.at + first.total, first.header.last_offset() + 1);
    while next < bytes.len() {
        let header = BatchHeader::read(&bytes[next..])?;
        next += header.total_bytes()?;
        offset = header.last_offset() + 1;
    }
    (next == bytes.len() && offset == limit).then_some(first)
}

/// The batch whose leader epoch must be that of a neighbour, or another in one bit, for the interval to fit. WHY not any other: with
/// the right four bytes every batch explains every misfit.
fn odd_epoch(batches: &[Valid], end: &IndexEntry, bytes: &[u8]) -> Option<DamagedSpan> {
    let misfit = crc32fast::hash(bytes) ^ end.interval_crc;
    let epochs: Vec<LeaderEpoch> = batches.iter().map(|batch| batch.header.leader_epoch).collect();
    for (number, batch) in batches.iter().enumerate() {
        let following = bytes.len() - (batch.at + LEADER_EPOCH_AT + size_of::<LeaderEpoch>());
        let change = change_of_word(misfit, following as u64);
        let was = batch.header.leader_epoch ^ change as LeaderEpoch;
        let before = number.checked_sub(1).map(|before| epochs[before]);
        let after = epochs.get(number + 1).copied();
        let likely = [before, after, Some(batch.header.leader_epoch.wrapping_sub(1)), Some(0)];
        if change.is_power_of_two() || likely.contains(&Some(was)) {
            let header = &batch.header;
            return Some(span(
                batch.at,
                batch.at + batch.total,
                header.base_offset,
                header.last_offset() + 1,
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::segment::stored_batch::stored_batch;

    /// A batch of one record for each epoch.
    fn batches(epochs: &[LeaderEpoch]) -> Vec<u8> {
        (0..).zip(epochs).flat_map(|(offset, epoch)| stored_batch(offset, *epoch, b"value")).collect()
    }

    #[test]
    fn any_flipped_bit_of_a_header_damages_its_batch_alone_also_where_each_batch_has_an_epoch_of_its_own() {
        let epochs = [2, 5, 90, 171];
        let sound = batches(&epochs);
        let (count, batch_bytes) = (epochs.len() as Offset, sound.len() / epochs.len());
        let end =
            IndexEntry { offset: count, position: sound.len() as u64, interval_crc: crc32fast::hash(&sound) };
        let interval = Interval { number: 0, first_offset: 0, start: 0, end: Some(end) };
        for damaged in 0..epochs.len() {
            for bit in 0..HEADER_BYTES * 8 {
                let mut bytes = sound.clone();
                bytes[damaged * batch_bytes + bit / 8] ^= 1 << (bit % 8);
                let spans = assess(&interval, &end, &bytes);
                let offsets: Vec<_> = spans.iter().map(|span| (span.first_offset, span.end_offset)).collect();
                let first = damaged as Offset;
                assert_eq!(offsets, [(first, Some(first + 1))], "batch {damaged}, bit {bit}");
            }
        }
    }
}
