//! The folders of topics, as the metadata asks for them. All of this may block.

use crate::broker::Broker;
use crate::cluster::Topic;
use crate::env::DiskError;
use crate::log::folder::{self, FolderError, PartitionMeta};

/// Makes the folders of partitions that are not ready, durable when this returns.
pub fn create(broker: &Broker, topic: &Topic) -> Result<(), FolderError> {
    let cluster_id = broker.directory.cluster_id;
    let ids = topic.ids(topic.ready_count, topic.partition_count());
    let metas = ids.map(|id| PartitionMeta { cluster_id, id });
    folder::create(&*broker.env.disk, &broker.settings.data_dir, &topic.name, metas)
}

/// Closes the logs of a deleted topic and moves its folders out of the way, durable when this returns. Doing it again
/// does no harm.
pub fn retire(broker: &Broker, topic: &Topic) -> Result<(), DiskError> {
    let ids = || topic.ids(0, topic.partition_count());
    for id in ids() {
        broker.partitions.close(id);
    }
    folder::retire(&*broker.env.disk, &broker.settings.data_dir, &topic.name, ids())
}

/// Unlinks the retired folders of a deleted topic; nothing of them is left after this.
pub fn purge(broker: &Broker, topic: &Topic) -> Result<(), DiskError> {
    folder::purge(&*broker.env.disk, &broker.settings.data_dir, topic.ids(0, topic.partition_count()))
}
