//! What a connection may do, set on purpose: tonic's own defaults leave streams and replies without bounds, and switch a
//! guard of hyper off (see `reset streams` below).

use std::time::Duration;

use prost::Message;
use tonic::transport::Server;
use tonic::{Response, Status};

use super::status::status;
use crate::api::windows::Windows;
use crate::base::limits::GRPC_MESSAGE_BYTES_MAX;
use crate::base::{Error, ErrorKind};
use crate::proto::grpc as pb;

/// Calls at once on one connection.
const STREAMS_MAX: u32 = 128;

/// Silence after which a connection is probed, and how long an answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_WAIT: Duration = Duration::from_secs(10);

/// Largest header list of a call in bytes.
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;

/// Calls that a client reset before they were looked at (CVE-2023-44487), and that we reset ourselves for a mistake of the
/// client (RUSTSEC-2024-0003: without a number here tonic switches hyper's guard off).
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 1_024;

/// Produce bytes of one stream that are not settled yet; beyond, the stream is not read.
pub const STREAM_UNSETTLED_BYTES_MAX: usize = 16 << 20;

/// Results of one stream that its client has not read; beyond, the stream ends.
pub const STREAM_UNREAD_BYTES_MAX: usize = 16 << 20;

/// Results that share a frame, in bytes.
pub const RESULTS_FRAME_BYTES: usize = 1 << 20;

/// A server with these limits and `windows`. A connection has no maximum age: that would cut streams.
pub fn server(windows: Windows) -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(windows.stream_bytes)
        .initial_connection_window_size(windows.connection_bytes)
        .max_frame_size(windows.frame_bytes)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT))
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
}

/// A reply that may be as large as its request makes it: refused here in words, where the codec would fail without.
pub fn bounded<M: Message>(reply: M, what_to_do: &str) -> Result<Response<M>, Status> {
    let bytes = reply.encoded_len();
    if bytes <= GRPC_MESSAGE_BYTES_MAX {
        return Ok(Response::new(reply));
    }
    let message = format!("the reply has {bytes} bytes, at most {GRPC_MESSAGE_BYTES_MAX} fit; {what_to_do}");
    Err(status(
        Error::new(ErrorKind::InvalidRequest, message)
            .with("size", bytes)
            .with("limit", GRPC_MESSAGE_BYTES_MAX),
    ))
}

/// Makes results fit one message: what was written must be told, so first the words of errors go, then the names that the
/// request has as well.
pub fn fit_results(results: &mut [pb::ProduceResult]) {
    let is_large = |results: &[pb::ProduceResult]| {
        let bytes: usize = results.iter().map(|result| result.encoded_len() + ITEM_OVERHEAD_BYTES).sum();
        bytes > GRPC_MESSAGE_BYTES_MAX - (1 << 10)
    };
    if is_large(results) {
        results.iter_mut().filter_map(|result| result.error.as_mut()).for_each(drop_words);
    }
    if is_large(results) {
        results.iter_mut().for_each(|result| result.topic.clear());
    }
}

/// Makes offsets fit one message: the words of errors go, reasons stay.
pub fn fit_offsets(offsets: &mut [pb::ListedOffset]) {
    let bytes: usize = offsets.iter().map(|offset| offset.encoded_len() + ITEM_OVERHEAD_BYTES).sum();
    if bytes > GRPC_MESSAGE_BYTES_MAX - (1 << 10) {
        offsets.iter_mut().filter_map(|offset| offset.error.as_mut()).for_each(drop_words);
    }
}

/// Makes what a commit came to fit one message: long words of errors go, from the last to the first, as many as must; short words and
/// reasons stay.
pub fn fit_committed(partitions: &mut [pb::CommittedPartition]) {
    let size = |partition: &pb::CommittedPartition| partition.encoded_len() + ITEM_OVERHEAD_BYTES;
    let mut bytes: usize = partitions.iter().map(size).sum();
    for partition in partitions.iter_mut().rev() {
        if bytes <= GRPC_MESSAGE_BYTES_MAX - (1 << 10) {
            return;
        }
        let before = size(partition);
        partition.error.as_mut().filter(|error| error.encoded_len() > SHORT_ERROR_BYTES).map(drop_words);
        bytes -= before - size(partition);
    }
}

