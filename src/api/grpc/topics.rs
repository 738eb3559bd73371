//! TopicService.

use prost::Message;
use tonic::{Request, Response, Status};

use super::convert;
use super::limits::bounded;
use super::status::{item_error, status};
use crate::api::door::Door;
use crate::base::limits::{GRPC_MESSAGE_BYTES_MAX, REQUEST_ITEMS_MAX};
use crate::base::time::as_ms;
use crate::broker::topics::{
    CreateTopic, DeleteTopic, ListTopics, PartitionDescription, TopicDescription, TrimTopic,
    TrimmedPartition, UpdateTopic,
};
use crate::config::topic::TOPIC_KEYS;
use crate::metrics::Rate;
use crate::proto::grpc as pb;
use crate::proto::grpc::topic_service_server::TopicService;

/// What to do when one topic alone is too large for a reply.
const TOO_MANY_PARTITIONS: &str = "ask for its partitions with GetMetadata and ListOffsets";

/// Topics on a page where the request names no number, as in `topic.proto`.
const PAGE_SIZE_DEFAULT: i32 = 1_000;

/// Administers topics.
pub struct Topics(pub Door);

#[tonic::async_trait]
impl TopicService for Topics {
    async fn create_topic(
        &self,
        request: Request<pb::CreateTopicRequest>,
    ) -> Result<Response<pb::CreateTopicResponse>, Status> {
        let request = request.into_inner();
        let create = CreateTopic {
            name: request.name,
            partition_count: request.partition_count,
            configs: request.configs.into_iter().collect(),
            validate_only: request.validate_only,
        };
        let topic = self.0.broker.create_topic(create).await.map_err(status)?;
        bounded(pb::CreateTopicResponse { topic: Some(topic_reply(topic)) }, TOO_MANY_PARTITIONS)
    }

    async fn get_topic(
        &self,
        request: Request<pb::GetTopicRequest>,
    ) -> Result<Response<pb::GetTopicResponse>, Status> {
        let topic = self.0.broker.get_topic(&request.into_inner().name).await.map_err(status)?;
        bounded(pb::GetTopicResponse { topic: Some(topic_reply(topic)) }, TOO_MANY_PARTITIONS)
    }

    async fn list_topics(
        &self,
        request: Request<pb::ListTopicsRequest>,
    ) -> Result<Response<pb::ListTopicsResponse>, Status> {
        let request = request.into_inner();
        let mut list = ListTopics {
            name_glob: request.name_glob,
            include_internal: request.include_internal,
            page_size: request.page_size,
            page_token: request.page_token,
        };
        loop {
            let page = self.0.broker.list_topics(list.clone()).await.map_err(status)?;
            let topic_count = page.topics.len() as i32;
            let topics = page.topics.into_iter().map(topic_reply).collect();
            let reply = pb::ListTopicsResponse { topics, next_page_token: page.next_page_token };
            // A page is also bounded by the message: a shorter one goes on where it ends.
            if reply.encoded_len() <= GRPC_MESSAGE_BYTES_MAX || topic_count <= 1 {
                return bounded(reply, TOO_MANY_PARTITIONS);
            }
            list.page_size = topic_count.min(PAGE_SIZE_DEFAULT) / 2;
        }
    }

    async fn update_topic(
        &self,
        request: Request<pb::UpdateTopicRequest>,
    ) -> Result<Response<pb::UpdateTopicResponse>, Status> {
        let request = request.into_inner();
        let update = UpdateTopic {
            name: request.name,
            set_configs: request.set_configs.into_iter().collect(),
            delete_configs: request.delete_configs.into_iter().collect(),
            partition_count: request.partition_count,
            validate_only: request.validate_only,
        };
        let updated = self.0.broker.update_topic(update).await.map_err(status)?;
        let (topic, previous) = (topic_reply(updated.topic), topic_reply(updated.previous));
        bounded(pb::UpdateTopicResponse { topic: Some(topic), previous: Some(previous) }, TOO_MANY_PARTITIONS)
    }

