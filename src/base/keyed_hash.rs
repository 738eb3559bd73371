//! SipHash-2-4 with 128 bits: a hash whose results nobody can foresee who does not know its key.
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with the longer output of its reference code.

/// A key, and with it a hash of its own.
#[derive(Clone, Copy, Debug)]
pub struct KeyedHash {
    k0: u64,
    k1: u64,
}

struct State([u64; 4]);

impl State {
    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }

    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    fn end(&mut self) -> u64 {
        (0..4).for_each(|_| self.round());
        self.0.iter().fold(0, |all, part| all ^ part)
    }
}

impl KeyedHash {
    /// The hash of this key.
    pub fn new(key: [u8; 16]) -> Self {
        let (low, high) = key.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes"));
        Self { k0: word(low), k1: word(high) }
    }

    /// Of some bytes, in two words. Cost: one pass.
    pub fn of(&self, bytes: &[u8]) -> [u64; 2] {
        let (k0, k1) = (self.k0, self.k1);
        let mut state = State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            state.take(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let mut last = [0u8; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        last[7] = bytes.len() as u8;
        state.take(u64::from_le_bytes(last));
        state.0[2] ^= 0xee;
        let first = state.end();
        state.0[1] ^= 0xdd;
        [first, state.end()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of 0, 1, … n − 1 under the key 0, 1, … 15, as the reference code's `vectors.h` has them.
    const VECTORS: [[u8; 16]; 2] = [
        [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93],
        [0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45],
    ];

    fn key() -> [u8; 16] {
        std::array::from_fn(|at| at as u8)
    }

    #[test]
    fn the_vectors_of_the_reference_code() {
        let hash = KeyedHash::new(key());
        for (length, vector) in VECTORS.iter().enumerate() {
            let [first, second] = hash.of(&key()[..length]);
            assert_eq!([first.to_le_bytes(), second.to_le_bytes()].concat(), vector, "{length} bytes");
        }
    }

    #[test]
    fn every_bit_of_the_key_and_of_the_bytes_counts() {
        let bytes = [7u8; 19];
        let of = |key: [u8; 16], bytes: &[u8]| KeyedHash::new(key).of(bytes);
        let whole = of(key(), &bytes);
        for bit in 0..128 {
            let mut other = key();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(other, &bytes), whole);
        }
        for bit in 0..19 * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(key(), &other), whole);
        }
        assert_ne!(of(key(), &bytes[..18]), whole);
    }
}
