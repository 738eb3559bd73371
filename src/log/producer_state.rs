//! The last batches of each idempotent producer: what tells a duplicate, a gap and a fenced producer apart.
//!
//! Snapshot body (a checkpoint file, see [`super::flush::checkpoint`], magic `WEIRPROD`), big-endian: behind the log's id, for each
//! producer 8 bytes producer id, 2 epoch, 1 number of batches, then for each batch, oldest first, 4 bytes last sequence, 4 record
//! count − 1, 8 last offset. Source: KIP-98; Kafka `ProducerStateManager`.

use std::collections::HashMap;

use super::errors::AppendError;
use crate::base::Offset;
use crate::base::limits::{PRODUCER_BATCHES_KEPT, PRODUCERS_KEPT};
use crate::env::rule::Rule;
use crate::record::BatchHeader;

/// A stored batch of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoredBatch {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Its records − 1.
    pub offset_delta: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
}

impl StoredBatch {
    fn base_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// What is known of one producer: its newest epoch and its last batches, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer {
    epoch: i16,
    count: u8,
    batches: [StoredBatch; PRODUCER_BATCHES_KEPT],
}

impl Producer {
    fn batches(&self) -> &[StoredBatch] {
        &self.batches[..usize::from(self.count)]
    }

    fn push(&mut self, batch: StoredBatch) {
        if usize::from(self.count) == PRODUCER_BATCHES_KEPT {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        self.batches[usize::from(self.count)] = batch;
        self.count += 1;
    }
}

/// What a batch is, seen from its producer's earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sequenced {
    /// It follows: to be stored.
    Next,
    /// It was stored: its base offset (−1 when no longer known), and the offset that must be committed before the answer.
    Duplicate {
        /// First offset, or −1.
        base_offset: Offset,
        /// Last offset of it, or of the oldest batch still known.
        last_offset: Offset,
    },
}

/// The producers of one log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerState {
    producers: HashMap<i64, Producer>,
    /// Whether any producer was pushed out by newer ones in this run.
    has_forgotten: bool,
}

/// How far sequence `b` lies after `a`, counting modulo 2³¹; negative when before.
fn distance(a: i32, b: i32) -> i32 {
    let forward = b.wrapping_sub(a) & i32::MAX;
    if forward > i32::MAX / 2 { forward.wrapping_sub(i32::MAX).wrapping_sub(1) } else { forward }
}

