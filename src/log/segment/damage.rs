//! Finds out which offsets of a stretch of log bytes are damaged, and which are not.
//!
//! A batch proves most of itself: its CRC covers all but its first 21 bytes, and its length must lead to the next batch. Its base offset
//! must agree with the other batches: they stand in order between the offsets at both ends of the stretch, and each takes as many as
//! it says. Where together they take all, each has its one place; where there are gaps, which compaction leaves, an offset may be
//! wrong and contradict nobody. For such a one, and for the leader epoch, the CRC of the stretch tells which batch's field has to be
//! another for the stretch to fit. When nothing explains the misfit, the whole stretch counts as damaged. A record that may have
//! changed is never given out.

use std::collections::BTreeMap;

use super::misfit::change_of_word;
use super::offset_index::{DAMAGED_CRC, IndexEntry, Interval};
use super::scan::DamagedSpan;
use crate::base::{BytePosition, LeaderEpoch, Offset};
use crate::record::header::{LEADER_EPOCH_AT, MAGIC, MAGIC_AT};
use crate::record::{BatchHeader, batch};

/// Places that are tried behind damaged bytes. WHY: a value may hold any number of headers that lead on to those of the log, and each
/// costs a CRC of what it claims.
const CANDIDATES_MAX: usize = 64;

/// What lies in a log file between two places whose offsets are known.
pub struct Stretch<'a> {
    /// First byte.
    pub start: BytePosition,
    /// The offset that is due there.
    pub first_offset: Offset,
    /// One past the last byte.
    pub end: BytePosition,
    /// One past the last offset.
    pub end_offset: Offset,
    /// Its bytes; fewer when the file is too short.
    pub bytes: &'a [u8],
}

/// A piece of a stretch: a batch that is valid by itself, or bytes that are none.
struct Piece {
    start: usize,
    end: usize,
    batch: Option<BatchHeader>,
    /// Whether nothing speaks against giving it out.
    stands: bool,
}

impl Piece {
    /// Offsets that it takes, at least.
    fn taken(&self) -> i64 {
        self.batch.map_or(1, |header| i64::from(header.last_offset_delta) + 1)
    }
}

impl<'a> Stretch<'a> {
    /// An index interval that ends at `end`.
    pub fn of_interval(interval: &Interval, end: &IndexEntry, bytes: &'a [u8]) -> Self {
        let Interval { start, first_offset, .. } = *interval;
        Self { start, first_offset, end: end.position, end_offset: end.offset, bytes }
    }

    /// What is damaged as far as the batches tell by themselves. Cost: the CRC of each batch.
    pub fn damage(&self) -> Vec<DamagedSpan> {
        let mut pieces = self.pieces();
        self.judge_offsets(&mut pieces);
        self.spans(&pieces)
    }

    /// What is damaged of a stretch whose bytes have the CRC `crc` where it was `wanted`: never nothing. Cost: the CRC of each batch.
    pub fn damage_behind(&self, crc: u32, wanted: u32) -> Vec<DamagedSpan> {
        // Recovery knew the bytes around it, and found nothing in it.
        if wanted == DAMAGED_CRC {
            return vec![self.whole()];
        }
        let mut pieces = self.pieces();
        if pieces.iter().all(|piece| piece.batch.is_some()) {
            mark_odd_field(&mut pieces, self.bytes.len(), crc ^ wanted);
        }
        self.judge_offsets(&mut pieces);
        let spans = self.spans(&pieces);
        if spans.is_empty() { vec![self.whole()] } else { spans }
    }

    /// All of it as one span.
    pub fn whole(&self) -> DamagedSpan {
        let Self { start, end, first_offset, end_offset, .. } = *self;
        DamagedSpan { start, end, first_offset, end_offset: Some(end_offset) }
    }

    /// Takes the bytes apart, whatever the offsets.
    fn pieces(&self) -> Vec<Piece> {
        let (mut pieces, mut at, mut due) = (Vec::new(), 0, self.first_offset);
        let end = (self.end - self.start) as usize;
        while at < end {
            let piece = valid_at(self.bytes, at).unwrap_or_else(|| {
                let stop = self.next_sound(at, due).unwrap_or(end);
                Piece { start: at, end: stop, batch: None, stands: false }
            });
            at = piece.end;
            due = due.saturating_add(piece.taken());
            pieces.push(piece);
        }
        pieces
    }

