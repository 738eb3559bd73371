//! Hands out producer ids from blocks that the metadata log reserves.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::base::{ProducerId, limits};
use crate::cluster::{Command, CommitError, Image, MetadataLog};

/// The rest of the block that this run reserved.
pub(super) struct ProducerIds {
    metadata: Arc<MetadataLog>,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// No block yet: one that an earlier run did not use up is never touched again.
    pub(super) fn new(metadata: Arc<MetadataLog>) -> Self {
        Self { metadata, block: Mutex::new(0..0) }
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
        let id = block.next().expect("a block that was just reserved is not empty");
        Ok(ProducerId(id))
    }
}

fn reserve(image: &Image) -> Command {
    Command::ReserveProducerIds { next: image.next_producer_id() + limits::PRODUCER_ID_BLOCK }
}
