//! The broker's half of the members' streams: [`SessionState`] decides as it does in a broker, the world carries out.

use std::collections::BTreeMap;
use std::time::Duration;

use weir::base::budget::Budget;
use weir::base::rules::Rules;
use weir::base::{Error, ErrorKind, GroupId, MemberId, Offset, TopicId, TopicPartition};
use weir::broker::groups::OffsetCommit;
use weir::broker::groups::errors::{group_error, position_error};
use weir::broker::groups::session::commits::Commits;
use weir::broker::groups::session::held::Begun;
use weir::broker::groups::session::state::{Came, Close, Places, SessionState, Task};
use weir::coordinator::group::GroupError;
use weir::coordinator::group::commands::{Commit, Disconnect, GetOffsets, Heartbeat, Leave, Owned};
use weir::coordinator::group::position::{Committed, Position};
use weir::coordinator::group::views::MemberView;
use weir::coordinator::group::{GroupCommand, GroupReply, Topics};
use weir::coordinator::runtime::RunError;

use crate::call::{Ask, Of};
use crate::rules::SimRule;
use crate::world::{Stepped, World};

/// Memory of the commits of a stream: enough.
const MEMORY_BYTES: u64 = 16 << 20;

/// Bytes that a member takes beyond those that it has worked on.
const CREDIT_BYTES: i64 = 200;

/// A member's stream, as the broker has it.
pub(super) struct Stream {
    pub(super) group: GroupId,
    pub(super) id: MemberId,
    is_static: bool,
    pub(super) state: SessionState,
    /// What is read, and where.
    pub(super) tail: BTreeMap<TopicPartition, Offset>,
    is_working: bool,
    /// Partitions that are being opened.
    opening: Option<Places>,
    /// Partitions of which it is asked where the group stands.
    coming: Came,
    /// Commits that are being carried out, with what is known of each offset already.
    committing: Option<(Commits, Kept)>,
    /// The broker has news for the member.
    is_woken: bool,
    is_closing: bool,
    /// Another took the member's place.
    is_fenced: bool,
    /// The client is gone, and the broker notices then.
    pub(super) lost_at: Option<Duration>,
}

/// What offsets come to: `Ok` until the machine has answered.
type Kept = Vec<Result<(), Error>>;

impl Stream {
    /// Whether nothing is to be done before somebody says something.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_working && !self.is_woken && !self.is_closing && self.lost_at.is_none()
    }
}

impl World {
    /// A member has joined, and hears this stream from here on. Gives its number.
    pub(super) fn open_stream(&mut self, index: usize, claimed: &[Owned], view: &MemberView) -> u32 {
        let member = &self.members[index];
        let credit = member.has_credit.then_some(CREDIT_BYTES);
        let out = match self.rule {
            Some(SimRule::Session(rule)) => Some(rule),
            _ => None,
        };
        let state = SessionState::new(&Budget::new(MEMORY_BYTES), member.out_of_range, credit);
        let mut state = state.under(Rules::without(out));
        state.joined(claimed, view, |id| self.topics.name_of(id));
        let (group, id) = (member.group.clone(), view.member_id.clone());
        let is_static = member.instance.is_some();
        self.fence_streams_of(&id);
        self.next_stream += 1;
        let stream = Stream {
            group,
            id,
            is_static,
            state,
            tail: BTreeMap::new(),
            is_working: false,
            opening: None,
            coming: Came::new(),
            committing: None,
            is_woken: false,
            is_closing: false,
            is_fenced: false,
            lost_at: None,
        };
        self.streams.insert(self.next_stream, stream);
        self.next_stream
    }

    /// Another takes the place of a member, or it is none any more: its streams end, also those that are ending. Gives them.
    pub(super) fn fence_streams_of(&mut self, id: &MemberId) -> Vec<u32> {
        let all = self.streams.iter_mut().filter(|(_, stream)| stream.id == *id);
        let keys: Vec<u32> = all
            .map(|(key, stream)| {
                stream.is_fenced = true;
                *key
            })
            .collect();
        keys.iter().for_each(|key| self.close_stream(*key, Close::Lost));
        keys
    }

