//! murmur2 as Kafka's Java client uses it to choose partitions.

/// Seed of the Java client.
const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

/// 32-bit MurmurHash2 of `key`. Source: Kafka `Utils.murmur2`.
pub fn murmur2(key: &[u8]) -> u32 {
    let mut hash = SEED ^ key.len() as u32;
    let mut blocks = key.chunks_exact(4);
    for block in &mut blocks {
        let mut word = u32::from_le_bytes([block[0], block[1], block[2], block[3]]).wrapping_mul(MULTIPLIER);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ word.wrapping_mul(MULTIPLIER);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// Partition of a key among `partition_count`, as the Java client's default partitioner chooses it.
///
/// Panics: when `partition_count` is not positive.
pub fn partition_of_key(key: &[u8], partition_count: i32) -> i32 {
    assert!(partition_count > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % partition_count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by the Java client and two other implementations; key, hash, partition of 3, partition of 12.
    const VECTORS: &[(&[u8], u32, i32, i32)] = &[
        (b"", 0x106e_08d9, 0, 9),
        (b"1", 0x892e_6f8f, 0, 3),
        (b"21", 0xc5f2_f8ec, 0, 0),
        (b"kafka", 0xd067_cf64, 1, 4),
        (b"foobar", 0xd0e4_7bbe, 0, 6),
        (b"key", 0xbfa1_76a9, 1, 1),
        (b"user-42", 0x5700_682c, 1, 4),
        (b"hello world", 0x48d0_c363, 1, 7),
        (b"abc", 0x1c94_221b, 0, 3),
        (b"giberish123456789", 0x8f55_2b0c, 2, 8),
        ("żółw".as_bytes(), 0x3bef_7498, 2, 8),
        (&[0, 0, 0, 0], 0x32b8_9340, 1, 4),
        (&[0xff; 5], 0xea50_4362, 0, 6),
    ];

    #[test]
    fn the_thirteen_vectors_of_the_java_client() {
        for (key, hash, of_3, of_12) in VECTORS {
            assert_eq!(murmur2(key), *hash, "{key:?}");
            assert_eq!(partition_of_key(key, 3), *of_3, "{key:?}");
            assert_eq!(partition_of_key(key, 12), *of_12, "{key:?}");
        }
    }
}