    /// Where a sound batch stands behind the damaged one at `at`. WHY not the first that is found: a value may hold a batch, which must
    /// not be taken for one of the log. So the damaged batch's own length is believed when it leads to a batch or to the end; else
    /// whole batches must lead to the end, best of all to its very offset, and their offsets must lie behind those of the damaged
    /// batch as far as it tells them.
    fn next_sound(&self, at: usize, due: Offset) -> Option<usize> {
        let damaged = header_at(self.bytes, at);
        if let Some(total) = damaged.and_then(|header| header.total_bytes()) {
            let next = at + total;
            if next == self.bytes.len() {
                return None;
            }
            let is_next = |header: &BatchHeader| self.is_within(header, due);
            if valid_at(self.bytes, next).and_then(|piece| piece.batch).is_some_and(|next| is_next(&next)) {
                return Some(next);
            }
        }
        let taken = damaged.map_or(0, |header| i64::from(header.last_offset_delta.max(0)) + 1);
        let leading = self.leading(at, due.saturating_add(taken));
        let find = |exact: bool| {
            let places = leading.iter().filter(|(_, is_exact)| **is_exact || !exact).map(|(place, _)| *place);
            places.take(CANDIDATES_MAX).find(|place| valid_at(self.bytes, *place).is_some())
        };
        find(true).or_else(|| find(false))
    }

    /// The places behind `at` from which header leads to header, with rising offsets from `due` on, to the last byte; each with
    /// whether to the very last offset as well. Cost: one look at each byte.
    fn leading(&self, at: usize, due: Offset) -> BTreeMap<usize, bool> {
        let mut leading: BTreeMap<usize, bool> = BTreeMap::new();
        for place in (at + 1..self.bytes.len()).rev() {
            let header = header_at(self.bytes, place).filter(|header| self.is_within(header, due));
            let Some((header, total)) = header.and_then(|header| Some((header, header.total_bytes()?)))
            else {
                continue;
            };
            let (next, end) = (place + total, header.last_offset() + 1);
            if next == self.bytes.len() {
                leading.insert(place, end == self.end_offset);
            } else if let Some(is_exact) = leading.get(&next).copied()
                && header_at(self.bytes, next).is_some_and(|next| next.base_offset >= end)
            {
                leading.insert(place, is_exact);
            }
        }
        leading
    }

    /// Whether the offsets of a batch lie behind `due` and within the stretch.
    fn is_within(&self, header: &BatchHeader, due: Offset) -> bool {
        header.base_offset >= due && header.last_offset_delta >= 0 && header.last_offset() < self.end_offset
    }

    /// Lets no batch stand whose offset contradicts the ends of the stretch or that of another batch.
    fn judge_offsets(&self, pieces: &mut [Piece]) {
        let taken: i64 = pieces.iter().map(Piece::taken).sum();
        // So many offsets belong to nobody. Before a batch there may be some of them, and no fewer than before those in front.
        let free = self.end_offset.saturating_sub(self.first_offset).saturating_sub(taken);
        let mut due = self.first_offset;
        let mut free_before = Vec::with_capacity(pieces.len());
        for piece in pieces.iter() {
            let header = piece.batch.filter(|_| piece.stands);
            let before = header.map(|header| header.base_offset.saturating_sub(due));
            free_before.push(before.filter(|before| (0..=free).contains(before)));
            due = due.saturating_add(piece.taken());
        }
        for (number, piece) in pieces.iter_mut().enumerate() {
            let (before, after) = (&free_before[..number], &free_before[number + 1..]);
            piece.stands = free_before[number].is_some_and(|mine| {
                before.iter().flatten().all(|other| *other <= mine)
                    && after.iter().flatten().all(|other| *other >= mine)
            });
        }
    }

    /// What lies between the batches that stand.
    fn spans(&self, pieces: &[Piece]) -> Vec<DamagedSpan> {
        let (mut spans, mut due): (Vec<DamagedSpan>, _) = (Vec::new(), self.first_offset);
        for piece in pieces {
            let open = spans.last_mut().filter(|span| span.end_offset.is_none());
            match (piece.batch.filter(|_| piece.stands), open) {
                (Some(header), open) => {
                    open.into_iter().for_each(|span| span.end_offset = Some(header.base_offset));
                    due = header.last_offset() + 1;
                }
                (None, Some(span)) => span.end = self.start + piece.end as u64,
                (None, None) => {
                    let (start, end) = (self.start + piece.start as u64, self.start + piece.end as u64);
                    spans.push(DamagedSpan { start, end, first_offset: due, end_offset: None });
                }
            }
        }
        spans.last_mut().into_iter().for_each(|span| {
            span.end_offset.get_or_insert(self.end_offset);
        });
        spans
    }
}

