//! Results of a produce on their way to its client.

use super::call::{RequestId, note_items};
use super::convert;
use super::limits::fit_results;
use crate::broker::Broker;
use crate::broker::request::ProduceResult;
use crate::proto::grpc as pb;

/// Results of one request, so that they fit a message; their errors are counted.
pub(super) fn replies(
    broker: &Broker,
    id: &RequestId,
    results: Vec<ProduceResult>,
) -> Vec<pb::ProduceResult> {
    note_items(broker, id, results.iter().filter_map(|result| result.result.as_ref().err()));
    let mut replies: Vec<_> = results.into_iter().map(convert::produce_result).collect();
    fit_results(&mut replies);
    replies
}
