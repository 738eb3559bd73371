//! The value of a committed offset.

use bytes::Bytes;

use super::reader::Reader;
use super::writer::Writer;
use crate::base::TopicId;
use crate::coordinator::group::position::{Committed, PartitionName, Position};

/// Version of the value, the first with a topic id.
pub(super) const OFFSET_VERSION: i16 = 4;

const TOPIC_ID_TAG: usize = 0;

pub(super) fn write(out: &mut Writer, committed: &Committed) {
    let position = &committed.position;
    out.i64(position.offset);
    out.i32(position.leader_epoch);
    out.compact_string(&position.metadata);
    out.i64(committed.committed);
    out.tags(&[(TOPIC_ID_TAG, Bytes::copy_from_slice(&position.topic_id.0))]);
}

/// Reads the value under this key; one without a topic id gets the id of zeros, which no topic has.
pub(super) fn read(from: &mut Reader<'_>, name: &PartitionName) -> Option<Committed> {
    let mut position = Position {
        topic_id: TopicId([0; 16]),
        topic: name.topic.clone(),
        partition: name.partition,
        offset: from.i64()?,
        leader_epoch: from.i32()?,
        metadata: from.compact_string()?,
    };
    let committed = from.i64()?;
    from.tags(|tag, field| {
        let known = tag as usize == TOPIC_ID_TAG;
        if known {
            position.topic_id = field.topic_id()?;
        }
        Some(known)
    })?;
    Some(Committed { position, committed })
}
