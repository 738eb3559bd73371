//! Commits on their way to the broker, and what became of them.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::fault::{from_item, repeat};
use super::event::GroupEvent;
use super::state::{CommitRequest, State, Wanted};
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
    sequence: i64,
    offsets: Vec<Wanted>,
    purpose: Purpose,
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
    pub(super) fn finished(&mut self, state: &mut State, offsets: Vec<Wanted>) -> Option<Frame> {
        (!offsets.is_empty()).then(|| self.send(state, offsets, Purpose::Finished))
    }

    /// Commits what is about to be given out.
    pub(super) fn clearance(&mut self, state: &mut State, offset: Wanted) -> Frame {
        self.send(state, vec![offset], Purpose::Clearance)
    }

    /// Commits what the application asked for; what it does not own any more is refused at once.
    pub(super) fn asked(&mut self, state: &mut State, request: CommitRequest) -> Option<Frame> {
        let CommitRequest { offsets, reply } = request;
        if let Some(gone) = offsets.iter().find(|wanted| !is_owned(state, wanted)) {
            // Who does not wait any more needs no answer.
            let _ = reply.send(Err(not_owned(gone)));
            return None;
        }
        if offsets.is_empty() {
            let _ = reply.send(Ok(()));
            return None;
        }
        Some(self.send(state, offsets, Purpose::Asked(reply)))
    }

    fn send(&mut self, state: &mut State, offsets: Vec<Wanted>, purpose: Purpose) -> Frame {
        self.next_sequence += 1;
        let sequence = self.next_sequence;
        let mut frame = grpc::ConsumeCommit { sequence, offsets: Vec::with_capacity(offsets.len()) };
        for Wanted { id, ownership_epoch, place } in &offsets {
            let Some(holding) = state.holdings.get_mut(id) else { continue };
            holding.note_asked(place.0);
            frame.offsets.push(grpc::PartitionOffset {
                topic: holding.cursor.topic.to_string(),
                topic_id: Some(Bytes::copy_from_slice(&id.topic_id.0)),
                partition: id.partition,
                offset: place.0,
                leader_epoch: place.1,
                metadata: String::new(),
                ownership_epoch: Some(*ownership_epoch),
            });
        }
        self.waiting.push_back(OnItsWay { sequence, offsets, purpose });
        Frame::Commit(frame)
    }

    /// The broker's answer to one.
    pub(super) fn take(&mut self, state: &mut State, committed: grpc::ConsumeCommitted) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.sequence == committed.sequence) else {
            return;
        };
        let Some(OnItsWay { offsets, purpose, .. }) = self.waiting.remove(at) else { return };
        let errors = committed.partitions.into_iter().map(|partition| partition.error.map(from_item));
        let mut failed = None;
        for (wanted, error) in offsets.iter().zip(errors) {
            match error {
                None => note_committed(state, wanted),
                Some(error) => drop(failed.get_or_insert(error)),
            }
        }
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
