//! What is known of a segment without reading its log file: where it begins and ends, and when it was written to.

use super::file::Segment;
use super::footer::Footer;
use super::offset_index::OffsetIndex;
use super::tally::Tally;
use crate::base::{Offset, Timestamp};
use crate::env::disk::{DiskErrorKind, DiskResult};

/// Whether a segment is appended to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentState {
    /// It is.
    Active,
    /// It is not any more, and its footer is not written yet, or is not true.
    Rolled,
    /// It is not any more, and its footer says so.
    Sealed,
}

/// A segment at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    /// First offset that it may hold.
    pub base_offset: Offset,
    /// One past the last offset.
    pub end_offset: Offset,
    /// Bytes of the log file.
    pub size_bytes: u64,
    /// Whether it is appended to.
    pub state: SegmentState,
    /// When it was written to; `None` for an empty segment, and where only the log file tells.
    pub times: Option<SegmentTimes>,
}

/// When a segment was written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentTimes {
    /// Append of its first batch.
    pub first_append_ms: Timestamp,
    /// Append of its last batch.
    pub last_append_ms: Timestamp,
    /// Greatest record timestamp; −1 when there is none.
    pub max_timestamp: Timestamp,
}

impl SegmentFacts {
    /// Of the segment that is appended to.
    pub fn of_active(base_offset: Offset, tally: &Tally) -> Self {
        let times = SegmentTimes {
            first_append_ms: tally.first_append_ms,
            last_append_ms: tally.last_append_ms,
            max_timestamp: tally.max_timestamp,
        };
        Self {
            base_offset,
            end_offset: tally.end_offset,
            size_bytes: tally.position,
            state: SegmentState::Active,
            times: Some(times).filter(|_| tally.position > 0),
        }
    }

    fn of_sealed(base_offset: Offset, footer: &Footer) -> Self {
        let times = SegmentTimes {
            first_append_ms: footer.first_append_ms,
            last_append_ms: footer.last_append_ms,
            max_timestamp: footer.max_timestamp,
        };
        Self {
            base_offset,
            end_offset: footer.end_offset,
            size_bytes: footer.log_bytes,
            state: SegmentState::Sealed,
            times: Some(times).filter(|_| footer.log_bytes > 0),
        }
    }
}

impl Segment {
    /// Facts of a segment that is not appended to. Side files that are not true stay as they are.
    ///
    /// Cost: nothing on disk when its side files are open, else two short reads. Errors: the disk.
    pub fn facts(&self) -> DiskResult<SegmentFacts> {
        let rolled = SegmentFacts {
            base_offset: self.base_offset(),
            end_offset: self.end_offset(),
            size_bytes: self.len(),
            state: SegmentState::Rolled,
            times: None,
        };
        let footer = match self.side_if_open() {
            Some(side) => *side.footer.lock(),
            None => self.read_footer()?,
        };
        Ok(footer.map_or(rolled, |footer| SegmentFacts::of_sealed(self.base_offset(), &footer)))
    }

    /// The footer, if the index is there and true. Keeps no descriptor.
    fn read_footer(&self) -> DiskResult<Option<Footer>> {
        match OffsetIndex::open_sealed(self.side_file("index"), self.id(), self.len()) {
            Ok(opened) => Ok(opened.map(|(_, footer)| footer)),
            Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
