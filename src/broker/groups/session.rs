//! One open stream of a member: what it is told, and what it says.
//!
//! The view of the member ([`MemberView`]) says what it is to own; the session tells it the difference to what it was told before, and
//! reads what it owns. Reading goes on whatever happens to other partitions: what takes time (a heartbeat, a commit, looking up where a
//! partition begins, opening it) is a task beside it, one after the other in the order in which they came up. All else is done at once,
//! so that nothing is left half done when whoever waits here turns to a message of the client.
//!
//! What is to be done, told and read is decided by [`state`], which is pure; this file and [`work`] carry it out.
//!
//! Reading order: [`rules`], [`held`] (what the member holds), [`commits`], [`room`] (how much of what it says may wait), [`state`],
//! [`work`], then this file.

pub mod commits;
pub mod held;
mod room;
pub mod rules;
pub mod state;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::held::Place;
use self::rules::SessionRule;
use self::state::{Close, SessionState};
use self::work::{Done, Worker, Working};
use super::errors::position_error;
pub use super::frames::{
    AssignedPartition, CommitFrame, CommitResult, OutOfRange, RevokedPartition, SessionEvent, SessionOptions,
};
use super::listeners::Listening;
use super::membership::{JoinRequest, parse_group};
use crate::base::{
    Error, ErrorKind, GroupId, LeaderEpoch, MemberEpoch, MemberId, Offset, TopicId, TopicPartition,
};
use crate::broker::Broker;
use crate::broker::fetch::{Opened, Tail, TailAnswer};
use crate::broker::request::{FetchedPartition, TailRequest};
use crate::coordinator::group::errors::PositionError;
use crate::coordinator::group::views::MemberView;
use crate::env::rule::rules_of;

/// One open stream of a member.
pub struct Session {
    worker: Worker,
    listening: Listening,
    tail: Tail,
    state: SessionState,
    working: Option<Working>,
}

impl Session {
    /// Joins a group. A stream that spoke for the same member before is fenced.
    ///
    /// Errors: those of [`Broker::join_group`].
    pub async fn open(
        broker: &Arc<Broker>,
        request: JoinRequest,
        options: SessionOptions,
    ) -> Result<Self, Error> {
        let group = parse_group(&request.group)?;
        let claimed = request.owned.clone();
        let view = broker.join_group(JoinRequest { connected: true, ..request }).await?;
        let listening = broker.listen(group.clone(), view.member_id.clone());
        let tail = TailRequest { cursors: Vec::new(), form: options.form, max_bytes: options.max_bytes };
        let tail = Tail::open(broker, tail, broker.stopping()).await;
        let state = SessionState::new(broker.budget(), options.out_of_range, options.credit_bytes);
        let mut state = state.under(rules_of(&SessionRule::ALL));
        let image = broker.image();
        state.joined(&claimed, &view, |id| image.topic_by_id(id).map(|topic| topic.name.clone()));
        let worker = Worker { broker: broker.clone(), group, member_id: view.member_id };
        Ok(Self { worker, listening, tail, state, working: None })
    }

    /// Who the member is.
    pub fn member(&self) -> (&GroupId, &MemberId, MemberEpoch) {
        (&self.worker.group, &self.worker.member_id, self.state.epoch())
    }

    /// The next thing that the member is to be told, waiting for it as long as it takes; while it can't be told (`may_tell` is false),
    /// never. Its work goes on all the same. Must be polled as long as the stream is open: a piece of work that is begun and left
    /// would hold up all groups beside this one. Cancel safe.
    ///
    /// Errors: MEMBER_FENCED when another took its place, UNKNOWN_MEMBER when it is no member any more, SHUTTING_DOWN; the session is over.
    pub async fn next(&mut self, may_tell: bool) -> Result<SessionEvent, Error> {
        loop {
            if may_tell && let Some(event) = self.state.next_event() {
                return Ok(event);
            }
            self.begin_work();
            let may_read = may_tell && self.state.may_read();
            tokio::select! {
                biased;
                // First, or a member that always has work would never hear of it.
                () = self.listening.changed() => self.take_change()?,
                done = working(&mut self.working) => self.take_done(done)?,
                answer = read(&mut self.tail), if may_read => return Ok(self.give(answer?)),
            }
        }
    }

    /// Whether there is room for more of what the member says. Where there is none, it is to be left in the connection until
    /// something was told: so much of it waits for its answer.
    pub fn has_room(&self) -> bool {
        self.state.has_room()
    }

    /// The member wants offsets to be kept.
    pub fn commit(&mut self, frame: CommitFrame) {
        self.state.commit(frame);
    }

    /// The member has given up partitions that it was told to give up; others are left as they are.
    pub fn give_up(&mut self, partitions: &[TopicPartition]) {
        self.state.give_up(partitions);
    }

