//! Zig-zag variable-length integers as in Kafka records: 7 bits a byte, least significant first.
//!
//! A 32-bit value takes at most 5 bytes, a 64-bit one at most 10; longer forms are errors. Source: the Protocol
//! Buffers encoding, used by Kafka's `ByteUtils`.

/// Bytes of the longest 64-bit varint.
pub const VARLONG_BYTES_MAX: usize = 10;

/// Bytes of the longest 32-bit varint.
pub const VARINT_BYTES_MAX: usize = 5;

/// Reads a 64-bit value at the front of `bytes` and moves `bytes` behind it. `None` when cut short or too long.
pub fn read_varlong(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(VARLONG_BYTES_MAX).enumerate() {
        if index == VARLONG_BYTES_MAX - 1 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// Reads a 32-bit value; `None` when cut short, too long or out of range.
pub fn read_varint(bytes: &mut &[u8]) -> Option<i32> {
    let mut rest = *bytes;
    let value = i32::try_from(read_varlong(&mut rest)?).ok()?;
    // WHY: a padded form of six bytes or more has a value that fits, but Kafka's readers refuse it.
    let fits = bytes.len() - rest.len() <= VARINT_BYTES_MAX;
    *bytes = rest;
    fits.then_some(value)
}

/// Appends a 64-bit value.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a 32-bit value.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_varlong(out, i64::from(value));
}

/// Bytes that a 64-bit value takes.
pub fn varlong_bytes(value: i64) -> usize {
    let rest = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (rest | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_forms() {
        for (value, bytes) in [(0, &[0u8][..]), (-1, &[1]), (1, &[2]), (63, &[0x7e]), (64, &[0x80, 1])] {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn overlong_and_cut_forms_are_refused() {
        assert_eq!(read_varlong(&mut &[0x80u8; 11][..]), None);
        assert_eq!(read_varlong(&mut &[0x80u8][..]), None);
        assert_eq!(read_varlong(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None);
        let mut out = Vec::new();
        write_varlong(&mut out, i64::from(i32::MAX) + 1);
        assert_eq!(read_varint(&mut &out[..]), None);
        assert_eq!(read_varint(&mut &[0x82, 0x80, 0x80, 0x80, 0][..]), Some(1));
        assert_eq!(read_varint(&mut &[0x82, 0x80, 0x80, 0x80, 0x80, 0][..]), None);
    }

    proptest! {
        #[test]
        fn round_trip(value: i64) {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            prop_assert_eq!(out.len(), varlong_bytes(value));
            let mut rest = &out[..];
            prop_assert_eq!(read_varlong(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
