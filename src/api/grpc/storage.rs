//! StorageService.

use tonic::{Request, Response, Status};

use super::limits::bounded;
use super::status::{item_error, status};
use crate::api::door::Door;
use crate::broker::topics::segments::{ListSegments, PartitionSegments, SegmentFacts, SegmentState};
use crate::proto::grpc as pb;
use crate::proto::grpc::storage_service_server::StorageService;

/// Looks at what partitions consist of.
pub struct Storage(pub Door);

#[tonic::async_trait]
impl StorageService for Storage {
    async fn list_segments(
        &self,
        request: Request<pb::ListSegmentsRequest>,
    ) -> Result<Response<pb::ListSegmentsResponse>, Status> {
        let pb::ListSegmentsRequest { topic, partitions, page_size, page_token } = request.into_inner();
        let list = ListSegments { topic, partitions, page_size, page_token };
        let page = self.0.broker.list_segments(list).await.map_err(status)?;
        let partitions = page.partitions.into_iter().map(partition_reply).collect();
        let reply = pb::ListSegmentsResponse { partitions, next_page_token: page.next_page_token };
        bounded(reply, "ask for a smaller page")
    }
}

fn partition_reply(partition: PartitionSegments) -> pb::PartitionSegments {
    let number = partition.partition;
    match partition.found {
        Ok(found) => pb::PartitionSegments {
            partition: number,
            log_start_offset: found.offsets.log_start,
            flushed_offset: found.offsets.flushed,
            segments: found.segments.iter().map(segment_reply).collect(),
            error: None,
        },
        Err(error) => pb::PartitionSegments {
            partition: number,
            error: Some(item_error(error)),
            ..pb::PartitionSegments::default()
        },
    }
}

fn segment_reply(segment: &SegmentFacts) -> pb::Segment {
    let state = match segment.state {
        SegmentState::Active => pb::SegmentState::Active,
        SegmentState::Rolled => pb::SegmentState::Rolled,
        SegmentState::Sealed => pb::SegmentState::Sealed,
    };
    let max_timestamp = segment.times.map(|times| times.max_timestamp);
    pb::Segment {
        base_offset: segment.base_offset,
        end_offset: segment.end_offset,
        size_bytes: i64::try_from(segment.size_bytes).unwrap_or(i64::MAX),
        state: state.into(),
        first_append_ms: segment.times.map(|times| times.first_append_ms),
        last_append_ms: segment.times.map(|times| times.last_append_ms),
        max_timestamp_ms: max_timestamp.filter(|timestamp| *timestamp >= 0),
    }
}
