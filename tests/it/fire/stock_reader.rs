//! A consumer made of nothing but the generated stubs, as any language has them: unary calls, structured records. It keeps its
//! place by itself, with the leader epoch of the record before.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use weir::proto::grpc as pb;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

use super::history::{Found, Seen, origin_of};
use super::load::{PARTITIONS, TOPIC};
use super::readers::View;

/// A call that has no answer after this long is made again.
const CALL_WAIT: Duration = Duration::from_secs(5);
/// How long a call waits for records, in ms.
const LONG_POLL_MS: i32 = 100;
/// Bytes of each partition in a reply at most.
const MAX_BYTES: i32 = 64 << 10;
const PAUSE: Duration = Duration::from_millis(5);

/// Where it stands in a partition.
struct Place {
    partition: i32,
    offset: i64,
    /// Of the record before.
    epoch: Option<i32>,
    /// Bytes that it asks for. WHY fewer and fewer where an epoch ends: a reply tells the epoch of its last record alone.
    max_bytes: i32,
}

/// Reads for ever; ends with the reason when something is wrong.
pub(crate) async fn read(address: String, seen: View) -> String {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut calls = ConsumerServiceClient::new(channel);
    let first = |partition| Place { partition, offset: 0, epoch: None, max_bytes: MAX_BYTES };
    let mut places: Vec<Place> = (0..PARTITIONS).map(first).collect();
    // WHY turns: only the first partition of a request that has any gives a record that is larger than asked for.
    for turn in 0.. {
        let request = pb::FetchRequest {
            partitions: (0..places.len()).map(|at| places[(turn + at) % places.len()].cursor()).collect(),
            max_wait_ms: LONG_POLL_MS,
            form: pb::RecordForm::Records.into(),
            ..pb::FetchRequest::default()
        };
        // What is wrong with the whole call passes: the broker is away, or has no memory.
        let reply = match timeout(CALL_WAIT, calls.fetch(request)).await {
            Ok(Ok(reply)) => reply.into_inner(),
            Ok(Err(_)) | Err(_) => pb::FetchResponse::default(),
        };
        let is_idle = reply.partitions.iter().all(|answer| answer.records.is_empty());
        for answer in reply.partitions {
            let place = &mut places[answer.partition as usize];
            if let Err(reason) = place.take(answer, &mut seen.lock()[place.partition as usize]) {
                return reason;
            }
        }
        if is_idle {
            sleep(PAUSE).await;
        }
    }
    unreachable!("it has turns for ever")
}

impl Place {
    fn cursor(&self) -> pb::FetchPartition {
        pb::FetchPartition {
            topic: TOPIC.to_owned(),
            partition: self.partition,
            offset: self.offset,
            leader_epoch: self.epoch,
            max_bytes: self.max_bytes,
            ..pb::FetchPartition::default()
        }
    }

    fn take(&mut self, answer: pb::FetchedPartition, seen: &mut Vec<Seen>) -> Result<(), String> {
        if let Some(error) = &answer.error {
            return self.go_back(error, seen);
        }
        let Some(last) = answer.records.last() else { return Ok(()) };
        if answer.leader_epoch != self.epoch && answer.records.len() > 1 {
            self.max_bytes = (self.max_bytes / 2).max(1);
            return Ok(());
        }
        let epoch = answer.leader_epoch.ok_or_else(|| format!("records of no epoch: {answer:?}"))?;
        (self.offset, self.epoch) = (last.offset + 1, Some(epoch));
        self.max_bytes = (self.max_bytes * 2).min(MAX_BYTES);
        if answer.next_offset < self.offset {
            return Err(format!("the next offset lies before the end of the records: {answer:?}"));
        }
        seen.extend(answer.records.iter().map(|record| {
            let origin = record.value.as_deref().and_then(origin_of);
            Seen::Record(Found { offset: record.offset, epoch, origin })
        }));
        Ok(())
    }

    fn go_back(&mut self, error: &pb::ItemError, seen: &mut Vec<Seen>) -> Result<(), String> {
        let fact = |name: &str| error.metadata.get(name).and_then(|text| text.parse::<i64>().ok());
        let end = fact("end").filter(|_| fact("partition") == Some(i64::from(self.partition)));
        match (error.reason(), end) {
            (pb::ErrorReason::Diverged | pb::ErrorReason::OffsetOutOfRange, Some(end)) => {
                seen.push(Seen::Setback(end));
                self.offset = end;
                // A place under the epoch whose end this is.
                self.epoch = fact("epoch").map(|epoch| epoch as i32);
                Ok(())
            }
            // The checker finds what is missing.
            (pb::ErrorReason::DamagedRange, Some(end)) => {
                (self.offset, self.epoch) = (end, None);
                Ok(())
            }
            _ if error.retriable => Ok(()),
            _ => Err(format!("partition {}: {error:?}", self.partition)),
        }
    }
}
