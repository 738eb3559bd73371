//! Which segments become one. Pure.

use crate::base::Offset;
use crate::base::limits::SEGMENT_BYTES_MAX;

/// What counts of a segment here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// First offset.
    pub(super) base_offset: Offset,
    /// One past the last.
    pub(super) end_offset: Offset,
    /// Bytes of its log file.
    pub(super) bytes: u64,
}

/// A segment that is being written anew, with the bounds of what it may take in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// Its first offset.
    pub(super) base_offset: Offset,
    /// Bytes that it has so far.
    pub(super) bytes: u64,
    /// One past the last offset of what went into it so far.
    pub(super) end_offset: Offset,
    /// Up to here segments become clean. One that ends above it is by itself, as it stays dirty.
    pub(super) until: Offset,
    /// Bytes that a segment of this log has at most.
    pub(super) bytes_max: u64,
}

impl Group {
    /// Whether the segment behind it goes into it: what it takes at most must fit, and its offsets must fit an index. Where offsets are
    /// missing between the two, readers are told that they are damaged: that must stay so.
    pub(super) fn takes(&self, next: &Piece) -> bool {
        let bytes_max = self.bytes_max.min(SEGMENT_BYTES_MAX);
        self.bytes + next.bytes <= bytes_max
            && next.end_offset - self.base_offset < i64::from(i32::MAX)
            && next.end_offset <= self.until
            && next.base_offset == self.end_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Group =
        Group { base_offset: 100, bytes: 10, end_offset: 200, until: 1 << 40, bytes_max: 50 };

    fn piece(base_offset: Offset, end_offset: Offset, bytes: u64) -> Piece {
        Piece { base_offset, end_offset, bytes }
    }

    #[test]
    fn what_fits_goes_in() {
        assert!(GROUP.takes(&piece(200, 300, 40)));
        assert!(!GROUP.takes(&piece(200, 300, 41)));
        assert!(!GROUP.takes(&piece(201, 300, 1)), "offset 200 is missing");
        let large = Group { bytes_max: u64::MAX, ..GROUP };
        assert!(large.takes(&piece(200, 300, SEGMENT_BYTES_MAX - 10)));
        assert!(!large.takes(&piece(200, 300, SEGMENT_BYTES_MAX - 9)), "positions have 31 bits");
    }

    #[test]
    fn offsets_stay_within_an_index() {
        let limit = 100 + i64::from(i32::MAX);
        assert!(GROUP.takes(&piece(200, limit - 1, 1)));
        assert!(!GROUP.takes(&piece(200, limit, 1)));
    }

    #[test]
    fn one_that_stays_dirty_is_by_itself() {
        let group = Group { until: 250, ..GROUP };
        assert!(group.takes(&piece(200, 250, 1)) && !group.takes(&piece(200, 251, 1)));
    }
}