fn valid_at(bytes: &[u8], at: usize) -> Option<Piece> {
    let total = header_at(bytes, at)?.total_bytes()?;
    let header = batch::verify(bytes.get(at..at + total)?).ok()?;
    let piece = Piece { start: at, end: at + total, batch: Some(header), stands: true };
    (header.last_offset_delta >= 0).then_some(piece)
}

/// What looks like the header of a batch.
fn header_at(bytes: &[u8], at: usize) -> Option<BatchHeader> {
    let rest = bytes.get(at..)?;
    BatchHeader::read(rest).filter(|_| rest[MAGIC_AT] == MAGIC)
}

/// Lets the batch not stand of which one field explains the misfit of all: half of its offset, changed in one bit, or its epoch, where
/// that must have been the one of a neighbour, or another in one bit. WHY not any other: with the right four bytes every batch
/// explains every misfit.
fn mark_odd_field(pieces: &mut [Piece], len: usize, misfit: u32) {
    let epochs: Vec<LeaderEpoch> =
        pieces.iter().filter_map(|piece| Some(piece.batch?.leader_epoch)).collect();
    let is_odd = |number: usize| {
        let change = |field: usize| {
            let following = len - (pieces[number].start + field + size_of::<u32>());
            change_of_word(misfit, following as u64)
        };
        let epoch_change = change(LEADER_EPOCH_AT);
        let was = epochs[number] ^ epoch_change as LeaderEpoch;
        let before = number.checked_sub(1).map(|before| epochs[before]);
        let after = epochs.get(number + 1).copied();
        let likely = [before, after, Some(epochs[number].wrapping_sub(1)), Some(0)];
        likely.contains(&Some(was))
            || epoch_change.is_power_of_two()
            || [0, 4].into_iter().any(|half_offset| change(half_offset).is_power_of_two())
    };
    if let Some(odd) = (0..pieces.len()).find(|number| is_odd(*number)) {
        pieces[odd].stands = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Rng;
    use crate::log::segment::stored_batch::{compacted_batch, stored_batch};
    use crate::record::header::{HEADER_BYTES, LOG_OVERHEAD_BYTES};

    /// Sound bytes with what the index knows of them.
    struct Sound {
        batches: Vec<Vec<u8>>,
        end_offset: Offset,
    }

    impl Sound {
        /// A batch of one record for each epoch.
        fn dense(epochs: &[LeaderEpoch]) -> Self {
            let batches = (0..).zip(epochs).map(|(offset, epoch)| stored_batch(offset, *epoch, b"value"));
            Self { batches: batches.collect(), end_offset: epochs.len() as Offset }
        }

        /// As compaction leaves them: gaps before, in, between and behind batches, and one without a record.
        fn compacted() -> Self {
            let batches = [(3, 0, &[0, 1][..], 2), (6, 0, &[2, 5], 9), (40, 1, &[], 0), (45, 4, &[0], 0)]
                .map(|(offset, epoch, deltas, last)| compacted_batch(offset, epoch, deltas, last));
            Self { batches: batches.to_vec(), end_offset: 50 }
        }

        fn start_of(&self, batch: usize) -> usize {
            self.batches[..batch].iter().map(Vec::len).sum()
        }

        fn header(&self, batch: usize) -> BatchHeader {
            BatchHeader::read(&self.batches[batch]).expect("whole")
        }

        /// The offsets that are told when this batch is damaged.
        fn told(&self, batch: usize) -> (Offset, Option<Offset>) {
            let first = batch.checked_sub(1).map_or(0, |before| self.header(before).last_offset() + 1);
            let is_last = batch + 1 == self.batches.len();
            (first, Some(if is_last { self.end_offset } else { self.header(batch + 1).base_offset }))
        }

        /// What is told of `bytes` in its place.
        fn assess(&self, bytes: &[u8]) -> Vec<DamagedSpan> {
            let sound = self.batches.concat();
            let (end, end_offset) = (sound.len() as u64, self.end_offset);
            let stretch = Stretch { start: 0, first_offset: 0, end, end_offset, bytes };
            stretch.damage_behind(crc32fast::hash(bytes), crc32fast::hash(&sound))
        }
    }

    fn offsets(spans: &[DamagedSpan]) -> Vec<(Offset, Option<Offset>)> {
        spans.iter().map(|span| (span.first_offset, span.end_offset)).collect()
    }

    #[test]
    fn any_flipped_bit_damages_its_batch_alone_also_where_epochs_change_and_offsets_have_gaps() {
        for sound in [Sound::dense(&[2, 5, 90, 171]), Sound::compacted()] {
            for damaged in 0..sound.batches.len() {
                for bit in 0..sound.batches[damaged].len() * 8 {
                    let mut bytes = sound.batches.concat();
                    bytes[sound.start_of(damaged) + bit / 8] ^= 1 << (bit % 8);
                    let told = offsets(&sound.assess(&bytes));
                    assert_eq!(told, [sound.told(damaged)], "batch {damaged}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_batch_whose_offset_or_epoch_is_another_never_stands() {
        let rng = Rng::seeded(5);
        for sound in [Sound::dense(&[0, 0, 0, 0, 3, 3]), Sound::compacted()] {
            for turn in 0..4_000 {
                let damaged = turn % sound.batches.len();
                let (start, mut bytes) = (sound.start_of(damaged), sound.batches.concat());
                match rng.below(2) {
                    0 => bytes[start + LEADER_EPOCH_AT..][..4]
                        .copy_from_slice(&(rng.below(1 << 32) as u32).to_be_bytes()),
                    _ => bytes[start..][..8].copy_from_slice(&(rng.below(60) as Offset - 5).to_be_bytes()),
                }
                if bytes == sound.batches.concat() {
                    continue;
                }
                let spans = sound.assess(&bytes);
                let covers = |span: &DamagedSpan| (span.start..span.end).contains(&(start as u64));
                assert!(spans.iter().any(covers), "batch {damaged} of turn {turn}: {spans:?}");
            }
        }
    }

    #[test]
    fn a_value_full_of_headers_that_lead_on_costs_few_checksums() {
        let headers = 2_000;
        // Each header in the value claims to be a batch that ends where the value's own batch does.
        let mut value = Vec::new();
        for number in 0..headers {
            let header = BatchHeader {
                base_offset: 0,
                batch_length: ((headers - number) * HEADER_BYTES + 1 - LOG_OVERHEAD_BYTES) as i32,
                ..BatchHeader::read(&stored_batch(1, 0, b"")).expect("whole")
            };
            value.extend_from_slice(&header.write());
        }
        let batches =
            vec![stored_batch(0, 0, &value), stored_batch(1, 0, b"value"), stored_batch(2, 0, b"x")];
        let sound = Sound { batches, end_offset: 3 };
        let mut bytes = sound.batches.concat();
        bytes[MAGIC_AT] ^= 1;
        let stretch =
            Stretch { start: 0, first_offset: 0, end: bytes.len() as u64, end_offset: 3, bytes: &bytes };
        assert!(stretch.leading(0, 0).len() > CANDIDATES_MAX);
        // None of the few is sound, so nobody believes what follows them.
        assert_eq!(offsets(&stretch.damage()), [(0, Some(3))]);
    }

    #[test]
    fn several_damaged_batches_leave_the_others_standing() {
        let sound = Sound::compacted();
        let mut bytes = sound.batches.concat();
        for damaged in [0, 2] {
            bytes[sound.start_of(damaged) + 30] ^= 1;
        }
        assert_eq!(offsets(&sound.assess(&bytes)), [sound.told(0), sound.told(2)]);
    }

    #[test]
    fn missing_bytes_are_told_and_what_recovery_closed_is_told_whole() {
        let sound = Sound::compacted();
        let bytes = sound.batches.concat();
        for len in 0..bytes.len() {
            let whole = (0..4).take_while(|batch| sound.start_of(batch + 1) <= len).count();
            let told = offsets(&sound.assess(&bytes[..len]));
            assert_eq!(told, [(sound.told(whole).0, Some(sound.end_offset))], "cut to {len} bytes");
        }
        // Its last batches are sound, but recovery did not find that they lead on.
        let mut bytes = bytes;
        bytes[30] ^= 1;
        let end = bytes.len() as u64;
        let stretch = Stretch { start: 0, first_offset: 0, end, end_offset: 50, bytes: &bytes };
        assert_eq!(stretch.damage_behind(crc32fast::hash(&bytes), DAMAGED_CRC), [stretch.whole()]);
        let missing = Stretch { start: 9, first_offset: 50, end: 9, end_offset: 60, bytes: &[] };
        assert_eq!(offsets(&missing.damage_behind(0, DAMAGED_CRC)), [(50, Some(60))]);
    }
}