    /// A stream ends: what was asked before is carried out, then it is gone.
    pub(super) fn close_stream(&mut self, key: u32, close: Close) {
        let Some(stream) = self.streams.get_mut(&key).filter(|stream| !stream.is_closing) else { return };
        stream.state.close(close);
        stream.tail.clear();
        (stream.is_closing, stream.lost_at) = (true, None);
    }

    /// A stream ends with an error; its client, if there is one, hears it.
    fn fail_stream(&mut self, key: u32, error: &Error) {
        self.note(format_args!("stream {key}: {error}"));
        self.close_stream(key, Close::Lost);
        let Some(index) = self.members.iter().position(|member| member.stream == Some(key)) else { return };
        match error.kind {
            ErrorKind::UnknownMember | ErrorKind::MemberFenced => {
                let zombie = self.members[index].forget();
                self.zombies.extend(zombie);
            }
            _ => self.members[index].lose_connection(),
        }
    }

    /// The broker notices clients that were lost a while ago.
    pub(super) fn notice_lost(&mut self) -> Stepped {
        let now = self.now();
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let due = self.streams.iter().filter(|(_, stream)| is_due(stream.lost_at)).map(|(key, _)| *key);
        let due: Vec<u32> = due.collect();
        due.into_iter().for_each(|key| self.close_stream(key, Close::Lost));
        self.settle()
    }

    /// The broker has news for a member.
    pub(super) fn wake(&mut self, id: &MemberId) {
        for stream in self.streams.values_mut().filter(|stream| stream.id == *id) {
            stream.is_woken = true;
        }
    }

    /// Every stream does what it can do next.
    pub(super) fn serve_all(&mut self) -> Stepped {
        let keys: Vec<u32> = self.streams.keys().copied().collect();
        keys.into_iter().try_for_each(|key| self.serve(key))
    }