impl ProducerState {
    /// Says what a batch is. Batches without producer id always follow. Changes nothing.
    /// `may_be_forgotten`: whether a producer that is unknown may have written before.
    pub fn check(&self, header: &BatchHeader, may_be_forgotten: bool) -> Result<Sequenced, AppendError> {
        if !header.has_producer() || !Rule::CheckSequence.holds() {
            return Ok(Sequenced::Next);
        }
        let gap = |expected| AppendError::OutOfOrderSequence {
            producer_id: header.producer_id,
            expected,
            got: header.base_sequence,
        };
        let Some(producer) = self.producers.get(&header.producer_id) else {
            // WHY: one that was forgotten with its records goes on where it was. A new one that does not begin at 0 had an earlier
            // batch refused; were this one stored, the retry of that one would be taken for a duplicate.
            let may_follow = header.base_sequence == 0 || may_be_forgotten || self.has_forgotten;
            return if may_follow { Ok(Sequenced::Next) } else { Err(gap(0)) };
        };
        if header.producer_epoch < producer.epoch {
            let current_epoch = producer.epoch;
            return Err(AppendError::ProducerFenced { producer_id: header.producer_id, current_epoch });
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Ok(Sequenced::Next) } else { Err(gap(0)) };
        }
        let Some(newest) = producer.batches().last() else { return Ok(Sequenced::Next) };
        let expected = newest.last_sequence.wrapping_add(1) & i32::MAX;
        if header.base_sequence == expected {
            return Ok(Sequenced::Next);
        }
        if distance(newest.last_sequence, header.last_sequence()) > 0 {
            return Err(gap(expected));
        }
        find_duplicate(producer, header).ok_or_else(|| gap(expected))
    }

    /// Notes a stored batch, and returns what was known of its producer before, for [`ProducerState::undo`].
    pub fn note(&mut self, header: &BatchHeader, last_offset: Offset) -> Option<(i64, Option<Producer>)> {
        if !header.has_producer() {
            return None;
        }
        let fresh = Producer { epoch: header.producer_epoch, count: 0, batches: Default::default() };
        let before = self.producers.get(&header.producer_id).copied();
        let mut after = before.filter(|known| known.epoch == header.producer_epoch).unwrap_or(fresh);
        let offset_delta = header.last_offset_delta;
        after.push(StoredBatch { last_sequence: header.last_sequence(), offset_delta, last_offset });
        self.producers.insert(header.producer_id, after);
        if self.producers.len() > PRODUCERS_KEPT {
            self.forget_oldest();
        }
        Some((header.producer_id, before))
    }

    /// Forgets the tenth that wrote longest ago. Cost: one pass, once for many batches.
    fn forget_oldest(&mut self) {
        let mut last_offsets: Vec<Offset> = self
            .producers
            .values()
            .filter_map(|producer| producer.batches().last())
            .map(|last| last.last_offset)
            .collect();
        let tenth = last_offsets.len() / 10;
        let (_, oldest_kept, _) = last_offsets.select_nth_unstable(tenth);
        let oldest_kept = *oldest_kept;
        self.has_forgotten = true;
        self.forget_below(oldest_kept);
    }

    /// Takes a note back; the latest first.
    pub fn undo(&mut self, (producer_id, before): (i64, Option<Producer>)) {
        match before {
            Some(producer) => self.producers.insert(producer_id, producer),
            None => self.producers.remove(&producer_id),
        };
    }

    /// Forgets producers whose last record was removed with everything below `log_start`.
    pub fn forget_below(&mut self, log_start: Offset) {
        let lives =
            |producer: &Producer| producer.batches().last().is_some_and(|last| last.last_offset >= log_start);
        self.producers.retain(|_, producer| lives(producer));
    }

    /// Where the last batch of each producer ends that lies below `flushed`; `None` where none of those that are known does.
    pub fn last_batches(&self, flushed: Offset) -> HashMap<i64, Option<Offset>> {
        let last = |producer: &Producer| {
            let durable = producer.batches().iter().rev().find(|batch| batch.last_offset < flushed);
            durable.map(|batch| batch.last_offset)
        };
        self.producers.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// The body of a snapshot.
    pub fn encode(&self) -> Vec<u8> {
        let mut ids: Vec<_> = self.producers.keys().copied().collect();
        ids.sort_unstable();
        let mut out = Vec::with_capacity(ids.len() * 64);
        for id in ids {
            let producer = &self.producers[&id];
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.push(producer.count);
            for batch in producer.batches() {
                out.extend_from_slice(&batch.last_sequence.to_be_bytes());
                out.extend_from_slice(&batch.offset_delta.to_be_bytes());
                out.extend_from_slice(&batch.last_offset.to_be_bytes());
            }
        }
        out
    }

    /// Reads the body of a snapshot; `None` when it is not one.
    pub fn decode(mut body: &[u8]) -> Option<Self> {
        fn take<const N: usize>(body: &mut &[u8]) -> Option<[u8; N]> {
            let (front, rest) = body.split_first_chunk::<N>()?;
            *body = rest;
            Some(*front)
        }
        let mut producers = HashMap::new();
        while !body.is_empty() {
            let id = i64::from_be_bytes(take(&mut body)?);
            let epoch = i16::from_be_bytes(take(&mut body)?);
            let [count] = take::<1>(&mut body)?;
            let mut producer = Producer { epoch, count: 0, batches: Default::default() };
            for _ in 0..count {
                let last_sequence = i32::from_be_bytes(take(&mut body)?);
                let offset_delta = i32::from_be_bytes(take(&mut body)?);
                let last_offset = i64::from_be_bytes(take(&mut body)?);
                producer.push(StoredBatch { last_sequence, offset_delta, last_offset });
            }
            producers.insert(id, producer);
        }
        Some(Self { producers, has_forgotten: false })
    }
}

