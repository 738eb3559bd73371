//! What is written, and how it is known again. Pure.
//!
//! A value begins with its lane and its number there, and the time at which it was due, 8 bytes each, little endian; the
//! rest are bytes that no codec makes much shorter. A lane is what one writer writes to one partition, so its records keep
//! their order. A reader needs nothing from the writers but the [`Chain`] of each lane.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::env::Rng;

/// Bytes of lane, number and time.
pub const STAMP_BYTES: usize = 16;
/// Bits of the number within its lane; those above are the lane's.
const NUMBER_BITS: u32 = 40;
/// Lanes that can be told apart.
pub const LANES_MAX: usize = 1 << (64 - NUMBER_BITS);
/// The rest of a value is cut from this many random bytes, at a place that follows from its number.
const POOL_BYTES: usize = 64 << 10;
/// Step from the place of one value to that of the next: odd, so that all places come.
const POOL_STEP: u64 = 4_099;
/// Values share allocations of this size.
const ARENA_BYTES: usize = 256 << 10;

/// Makes values of one size.
#[derive(Debug)]
pub struct Values {
    pool: Vec<u8>,
    rest_bytes: usize,
    arena: BytesMut,
}

impl Values {
    /// Values of `size_bytes`, at least [`STAMP_BYTES`]; the same seed gives the same ones.
    pub fn new(seed: u64, size_bytes: usize) -> Self {
        let rest_bytes = size_bytes.saturating_sub(STAMP_BYTES);
        let mut pool = vec![0; POOL_BYTES + rest_bytes];
        Rng::seeded(seed).fill(&mut pool);
        Self { pool, rest_bytes, arena: BytesMut::new() }
    }

    /// The value of record `number` of a lane, due at `due`. Cost: one copy; an allocation for each 256 KiB.
    pub fn make(&mut self, lane: usize, number: u64, due: Duration) -> Bytes {
        let size_bytes = STAMP_BYTES + self.rest_bytes;
        if self.arena.capacity() - self.arena.len() < size_bytes {
            self.arena = BytesMut::with_capacity(ARENA_BYTES.max(size_bytes));
        }
        let at = (number.wrapping_mul(POOL_STEP) % POOL_BYTES as u64) as usize;
        self.arena.put_u64_le((lane as u64) << NUMBER_BITS | number);
        self.arena.put_u64_le(due.as_nanos() as u64);
        self.arena.put_slice(&self.pool[at..at + self.rest_bytes]);
        self.arena.split().freeze()
    }
}

/// How a value begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Its lane.
    pub lane: usize,
    /// Its number there, from 0 on.
    pub number: u64,
    /// When it was due, by the clock of its writer.
    pub due: Duration,
}

impl Stamp {
    /// Of a value, if that is long enough to be one of ours.
    pub fn read(value: &[u8]) -> Option<Self> {
        let place = u64::from_le_bytes(value.get(..8)?.try_into().ok()?);
        let due = u64::from_le_bytes(value.get(8..STAMP_BYTES)?.try_into().ok()?);
        let number = place & ((1 << NUMBER_BITS) - 1);
        Some(Self { lane: (place >> NUMBER_BITS) as usize, number, due: Duration::from_nanos(due) })
    }
}

/// What the values of a lane were, in their order: equal chains, equal values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// Values so far.
    pub count: u64,
    /// CRC-32C of all their bytes.
    pub hash: u32,
}

impl Chain {
    /// Adds the next value.
    pub fn add(&mut self, value: &[u8]) {
        self.count += 1;
        self.hash = crc32c::crc32c_append(self.hash, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_tell_who_they_are_and_follow_from_the_seed() {
        let due = Duration::from_nanos(1_234_567_890_123);
        let mut values = Values::new(1, 100);
        let some: Vec<Bytes> = (0..70_000).map(|number| values.make(7, number, due)).collect();
        assert!(some.iter().all(|value| value.len() == 100));
        assert_eq!(Stamp::read(&some[69_999]), Some(Stamp { lane: 7, number: 69_999, due }));
        assert_eq!(Values::new(1, 100).make(7, 69_999, due), some[69_999]);
        assert_ne!(Values::new(2, 100).make(7, 69_999, due)[STAMP_BYTES..], some[69_999][STAMP_BYTES..]);
        assert_ne!(some[0][STAMP_BYTES..], some[1][STAMP_BYTES..]);
    }

    #[test]
    fn the_smallest_value_is_its_stamp() {
        let value = Values::new(1, 0).make(LANES_MAX - 1, 3, Duration::ZERO);
        assert_eq!(value.len(), STAMP_BYTES);
        assert_eq!(Stamp::read(&value), Some(Stamp { lane: LANES_MAX - 1, number: 3, due: Duration::ZERO }));
        assert_eq!(Stamp::read(&value[1..]), None);
    }

    #[test]
    fn a_chain_tells_a_lost_a_changed_and_a_swapped_value() {
        let chain = |values: &[&[u8]]| {
            let mut chain = Chain::default();
            values.iter().for_each(|value| chain.add(value));
            chain
        };
        let whole = chain(&[b"a", b"b", b"c"]);
        assert_eq!(whole, chain(&[b"a", b"b", b"c"]));
        for other in [
            chain(&[b"a", b"c"]),
            chain(&[b"a", b"x", b"c"]),
            chain(&[b"b", b"a", b"c"]),
            chain(&[b"ab", b"c"]),
        ] {
            assert_ne!(whole, other);
        }
    }
}
