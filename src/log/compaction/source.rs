//! A sealed segment as a pass reads it.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::errors::PassError;
use super::groups::Piece;
use crate::base::Offset;
use crate::env::disk::{DiskResult, Wait};
use crate::log::partition_log::PartitionLog;
use crate::log::segment::{Footer, Segment};
use crate::record::RecordBatch;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// A sealed segment with what its footer says.
#[derive(Clone)]
pub(in crate::log) struct Source {
    pub(in crate::log) segment: Arc<Segment>,
    pub(in crate::log) footer: Footer,
}

impl Source {
    pub(super) fn piece(&self) -> Piece {
        let (base_offset, end_offset) = (self.segment.base_offset(), self.footer.end_offset);
        Piece { base_offset, end_offset, bytes: self.footer.log_bytes }
    }

    /// Visits the batches that hold offsets from `from` on, until the visitor breaks. Each is checked against the index, so that what was
    /// damaged is not written anew as sound. `stop` is asked now and then.
    ///
    /// Errors: the segment can't be read; `Stopped`; those of the visitor.
    pub(super) fn each_batch(
        &self,
        log: &PartitionLog,
        from: Offset,
        stop: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(&RecordBatch) -> Result<ControlFlow<()>, PassError>,
    ) -> Result<(), PassError> {
        let mut from = from.max(self.segment.base_offset());
        let until = self.footer.end_offset;
        while from < until {
            if stop() {
                return Err(PassError::Stopped);
            }
            let slice = match log.read_segment(&self.segment, from, until, READ_BYTES, Wait::Allowed) {
                // Retention took it meanwhile.
                Err(_) if self.segment.is_removed() => return Err(PassError::Stopped),
                slice => slice?,
            };
            let Some(slice) = slice else { return Ok(()) };
            log.shared.counters.compaction_read_bytes.add(slice.bytes.len() as u64);
            let mut rest = slice.bytes;
            while let Some(batch) = take_batch(&mut rest, from)? {
                if visit(&batch)?.is_break() {
                    return Ok(());
                }
            }
            from = slice.next_offset;
        }
        Ok(())
    }
}

fn take_batch(rest: &mut Bytes, from: Offset) -> Result<Option<RecordBatch>, PassError> {
    RecordBatch::take_first(rest).map_err(|error| PassError::Batch { base_offset: from, error })
}

impl PartitionLog {
    /// Its sealed segments that a pass may touch, from the first one on: what is durable and readable. May rebuild side files.
    pub(in crate::log) fn sealed_sources(&self) -> DiskResult<Vec<Source>> {
        let offsets = self.offsets();
        let settled = offsets.flushed.min(offsets.high_watermark);
        let segments = self.segments.load_full();
        let mut sources = Vec::new();
        for segment in &segments[..segments.len() - 1] {
            if segment.side_if_open().is_none() {
                self.idle.note_use();
            }
            let footer = *segment.side(self.shared.disk())?.footer.lock();
            match footer.filter(|footer| footer.end_offset <= settled) {
                Some(footer) => sources.push(Source { segment: segment.clone(), footer }),
                None => break,
            }
        }
        Ok(sources)
    }
}
