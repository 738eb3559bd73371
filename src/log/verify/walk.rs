//! Every batch of a log file in order, and every range that holds none, each with the reason.

use std::ops::ControlFlow;

use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::offset::NO_EPOCH;
use crate::base::{BytePosition, Offset};
use crate::env::File;
use crate::env::disk::{DiskResult, read_full_at};
use crate::log::segment::scan::{DamagedSpan, Known, Scan, ScanPoint, crc_of_batch};
use crate::record::BatchHeader;
use crate::record::batch::BatchError;
use crate::record::header::{HEADER_BYTES, MAGIC, MAGIC_AT};

/// What stands next in a log file.
#[derive(Debug)]
pub enum Step<'a> {
    /// A batch whose checksum holds.
    Batch {
        /// Its header.
        header: BatchHeader,
        /// Its first byte.
        position: BytePosition,
        /// All its bytes.
        bytes: &'a [u8],
    },
    /// Bytes that are no batch.
    Damage {
        /// Which bytes, and which offsets may have been there.
        span: DamagedSpan,
        /// Why the first of them begin no batch.
        what: String,
    },
}

/// Visits everything in the first `len` bytes of the log file of a segment, until `visit` breaks.
///
/// Cost: reads every byte once. Memory: 1 MiB, or the largest batch. Errors: the disk refuses a read.
pub fn walk(
    file: &dyn File,
    base_offset: Offset,
    len: u64,
    mut visit: impl FnMut(Step<'_>) -> ControlFlow<()>,
) -> DiskResult<()> {
    let start = ScanPoint { position: 0, offset: base_offset, epoch: NO_EPOCH };
    let limit = base_offset.saturating_add(i64::from(i32::MAX));
    let mut scan = Scan::new(file, start, len, limit, Known::default());
    loop {
        while let Some((header, position, bytes)) = scan.next_batch()? {
            if visit(Step::Batch { header, position, bytes }).is_break() {
                return Ok(());
            }
        }
        let point = scan.point();
        if point.position >= len {
            return Ok(());
        }
        let what = why_none(file, point, len)?;
        let span = scan.skip_damage()?;
        if visit(Step::Damage { span, what }).is_break() {
            return Ok(());
        }
    }
}

/// Why no batch begins at `point`.
fn why_none(file: &dyn File, point: ScanPoint, len: u64) -> DiskResult<String> {
    let rest = len - point.position;
    let mut head = [0u8; HEADER_BYTES];
    let got = read_full_at(file, &mut head, point.position)?;
    if rest < HEADER_BYTES as u64 || got < HEADER_BYTES {
        return Ok(format!("the file ends {rest} bytes into the header of a batch"));
    }
    let Some(header) = BatchHeader::read(&head).filter(|_| head[MAGIC_AT] == MAGIC) else {
        return Ok(format!("no batch begins here: its magic byte is {}, not {MAGIC}", head[MAGIC_AT]));
    };
    let Some(total) = header.total_bytes().filter(|total| *total as u64 <= SEGMENT_BYTES_MAX) else {
        return Ok(format!("no batch is {} bytes long", header.batch_length));
    };
    if total as u64 > rest {
        return Ok(format!("the batch is {total} bytes long, the file ends after {rest} of them"));
    }
    let computed = crc_of_batch(file, point.position, total)?;
    Ok(match computed.filter(|computed| *computed != header.crc) {
        Some(computed) => BatchError::Crc { stored: header.crc, computed }.to_string(),
        None if header.base_offset < point.offset => {
            format!("offset {} follows offset {}", header.base_offset, point.offset - 1)
        }
        None if header.leader_epoch < point.epoch => {
            format!("leader epoch {} follows leader epoch {}", header.leader_epoch, point.epoch)
        }
        None => format!(
            "the batch behind it does not bear out its offset {} and leader epoch {}",
            header.base_offset, header.leader_epoch
        ),
    })
}