/// An error that always has room, whatever the names beside it: a request has at most 10,000 items.
const SHORT_ERROR_BYTES: usize = 120;

/// Tag and length of an item in a list.
const ITEM_OVERHEAD_BYTES: usize = 5;

fn drop_words(error: &mut pb::ItemError) {
    error.message.clear();
    error.metadata.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{REQUEST_ITEMS_MAX, TOPIC_NAME_BYTES_MAX};

    #[test]
    fn results_of_the_largest_request_fit_a_message_and_keep_their_reasons() {
        let error = pb::ItemError { reason: 1, message: "x".repeat(600), ..pb::ItemError::default() };
        let topic = "t".repeat(TOPIC_NAME_BYTES_MAX);
        let result = pb::ProduceResult { topic, error: Some(error), ..pb::ProduceResult::default() };
        let mut results = vec![result; REQUEST_ITEMS_MAX];
        fit_results(&mut results);
        let reply = pb::ProduceResponse { results };
        assert!(reply.encoded_len() <= GRPC_MESSAGE_BYTES_MAX);
        assert_eq!(reply.results[0].error.as_ref().map(|error| error.reason), Some(1));
        assert_eq!(reply.results[0].topic.len(), TOPIC_NAME_BYTES_MAX);
    }

    #[test]
    fn what_the_largest_commit_came_to_fits_a_message() {
        let error = pb::ItemError { reason: 1, message: "x".repeat(600), ..pb::ItemError::default() };
        let partition = pb::CommittedPartition {
            topic: "t".repeat(TOPIC_NAME_BYTES_MAX),
            partition: 1_000,
            error: Some(error),
        };
        let mut partitions = vec![partition; REQUEST_ITEMS_MAX];
        fit_committed(&mut partitions);
        let reply = pb::ConsumeCommitted { sequence: 1, partitions };
        assert!(reply.encoded_len() <= GRPC_MESSAGE_BYTES_MAX);
    }

    #[test]
    fn what_is_wrong_in_a_large_reset_is_told_beside_short_words_for_the_others() {
        let error =
            |length| pb::ItemError { reason: 1, message: "x".repeat(length), ..pb::ItemError::default() };
        let partition = |length| pb::CommittedPartition {
            topic: "t".repeat(TOPIC_NAME_BYTES_MAX),
            partition: 10_000,
            error: Some(error(length)),
        };
        for wrong_ones in [1, REQUEST_ITEMS_MAX / 2] {
            let mut partitions = vec![partition(SHORT_ERROR_BYTES - 10); REQUEST_ITEMS_MAX];
            partitions[REQUEST_ITEMS_MAX - wrong_ones..].fill(partition(600));
            fit_committed(&mut partitions);
            let reply = pb::ResetOffsetsResponse { partitions };
            assert!(reply.encoded_len() <= GRPC_MESSAGE_BYTES_MAX);
            let is_told = |partition: &&pb::CommittedPartition| {
                partition.error.as_ref().is_some_and(|error| !error.message.is_empty())
            };
            let told = reply.partitions.iter().take_while(is_told).count();
            assert!(told > REQUEST_ITEMS_MAX - wrong_ones, "{told}");
        }
    }

    #[test]
    fn small_results_stay_as_they_are() {
        let error = pb::ItemError { message: "why".to_owned(), ..pb::ItemError::default() };
        let mut results = vec![pb::ProduceResult { error: Some(error), ..pb::ProduceResult::default() }];
        fit_results(&mut results);
        assert_eq!(results[0].error.as_ref().map(|error| error.message.as_str()), Some("why"));
    }

    #[test]
    fn a_reply_that_is_too_large_says_what_to_do() {
        let reply = pb::DeleteTopicResponse {};
        assert!(bounded(reply, "").is_ok());
        let topics = vec![pb::TopicMetadata { name: "x".repeat(5 << 20), ..pb::TopicMetadata::default() }];
        let reply = pb::GetMetadataResponse { topics, ..pb::GetMetadataResponse::default() };
        let refused = bounded(reply, "name the topics").expect_err("too large");
        assert!(refused.message().ends_with("name the topics"), "{refused}");
    }
}
