//! Snappy as Kafka's clients write it.
//!
//! The Java client frames it as `xerial/snappy-java` does; librdkafka sends one bare block. Readers tell them apart by
//! the first 8 bytes. Source: `SnappyOutputStream` of snappy-java. Big-endian:
//!
//! | bytes | field |
//! |---:|---|
//! | 8 | `82 53 4e 41 50 50 59 00` |
//! | 4 | version 1; not checked, because some clients write it in the wrong byte order |
//! | 4 | oldest compatible version 1; not checked |
//! | 4 | bytes of the block (from here repeated) |
//! | … | the block, 32 KiB of plain bytes at most when Weir writes it |

use super::compress::Fault;

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const BLOCK_BYTES: usize = 32 << 10;

/// Most plain bytes for each packed one: the densest element makes 64 bytes of 3.
const EXPANSION_MAX: usize = 22;

/// Packs in xerial's framing.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(plain.len()))];
    let mut packed = Vec::with_capacity(XERIAL_HEADER_BYTES + plain.len() / 2);
    packed.extend_from_slice(&XERIAL_MAGIC);
    packed.extend_from_slice(&XERIAL_VERSIONS);
    for chunk in plain.chunks(BLOCK_BYTES) {
        let bytes = encoder.compress(chunk, &mut block).expect("the block has snappy's own output bound");
        packed.extend_from_slice(&(bytes as u32).to_be_bytes());
        packed.extend_from_slice(&block[..bytes]);
    }
    packed
}

/// Unpacks either form to at most `max_bytes`.
pub(super) fn decompress(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut plain = Vec::new();
    if !packed.starts_with(&XERIAL_MAGIC) {
        unpack_block(packed, &mut plain, max_bytes)?;
        return Ok(plain);
    }
    let mut rest = packed.get(XERIAL_HEADER_BYTES..).ok_or(Fault::Corrupt)?;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(Fault::Corrupt)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, behind) = behind.split_at_checked(length).ok_or(Fault::Corrupt)?;
        unpack_block(block, &mut plain, max_bytes)?;
        rest = behind;
    }
    Ok(plain)
}

/// A block begins with its plain length, which is checked before a byte is allocated for it.
fn unpack_block(block: &[u8], plain: &mut Vec<u8>, max_bytes: usize) -> Result<(), Fault> {
    let claimed = snap::raw::decompress_len(block).map_err(|_| Fault::Corrupt)?;
    if claimed > EXPANSION_MAX * block.len() {
        return Err(Fault::Corrupt);
    }
    let filled = plain.len();
    if claimed > max_bytes - filled {
        return Err(Fault::TooLarge);
    }
    plain.resize(filled + claimed, 0);
    snap::raw::Decoder::new().decompress(block, &mut plain[filled..]).map_err(|_| Fault::Corrupt)?;
    Ok(())
}
