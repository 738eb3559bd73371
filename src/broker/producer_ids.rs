//! Hands out producer ids: a random number of this run, and behind it the next of a block that the metadata log reserves.
//!
//! The blocks alone would do for one cluster with one past. The random number keeps ids apart where that is not so: an old copy of
//! the metadata was put back, or a segment of another cluster was put in. There an id that comes twice would make new records look
//! like a retry of old ones, and they would be acknowledged without being stored.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::base::{ProducerId, limits};
use crate::cluster::{Command, CommitError, Image, MetadataLog};
use crate::env::Rng;

/// The rest of the block that this run reserved.
pub(super) struct ProducerIds {
    metadata: Arc<MetadataLog>,
    /// The upper half of every id.
    run: i64,
    block: Mutex<Range<i64>>,
}

/// Bits of an id that count on in the metadata log.
const COUNTED_BITS: u32 = 32;
/// Random numbers of a run lie below this, so that ids are positive.
const RUNS: u64 = 1 << 31;

impl ProducerIds {
    /// No block yet: one that an earlier run did not use up is never touched again.
    pub(super) fn new(metadata: Arc<MetadataLog>, rng: &Rng) -> Self {
        Self { metadata, run: rng.below(RUNS) as i64, block: Mutex::new(0..0) }
    }

    /// An id that no producer of this cluster ever had. Cost: once in a thousand calls one sync, else nothing.
    ///
    /// Errors: no new block could be reserved.
    pub(super) async fn next(&self) -> Result<ProducerId, CommitError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let image = self.metadata.commit_with(|image| Ok::<_, CommitError>(vec![reserve(image)])).await?;
            // WHY: only this broker reserves, and this lock is held, so the block ends where the image does.
            *block = image.next_producer_id() - limits::PRODUCER_ID_BLOCK..image.next_producer_id();
        }
        let counted = block.next().expect("a block that was just reserved is not empty");
        Ok(ProducerId(self.run << COUNTED_BITS | counted & ((1 << COUNTED_BITS) - 1)))
    }
}

fn reserve(image: &Image) -> Command {
    Command::ReserveProducerIds { next: image.next_producer_id() + limits::PRODUCER_ID_BLOCK }
}
