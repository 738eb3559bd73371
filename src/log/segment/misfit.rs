//! From a CRC-32 that does not fit to the change of one word that explains it.
//!
//! A CRC is linear: when bytes are changed, their CRC changes by a number that depends on the change and on how many bytes follow it,
//! and on nothing else. For four bytes at a known place it can be turned round: each misfit is explained by exactly one change of
//! them. So whoever looks for the changed field of a batch need not try values, nor read the bytes again.
//!
//! A number stands for a polynomial over GF(2) modulo that of the CRC, x^0 in its highest bit; a byte that follows multiplies by x^8.

/// The polynomial of CRC-32 without x^32.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a word must have been changed by (what it is XOR what it was, big-endian), when `following` bytes follow it and the CRC of all
/// differs by `misfit` from what it was. Cost: two thousand steps at most, whatever the length.
pub fn change_of_word(misfit: u32, following: u64) -> u32 {
    // x^n is 1 again for this n, as the polynomial is primitive.
    let order = u64::from(u32::MAX);
    // The word itself is 32 bits that the CRC goes on over.
    let bits = (following % order * 8 + 32) % order;
    times(misfit, power_of_x(order - bits)).swap_bytes()
}

fn times(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for bit in (0..u32::BITS).rev() {
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = b >> 1 ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

fn power_of_x(mut exponent: u64) -> u32 {
    // x^0 and x^1.
    let (mut power, mut square) = (1 << 31, 1 << 30);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = times(power, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Rng;

    #[test]
    fn the_change_of_a_word_is_found_wherever_it_lies() {
        let rng = Rng::seeded(7);
        for len in [4, 5, 61, 4_096, 70_000] {
            let mut bytes = vec![0; len];
            bytes.iter_mut().for_each(|byte| *byte = rng.below(256) as u8);
            for at in [0, (len - 4) / 2, len - 4] {
                let change = rng.below(1 << 32) as u32;
                let mut changed = bytes.clone();
                let was = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                changed[at..at + 4].copy_from_slice(&(was ^ change).to_be_bytes());
                let misfit = crc32fast::hash(&changed) ^ crc32fast::hash(&bytes);
                assert_eq!(change_of_word(misfit, (len - at - 4) as u64), change, "{at} of {len}");
            }
        }
    }
}