    /// A stream does what it can do next.
    pub(super) fn serve(&mut self, key: u32) -> Stepped {
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        if let Some(places) = stream.opening.take() {
            stream.is_working = false;
            for (id, _, place) in places {
                if !stream.is_closing && stream.state.is_due(id, place) {
                    stream.tail.insert(id, place.offset);
                }
            }
        }
        if stream.is_working {
            return Ok(());
        }
        if std::mem::take(&mut stream.is_woken) {
            stream.state.take_change();
        }
        match stream.state.next_task(stream.is_fenced) {
            Some(task) => {
                stream.is_working = true;
                self.begin(key, task)
            }
            None if stream.is_closing => {
                self.streams.remove(&key);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn begin(&mut self, key: u32, task: Task) -> Stepped {
        let now = self.now();
        let stream = self.streams.get_mut(&key).expect("it is served");
        let (group, member_id) = (stream.group.clone(), stream.id.clone());
        let (ask, command) = match task {
            Task::Heartbeat(epoch, owned) => {
                self.sessions.speaks(&member_id, now);
                let owned = owned.map(|owned| owned.into_iter().collect());
                let (subscription, connected) = (None, !self.is_out(SimRule::SayConnected));
                let topics = self.shown_topics();
                let heartbeat = Heartbeat { group, member_id, epoch, owned, subscription, connected, topics };
                (Ask::Heartbeat, GroupCommand::Heartbeat(heartbeat))
            }
            Task::Commit(epoch, mut commits) => {
                let (kept, positions) = positions(&self.topics, &commits.take_offsets());
                self.streams.get_mut(&key).expect("it is served").committing = Some((commits, kept));
                let member = Some((member_id, epoch));
                (Ask::Commit, GroupCommand::Commit(Commit { group, member, positions }))
            }
            Task::Begin(came) => {
                let partitions = Some(came.iter().map(|(owned, _)| owned.id).collect());
                stream.coming = came;
                let topics = self.shown_topics();
                (Ask::Positions, GroupCommand::GetOffsets(GetOffsets { group, partitions, topics }))
            }
            Task::Open(places) => {
                stream.opening = Some(places);
                return Ok(());
            }
            Task::Leave { keep } => {
                // Only a static member can keep its place.
                match keep && stream.is_static {
                    // What the stream of another says of the member is no reason to end it.
                    _ if stream.is_fenced => {}
                    true => self.sessions.falls_silent(&member_id, now),
                    false => self.sessions.leaves(&member_id),
                }
                (Ask::Leave, GroupCommand::Leave(Leave { group, member_id, keep }))
            }
            Task::Disconnect => {
                if !stream.is_fenced {
                    self.sessions.falls_silent(&member_id, now);
                }
                (Ask::Disconnect, GroupCommand::Disconnect(Disconnect { group, member_id }))
            }
        };
        self.ask(Of::Stream(key, ask), command);
        Ok(())
    }

    /// The coordinator has answered a stream.
    pub(super) fn take_reply(
        &mut self,
        key: u32,
        ask: Ask,
        reply: Result<GroupReply, RunError<GroupError>>,
    ) -> Stepped {
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        stream.is_working = false;
        let reply = reply.map_err(|error| group_error(&stream.group, error));
        if let Ask::Leave = ask {
            stream.state.take_left(&reply);
        }
        if stream.is_closing {
            return Ok(());
        }
        match (ask, reply) {
            (Ask::Heartbeat, Ok(GroupReply::Member(view))) => self.take_view(key, &view),
            (Ask::Positions, Ok(GroupReply::Offsets(known))) => self.take_positions(key, &known),
            (Ask::Commit, reply) => self.take_commits(key, reply),
            (_, Err(error)) => self.fail_stream(key, &error),
            (_, Ok(_)) => {}
        }
        Ok(())
    }

    fn take_view(&mut self, key: u32, view: &MemberView) {
        if view.pending_revocation.is_empty() {
            self.sessions.is_done(&view.member_id);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        for gone in stream.state.take_view(view, |id: TopicId| self.topics.name_of(id)) {
            stream.tail.remove(&gone);
        }
    }

    fn take_positions(&mut self, key: u32, known: &[Committed]) {
        let forgets = self.is_out(SimRule::BeginAtCommitted);
        let (Some(stream), Some(broker)) = (self.streams.get_mut(&key), &self.broker) else { return };
        let begun = std::mem::take(&mut stream.coming).into_iter().map(|(owned, _)| {
            let of_it = |found: &&Position| found.id() == owned.id && !forgets;
            let stands = known.iter().map(|found| &found.position).find(of_it);
            let log_start = broker.partition(&owned.id).map_or(0, |partition| partition.offsets().log_start);
            Begun::new(owned, stands, if forgets { 0 } else { log_start })
        });
        let begun: Vec<Begun> = begun.collect();
        stream.state.take_begun(&begun);
    }

    fn take_commits(&mut self, key: u32, reply: Result<GroupReply, Error>) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let Some((commits, kept)) = stream.committing.take() else { return };
        let outcome = reply.map(|reply| {
            let GroupReply::Committed(done) = reply else { return kept };
            let mut done = done.into_iter();
            let one = |kept: Result<(), Error>| {
                let result = kept.map(|()| done.next().expect("one for each position"))?;
                result.map_err(|error| position_error("", 0, &error))
            };
            kept.into_iter().map(one).collect()
        });
        if let Err(error) = stream.state.take_committed(commits, outcome) {
            self.fail_stream(key, &error);
        }
    }
}

/// Offsets as the machine takes them: what is known of each before it is asked, and those that it is asked for.
fn positions(topics: &dyn Topics, offsets: &[OffsetCommit]) -> (Kept, Vec<Position>) {
    let (mut kept, mut positions) = (Vec::new(), Vec::new());
    for commit in offsets {
        let facts = topics.by_name(&commit.topic).filter(|facts| Some(facts.id) == commit.topic_id);
        kept.push(facts.map_or(Err(Error::new(ErrorKind::UnknownTopicId, "it is gone")), |facts| {
            positions.push(Position {
                topic_id: facts.id,
                topic: facts.name,
                partition: commit.partition,
                offset: commit.offset,
                leader_epoch: -1,
                metadata: commit.metadata.as_str().into(),
            });
            Ok(())
        }));
    }
    (kept, positions)
}
