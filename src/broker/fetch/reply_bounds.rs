//! Keeps the reply of a fetch within one message, entry by entry.

use super::decode::Room;
use crate::base::limits::GRPC_MESSAGE_BYTES_MAX;
use crate::broker::request::FetchedPartition;

/// Most bytes of a reply, entries of partitions included; the rest is room for the frame of the message.
pub const REPLY_BYTES_MAX: usize = GRPC_MESSAGE_BYTES_MAX - (1 << 10);

/// Most bytes that the marks, ids and tags of one partition take in a reply, beside its topic's name.
const ENTRY_BYTES: usize = 160;

/// Keeps a reply within its bytes, entry by entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReplyBounds {
    asked_bytes: usize,
    used_bytes: usize,
    content_bytes: usize,
}

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// It is in the reply.
    Fits,
    /// It is in the reply, and what came before it, which held no records, is not.
    FitsAlone,
    /// It is not in the reply.
    LeftOut,
}

impl ReplyBounds {
    /// A reply whose records should stay within `asked_bytes`.
    pub fn new(asked_bytes: usize) -> Self {
        Self { asked_bytes, used_bytes: 0, content_bytes: 0 }
    }

    /// Room for the records of the next partition, and whether one batch or record must come whatever its size.
    pub fn next(&self, topic_bytes: usize, partition_max_bytes: usize) -> (Room, bool) {
        let entry_bytes = ENTRY_BYTES + topic_bytes;
        let is_first = self.content_bytes == 0;
        let left = REPLY_BYTES_MAX.saturating_sub(self.used_bytes + entry_bytes);
        let asked_bytes =
            self.asked_bytes.saturating_sub(self.content_bytes).min(partition_max_bytes).min(left);
        let hard_bytes = if is_first { REPLY_BYTES_MAX - entry_bytes } else { left };
        (Room { asked_bytes, hard_bytes }, is_first)
    }

    /// Takes the room of an entry and its records.
    ///
    /// Holds: the reply never passes [`REPLY_BYTES_MAX`]; the first records always get in.
    pub fn enter(&mut self, entry_bytes: usize, content_bytes: usize) -> Entry {
        let bytes = entry_bytes + content_bytes;
        let is_first = self.content_bytes == 0 && content_bytes > 0;
        let entry = match self.used_bytes + bytes <= REPLY_BYTES_MAX {
            true => Entry::Fits,
            false if is_first => Entry::FitsAlone,
            false => return Entry::LeftOut,
        };
        if entry == Entry::FitsAlone {
            self.used_bytes = 0;
        }
        self.used_bytes += bytes;
        self.content_bytes += content_bytes;
        entry
    }

    /// Bytes of records so far.
    pub fn content_bytes(&self) -> usize {
        self.content_bytes
    }
}

/// What an entry takes in a reply, beside its records.
pub fn entry_bytes(entry: &FetchedPartition) -> usize {
    let error_bytes = entry.result.as_ref().err().map_or(0, |error| {
        let facts: usize = error.metadata.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        error.message.len() + facts
    });
    ENTRY_BYTES + entry.topic.len() + error_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_records_may_pass_the_asked_bytes() {
        let mut bounds = ReplyBounds::new(100);
        let (room, at_least_one) = bounds.next(5, usize::MAX);
        assert_eq!((room.asked_bytes, at_least_one), (100, true));
        assert_eq!(bounds.enter(165, 0), Entry::Fits);
        assert!(bounds.next(5, 10).1, "an empty partition changes nothing");
        assert_eq!(bounds.next(5, 10).0.asked_bytes, 10);
        assert_eq!(bounds.enter(165, 70), Entry::Fits);
        let (room, at_least_one) = bounds.next(5, usize::MAX);
        assert_eq!((room.asked_bytes, at_least_one), (30, false));
        assert_eq!(bounds.enter(165, 500), Entry::Fits, "it fits the message all the same");
        assert_eq!(bounds.next(5, usize::MAX).0.asked_bytes, 0);
    }

    #[test]
    fn a_large_first_batch_pushes_empty_entries_out() {
        let mut bounds = ReplyBounds::new(1 << 20);
        for _ in 0..500 {
            assert_eq!(bounds.enter(200, 0), Entry::Fits);
        }
        let (room, _) = bounds.next(40, usize::MAX);
        assert_eq!(room.hard_bytes, REPLY_BYTES_MAX - 200);
        assert_eq!(bounds.enter(200, room.hard_bytes), Entry::FitsAlone);
        assert_eq!(bounds.enter(200, 0), Entry::LeftOut);
        assert_eq!(bounds.next(40, usize::MAX).0.asked_bytes, 0);
    }

    #[test]
    fn no_number_of_entries_passes_the_limit() {
        let mut bounds = ReplyBounds::new(usize::MAX);
        let entered = (0..20_000).filter(|_| bounds.enter(500, 0) == Entry::Fits).count();
        assert_eq!(entered, REPLY_BYTES_MAX / 500);
        assert_eq!(bounds.enter(500, 1), Entry::FitsAlone, "records come first");
    }

    #[test]
    fn every_batch_that_a_topic_may_hold_fits_a_reply() {
        let (room, _) = ReplyBounds::new(1).next(crate::base::limits::TOPIC_NAME_BYTES_MAX, 1);
        assert!(room.hard_bytes >= crate::base::limits::BATCH_BYTES_MAX);
    }
}
