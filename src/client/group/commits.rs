//! Commits on their way to the broker, and what became of them.
//!
//! The broker takes so many offsets in one frame; a commit of more goes out in several, and is answered once all of them are.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::fault::{from_item, repeat};
use super::event::GroupEvent;
use super::state::{CommitRequest, State, Wanted};
use crate::base::limits::REQUEST_ITEMS_MAX;
use crate::base::{Error, ErrorKind};
use crate::proto::grpc;
use crate::proto::grpc::consume_request::Frame;

/// Why something is committed.
enum Purpose {
    /// It is finished.
    Finished,
    /// The application asked, and waits.
    Asked(oneshot::Sender<Result<(), Error>>),
    /// It is about to be given out.
    Clearance,
}

struct OnItsWay {
    /// Of its first frame; the others follow without a gap.
    sequence: i64,
    /// At most [`REQUEST_ITEMS_MAX`] of them in each frame.
    offsets: Vec<Wanted>,
    purpose: Purpose,
    /// Of each of its frames, whether it is answered.
    answered: Vec<bool>,
    /// The first error of those that are answered.
    failed: Option<Error>,
}

impl OnItsWay {
    /// Which of its frames has this sequence and no answer yet, if one.
    fn waits_for(&self, sequence: i64) -> Option<usize> {
        let number = usize::try_from(sequence.checked_sub(self.sequence)?).ok()?;
        self.answered.get(number).is_some_and(|answered| !answered).then_some(number)
    }

    /// The offsets of its frame of this number.
    fn part(&self, number: usize) -> &[Wanted] {
        self.offsets.chunks(REQUEST_ITEMS_MAX).nth(number).unwrap_or_default()
    }
}

/// Commits without an answer, in the order in which they were sent.
#[derive(Default)]
pub(super) struct Commits {
    next_sequence: i64,
    waiting: VecDeque<OnItsWay>,
}

impl Commits {
    /// Whether every commit has its answer.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Commits what is finished; no frame where that is nothing.
    pub(super) fn finished(&mut self, state: &mut State, offsets: Vec<Wanted>) -> Vec<Frame> {
        match offsets.is_empty() {
            true => Vec::new(),
            false => self.send(state, offsets, Purpose::Finished),
        }
    }

    /// Commits what is about to be given out.
    pub(super) fn clearance(&mut self, state: &mut State, offset: Wanted) -> Vec<Frame> {
        self.send(state, vec![offset], Purpose::Clearance)
    }

    /// Commits what the application asked for; what it does not own any more is refused at once.
    pub(super) fn asked(&mut self, state: &mut State, request: CommitRequest) -> Vec<Frame> {
        let CommitRequest { offsets, reply } = request;
        if let Some(gone) = offsets.iter().find(|wanted| !is_owned(state, wanted)) {
            // Who does not wait any more needs no answer.
            let _ = reply.send(Err(not_owned(gone)));
            return Vec::new();
        }
        if offsets.is_empty() {
            let _ = reply.send(Ok(()));
            return Vec::new();
        }
        self.send(state, offsets, Purpose::Asked(reply))
    }

    fn send(&mut self, state: &mut State, offsets: Vec<Wanted>, purpose: Purpose) -> Vec<Frame> {
        let parts = offsets.chunks(REQUEST_ITEMS_MAX);
        let (sequence, answered) = (self.next_sequence + 1, vec![false; parts.len()]);
        let frames = (sequence..).zip(parts).map(|(sequence, part)| {
            let offsets = part.iter().filter_map(|wanted| asked_offset(state, wanted)).collect();
            Frame::Commit(grpc::ConsumeCommit { sequence, offsets })
        });
        let frames = frames.collect();
        self.next_sequence += answered.len() as i64;
        self.waiting.push_back(OnItsWay { sequence, offsets, purpose, answered, failed: None });
        frames
    }