    async fn delete_topic(
        &self,
        request: Request<pb::DeleteTopicRequest>,
    ) -> Result<Response<pb::DeleteTopicResponse>, Status> {
        let pb::DeleteTopicRequest { name, validate_only } = request.into_inner();
        self.0.broker.delete_topic(DeleteTopic { name, validate_only }).await.map_err(status)?;
        Ok(Response::new(pb::DeleteTopicResponse {}))
    }

    async fn trim_topic(
        &self,
        request: Request<pb::TrimTopicRequest>,
    ) -> Result<Response<pb::TrimTopicResponse>, Status> {
        let request = request.into_inner();
        let count = request.partitions.len();
        if count > REQUEST_ITEMS_MAX {
            let what = format!("has {count} items: give at most {REQUEST_ITEMS_MAX}");
            return Err(status(convert::invalid("partitions", what)));
        }
        let trim = TrimTopic {
            name: request.name,
            partitions: request.partitions.into_iter().map(|place| (place.partition, place.offset)).collect(),
            validate_only: request.validate_only,
        };
        let trimmed = self.0.broker.trim_topic(trim).await.map_err(status)?;
        let partitions = trimmed.into_iter().map(trimmed_reply).collect();
        bounded(pb::TrimTopicResponse { partitions }, "trim fewer partitions at once")
    }

    async fn list_config_keys(
        &self,
        _: Request<pb::ListConfigKeysRequest>,
    ) -> Result<Response<pb::ListConfigKeysResponse>, Status> {
        let keys = TOPIC_KEYS.iter().map(|row| pb::ConfigKey {
            key: row.key.name.to_owned(),
            r#type: row.key.type_name().to_owned(),
            default_value: row.key.default_text().to_owned(),
            range: row.key.range_text(),
            doc: row.key.doc.to_owned(),
        });
        Ok(Response::new(pb::ListConfigKeysResponse { keys: keys.collect() }))
    }
}

fn topic_reply(topic: TopicDescription) -> pb::Topic {
    let config = |setting: crate::config::topic::TopicSetting| pb::ConfigValue {
        key: setting.key.to_owned(),
        value: setting.value,
        is_set: setting.is_set,
    };
    pb::Topic {
        name: topic.name,
        topic_id: topic.topic_id.map(convert::id_bytes).unwrap_or_default(),
        internal: topic.internal,
        partitions: topic.partitions.into_iter().map(partition_reply).collect(),
        configs: topic.configs.into_iter().map(config).collect(),
        rate: topic.rate.map(rate_reply),
    }
}

fn rate_reply(rate: Rate) -> pb::TopicRate {
    pb::TopicRate {
        records_in: rate.records_in,
        bytes_in: rate.bytes_in,
        records_out: rate.records_out,
        bytes_out: rate.bytes_out,
        window_ms: as_ms(rate.window),
    }
}

fn partition_reply(partition: PartitionDescription) -> pb::Partition {
    pb::Partition {
        partition: partition.partition,
        leader_epoch: partition.leader_epoch,
        log_start_offset: partition.offsets.log_start,
        high_watermark: partition.offsets.high_watermark,
        log_end_offset: partition.offsets.log_end,
        flushed_offset: partition.offsets.flushed,
        segment_count: i32::try_from(partition.size.segment_count).unwrap_or(i32::MAX),
        size_bytes: i64::try_from(partition.size.size_bytes).unwrap_or(i64::MAX),
        error: partition.error.map(item_error),
    }
}

fn trimmed_reply(trimmed: TrimmedPartition) -> pb::TrimmedPartition {
    let partition = trimmed.partition;
    match trimmed.log_start {
        Ok(log_start_offset) => pb::TrimmedPartition { partition, log_start_offset, error: None },
        Err(error) => {
            pb::TrimmedPartition { partition, log_start_offset: -1, error: Some(item_error(error)) }
        }
    }
}
