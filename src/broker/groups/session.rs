//! One open stream of a member: what it is told, and what it says.
//!
//! The view of the member ([`MemberView`]) says what it is to own; the session tells it the difference to what it was told before, and
//! reads what it owns. Reading goes on whatever happens to other partitions: what takes time (a heartbeat, a commit, looking up where a
//! partition begins, opening it) is work beside it, one piece after the other in the order in which it came up. All else is done at once,
//! so that nothing is left half done when whoever waits here turns to a message of the client.
//!
//! Reading order: [`held`] (what the member holds), [`commits`], [`work`], then this file.

mod commits;
pub mod held;
mod room;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;

use self::commits::Commits;
use self::held::{Begun, Change, Holdings, Place};
use self::room::Room;
use self::work::{Done, Work, Worker, Working};
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
use crate::coordinator::group::commands::Owned;
use crate::coordinator::group::errors::PositionError;
use crate::coordinator::group::views::MemberView;

/// One open stream of a member.
pub struct Session {
    worker: Worker,
    epoch: MemberEpoch,
    rebalance_timeout_ms: i32,
    options: SessionOptions,
    listening: Listening,
    tail: Tail,
    holdings: Holdings,
    events: VecDeque<SessionEvent>,
    waiting: VecDeque<Work>,
    working: Option<Working>,
    /// Of commits that are not answered; all else that waits is bounded by what the member holds.
    room: Room,
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
        let mut session = Self {
            worker: Worker { broker: broker.clone(), group, member_id: view.member_id.clone() },
            epoch: view.member_epoch,
            rebalance_timeout_ms: view.rebalance_timeout_ms,
            options,
            listening,
            tail,
            holdings: Holdings::default(),
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            working: None,
            room: Room::new(broker.budget()),
        };
        session.answer_claims(&claimed, &view);
        session.take_view(&view);
        // WHY: what changed between the join and the listening was told to nobody. WHY first: a member that was replaced meanwhile must
        // not begin to read (found by the simulator).
        session.waiting.push_front(Work::Heartbeat);
        Ok(session)
    }

    /// Who the member is.
    pub fn member(&self) -> (&GroupId, &MemberId, MemberEpoch) {
        (&self.worker.group, &self.worker.member_id, self.epoch)
    }

    /// The next thing that the member is to be told, waiting for it as long as it takes; while it can't be told (`may_tell` is false),
    /// never. Its work goes on all the same. Must be polled as long as the stream is open: a piece of work that is begun and left
    /// would hold up all groups beside this one. Cancel safe.
    ///
    /// Errors: MEMBER_FENCED when another took its place, UNKNOWN_MEMBER when it is no member any more, SHUTTING_DOWN; the session is over.
    pub async fn next(&mut self, may_tell: bool) -> Result<SessionEvent, Error> {
        loop {
            if may_tell && let Some(event) = self.events.pop_front() {
                if let SessionEvent::Committed(result) = &event {
                    self.room.give_back(result.size_bytes);
                }
                return Ok(event);
            }
            self.begin_work();
            let may_read = may_tell && self.options.credit_bytes.is_none_or(|credit| credit > 0);
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
        self.room.is_left()
    }

    /// The member wants offsets to be kept.
    pub fn commit(&mut self, frame: CommitFrame) {
        self.room.take(frame.size_bytes());
        self.waiting.push_back(Work::Commit(frame));
    }

    /// The member has given up partitions that it was told to give up; others are left as they are.
    pub fn give_up(&mut self, partitions: &[TopicPartition]) {
        let given = self.holdings.answer(partitions);
        if !given.is_empty() {
            self.waiting.push_back(Work::GiveUp(given));
        }
    }

    /// So many bytes of records may come beyond those that were allowed before.
    pub fn add_credit(&mut self, bytes: i64) {
        let credit = self.options.credit_bytes.get_or_insert(0);
        *credit = credit.saturating_add(bytes);
    }

    /// Sends nothing of these partitions until they are resumed; the member keeps them.
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        for id in partitions {
            if self.holdings.topic(*id).is_none() {
                continue;
            }
            // WHY no epoch: what was read there was checked.
            let place = self.tail.remove(*id).map(|offset| Place { offset, leader_epoch: None });
            self.holdings.pause(*id, place);
        }
    }

    /// Goes on with paused partitions where they stood.
    pub fn resume(&mut self, partitions: &[TopicPartition]) {
        partitions.iter().for_each(|id| self.holdings.resume(*id));
        self.open_later();
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
        if !self.holdings.seek(id, Place { offset, leader_epoch }, sequence) {
            return Err(position_error(&id.to_string(), id.partition, &PositionError::NotOwner));
        }
        self.tail.remove(id);
        self.open_later();
        Ok(())
    }

    /// The member goes for good; a static one may be kept for its successor.
    ///
    /// Errors: those of [`Broker::leave_group`].
    pub async fn leave(mut self, keep: bool) -> Result<(), Error> {
        self.finish_commits().await;
        let Worker { broker, group, member_id } = self.worker;
        broker.leave_group(&group, member_id, keep).await
    }

    /// The connection of the member was lost: it keeps what it has for its session timeout.
    pub async fn lose(mut self) {
        self.finish_commits().await;
        if !self.listening.is_fenced() {
            let Worker { broker, group, member_id } = self.worker;
            // A member that is gone, or a log that is offline, needs no word of this.
            let _ = broker.disconnect_member(&group, member_id).await;
        }
    }

    /// Carries out what was asked before the end: a commit counts once it was sent.
    async fn finish_commits(&mut self) {
        self.waiting.retain(|work| matches!(work, Work::Commit(_)));
        while self.working.is_some() || !self.waiting.is_empty() {
            self.begin_work();
            if let Some(work) = self.working.take() {
                work.await;
            }
        }
    }

    fn begin_work(&mut self) {
        while self.working.is_none()
            && let Some(work) = self.waiting.pop_front()
        {
            self.working = self.begun(work);
        }
    }

    /// The work as it begins; `None` where nothing is to be done any more.
    fn begun(&mut self, work: Work) -> Option<Working> {
        let worker = self.worker.clone();
        Some(match work {
            Work::Heartbeat => worker.heartbeat(self.epoch, None),
            Work::GiveUp(partitions) => {
                self.holdings.give_up(&partitions);
                worker.heartbeat(self.epoch, Some(self.holdings.owned().collect()))
            }
            Work::Commit(frame) => worker.commit(self.epoch, self.commits_from(frame)),
            Work::Begin(new) => {
                let topic = |owned: Owned| Some((owned, self.holdings.topic(owned.id)?.clone()));
                worker.begin(new.into_iter().filter_map(topic).collect())
            }
            Work::Open => {
                let places: Vec<_> = self.holdings.to_open().collect();
                (!places.is_empty()).then(|| worker.open(places))?
            }
        })
    }

    /// All commits that were asked for since the work before: the disk is waited for once.
    fn commits_from(&mut self, first: CommitFrame) -> Commits {
        let mut frames = vec![first];
        while let Some(Work::Commit(frame)) =
            self.waiting.pop_front_if(|work| matches!(work, Work::Commit(_)))
        {
            frames.push(frame);
        }
        Commits::new(frames, &self.holdings)
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
        if !self.waiting.iter().any(|work| matches!(work, Work::Heartbeat)) {
            self.waiting.push_back(Work::Heartbeat);
        }
        Ok(())
    }

    fn take_done(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::View(view) => self.take_view(&view?),
            Done::Committed(commits, outcome) => {
                self.events.extend(commits.settle(outcome)?.into_iter().map(SessionEvent::Committed));
            }
            Done::Begun(begun) => self.begin_reading(&begun?),
            Done::Opened(opened) => self.follow(opened),
        }
        Ok(())
    }

    /// Tells a member that comes back what of that which it still holds is no longer its own, or is to be given up.
    fn answer_claims(&mut self, claimed: &[Owned], view: &MemberView) {
        let image = self.worker.broker.image();
        let name_of = |id: TopicId| image.topic_by_id(id).map(|topic| topic.name.clone());
        let change = self.holdings.take_claims(claimed, view, name_of);
        self.take_holdings(change);
    }

    fn take_view(&mut self, view: &MemberView) {
        self.epoch = view.member_epoch;
        let image = self.worker.broker.image();
        let name_of = |id: TopicId| image.topic_by_id(id).map(|topic| topic.name.clone());
        let change = self.holdings.take_view(view, name_of);
        self.take_holdings(change);
    }

    fn take_holdings(&mut self, Change { revoked, untold, lost, new }: Change) {
        for gone in revoked.iter().chain(&lost) {
            self.tail.remove(gone.id);
        }
        if !revoked.is_empty() {
            self.events.push_back(SessionEvent::Revoke(revoked, self.rebalance_timeout_ms));
        }
        if !lost.is_empty() {
            self.events.push_back(SessionEvent::Lost(lost));
        }
        if !untold.is_empty() {
            self.waiting.push_back(Work::GiveUp(untold));
        }
        if !new.is_empty() {
            self.waiting.push_back(Work::Begin(new));
        }
    }

    /// Begins to read partitions that came, where the group stands in them.
    fn begin_reading(&mut self, begun: &[Begun]) {
        let assigned = self.holdings.begin(begun);
        if !assigned.is_empty() {
            self.events.push_back(SessionEvent::Assigned(assigned));
            self.open_later();
        }
    }

    fn open_later(&mut self) {
        if !self.waiting.iter().any(|work| matches!(work, Work::Open)) {
            self.waiting.push_back(Work::Open);
        }
    }

    /// Reads what was opened; not what the member went away from meanwhile.
    fn follow(&mut self, opened: Vec<(TopicPartition, Place, Opened)>) {
        for (id, place, opened) in opened {
            if self.holdings.open(id, place) {
                self.tail.follow(opened);
            }
        }
    }

    /// Counts what is given, and goes on elsewhere where that is wanted.
    fn give(&mut self, answer: TailAnswer) -> SessionEvent {
        if let Some(credit) = &mut self.options.credit_bytes {
            *credit -= answer.size_bytes as i64;
        }
        let FetchedPartition { topic, partition, result } = &answer.partition;
        let id = match result {
            Ok(fetched) => Some(TopicPartition { topic_id: fetched.topic_id, partition: *partition }),
            Err(_) => self.holdings.find(topic, *partition),
        };
        if let (Some(id), Err(error)) = (id, result) {
            self.go_on_in_range(id, error);
        }
        let seek_sequence = id.map_or(0, |id| self.holdings.seek_sequence(id));
        SessionEvent::Records(Box::new(answer), seek_sequence)
    }

    fn go_on_in_range(&mut self, id: TopicPartition, error: &Error) {
        let name = match self.options.out_of_range {
            OutOfRange::Earliest => "start",
            OutOfRange::Latest => "end",
            OutOfRange::Error => return,
        };
        let offset = error.metadata.get(name).and_then(|offset| offset.parse().ok());
        if let (ErrorKind::OffsetOutOfRange, Some(offset)) = (error.kind, offset) {
            self.holdings.go_on(id, Place { offset, leader_epoch: None });
            self.open_later();
        }
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
