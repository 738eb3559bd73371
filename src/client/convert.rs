//! Replies of the wire made into plain structs.

use super::fault::{from_item, malformed};
use super::types::{
    Broker, BrokerSetting, Cluster, ConfigKey, ConfigValue, ListedOffset, Partition, Topic, TopicRate,
    TrimmedPartition,
};
use crate::base::{Error, TopicId};
use crate::proto::grpc;

/// A topic id of a reply.
pub(super) fn read_topic_id(bytes: &[u8]) -> Result<TopicId, Error> {
    TopicId::from_slice(bytes).ok_or_else(|| malformed("a topic id that is not 16 bytes"))
}

/// A topic; replies always hold one.
pub(super) fn read_topic(topic: Option<grpc::Topic>) -> Result<Topic, Error> {
    let topic = topic.ok_or_else(|| malformed("the topic is missing"))?;
    let config = |config: grpc::ConfigValue| ConfigValue {
        key: config.key,
        value: config.value,
        is_set: config.is_set,
    };
    Ok(Topic {
        // A topic that is only being checked has none.
        topic_id: if topic.topic_id.is_empty() { None } else { Some(read_topic_id(&topic.topic_id)?) },
        name: topic.name,
        internal: topic.internal,
        partitions: topic.partitions.into_iter().map(read_partition).collect(),
        configs: topic.configs.into_iter().map(config).collect(),
        rate: topic.rate.map(read_rate),
    })
}

fn read_rate(rate: grpc::TopicRate) -> TopicRate {
    let grpc::TopicRate { records_in, bytes_in, records_out, bytes_out, window_ms } = rate;
    TopicRate { records_in, bytes_in, records_out, bytes_out, window_ms }
}

fn read_partition(partition: grpc::Partition) -> Partition {
    Partition {
        partition: partition.partition,
        leader_epoch: partition.leader_epoch,
        log_start_offset: partition.log_start_offset,
        high_watermark: partition.high_watermark,
        log_end_offset: partition.log_end_offset,
        flushed_offset: partition.flushed_offset,
        segment_count: partition.segment_count,
        size_bytes: partition.size_bytes,
        error: partition.error.map(from_item),
    }
}

/// One partition of a trim.
pub(super) fn read_trimmed(trimmed: grpc::TrimmedPartition) -> TrimmedPartition {
    TrimmedPartition {
        partition: trimmed.partition,
        log_start_offset: trimmed.error.map_or(Ok(trimmed.log_start_offset), |item| Err(from_item(item))),
    }
}

/// One row of the catalogue.
pub(super) fn read_config_key(key: grpc::ConfigKey) -> ConfigKey {
    ConfigKey {
        key: key.key,
        value_type: key.r#type,
        default_value: key.default_value,
        range: key.range,
        doc: key.doc,
    }
}

/// One offset, or why it could not be found.
pub(super) fn read_listed_offset(listed: grpc::ListedOffset) -> Result<ListedOffset, Error> {
    if let Some(item) = listed.error {
        return Err(from_item(item));
    }
    Ok(ListedOffset {
        topic_id: read_topic_id(&listed.topic_id)?,
        topic: listed.topic,
        partition: listed.partition,
        offset: listed.offset,
        timestamp: listed.timestamp_ms,
        leader_epoch: listed.leader_epoch,
    })
}

/// What runs at the other end.
pub(super) fn read_cluster(reply: grpc::GetClusterResponse) -> Cluster {
    let broker = |broker: grpc::Broker| Broker { broker_id: broker.broker_id, address: broker.address };
    let setting = |setting: grpc::BrokerSetting| BrokerSetting {
        key: setting.key,
        value: setting.value,
        source: setting.source,
    };
    Cluster {
        cluster_id: reply.cluster_id,
        version: reply.version,
        broker_id: reply.broker_id,
        broker_epoch: reply.broker_epoch,
        brokers: reply.brokers.into_iter().map(broker).collect(),
        settings: reply.settings.into_iter().map(setting).collect(),
        uptime_ms: reply.uptime_ms,
        rss_anon_bytes: reply.rss_anon_bytes,
        rss_file_bytes: reply.rss_file_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_topic_or_id_is_an_error_not_a_panic() {
        assert!(read_topic(None).is_err());
        let short_id = grpc::Topic { topic_id: vec![1; 3].into(), ..grpc::Topic::default() };
        assert!(read_topic(Some(short_id)).is_err());
        assert!(read_listed_offset(grpc::ListedOffset::default()).is_err());
    }

    #[test]
    fn errors_of_items_come_through() {
        let error = Some(grpc::ItemError {
            reason: grpc::ErrorReason::StorageError as i32,
            message: "offline".into(),
            ..Default::default()
        });
        let trimmed =
            read_trimmed(grpc::TrimmedPartition { partition: 1, log_start_offset: 0, error: error.clone() });
        assert_eq!(trimmed.log_start_offset.expect_err("it failed").message, "offline");
        let partition = read_partition(grpc::Partition { error, ..Default::default() });
        assert!(partition.error.is_some());
    }
}
