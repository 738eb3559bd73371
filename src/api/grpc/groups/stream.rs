//! One stream of Consume: a member of a group, from its first message to its end.
//!
//! One task reads what the client sends and writes what the session tells. Records are read from their partitions only when the client
//! has taken what was sent before, so a slow client costs one message, and is a member for as long as its connection lives.

use futures_core::Stream;
use futures_util::StreamExt;
use std::pin::Pin;
use tokio::sync::mpsc::{OwnedPermit, Sender, error::SendError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::convert::{
    assigned, committed_partition, join_request, offset_commit, out_of_range, partition_id, partition_ids,
    records_bytes, revoked,
};
use crate::api::door::Door;
use crate::api::grpc::call::{OpenStream, RequestId, note_items, note_status};
use crate::api::grpc::caller::Caller;
use crate::api::grpc::convert::{byte_count, check_most, fetched_partition, form, invalid};
use crate::api::grpc::limits::fit_committed;
use crate::api::grpc::reply_body::Unsent;
use crate::api::grpc::status::{completed, status};
use crate::base::Error;
use crate::broker::Broker;
use crate::broker::errors::shutting_down;
use crate::broker::groups::session::{CommitFrame, Session, SessionEvent, SessionOptions};
use crate::metrics::Method;
use crate::proto::grpc as pb;
use crate::proto::grpc::consume_request::Frame;
use crate::proto::grpc::consume_response::Frame as Told;

/// The answers of a stream.
pub type ConsumeStream = Pin<Box<dyn Stream<Item = Result<pb::ConsumeResponse, Status>> + Send>>;

type Slot = OwnedPermit<Result<pb::ConsumeResponse, Status>>;

/// How a stream ended.
enum End {
    /// The client left.
    Left { keep: bool },
    /// The connection was lost, or the broker stops.
    Lost,
}

/// Serves a stream in a task of its own, because what the client sends must be read while it reads nothing.
pub fn consume(
    door: Door,
    id: RequestId,
    unsent: Unsent,
    request: Request<Streaming<pb::ConsumeRequest>>,
) -> Response<ConsumeStream> {
    let unsent = unsent.patient();
    let (slots, told) = tokio::sync::mpsc::channel(1);
    let host = Caller::host_of(request.extensions());
    let member = Member { broker: door.broker.clone(), id, host, unsent: unsent.clone(), slots };
    tokio::spawn(member.run(door, request.into_inner()));
    let mut response: Response<ConsumeStream> = Response::new(Box::pin(ReceiverStream::new(told)));
    response.extensions_mut().insert(unsent);
    response
}

/// What goes along with a stream.
struct Member {
    broker: std::sync::Arc<Broker>,
    id: RequestId,
    host: String,
    unsent: Unsent,
    slots: Sender<Result<pb::ConsumeResponse, Status>>,
}

impl Member {
    async fn run(self, mut door: Door, mut frames: Streaming<pb::ConsumeRequest>) {
        let _open = OpenStream::new(&self.broker, Method::Consume);
        let mut session = match self.join(&mut frames).await {
            Ok(session) => session,
            Err(error) => return self.fail(status(error)).await,
        };
        let ended = self.serve(&mut door, &mut frames, &mut session).await;
        match ended {
            Ok(End::Left { keep }) => {
                if let Err(error) = session.leave(keep).await {
                    self.fail(status(error)).await;
                }
            }
            Ok(End::Lost) => session.lose().await,
            Err(error) => {
                session.lose().await;
                self.fail(status(error)).await;
            }
        }
    }

    /// The first message joins.
    async fn join(&self, frames: &mut Streaming<pb::ConsumeRequest>) -> Result<Session, Error> {
        let first = frames.next().await.and_then(Result::ok).and_then(|request| request.frame);
        let Some(Frame::Join(join)) = first else {
            return Err(invalid("frame", "is not 'join': the first message of a stream joins a group"));
        };
        let options = SessionOptions {
            form: form(join.form)?,
            max_bytes: records_bytes(byte_count("max_bytes", join.max_bytes)?),
            credit_bytes: join.credit_bytes.map(credit).transpose()?,
            out_of_range: out_of_range(join.out_of_range)?,
        };
        let request = join_request(join.group, join.member_id, join.options, &join.owned, &self.host)?;
        Session::open(&self.broker, request, options).await
    }

    async fn serve(
        &self,
        door: &mut Door,
        frames: &mut Streaming<pb::ConsumeRequest>,
        session: &mut Session,
    ) -> Result<End, Error> {
        let (_, member_id, member_epoch) = session.member();
        let joined = pb::ConsumeJoined { member_id: member_id.to_string(), member_epoch };
        let mut slot = self.slots.clone().reserve_owned().await.ok();
        if let Some(slot) = slot.take() {
            send(slot, Told::Joined(joined));
        }
        loop {
            let has_room = session.has_room();
            tokio::select! {
                biased;
                () = stopped(door) => return Err(shutting_down()),
                frame = frames.next(), if has_room => match frame {
                    // A static member comes back under its name.
                    None => return Ok(End::Left { keep: true }),
                    Some(Err(_)) => return Ok(End::Lost),
                    Some(Ok(request)) => if let Some(end) = self.take(request, session)? {
                        return Ok(end);
                    },
                },
                free = self.slots.clone().reserve_owned(), if slot.is_none() => match free {
                    Ok(free) => slot = Some(free),
                    Err(SendError(())) => return Ok(End::Lost),
                },
                // Also while nothing can be told: the shard waits for nobody who does not read.
                event = session.next(slot.is_some()) => {
                    let told = self.told(event?);
                    send(slot.take().expect("nothing is told without one"), told);
                }
            }
        }
    }

    fn take(&self, request: pb::ConsumeRequest, session: &mut Session) -> Result<Option<End>, Error> {
        match request.frame {
            Some(Frame::Commit(commit)) => {
                check_most("offsets", commit.offsets.len())?;
                let offsets = commit.offsets.into_iter().map(offset_commit).collect::<Result<_, _>>()?;
                session.commit(CommitFrame { sequence: commit.sequence, offsets });
            }
            Some(Frame::Credit(more)) => session.add_credit(credit(more.bytes)?),
            Some(Frame::Revoked(given)) => session.give_up(&partition_ids(&given.partitions)?),
            Some(Frame::Pause(pause)) => session.pause(&partition_ids(&pause.partitions)?),
            Some(Frame::Resume(resume)) => session.resume(&partition_ids(&resume.partitions)?),
            Some(Frame::Seek(seek)) => {
                let place = seek.partition.ok_or_else(|| invalid("partition", "is not set: name one"))?;
                let sought =
                    session.seek(partition_id(&place)?, seek.offset, seek.leader_epoch, seek.sequence);
                // A partition that was taken away meanwhile is no mistake: the client is told of that too.
                note_items(&self.broker, &self.id, sought.as_ref().err());
            }
            Some(Frame::Leave(_)) => return Ok(Some(End::Left { keep: false })),
            Some(Frame::Join(_)) => {
                return Err(invalid("frame", "is 'join' a second time: open another stream"));
            }
            // A kind of message that this broker does not know.
            None => {}
        }
        Ok(None)
    }

    fn told(&self, event: SessionEvent) -> Told {
        match event {
            SessionEvent::Assigned(partitions) => {
                Told::Assigned(pb::ConsumeAssigned { partitions: assigned(partitions) })
            }
            SessionEvent::Revoke(partitions, deadline_ms) => {
                Told::Revoke(pb::ConsumeRevoke { partitions: revoked(partitions), deadline_ms })
            }
            SessionEvent::Lost(partitions) => Told::Lost(pb::ConsumeLost { partitions: revoked(partitions) }),
            SessionEvent::Records(answer, seek_sequence) => {
                self.broker.counters().requests(Method::Consume).increment();
                let mut answer = *answer;
                self.unsent.add(std::mem::take(&mut answer.debits));
                note_items(&self.broker, &self.id, answer.partition.result.as_ref().err());
                let partition = Some(fetched_partition(answer.partition));
                Told::Records(pb::ConsumeRecords { partition, caught_up: answer.caught_up, seek_sequence })
            }
            SessionEvent::Committed(result) => {
                let errors = result.partitions.iter().filter_map(|(_, _, result)| result.as_ref().err());
                note_items(&self.broker, &self.id, errors);
                let partitions = result.partitions.into_iter();
                let partitions =
                    partitions.map(|(topic, number, result)| committed_partition(topic, number, result));
                let mut partitions: Vec<_> = partitions.collect();
                fit_committed(&mut partitions);
                Told::Committed(pb::ConsumeCommitted { sequence: result.sequence, partitions })
            }
        }
    }

    /// The last word to a client that may be there.
    async fn fail(&self, status: Status) {
        let status = completed(status);
        note_status(&self.broker, &self.id, &status);
        // Nobody reads it where the connection is lost.
        let _ = self.slots.send(Err(status)).await;
    }
}

/// Resolves when the door stops.
async fn stopped(door: &mut Door) {
    // A sender that is gone has stopped.
    let _ = door.stopping.wait_for(|stopping| *stopping).await;
}

fn send(slot: Slot, told: Told) {
    slot.send(Ok(pb::ConsumeResponse { frame: Some(told) }));
}

fn credit(bytes: i64) -> Result<i64, Error> {
    let wrong = || invalid("bytes", format_args!("is {bytes}: give a number of bytes"));
    u64::try_from(bytes).map(|_| bytes).map_err(|_| wrong())
}
