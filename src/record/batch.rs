//! Reads batches: framing, checksum, records.
//!
//! What is checked here holds for every batch, stored or sent. What a producer may not send is refused in
//! [`mod@super::validate`].

use std::fmt;

use bytes::{Buf, Bytes};

use super::compress::{Codec, DecompressError};
use super::header::{ATTRIBUTES_AT, BatchHeader, CODEC_MASK, HEADER_BYTES, MAGIC, MAGIC_AT};
use super::iter::{RecordFault, Records};

/// Why bytes are not a batch, or its records can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// Fewer bytes than the batch needs.
    Short {
        /// Bytes that it needs; those of a header where no more is known.
        needed_bytes: usize,
        /// Bytes that are there.
        bytes: usize,
    },
    /// A format that is not understood.
    Magic {
        /// As it stands.
        magic: u8,
    },
    /// The length field can't be true.
    Length {
        /// As it stands.
        length: i32,
    },
    /// More follows the one batch.
    MoreThanOne {
        /// Bytes of the first batch.
        batch_bytes: usize,
        /// Bytes that are there.
        bytes: usize,
    },
    /// The checksum does not fit the bytes.
    Crc {
        /// As it stands.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// Not one of the five codecs.
    Codec {
        /// Attribute bits 0–2.
        id: u8,
    },
    /// The records can't be decompressed.
    Decompress(DecompressError),
    /// A record is malformed.
    Record {
        /// Its place in the batch, from 0.
        index: i32,
        /// What is wrong.
        fault: RecordFault,
    },
    /// Bytes follow the last record.
    UnreadBytes {
        /// How many.
        bytes: usize,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed_bytes, bytes } => {
                write!(f, "the batch needs {needed_bytes} bytes, but {bytes} are there")
            }
            Self::Magic { magic } => write!(f, "the batch has magic {magic}, only {MAGIC} is understood"),
            Self::Length { length } => write!(f, "the batch length {length} is out of range"),
            Self::MoreThanOne { batch_bytes, bytes } => {
                write!(f, "one batch of {batch_bytes} bytes was expected, but {bytes} bytes are there")
            }
            Self::Crc { stored, computed } => {
                write!(f, "the batch says checksum {stored:08x}, its bytes have {computed:08x}")
            }
            Self::Codec { id } => write!(f, "compression id {id} is none of the five codecs"),
            Self::Decompress(error) => error.fmt(f),
            Self::Record { index, fault } => write!(f, "record {index} of the batch: {fault}"),
            Self::UnreadBytes { bytes } => write!(f, "{bytes} bytes follow the last record of the batch"),
        }
    }
}

impl std::error::Error for BatchError {}

impl From<DecompressError> for BatchError {
    fn from(error: DecompressError) -> Self {
        Self::Decompress(error)
    }
}

/// Bytes of the batch at the front of `run`, or `None` while its header is incomplete. The batch itself may be cut.
///
/// Errors: [`BatchError::Magic`], [`BatchError::Length`]: no batch begins here.
pub fn first_batch_bytes(run: &[u8]) -> Result<Option<usize>, BatchError> {
    // The magic comes first: it says what the other fields mean.
    match run.get(MAGIC_AT) {
        Some(&magic) if magic != MAGIC => return Err(BatchError::Magic { magic }),
        _ => {}
    }
    let Some(header) = BatchHeader::read(run) else { return Ok(None) };
    match header.total_bytes() {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(BatchError::Length { length: header.batch_length }),
    }
}

/// CRC-32C of a header from its attributes on, and of the records behind it.
pub(super) fn crc_of(header: &[u8; HEADER_BYTES], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[ATTRIBUTES_AT..]), body)
}

/// Whether the checksum of this whole batch fits its bytes. Cost: reads every byte.
pub fn check_crc(batch: &[u8]) -> bool {
    BatchHeader::read(batch).is_some_and(|header| header.crc == crc32c::crc32c(&batch[ATTRIBUTES_AT..]))
}

/// Checks that `batch` is exactly one batch with magic 2, a true length and the right checksum. Records are not read.
///
/// Cost: reads every byte, no allocation.
/// Errors: all of [`BatchError`] but those about codecs and records.
pub fn verify(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let bytes = batch.len();
    let short = BatchError::Short { needed_bytes: HEADER_BYTES, bytes };
    let batch_bytes = first_batch_bytes(batch)?.ok_or(short)?;
    if batch_bytes > bytes {
        return Err(BatchError::Short { needed_bytes: batch_bytes, bytes });
    }
    if batch_bytes < bytes {
        return Err(BatchError::MoreThanOne { batch_bytes, bytes });
    }
    let header = BatchHeader::read(batch).ok_or(short)?;
    let computed = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    if header.crc != computed {
        return Err(BatchError::Crc { stored: header.crc, computed });
    }
    Ok(header)
}

/// The codec that a header names.
///
/// Errors: [`BatchError::Codec`].
pub fn codec_of(header: &BatchHeader) -> Result<Codec, BatchError> {
    let id = (header.attributes & CODEC_MASK) as u8;
    Codec::from_id(id).ok_or(BatchError::Codec { id })
}

/// Unpacks the records behind a header.
pub(super) fn open_records(header: &BatchHeader, body: &Bytes, max: usize) -> Result<Records, BatchError> {
    let codec = codec_of(header)?;
    // Compaction keeps the header of an emptied batch and nothing else, whatever its codec.
    if body.is_empty() {
        return Ok(Records::new(*header, Bytes::new()));
    }
    Ok(Records::new(*header, codec.decompress(body, max)?))
}

/// One whole batch whose framing and checksum are right. A clone shares the bytes.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Takes bytes that are exactly one batch; see [`verify`]. Cost: reads every byte, no copy.
    ///
    /// Errors: those of [`verify`].
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = verify(&bytes)?;
        Ok(Self { header, bytes })
    }

    /// Takes the first batch off the front of `run`, as fetched: `None` when nothing or only a cut batch is left.
    ///
    /// Errors: those of [`verify`]; `run` then stays as it was.
    pub fn take_first(run: &mut Bytes) -> Result<Option<Self>, BatchError> {
        let Some(batch_bytes) = first_batch_bytes(run)? else { return Ok(None) };
        if batch_bytes > run.len() {
            return Ok(None);
        }
        let batch = Self::parse(run.slice(..batch_bytes))?;
        run.advance(batch_bytes);
        Ok(Some(batch))
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes behind the header: the records, compressed where there is a codec.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// Its codec.
    ///
    /// Errors: [`BatchError::Codec`].
    pub fn codec(&self) -> Result<Codec, BatchError> {
        codec_of(&self.header)
    }

    /// The records, unpacked to at most `max_decompressed` bytes. Cost: no copy without a codec, else one allocation
    /// of the unpacked size. Records are checked as they are walked.
    ///
    /// Errors: [`BatchError::Codec`], [`BatchError::Decompress`].
    pub fn records(&self, max_decompressed: usize) -> Result<Records, BatchError> {
        open_records(&self.header, &self.body(), max_decompressed)
    }
}
