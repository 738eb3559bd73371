//! What a session knows and what it decides: what the member is told next, what is to be done for it, what of its partitions is read.
//!
//! Decides only: whoever holds this reads, asks and tells, one [`Task`] after the other. It needs no runtime, so the simulation drives it
//! as it is.

use std::collections::VecDeque;
use std::sync::Arc;

use super::commits::{Commits, Outcome};
use super::held::{Begun, Change, Holdings, Place};
use super::room::Room;
use super::rules::SessionRule;
use crate::base::budget::Budget;
use crate::base::rules::Rules;
use crate::base::{Error, ErrorKind, MemberEpoch, TopicId, TopicPartition};
use crate::broker::groups::frames::{CommitFrame, OutOfRange, SessionEvent};
use crate::coordinator::group::commands::Owned;
use crate::coordinator::group::views::MemberView;

/// Partitions that came, with the topics that they are of.
pub type Came = Vec<(Owned, Arc<str>)>;

/// What is to be opened, and where.
pub type Places = Vec<(TopicPartition, Arc<str>, Place)>;

/// Something that is to be done for the member and takes time. One is begun when the one before is done.
pub enum Task {
    /// Say that the member is there, and what it owns where that changed; the answer is for [`SessionState::take_view`].
    Heartbeat(MemberEpoch, Option<Vec<TopicPartition>>),
    /// Keep the offsets that [`Commits::take_offsets`] gives; the answer is for [`SessionState::take_committed`].
    Commit(MemberEpoch, Commits),
    /// Look up where the group stands; the answer is for [`SessionState::take_begun`].
    Begin(Came),
    /// Open partitions; what was opened is for [`SessionState::is_due`].
    Open(Places),
    /// The member goes for good; a static one may be kept for its successor. The answer is for [`SessionState::take_left`].
    Leave {
        /// For its successor.
        keep: bool,
    },
    /// The member has its session timeout to come back.
    Disconnect,
}

/// What waits for its turn.
enum Work {
    Heartbeat,
    /// Gives up what it was told to: after the commits that came before.
    GiveUp(Vec<TopicPartition>),
    Commit(CommitFrame),
    Begin(Vec<Owned>),
    Open,
    Leave {
        keep: bool,
    },
    Disconnect,
}

/// How a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The member goes; `keep`: a static one may be kept for its successor.
    Leaves {
        /// For its successor.
        keep: bool,
    },
    /// Its connection was lost, or another took its place.
    Lost,
}

/// All that a session knows.
pub struct SessionState {
    epoch: MemberEpoch,
    rebalance_timeout_ms: i32,
    /// Bytes of records that may come; `None`: as many as are taken.
    credit_bytes: Option<i64>,
    out_of_range: OutOfRange,
    holdings: Holdings,
    events: VecDeque<SessionEvent>,
    waiting: VecDeque<Work>,
    /// Of commits that are not answered; all else that waits is bounded by what the member holds.
    room: Room,
    is_closing: bool,
    rules: Rules<SessionRule>,
}

impl SessionState {
    /// Nothing is known before [`Self::joined`]. Commits on their way take memory of `budget`.
    pub fn new(budget: &Arc<Budget>, out_of_range: OutOfRange, credit_bytes: Option<i64>) -> Self {
        Self {
            epoch: 0,
            rebalance_timeout_ms: 0,
            credit_bytes,
            out_of_range,
            holdings: Holdings::default(),
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            room: Room::new(budget),
            is_closing: false,
            rules: Rules::default(),
        }
    }

    /// The same under other rules.
    #[must_use]
    pub fn under(self, rules: Rules<SessionRule>) -> Self {
        Self { holdings: Holdings::under(rules), rules, ..self }
    }

