//! The first half of a pass: which offset is the newest of each key.

use std::ops::ControlFlow;

use super::errors::PassError;
use super::offset_map::OffsetMap;
use super::source::Source;
use crate::base::Offset;
use crate::log::partition_log::PartitionLog;
use crate::record::RecordBatch;

/// Notes the keys of all records from `from` on, until the map is full. Gives the offset up to which all are noted; it is above `from`.
pub(super) fn gather(
    log: &PartitionLog,
    sources: &[Source],
    from: Offset,
    map: &mut OffsetMap,
    stop: &dyn Fn() -> bool,
) -> Result<Offset, PassError> {
    let mut until = from;
    let mut is_full = false;
    for source in sources {
        source.each_batch(log, from, stop, &mut |batch| match note_batch(batch, from, map)? {
            Some(offset) => {
                is_full = true;
                until = offset;
                Ok(ControlFlow::Break(()))
            }
            None => Ok(ControlFlow::Continue(())),
        })?;
        if is_full {
            return Ok(until);
        }
        until = source.footer.end_offset;
    }
    Ok(until)
}

/// Notes the keys of a batch; gives the offset of the first record that finds no room.
fn note_batch(batch: &RecordBatch, from: Offset, map: &mut OffsetMap) -> Result<Option<Offset>, PassError> {
    let header = batch.header();
    if header.is_control() || header.is_transactional() {
        return Ok(None);
    }
    let damaged = |error| PassError::Batch { base_offset: header.base_offset, error };
    let records = batch.records(crate::base::limits::DECOMPRESSED_BYTES_MAX).map_err(damaged)?;
    for record in &records {
        let record = record.map_err(damaged)?;
        let Some(key) = record.key.filter(|_| record.offset >= from) else { continue };
        if !map.put(key, record.offset) {
            return Ok(Some(record.offset));
        }
    }
    Ok(None)
}