/// A batch whose last sequence is not above the newest stored one. It was stored when it is one of the batches still known, or when it lies
/// before the oldest of as many as are ever kept; `None` when nothing proves that it was.
fn find_duplicate(producer: &Producer, header: &BatchHeader) -> Option<Sequenced> {
    let same = |batch: &&StoredBatch| {
        batch.last_sequence == header.last_sequence() && batch.offset_delta == header.last_offset_delta
    };
    if let Some(batch) = producer.batches().iter().find(same) {
        return Some(Sequenced::Duplicate {
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset,
        });
    }
    let oldest = producer.batches()[0];
    let is_older = distance(oldest.last_sequence, header.last_sequence()) < 0;
    let is_full = producer.batches().len() == PRODUCER_BATCHES_KEPT;
    (is_older && is_full).then_some(Sequenced::Duplicate { base_offset: -1, last_offset: oldest.last_offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::header::HEADER_BYTES;

    fn batch(epoch: i16, base_sequence: i32, count: i32) -> BatchHeader {
        let mut header = BatchHeader::read(&[0u8; HEADER_BYTES]).expect("long enough");
        header.producer_id = 7;
        header.producer_epoch = epoch;
        header.base_sequence = base_sequence;
        header.last_offset_delta = count - 1;
        header
    }

    fn stored(state: &mut ProducerState, header: &BatchHeader, last_offset: Offset) {
        assert_eq!(state.check(header, true).expect("follows"), Sequenced::Next);
        let _ = state.note(header, last_offset);
    }

    #[test]
    fn duplicates_gaps_overlaps_and_old_epochs() {
        let mut state = ProducerState::default();
        for n in 0..7 {
            stored(&mut state, &batch(1, n * 10, 10), i64::from(n) * 10 + 9);
        }
        let duplicate = |base_offset, last_offset| Sequenced::Duplicate { base_offset, last_offset };
        assert_eq!(state.check(&batch(1, 60, 10), true).expect("known"), duplicate(60, 69));
        assert_eq!(state.check(&batch(1, 20, 10), true).expect("known"), duplicate(20, 29));
        assert_eq!(state.check(&batch(1, 10, 10), true).expect("older than five"), duplicate(-1, 29));
        assert!(matches!(
            state.check(&batch(1, 80, 10), true),
            Err(AppendError::OutOfOrderSequence { expected: 70, .. })
        ));
        assert!(matches!(state.check(&batch(1, 65, 10), true), Err(AppendError::OutOfOrderSequence { .. })));
        assert!(matches!(
            state.check(&batch(0, 70, 1), true),
            Err(AppendError::ProducerFenced { current_epoch: 1, .. })
        ));
        assert!(state.check(&batch(2, 5, 1), true).is_err());
        assert_eq!(state.check(&batch(2, 0, 1), true).expect("new epoch"), Sequenced::Next);
    }

    #[test]
    fn a_new_producer_begins_at_0_and_what_was_refused_is_no_duplicate() {
        let mut state = ProducerState::default();
        assert!(matches!(
            state.check(&batch(0, 1, 1), false),
            Err(AppendError::OutOfOrderSequence { expected: 0, .. })
        ));
        assert_eq!(state.check(&batch(0, 1, 1), true).expect("forgotten"), Sequenced::Next);
        let _ = state.note(&batch(0, 1, 1), 0);
        assert!(state.check(&batch(0, 0, 1), true).is_err(), "sequence 0 was never stored");
    }

    #[test]
    fn sequences_wrap() {
        let mut state = ProducerState::default();
        stored(&mut state, &batch(0, i32::MAX - 1, 2), 1);
        stored(&mut state, &batch(0, 0, 3), 4);
        let again = state.check(&batch(0, i32::MAX - 1, 2), true).expect("known");
        assert_eq!(again, Sequenced::Duplicate { base_offset: 0, last_offset: 1 });
        assert!(state.check(&batch(0, 4, 1), true).is_err());
    }

    #[test]
    fn made_up_ids_push_out_only_the_oldest() {
        let mut state = ProducerState::default();
        for id in 0..3 * PRODUCERS_KEPT as i64 {
            let _ = state.note(&BatchHeader { producer_id: id, ..batch(0, 0, 1) }, id);
            assert!(state.producers.len() <= PRODUCERS_KEPT);
        }
        let newest = 3 * PRODUCERS_KEPT as i64 - 1;
        let again = state.check(&BatchHeader { producer_id: newest, ..batch(0, 0, 1) }, true);
        assert!(matches!(again, Ok(Sequenced::Duplicate { .. })));
    }

    #[test]
    fn a_note_is_taken_back() {
        let mut state = ProducerState::default();
        stored(&mut state, &batch(0, 0, 1), 0);
        let before = state.clone();
        let undo = state.note(&batch(0, 1, 1), 1).expect("has a producer");
        assert_ne!(state, before);
        state.undo(undo);
        assert_eq!(state, before);
    }

    #[test]
    fn snapshots_round_trip_and_cut_ones_are_refused() {
        let mut state = ProducerState::default();
        stored(&mut state, &batch(3, 0, 4), 3);
        stored(&mut state, &batch(3, 4, 1), 4);
        let body = state.encode();
        assert_eq!(ProducerState::decode(&body), Some(state));
        for len in 1..body.len() {
            assert_eq!(ProducerState::decode(&body[..len]), None, "{len}");
        }
    }
}
