//! LZ4 frames.
//!
//! Read by hand rather than with `lz4_flex`'s frame reader, which takes a cut frame for a whole one, accepts blocks
//! that depend on each other (the Java client can't read them) and allocates 8 MiB for 7 bytes that ask for it.
//! Little-endian. Source: the LZ4 frame format description.
//!
//! | bytes | field |
//! |---:|---|
//! | 4 | `04 22 4d 18` |
//! | 1 | flags: bits 7–6 version 01, 5 independent blocks, 4 block checksums, 3 content size, 2 content checksum, 0 dictionary |
//! | 1 | bits 6–4: largest block, 4 … 7 for 64 KiB, 256 KiB, 1 MiB, 4 MiB |
//! | 8 | content size, if flagged |
//! | 1 | second byte of the XXH32 of the header from the flags on |
//! | 4 | length of the block (from here repeated); highest bit: it is not compressed; 0 ends the frame |
//! | … | the block |
//! | 4 | XXH32 of the block as it stands, if flagged |
//! | 4 | behind the last block: XXH32 of the content, if flagged |

use std::io::Write;

use lz4_flex::block::{DecompressError, decompress_into};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::compress::Fault;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const RESERVED_OR_DICTIONARY: u8 = 0b11;
const PLAIN_BIT: u32 = 1 << 31;

/// Most plain bytes for each packed one: a length is counted in bytes of up to 255.
const EXPANSION_MAX: usize = 255;

/// Packs into one frame of independent 64 KiB blocks, as the Java client does.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let form = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(form, Vec::with_capacity(plain.len() / 2));
    encoder.write_all(plain).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}

/// What the header of a frame says.
struct Frame {
    flags: u8,
    block_bytes_max: usize,
    content_bytes: Option<u64>,
}

/// Unpacks one frame to at most `max_bytes`.
pub(super) fn decompress(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut rest = packed;
    let frame = read_frame(&mut rest).ok_or(Fault::Corrupt)?;
    if frame.content_bytes.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(Fault::TooLarge);
    }
    let mut plain = Vec::new();
    loop {
        let length = take_u32(&mut rest).ok_or(Fault::Corrupt)?;
        if length == 0 {
            break;
        }
        let block = take(&mut rest, (length & !PLAIN_BIT) as usize).ok_or(Fault::Corrupt)?;
        if block.is_empty() || block.len() > frame.block_bytes_max {
            return Err(Fault::Corrupt);
        }
        if frame.flags & BLOCK_CHECKSUM != 0 {
            check_hash(&mut rest, block)?;
        }
        match length & PLAIN_BIT {
            0 => unpack_block(block, &mut plain, frame.block_bytes_max, max_bytes)?,
            _ if block.len() > max_bytes - plain.len() => return Err(Fault::TooLarge),
            _ => plain.extend_from_slice(block),
        }
    }
    if frame.flags & CONTENT_CHECKSUM != 0 {
        check_hash(&mut rest, &plain)?;
    }
    let is_whole = frame.content_bytes.is_none_or(|bytes| bytes == plain.len() as u64);
    if is_whole && rest.is_empty() { Ok(plain) } else { Err(Fault::Corrupt) }
}

fn read_frame(rest: &mut &[u8]) -> Option<Frame> {
    if take(rest, MAGIC.len())? != MAGIC {
        return None;
    }
    let hashed = *rest;
    let (flags, sizes) = (take(rest, 1)?[0], take(rest, 1)?[0]);
    let is_supported = flags & VERSION_MASK == VERSION
        && flags & INDEPENDENT != 0
        && flags & RESERVED_OR_DICTIONARY == 0
        && sizes & 0b1000_1111 == 0;
    let block_bytes_max = match sizes >> 4 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        7 => 4 << 20,
        _ => return None,
    };
    let content_bytes = match flags & CONTENT_SIZE {
        0 => None,
        _ => Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
    };
    let hash = XxHash32::oneshot(0, &hashed[..hashed.len() - rest.len()]);
    let is_true = take(rest, 1)?[0] == (hash >> 8) as u8;
    (is_supported && is_true).then_some(Frame { flags, block_bytes_max, content_bytes })
}

fn unpack_block(block: &[u8], plain: &mut Vec<u8>, block_max: usize, max_bytes: usize) -> Result<(), Fault> {
    let filled = plain.len();
    let possible = block_max.min(EXPANSION_MAX * block.len());
    let room = possible.min(max_bytes - filled);
    plain.resize(filled + room, 0);
    match decompress_into(block, &mut plain[filled..]) {
        Ok(bytes) => {
            plain.truncate(filled + bytes);
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if room < possible => Err(Fault::TooLarge),
        Err(_) => Err(Fault::Corrupt),
    }
}

fn check_hash(rest: &mut &[u8], hashed: &[u8]) -> Result<(), Fault> {
    match take_u32(rest) {
        Some(hash) if hash == XxHash32::oneshot(0, hashed) => Ok(()),
        _ => Err(Fault::Corrupt),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}