    /// The member has joined: `claimed` is what it said that it still holds, `view` the answer.
    pub fn joined(
        &mut self,
        claimed: &[Owned],
        view: &MemberView,
        name_of: impl Fn(TopicId) -> Option<Arc<str>> + Copy,
    ) {
        self.rebalance_timeout_ms = view.rebalance_timeout_ms;
        let change = self.holdings.take_claims(claimed, view, name_of);
        // Nothing is read yet.
        self.take_holdings(change);
        let _ = self.take_view(view, name_of);
        // WHY: what changed between the join and the listening was told to nobody. WHY first: a member that was replaced meanwhile must
        // not begin to read (found by the simulator).
        if self.rules.hold(SessionRule::AskFirst) {
            self.waiting.push_front(Work::Heartbeat);
        }
    }

    /// The member's epoch, as last heard.
    pub fn epoch(&self) -> MemberEpoch {
        self.epoch
    }

    /// The next thing that the member is to be told, before any more records.
    pub fn next_event(&mut self) -> Option<SessionEvent> {
        let event = self.events.pop_front()?;
        if let SessionEvent::Committed(result) = &event {
            self.room.give_back(result.size_bytes);
        }
        Some(event)
    }

    /// What is to be done next, when nothing is under way. `is_fenced`: another took the member's place by now, and it is for that one to
    /// say when the member goes. WHY asked here: a goodbye waits for the commits before it, and the member may be back meanwhile.
    pub fn next_task(&mut self, is_fenced: bool) -> Option<Task> {
        loop {
            let work = self.waiting.pop_front()?;
            let is_goodbye = matches!(work, Work::Leave { .. } | Work::Disconnect);
            if is_goodbye && is_fenced && self.rules.hold(SessionRule::StayForNext) {
                continue;
            }
            if let Some(task) = self.begun(work) {
                return Some(task);
            }
        }
    }