    /// The broker's answer to one frame. One that no frame waits for counts for nothing.
    pub(super) fn take(&mut self, state: &mut State, committed: grpc::ConsumeCommitted) {
        let found = self.waiting.iter().map(|waiting| waiting.waits_for(committed.sequence)).enumerate();
        let Some((at, number)) = found.flat_map(|(at, number)| Some((at, number?))).next() else { return };
        let waiting = &mut self.waiting[at];
        let errors = committed.partitions.into_iter().map(|partition| partition.error.map(from_item));
        let mut failed = None;
        for (wanted, error) in waiting.part(number).iter().zip(errors) {
            match error {
                None => note_committed(state, wanted),
                Some(error) => drop(failed.get_or_insert(error)),
            }
        }
        waiting.failed = waiting.failed.take().or(failed);
        waiting.answered[number] = true;
        if waiting.answered.iter().all(|answered| *answered) {
            let done = self.waiting.remove(at).expect("it was found there");
            settle(state, done);
        }
    }

    /// The connection is gone: what was on its way may be committed or not. What the application waits for is sent again.
    pub(super) fn reconnect(&mut self, state: &mut State) {
        let mut again = Vec::new();
        for OnItsWay { offsets, purpose, .. } in self.waiting.drain(..) {
            if let Purpose::Asked(reply) = purpose {
                again.push(CommitRequest { offsets, reply });
            }
        }
        again.append(&mut state.requests);
        state.requests = again;
    }

    /// Nothing is sent any more.
    pub(super) fn fail(&mut self, error: &Error) {
        for waiting in self.waiting.drain(..) {
            if let Purpose::Asked(reply) = waiting.purpose {
                let _ = reply.send(Err(repeat(error)));
            }
        }
    }
}

/// One offset as the wire has it; none of a partition that is not held any more.
fn asked_offset(state: &mut State, wanted: &Wanted) -> Option<grpc::PartitionOffset> {
    let Wanted { id, ownership_epoch, place } = wanted;
    let holding = state.holdings.get_mut(id)?;
    holding.note_asked(place.0);
    Some(grpc::PartitionOffset {
        topic: holding.cursor.topic.to_string(),
        topic_id: Some(Bytes::copy_from_slice(&id.topic_id.0)),
        partition: id.partition,
        offset: place.0,
        leader_epoch: place.1,
        metadata: String::new(),
        ownership_epoch: Some(*ownership_epoch),
    })
}

/// All of a commit is answered.
fn settle(state: &mut State, OnItsWay { offsets, purpose, failed, .. }: OnItsWay) {
    let untold = match purpose {
        Purpose::Asked(reply) => {
            // Who does not wait any more needs no answer.
            let _ = reply.send(failed.map_or(Ok(()), Err));
            None
        }
        Purpose::Clearance => {
            let wanted = &offsets[0];
            state.clear(wanted.id, wanted.place.0, failed.is_none());
            failed
        }
        Purpose::Finished => failed,
    };
    if let Some(error) = untold {
        tell(state, error);
    }
}

/// Who reads the partition now is told by other means; anything else the application has to know.
fn tell(state: &mut State, error: Error) {
    match error.kind {
        ErrorKind::PartitionNotOwned => tracing::debug!(%error, "a commit came too late"),
        _ => state.tell(GroupEvent::Error(error)),
    }
}

fn is_owned(state: &State, wanted: &Wanted) -> bool {
    state.holdings.get(&wanted.id).is_some_and(|holding| holding.ownership_epoch == wanted.ownership_epoch)
}

fn note_committed(state: &mut State, wanted: &Wanted) {
    if let Some(holding) = state.holdings.get_mut(&wanted.id)
        && holding.ownership_epoch == wanted.ownership_epoch
    {
        holding.note_committed(wanted.place.0);
    }
}

