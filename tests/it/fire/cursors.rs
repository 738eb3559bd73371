//! Cursors of everything that anybody was told: those of what a crash took are refused, those of what is there are served.

use std::collections::BTreeMap;

use weir::proto::grpc as pb;
use weir::proto::grpc::ErrorReason;
use weir::proto::grpc::consumer_service_client::ConsumerServiceClient;

use super::history::{Findings, Found, Wrong};
use super::load::TOPIC;

/// So many of each partition and epoch are asked for, evenly spread, the outermost among them.
const EACH_MAX: usize = 64;
/// Cursors of one request.
const AT_ONCE: usize = 256;

/// What was asked and what was wrong with the answers.
#[derive(Default)]
pub(crate) struct Cursors {
    /// Cursors of records that are gone.
    pub(crate) gone: usize,
    /// Those of them that lie beyond the log's end, which were asked for without epoch, too.
    pub(crate) beyond: usize,
    /// Cursors of records that are there.
    pub(crate) there: usize,
    pub(crate) findings: Findings,
}

/// Asks for what follows each record that somebody was told of, by partition, and holds the answers against the log as it is.
pub(crate) async fn check(
    address: &str,
    told: impl Iterator<Item = (i32, Found)>,
    log: &[Vec<Found>],
) -> Cursors {
    let (mut gone, mut there) = (BTreeMap::new(), BTreeMap::new());
    for (partition, found) in told {
        let now = log[partition as usize].get(found.offset as usize);
        // WHY not its epoch: who sends a record again is told the epoch of that moment.
        let lot = if now.is_some_and(|now| now.origin == found.origin) { &mut there } else { &mut gone };
        let lot: &mut Vec<i64> = lot.entry((partition, found.epoch)).or_default();
        lot.push(found.offset + 1);
    }
    let (gone, there) = (places(gone), places(there));
    let mut cursors = Cursors { gone: gone.len(), there: there.len(), ..Cursors::default() };
    for (place, answer) in ask(address, &gone).await {
        let is_refused = match answer.error.as_ref().map(pb::ItemError::reason) {
            Some(ErrorReason::Diverged) => ends_before(&answer, place.offset),
            Some(ErrorReason::OffsetOutOfRange) => true,
            _ => false,
        };
        if !is_refused || !answer.batches.is_empty() {
            cursors.findings.push((Wrong::Reader, format!("{place:?} is gone, the answer is {answer:?}")));
        }
    }
    let is_beyond = |place: &&Place| place.offset > log[place.partition as usize].len() as i64;
    let beyond: Vec<Place> =
        gone.iter().filter(is_beyond).map(|place| Place { epoch: None, ..*place }).collect();
    cursors.beyond = beyond.len();
    for (place, answer) in ask(address, &beyond).await {
        if answer.error.as_ref().map(pb::ItemError::reason) != Some(ErrorReason::OffsetOutOfRange) {
            cursors.findings.push((Wrong::Reader, format!("{place:?} is beyond, the answer is {answer:?}")));
        }
    }
    for (place, answer) in ask(address, &there).await {
        if answer.error.is_some() {
            cursors.findings.push((Wrong::Reader, format!("{place:?} is there, the answer is {answer:?}")));
        }
    }
    cursors
}

/// A cursor: what comes at this offset, after a record of this epoch.
#[derive(Clone, Copy, Debug)]
struct Place {
    partition: i32,
    offset: i64,
    /// `None`: the reader says nothing of what it saw.
    epoch: Option<i32>,
}

fn places(lots: BTreeMap<(i32, i32), Vec<i64>>) -> Vec<Place> {
    let mut places = Vec::new();
    for ((partition, epoch), mut offsets) in lots {
        offsets.sort_unstable();
        offsets.dedup();
        let step = offsets.len().div_ceil(EACH_MAX).max(1);
        let chosen = offsets.iter().step_by(step).chain(offsets.last());
        places.extend(chosen.map(|offset| Place { partition, offset: *offset, epoch: Some(epoch) }));
    }
    places
}

/// Whether a DIVERGED leads the reader back.
fn ends_before(answer: &pb::FetchedPartition, offset: i64) -> bool {
    let end = answer.error.as_ref().and_then(|error| error.metadata.get("end"));
    end.and_then(|end| end.parse::<i64>().ok()).is_some_and(|end| (0..offset).contains(&end))
}

/// The answers to all of them, asked in few requests.
async fn ask(address: &str, places: &[Place]) -> Vec<(Place, pb::FetchedPartition)> {
    let mut calls = ConsumerServiceClient::connect(format!("http://{address}")).await.unwrap();
    let mut answers = Vec::new();
    for chunk in places.chunks(AT_ONCE) {
        let partitions = chunk.iter().map(|place| pb::FetchPartition {
            topic: TOPIC.to_owned(),
            partition: place.partition,
            offset: place.offset,
            leader_epoch: place.epoch,
            max_bytes: 1,
            ..pb::FetchPartition::default()
        });
        let form = pb::RecordForm::Batch.into();
        let request =
            pb::FetchRequest { partitions: partitions.collect(), form, ..pb::FetchRequest::default() };
        let reply = calls.fetch(request).await.unwrap().into_inner();
        assert_eq!(reply.partitions.len(), chunk.len());
        answers.extend(chunk.iter().copied().zip(reply.partitions));
    }
    answers
}
