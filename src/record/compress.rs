//! The five codecs, each with a bound on what it unpacks to.
//!
//! | id | name | form |
//! |---:|---|---|
//! | 0 | none | |
//! | 1 | gzip | RFC 1952, one or more members |
//! | 2 | snappy | blocks in xerial's framing, or one bare block; see [`super::snappy`] |
//! | 3 | lz4 | one LZ4 frame of independent blocks; see [`super::lz4`] |
//! | 4 | zstd | one or more frames, window at most 128 MiB |
//!
//! Nothing may follow a stream. No decoder takes more memory than a small multiple of its input or the bound it is
//! given, whichever is less: lengths that a stream claims are never trusted with an allocation.

use std::borrow::Cow;
use std::fmt;
use std::io::{Read, Write};

use bytes::Bytes;
use zstd::zstd_safe;

use super::{lz4, snappy};

/// Largest zstd window in bytes: zstd's own default limit for decoders that stream, which readers of a stored batch
/// may be.
const ZSTD_WINDOW_BYTES_MAX: u64 = 128 << 20;

/// Level of zstd: its default, also that of Kafka's clients.
const ZSTD_LEVEL: i32 = 3;

/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Least capacity to unpack into, in bytes: most small batches then fit at once.
const UNPACKED_BYTES_MIN: usize = 16 << 10;

/// How the records of a batch are compressed.
///
/// ```no_run
/// # async fn example(client: weir::Client) -> Result<(), weir::Error> {
/// use weir::client::Codec;
///
/// let producer = client.producer().compression(Codec::Zstd).build().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// As they are.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Why a stream can't be unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecompressError {
    /// It would unpack to more bytes than allowed.
    TooLarge {
        /// Of the stream.
        codec: Codec,
        /// The bound.
        max_bytes: usize,
    },
    /// It is no whole stream of the codec, or something follows it.
    Corrupt {
        /// Of the stream.
        codec: Codec,
    },
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { codec, max_bytes } => {
                write!(f, "the {codec} stream unpacks to more than {max_bytes} bytes")
            }
            Self::Corrupt { codec } => {
                write!(f, "the {codec} stream is cut, damaged or followed by other bytes")
            }
        }
    }
}

impl std::error::Error for DecompressError {}

/// What the decoder of one codec found; [`Codec::decompress`] adds the codec.
pub(super) enum Fault {
    TooLarge,
    Corrupt,
}

impl Codec {
    /// Every codec, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Attribute bits 0–2 of a batch.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec with this id; ids 5–7 have none.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Its name in configs: `none`, `gzip`, `snappy`, `lz4`, `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Compresses the records of a batch. Cost: one pass; no copy without a codec.
    ///
    /// Panics: when a compressor finds no memory.
    pub fn compress(self, plain: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::None => Cow::Borrowed(plain),
            Self::Gzip => Cow::Owned(compress_gzip(plain)),
            Self::Snappy => Cow::Owned(snappy::compress(plain)),
            Self::Lz4 => Cow::Owned(lz4::compress(plain)),
            Self::Zstd => {
                Cow::Owned(zstd::bulk::compress(plain, ZSTD_LEVEL).expect("the output bound is zstd's own"))
            }
        }
    }

    /// Unpacks to at most `max_bytes`. Without a codec the bytes are given back as they are, whatever their length.
    ///
    /// Cost: one pass, one buffer of at most `max_bytes`.
    /// Errors: [`DecompressError`]. An empty stream is corrupt.
    pub fn decompress(self, packed: &Bytes, max_bytes: usize) -> Result<Bytes, DecompressError> {
        let plain = match self {
            Self::None => return Ok(packed.clone()),
            _ if packed.is_empty() => Err(Fault::Corrupt),
            Self::Gzip => decompress_gzip(packed, max_bytes),
            Self::Snappy => snappy::decompress(packed, max_bytes),
            Self::Lz4 => lz4::decompress(packed, max_bytes),
            Self::Zstd => decompress_zstd(packed, max_bytes),
        };
        plain.map(Bytes::from).map_err(|fault| match fault {
            Fault::TooLarge => DecompressError::TooLarge { codec: self, max_bytes },
            Fault::Corrupt => DecompressError::Corrupt { codec: self },
        })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn compress_gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}

fn decompress_gzip(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(packed);
    let mut plain = Vec::new();
    let mut filled = 0;
    loop {
        if filled == plain.len() {
            if filled == max_bytes {
                break;
            }
            // Grows by doubling, from a multiple of the input, so that memory follows what really comes out.
            let more = (2 * filled).max(4 * packed.len()).max(UNPACKED_BYTES_MIN);
            plain.reserve_exact(more.min(max_bytes) - filled);
            plain.resize(more.min(max_bytes), 0);
        }
        match decoder.read(&mut plain[filled..]).map_err(|_| Fault::Corrupt)? {
            0 => break,
            read => filled += read,
        }
    }
    // WHY: only this read tells a stream that ends at the bound from one that goes on.
    if filled == max_bytes && decoder.read(&mut [0]).map_err(|_| Fault::Corrupt)? > 0 {
        return Err(Fault::TooLarge);
    }
    plain.truncate(filled);
    Ok(plain)
}

/// Unpacks in one shot: the output is the window then, so that a claimed window costs nothing.
fn decompress_zstd(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    check_zstd_windows(packed)?;
    let likely = match zstd_safe::get_frame_content_size(packed) {
        Ok(Some(bytes)) if bytes > max_bytes as u64 => return Err(Fault::TooLarge),
        // A greater claim may be true, but does not get the memory before the bytes are there.
        Ok(Some(bytes)) if bytes <= 64 * packed.len() as u64 => bytes as usize,
        _ => (8 * packed.len()).max(UNPACKED_BYTES_MIN),
    };
    let mut plain = Vec::with_capacity(likely.min(max_bytes));
    loop {
        let Err(code) = zstd_safe::decompress(&mut plain, packed) else { return Ok(plain) };
        if code != zstd_error(zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
            return Err(Fault::Corrupt);
        }
        let capacity = plain.capacity();
        if capacity >= max_bytes {
            return Err(Fault::TooLarge);
        }
        drop(plain);
        plain = Vec::with_capacity((8 * capacity).min(max_bytes));
    }
}

/// zstd returns an error as the negative of its number.
fn zstd_error(code: zstd_safe::zstd_sys::ZSTD_ErrorCode) -> usize {
    0usize.wrapping_sub(code as usize)
}

/// Refuses frames whose window is larger than readers accept. Source: RFC 8878 §3.1.1.1.
fn check_zstd_windows(packed: &[u8]) -> Result<(), Fault> {
    let mut rest = packed;
    while !rest.is_empty() {
        if rest.starts_with(&ZSTD_MAGIC) {
            let (descriptor, window) = (rest.get(4), rest.get(5));
            let (Some(descriptor), Some(window)) = (descriptor, window) else { return Err(Fault::Corrupt) };
            let has_window = descriptor & 0x20 == 0;
            let base = 1u64 << (10 + (window >> 3));
            if has_window && base + base / 8 * u64::from(window & 7) > ZSTD_WINDOW_BYTES_MAX {
                return Err(Fault::Corrupt);
            }
        }
        let frame_bytes = zstd_safe::find_frame_compressed_size(rest).map_err(|_| Fault::Corrupt)?;
        rest = rest.get(frame_bytes.max(1)..).ok_or(Fault::Corrupt)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