    /// So many bytes of records may come beyond those that were allowed before.
    pub fn add_credit(&mut self, bytes: i64) {
        self.state.add_credit(bytes);
    }

    /// Sends no records of these partitions until they are resumed; the member keeps them. WHY an error that was not told is told all the
    /// same: nothing is read of its partition before the member seeks, so it must hear of it.
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        let held: BTreeSet<TopicPartition> =
            partitions.iter().filter(|id| self.state.holds(**id)).copied().collect();
        let places = self.tail.leave_all(&held);
        for id in held {
            // WHY no epoch: what was read there was checked.
            let place = places.get(&id).map(|offset| Place { offset: *offset, leader_epoch: None });
            self.state.pause(id, place);
        }
    }

    /// Goes on with paused partitions where they stood.
    pub fn resume(&mut self, partitions: &[TopicPartition]) {
        self.state.resume(partitions);
    }

    /// Goes on at another place; a paused partition once it is resumed.
    ///
    /// Errors: PARTITION_NOT_OWNED.
    pub fn seek(
        &mut self,
        id: TopicPartition,
        offset: Offset,
        leader_epoch: Option<LeaderEpoch>,
        sequence: i64,
    ) -> Result<(), Error> {
        if !self.state.seek(id, Place { offset, leader_epoch }, sequence) {
            return Err(position_error(&id.to_string(), id.partition, &PositionError::NotOwner));
        }
        self.tail.remove(id);
        Ok(())
    }

    /// The member goes for good; a static one may be kept for its successor. One that is back already on another stream stays.
    ///
    /// Errors: those of [`Broker::leave_group`]; it has its session timeout to come back then.
    pub async fn leave(self, keep: bool) -> Result<(), Error> {
        self.close(Close::Leaves { keep }).await
    }

    /// The connection of the member was lost, or another took its place: it keeps what it has for its session timeout.
    pub async fn lose(self) {
        // Nothing is left that could be refused.
        let _ = self.close(Close::Lost).await;
    }

    /// Carries out what is to be done before the end.
    async fn close(mut self, close: Close) -> Result<(), Error> {
        self.state.close(close);
        let mut left = Ok(());
        loop {
            self.begin_work();
            let Some(work) = self.working.take() else { return left };
            if let Done::Left(result) = work.await {
                self.state.take_left(&result);
                left = result;
            }
        }
    }

    fn begin_work(&mut self) {
        if self.working.is_none()
            && let Some(task) = self.state.next_task(self.listening.is_fenced())
        {
            self.working = Some(self.worker.clone().begin(task));
        }
    }

    /// There is a change in the group.
    fn take_change(&mut self) -> Result<(), Error> {
        if self.listening.is_fenced() {
            let Worker { group, member_id, .. } = &self.worker;
            let message = format!(
                "group '{group}': another stream or member took the place of '{member_id}'; stop, or join again"
            );
            return Err(Error::new(ErrorKind::MemberFenced, message));
        }
        self.state.take_change();
        Ok(())
    }

    fn take_done(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::View(view) => self.take_view(&view?),
            Done::Committed(commits, outcome) => self.state.take_committed(commits, outcome)?,
            Done::Begun(begun) => self.state.take_begun(&begun?),
            Done::Opened(opened) => self.follow(opened),
            Done::Left(_) | Done::Disconnected => {}
        }
        Ok(())
    }

    fn take_view(&mut self, view: &MemberView) {
        let image = self.worker.broker.image();
        let name_of = |id: TopicId| image.topic_by_id(id).map(|topic| topic.name.clone());
        let gone = self.state.take_view(view, name_of);
        self.tail.remove_all(&gone.into_iter().collect());
    }

    /// Reads what was opened; not what the member went away from meanwhile.
    fn follow(&mut self, opened: Vec<(TopicPartition, Place, Opened)>) {
        for (id, place, opened) in opened {
            if self.state.is_due(id, place) {
                self.tail.follow(opened);
            }
        }
    }

    /// Counts what is given, and goes on elsewhere where that is wanted.
    fn give(&mut self, answer: TailAnswer) -> SessionEvent {
        let FetchedPartition { topic, partition, result } = &answer.partition;
        let given = result.as_ref().map(|fetched| fetched.topic_id);
        let seek_sequence = self.state.give((topic, *partition), given, answer.size_bytes);
        SessionEvent::Records(Box::new(answer), seek_sequence)
    }
}

/// What the present work comes to; never ends without work. Cancel safe: the work stays where it is.
async fn working(work: &mut Option<Working>) -> Done {
    match work {
        Some(running) => {
            let done = running.await;
            *work = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// What the partitions give next; never ends where none is read. Cancel safe.
async fn read(tail: &mut Tail) -> Result<TailAnswer, Error> {
    match tail.next().await {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}
