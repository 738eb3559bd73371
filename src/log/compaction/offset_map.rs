//! The newest offset of each key, in a fixed number of bytes.
//!
//! A key is kept as a hash of 128 bits under a key of the pass's own, so nobody can bring about two keys with one hash, and by chance it
//! does not happen: with a billion keys once in 10²¹ passes. Open addressing, linear probing.

use crate::base::Offset;
use crate::base::keyed_hash::KeyedHash;

/// Two words of hash, and the offset + 1; 0 there is an empty slot.
type Slot = [u64; 3];

const KEY_SLOT_BYTES: u64 = size_of::<Slot>() as u64;

/// Keys with their newest offsets.
pub(super) struct OffsetMap {
    hash: KeyedHash,
    slots: Vec<Slot>,
    len: usize,
}

impl OffsetMap {
    /// An empty map for up to `keys_expected` keys that takes `bytes_max` at most, and one key at least. Memory is used as keys come.
    pub(super) fn new(hash_key: [u8; 16], bytes_max: u64, keys_expected: u64) -> Self {
        // A third stays empty, so that probing stays short.
        let wanted = keys_expected.saturating_add(keys_expected / 2).saturating_add(2);
        let slots = wanted.min(bytes_max / KEY_SLOT_BYTES).max(2);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX / KEY_SLOT_BYTES as usize);
        Self { hash: KeyedHash::new(hash_key), slots: vec![[0; 3]; slots], len: 0 }
    }

    /// Notes a key at an offset above all before. False: there is no room for another key, and nothing changed.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash.of(key);
        let at = self.slot_of(hash);
        if self.slots[at][2] == 0 {
            if self.len >= self.capacity() {
                return false;
            }
            self.len += 1;
        }
        self.slots[at] = [hash[0], hash[1], offset as u64 + 1];
        true
    }

    /// The newest offset of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.slot_of(self.hash.of(key))];
        Some(slot[2].checked_sub(1)? as Offset)
    }

    fn capacity(&self) -> usize {
        self.slots.len() - self.slots.len().div_ceil(3)
    }

    /// Where this hash stands, or would.
    fn slot_of(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        // Ends: a third of the slots is empty.
        while self.slots[at][2] != 0 && self.slots[at][..2] != hash {
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::env::Rng;

    #[test]
    fn it_knows_the_newest_offset_of_each_key_and_of_no_other() {
        let rng = Rng::seeded(5);
        let mut map = OffsetMap::new(rng.id(), u64::MAX, 1_000);
        let mut model = HashMap::new();
        for offset in 0..5_000i64 {
            let key = rng.below(1_000).to_be_bytes();
            assert!(map.put(&key, offset));
            model.insert(key, offset);
        }
        assert_eq!(map.len, model.len());
        for key in 0..2_000u64 {
            assert_eq!(map.get(&key.to_be_bytes()), model.get(&key.to_be_bytes()).copied());
        }
    }

    #[test]
    fn it_stays_within_its_bytes_and_says_when_it_is_full() {
        for bytes_max in [0, 100, 24 * 300] {
            let mut map = OffsetMap::new([1; 16], bytes_max, 1 << 40);
            assert!(map.slots.len() as u64 * KEY_SLOT_BYTES <= bytes_max.max(2 * KEY_SLOT_BYTES));
            let taken = (0..1_000i64).take_while(|offset| map.put(&offset.to_be_bytes(), *offset)).count();
            assert_eq!(taken, map.capacity());
            assert!((1..1_000).contains(&taken));
            assert!(map.put(&0i64.to_be_bytes(), 2_000), "a key that is there needs no room");
            assert!(!map.put(b"another", 2_001) && map.get(b"another").is_none());
            assert_eq!(map.get(&0i64.to_be_bytes()), Some(2_000));
        }
    }
}