    /// The work as it begins; `None` where nothing is to be done any more.
    fn begun(&mut self, work: Work) -> Option<Task> {
        Some(match work {
            Work::Heartbeat => Task::Heartbeat(self.epoch, None),
            Work::GiveUp(partitions) => {
                self.holdings.give_up(&partitions);
                Task::Heartbeat(self.epoch, Some(self.holdings.owned().collect()))
            }
            Work::Commit(frame) => Task::Commit(self.epoch, self.commits_from(frame)),
            Work::Begin(new) => {
                let topic = |owned: Owned| Some((owned, self.holdings.topic(owned.id)?.clone()));
                Task::Begin(new.into_iter().filter_map(topic).collect())
            }
            Work::Open => {
                let places: Vec<_> = self.holdings.to_open().collect();
                (!places.is_empty()).then_some(Task::Open(places))?
            }
            Work::Leave { keep } => Task::Leave { keep },
            Work::Disconnect => Task::Disconnect,
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
    pub fn take_change(&mut self) {
        if !self.is_closing && !self.waiting.iter().any(|work| matches!(work, Work::Heartbeat)) {
            self.waiting.push_back(Work::Heartbeat);
        }
    }

    /// Goes over to what the member is to hold. Gives what is to be read no further.
    #[must_use = "what is not the member's must not be read on"]
    pub fn take_view(
        &mut self,
        view: &MemberView,
        name_of: impl Fn(TopicId) -> Option<Arc<str>>,
    ) -> Vec<TopicPartition> {
        self.epoch = view.member_epoch;
        let change = self.holdings.take_view(view, name_of);
        self.take_holdings(change)
    }

    fn take_holdings(&mut self, Change { revoked, untold, lost, new }: Change) -> Vec<TopicPartition> {
        let gone = revoked.iter().chain(&lost).map(|gone| gone.id);
        let gone = gone.filter(|_| self.rules.hold(SessionRule::StopRevoked)).collect();
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
        gone
    }

    /// It is known where the group stands in partitions that came.
    pub fn take_begun(&mut self, begun: &[Begun]) {
        let assigned = self.holdings.begin(begun);
        if !assigned.is_empty() {
            self.events.push_back(SessionEvent::Assigned(assigned));
            self.open_later();
        }
    }

    /// What commits came to, once what was to be kept came to this.
    ///
    /// Errors: the member is none any more, or the broker stops: the session is over.
    pub fn take_committed(&mut self, commits: Commits, outcome: Outcome) -> Result<(), Error> {
        let results = commits.settle(outcome)?;
        self.events.extend(results.into_iter().map(SessionEvent::Committed));
        Ok(())
    }

    /// A partition was opened at this place; whether it is to be read there still: the member may have gone away from it meanwhile.
    pub fn is_due(&mut self, id: TopicPartition, place: Place) -> bool {
        self.holdings.open(id, place) || !self.rules.hold(SessionRule::OpenIfDue)
    }

    /// A member that could not leave is still one, without a stream.
    pub fn take_left<T, E>(&mut self, left: &Result<T, E>) {
        if left.is_err() && self.rules.hold(SessionRule::MissWhoStays) {
            self.waiting.push_back(Work::Disconnect);
        }
    }

    /// Whether records may be read for the member.
    pub fn may_read(&self) -> bool {
        self.credit_bytes.is_none_or(|credit| credit > 0)
    }

    /// A partition gave records, so many bytes of them, or an error. Gives the sequence of the newest seek of it.
    pub fn give(
        &mut self,
        (topic, partition): (&str, i32),
        given: Result<TopicId, &Error>,
        size_bytes: usize,
    ) -> i64 {
        if let Some(credit) = &mut self.credit_bytes {
            *credit -= size_bytes as i64;
        }
        let id = match given {
            Ok(topic_id) => Some(TopicPartition { topic_id, partition }),
            Err(_) => self.holdings.find(topic, partition),
        };
        if let (Some(id), Err(error)) = (id, given) {
            self.go_on_in_range(id, error);
        }
        id.map_or(0, |id| self.holdings.seek_sequence(id))
    }

    fn go_on_in_range(&mut self, id: TopicPartition, error: &Error) {
        let name = match self.out_of_range {
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

    fn open_later(&mut self) {
        if !self.waiting.iter().any(|work| matches!(work, Work::Open)) {
            self.waiting.push_back(Work::Open);
        }
    }

    /// Whether there is room for more of what the member says: so much of it waits for its answer.
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
        let credit = self.credit_bytes.get_or_insert(0);
        *credit = credit.saturating_add(bytes);
    }

    /// Whether the member holds the partition.
    pub fn holds(&self, id: TopicPartition) -> bool {
        self.holdings.topic(id).is_some()
    }

    /// Nothing is to be sent of a partition until it is resumed; `place` is where it was read, if it was.
    pub fn pause(&mut self, id: TopicPartition, place: Option<Place>) {
        self.holdings.pause(id, place);
    }

    /// Goes on with paused partitions where they stood.
    pub fn resume(&mut self, partitions: &[TopicPartition]) {
        partitions.iter().for_each(|id| self.holdings.resume(*id));
        self.open_later();
    }

    /// Goes on at another place; a paused partition once it is resumed. Whether the member holds it, and knows that it does; then it
    /// is to be read no further where it is.
    #[must_use = "what is read now is not what the member wants"]
    pub fn seek(&mut self, id: TopicPartition, place: Place, sequence: i64) -> bool {
        let is_held = self.holdings.seek(id, place, sequence);
        if is_held {
            self.open_later();
        }
        is_held
    }

    /// Nothing is told any more, and what is under way is answered by nobody. What was asked before the end is carried out all the same: a
    /// commit counts once it was sent. The session is over when there is nothing to be done any more.
    pub fn close(&mut self, close: Close) {
        self.is_closing = true;
        self.waiting.retain(|work| matches!(work, Work::Commit(_)));
        self.waiting.push_back(match close {
            Close::Leaves { keep } => Work::Leave { keep },
            Close::Lost => Work::Disconnect,
        });
    }
}