fn not_owned(wanted: &Wanted) -> Error {
    let (partition, offset) = (wanted.id.partition, wanted.place.0);
    let message = format!(
        "partition {partition} was given up before offset {offset} was committed; its next owner reads on from the last commit"
    );
    Error::new(ErrorKind::PartitionNotOwned, message).with("partition", partition)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::super::types::Start;
    use super::super::holding::{Arrival, Holding};
    use super::super::options::{CommitMode, Options, OutOfRange};
    use super::super::state::Shared;
    use super::*;
    use crate::base::{TopicId, TopicPartition};

    const TOPIC: TopicId = TopicId([1; 16]);

    fn options() -> Options {
        Options {
            group: "g".to_owned(),
            topics: vec!["orders".to_owned()],
            pattern: String::new(),
            instance_id: String::new(),
            client_id: String::new(),
            assignor: String::new(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            start: Start::Beginning,
            out_of_range: OutOfRange::Error,
            max_bytes: 1 << 20,
            buffer_bytes: 1 << 20,
            commit: CommitMode::Manual,
            on_revoke: None,
        }
    }

    fn hold(state: &mut State, partition: i32) -> Wanted {
        let id = TopicPartition { topic_id: TOPIC, partition };
        let arrival = Arrival {
            topic: "orders".into(),
            topic_id: TOPIC,
            partition,
            ownership_epoch: 1,
            offset: 0,
            committed: None,
        };
        state.holdings.insert(id, Holding::new(arrival));
        Wanted { id, ownership_epoch: 1, place: (5, None) }
    }

    fn commit_of(frame: &Frame) -> &grpc::ConsumeCommit {
        match frame {
            Frame::Commit(commit) => commit,
            other => panic!("{other:?}"),
        }
    }

    fn answer(frame: &Frame, wrong: Option<i32>) -> grpc::ConsumeCommitted {
        let error = |partition| (Some(partition) == wrong).then(grpc::ItemError::default);
        let answered = |offset: &grpc::PartitionOffset| grpc::CommittedPartition {
            topic: offset.topic.clone(),
            partition: offset.partition,
            error: error(offset.partition),
        };
        let commit = commit_of(frame);
        let partitions = commit.offsets.iter().map(answered).collect();
        grpc::ConsumeCommitted { sequence: commit.sequence, partitions }
    }

    /// A commit of 25,000 partitions, and one of a single partition after it.
    #[test]
    fn more_offsets_than_a_frame_takes_go_in_several_and_are_answered_once() {
        let shared = Shared::new(&options());
        let mut state = shared.lock();
        let all: Vec<Wanted> = (0..25_000).map(|partition| hold(&mut state, partition)).collect();
        for wrong in [None, Some(12_345)] {
            let mut commits = Commits::default();
            let (reply, mut told) = oneshot::channel();
            let frames = commits.asked(&mut state, CommitRequest { offsets: all.clone(), reply });
            let next = commits.finished(&mut state, vec![all[0].clone()]);
            let sizes: Vec<usize> = frames.iter().map(|frame| commit_of(frame).offsets.len()).collect();
            assert_eq!(sizes, [REQUEST_ITEMS_MAX, REQUEST_ITEMS_MAX, 5_000]);
            let named = frames.iter().flat_map(|frame| &commit_of(frame).offsets);
            let named: BTreeSet<i32> = named.map(|offset| offset.partition).collect();
            assert_eq!(named.len(), 25_000, "each of them once");

            commits.take(&mut state, answer(&next[0], None));
            for frame in &frames {
                assert!(told.try_recv().is_err() && !commits.is_empty());
                commits.take(&mut state, answer(frame, wrong));
                // A second answer stands for no other frame.
                commits.take(&mut state, answer(frame, wrong));
            }
            assert_eq!(told.try_recv().unwrap().is_err(), wrong.is_some());
            assert!(commits.is_empty());
            let held = state.holdings.iter().filter(|(_, held)| held.committed == Some(5));
            assert_eq!(held.count(), 25_000 - usize::from(wrong.is_some()));
            state.holdings.values_mut().for_each(|held| held.committed = None);
        }
    }
}
