//! One open stream of a member: what it is told, and what it says.
//!
//! The view of the member ([`MemberView`]) says what it is to own; the session tells it the difference to what it was told before, and
//! reads what it owns. Reading goes on whatever happens to other partitions: what takes time (a heartbeat, a commit, looking up where a
//! partition begins) is work beside it, one piece after the other in the order in which it came up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::errors::position_error;
pub use super::frames::{
    AssignedPartition, CommitFrame, CommitResult, OutOfRange, RevokedPartition, SessionEvent, SessionOptions,
};
use super::listeners::Listening;
use super::membership::{HeartbeatRequest, JoinRequest, parse_group};
use super::offsets::OffsetCommit;
use crate::base::offset::NO_EPOCH;
use crate::base::{Error, ErrorKind, GroupId, LeaderEpoch, MemberEpoch, MemberId, Offset, TopicPartition};
use crate::broker::Broker;
use crate::broker::fetch::{Tail, TailAnswer};
use crate::broker::request::{Cursor, FetchedPartition, TailRequest};
use crate::coordinator::group::commands::Owned;
use crate::coordinator::group::errors::PositionError;
use crate::coordinator::group::position::Committed;
use crate::coordinator::group::views::MemberView;

/// What a member holds.
#[derive(Debug)]
struct Held {
    topic: Arc<str>,
    ownership_epoch: MemberEpoch,
    /// Where it reads on when it resumes.
    paused_at: Option<Offset>,
    /// Of the newest seek.
    seek_sequence: i64,
}

impl Held {
    fn new(topic: Arc<str>, ownership_epoch: MemberEpoch) -> Self {
        Self { topic, ownership_epoch, paused_at: None, seek_sequence: 0 }
    }
}

/// What takes time.
enum Work {
    /// Asks for the member's view, and says what it owns where that changed.
    Heartbeat { says_owned: bool },
    /// Gives up what it was told to: after the commits that came before.
    GiveUp(Vec<TopicPartition>),
    /// Keeps offsets.
    Commit(CommitFrame),
    /// Looks up where the group stands in partitions that came.
    Begin(Vec<TopicPartition>),
}

/// What it came to.
enum Done {
    View(Result<MemberView, Error>),
    Committed(Result<Vec<CommitResult>, Error>),
    Begun(Vec<TopicPartition>, Result<Vec<Committed>, Error>),
}

/// One open stream of a member.
pub struct Session {
    broker: Arc<Broker>,
    group: GroupId,
    member_id: MemberId,
    epoch: MemberEpoch,
    rebalance_timeout_ms: i32,
    options: SessionOptions,
    listening: Listening,
    tail: Tail,
    held: BTreeMap<TopicPartition, Held>,
    /// Told to be given up, and not given up yet.
    revoking: BTreeMap<TopicPartition, Held>,
    events: VecDeque<SessionEvent>,
    waiting: VecDeque<Work>,
    working: Option<BoxFuture<'static, Done>>,
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
            broker: broker.clone(),
            group,
            member_id: view.member_id.clone(),
            epoch: view.member_epoch,
            rebalance_timeout_ms: view.rebalance_timeout_ms,
            options,
            listening,
            tail,
            held: BTreeMap::new(),
            revoking: BTreeMap::new(),
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            working: None,
        };
        session.answer_claims(&claimed, &view);
        session.take_view(view);
        // WHY: what changed between the join and the listening was told to nobody. WHY first: a member that was replaced meanwhile must
        // not begin to read (found by the simulator).
        session.waiting.push_front(Work::Heartbeat { says_owned: false });
        Ok(session)
    }

    /// Tells a member that comes back what of that which it still holds is no longer its own, or is to be given up.
    fn answer_claims(&mut self, claimed: &[Owned], view: &MemberView) {
        let image = self.broker.image();
        let (mut revoked, mut lost) = (Vec::new(), Vec::new());
        for Owned { id, epoch } in
            claimed.iter().filter(|held| view.assigned.get(&held.id) != Some(&held.epoch))
        {
            // Of a topic that is gone nobody needs the name.
            let topic = image.topic_by_id(id.topic_id).map_or_else(|| "".into(), |topic| topic.name.clone());
            let told = RevokedPartition { topic: topic.clone(), id: *id };
            if view.pending_revocation.contains(id) {
                self.revoking.insert(*id, Held::new(topic, *epoch));
                revoked.push(told);
            } else {
                lost.push(told);
            }
        }
        self.tell_gone(revoked, lost);
    }

    fn tell_gone(&mut self, revoked: Vec<RevokedPartition>, lost: Vec<RevokedPartition>) {
        if !revoked.is_empty() {
            self.events.push_back(SessionEvent::Revoke(revoked, self.rebalance_timeout_ms));
        }
        if !lost.is_empty() {
            self.events.push_back(SessionEvent::Lost(lost));
        }
    }

    /// Who the member is.
    pub fn member(&self) -> (&GroupId, &MemberId, MemberEpoch) {
        (&self.group, &self.member_id, self.epoch)
    }

    /// The next thing that the member is to be told, waiting for it as long as it takes; while it can't be told (`may_tell` is false),
    /// never. Its work goes on all the same. Must be polled as long as the stream is open: a piece of work that is begun and left
    /// would hold up all groups beside this one. Cancel safe.
    ///
    /// Errors: MEMBER_FENCED when another took its place, UNKNOWN_MEMBER when it is no member any more, SHUTTING_DOWN; the session is over.
    pub async fn next(&mut self, may_tell: bool) -> Result<SessionEvent, Error> {
        loop {
            if may_tell && let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.begin_work();
            let may_read = may_tell && self.options.credit_bytes.is_none_or(|credit| credit > 0);
            tokio::select! {
                biased;
                done = working(&mut self.working) => self.take_done(done).await?,
                () = self.listening.changed() => self.take_change()?,
                answer = self.tail.next(), if may_read => match answer {
                    Some(answer) => return Ok(self.give(answer?).await),
                    // Nothing is read; something else has to happen.
                    None => self.wait_for_work().await?,
                },
            }
        }
    }

    /// Waits where no partition can be read.
    async fn wait_for_work(&mut self) -> Result<(), Error> {
        tokio::select! {
            biased;
            done = working(&mut self.working) => self.take_done(done).await,
            () = self.listening.changed() => self.take_change(),
        }
    }

    /// The member wants offsets to be kept.
    pub fn commit(&mut self, frame: CommitFrame) {
        self.waiting.push_back(Work::Commit(frame));
    }

    /// The member has given up partitions that it was told to give up; others are left as they are.
    pub fn give_up(&mut self, partitions: &[TopicPartition]) {
        self.waiting.push_back(Work::GiveUp(partitions.to_vec()));
    }

    /// So many bytes of records may come beyond those that were allowed before.
    pub fn add_credit(&mut self, bytes: i64) {
        let credit = self.options.credit_bytes.get_or_insert(0);
        *credit = credit.saturating_add(bytes);
    }

    /// Sends nothing of these partitions until they are resumed; the member keeps them.
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        for id in partitions {
            if let (Some(held), Some(offset)) = (self.held.get_mut(id), self.tail.remove(*id)) {
                held.paused_at = Some(offset);
            }
        }
    }

    /// Goes on with paused partitions where they stood.
    pub async fn resume(&mut self, partitions: &[TopicPartition]) {
        for id in partitions {
            if let Some(offset) = self.held.get_mut(id).and_then(|held| held.paused_at.take()) {
                self.read_from(*id, offset, None).await;
            }
        }
    }

    /// Goes on at another place.
    ///
    /// Errors: PARTITION_NOT_OWNED.
    pub async fn seek(
        &mut self,
        id: TopicPartition,
        offset: Offset,
        epoch: Option<LeaderEpoch>,
        sequence: i64,
    ) -> Result<(), Error> {
        let Some(held) = self.held.get_mut(&id) else {
            return Err(position_error(&id.to_string(), id.partition, &PositionError::NotOwner));
        };
        self.tail.remove(id);
        held.seek_sequence = sequence;
        match &mut held.paused_at {
            Some(place) => *place = offset,
            None => self.read_from(id, offset, epoch).await,
        }
        Ok(())
    }

    /// The member goes for good; a static one may be kept for its successor.
    ///
    /// Errors: those of [`Broker::leave_group`].
    pub async fn leave(mut self, keep: bool) -> Result<(), Error> {
        self.finish_commits().await;
        self.broker.leave_group(&self.group, self.member_id, keep).await
    }

    /// The connection of the member was lost: it keeps what it has for its session timeout.
    pub async fn lose(mut self) {
        self.finish_commits().await;
        if !self.listening.is_fenced() {
            // A member that is gone, or a log that is offline, needs no word of this.
            let _ = self.broker.disconnect_member(&self.group, self.member_id).await;
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
        if self.working.is_some() {
            return;
        }
        let Some(work) = self.waiting.pop_front() else { return };
        self.working = Some(match work {
            Work::Heartbeat { says_owned } => self.heartbeat(says_owned),
            Work::GiveUp(partitions) => {
                self.revoking.retain(|id, _| !partitions.contains(id));
                self.heartbeat(true)
            }
            Work::Commit(frame) => self.commit_all(frame),
            Work::Begin(partitions) => self.begin(partitions),
        });
    }

    fn heartbeat(&mut self, says_owned: bool) -> BoxFuture<'static, Done> {
        let owned = || self.held.keys().chain(self.revoking.keys()).copied().collect();
        let request = HeartbeatRequest {
            group: self.group.clone(),
            member_id: self.member_id.clone(),
            epoch: self.epoch,
            owned: says_owned.then(owned),
            subscription: None,
            connected: true,
        };
        let broker = self.broker.clone();
        async move { Done::View(broker.heartbeat(request).await) }.boxed()
    }

    fn begin(&self, partitions: Vec<TopicPartition>) -> BoxFuture<'static, Done> {
        let (broker, group) = (self.broker.clone(), self.group.clone());
        async move {
            let asked = Some(partitions.iter().copied().collect());
            let committed = broker.committed_offsets(&group, asked).await;
            Done::Begun(partitions, committed)
        }
        .boxed()
    }

    /// One commit of all that were asked for since the one before: the disk is waited for once.
    fn commit_all(&mut self, first: CommitFrame) -> BoxFuture<'static, Done> {
        let mut frames = vec![first];
        while let Some(Work::Commit(_)) = self.waiting.front() {
            let Some(Work::Commit(frame)) = self.waiting.pop_front() else { break };
            frames.push(frame);
        }
        let mut newest = BTreeMap::new();
        let mut refused = BTreeMap::new();
        for (commit, epoch) in frames.iter().flat_map(|frame| &frame.offsets) {
            let place = (commit.topic.clone(), commit.partition);
            match self.check_owner(commit, *epoch) {
                Ok(()) => drop(newest.insert(place, commit.clone())),
                Err(error) => drop(refused.insert((place, *epoch), error)),
            }
        }
        let member = Some((self.member_id.clone(), self.epoch));
        let (broker, group) = (self.broker.clone(), self.group.clone());
        async move {
            let (places, offsets): (Vec<_>, Vec<_>) = newest.into_iter().unzip();
            let committed = match offsets.is_empty() {
                true => Ok(Vec::new()),
                false => broker.commit_offsets(&group, member, offsets).await,
            };
            Done::Committed(committed.map(|results| {
                let results: BTreeMap<_, _> = places.into_iter().zip(results).collect();
                frames.into_iter().map(|frame| result_of(frame, &results, &refused)).collect()
            }))
        }
        .boxed()
    }

    /// Whether the partition is still the member's, since the epoch under which it was read. WHY here: the machine knows the member's
    /// epoch of now; what the member read before it lost the partition and got it again is an old commit all the same.
    fn check_owner(&self, commit: &OffsetCommit, epoch: Option<MemberEpoch>) -> Result<(), PositionError> {
        let mine = self
            .held
            .iter()
            .chain(&self.revoking)
            .find(|(id, held)| *held.topic == *commit.topic && id.partition == commit.partition);
        match (mine, epoch) {
            (None, _) => Err(PositionError::NotOwner),
            (Some((_, held)), Some(given)) if given != held.ownership_epoch => {
                Err(PositionError::Stale { owned_since: held.ownership_epoch, given })
            }
            _ => Ok(()),
        }
    }

    fn take_change(&mut self) -> Result<(), Error> {
        if self.listening.is_fenced() {
            let message = format!(
                "group '{}': another stream or member took the place of '{}'; stop, or join again",
                self.group, self.member_id
            );
            return Err(Error::new(ErrorKind::MemberFenced, message));
        }
        self.waiting.push_back(Work::Heartbeat { says_owned: false });
        Ok(())
    }

    async fn take_done(&mut self, done: Done) -> Result<(), Error> {
        match done {
            Done::View(view) => self.take_view(view?),
            Done::Committed(results) => self.events.extend(results?.into_iter().map(SessionEvent::Committed)),
            Done::Begun(partitions, committed) => self.begin_reading(partitions, committed?).await,
        }
        Ok(())
    }

    fn take_view(&mut self, view: MemberView) {
        self.epoch = view.member_epoch;
        let stays = |id: &TopicPartition, held: &Held| view.assigned.get(id) == Some(&held.ownership_epoch);
        let gone: Vec<TopicPartition> =
            self.held.iter().filter(|(id, held)| !stays(id, held)).map(|(id, _)| *id).collect();
        let (mut revoked, mut lost) = (Vec::new(), Vec::new());
        for id in gone {
            let Some(held) = self.held.remove(&id) else { continue };
            self.tail.remove(id);
            let told = RevokedPartition { topic: held.topic.clone(), id };
            if view.pending_revocation.contains(&id) {
                revoked.push(told);
                self.revoking.insert(id, held);
            } else {
                lost.push(told);
            }
        }
        self.revoking.retain(|id, _| view.pending_revocation.contains(id));
        self.tell_gone(revoked, lost);
        self.hold_new(&view);
    }

    fn hold_new(&mut self, view: &MemberView) {
        let image = self.broker.image();
        let mut new = Vec::new();
        for (id, ownership_epoch) in &view.assigned {
            let is_known = self.held.contains_key(id) || self.revoking.contains_key(id);
            // A topic that is being deleted: the group is told soon.
            let Some(topic) = image.topic_by_id(id.topic_id).filter(|_| !is_known) else { continue };
            self.held.insert(*id, Held::new(topic.name.clone(), *ownership_epoch));
            new.push(*id);
        }
        if !new.is_empty() {
            self.waiting.push_back(Work::Begin(new));
        }
    }

    /// Begins to read partitions that came, where the group stands in them.
    async fn begin_reading(&mut self, partitions: Vec<TopicPartition>, committed: Vec<Committed>) {
        let mut assigned = Vec::new();
        for id in partitions {
            // It may have gone again meanwhile.
            let Some(held) = self.held.get(&id) else { continue };
            let place = committed.iter().map(|found| &found.position).find(|place| place.id() == id);
            let epoch = place.map(|place| place.leader_epoch).filter(|epoch| *epoch != NO_EPOCH);
            let offset = match place {
                Some(place) => place.offset,
                None => log_start(&self.broker, &held.topic, id).await,
            };
            assigned.push(AssignedPartition {
                topic: held.topic.clone(),
                id,
                ownership_epoch: held.ownership_epoch,
                offset,
                committed: place.map(|place| place.offset),
            });
            // The member may have sought already: it knows where it stands.
            if held.seek_sequence == 0 {
                self.read_from(id, offset, epoch).await;
            }
        }
        self.events.push_back(SessionEvent::Assigned(assigned));
    }

    async fn read_from(&mut self, id: TopicPartition, offset: Offset, leader_epoch: Option<LeaderEpoch>) {
        let Some(held) = self.held.get(&id) else { return };
        let cursor = Cursor {
            topic: held.topic.to_string(),
            topic_id: Some(id.topic_id),
            partition: id.partition,
            offset,
            leader_epoch,
            max_bytes: None,
        };
        self.tail.add(Ok(cursor)).await;
    }

    /// Counts what is given, and goes on elsewhere where that is wanted.
    async fn give(&mut self, answer: TailAnswer) -> SessionEvent {
        if let Some(credit) = &mut self.options.credit_bytes {
            *credit -= answer.size_bytes as i64;
        }
        if let Err(error) = &answer.partition.result
            && error.kind == ErrorKind::OffsetOutOfRange
        {
            let (topic, partition) = (answer.partition.topic.clone(), answer.partition.partition);
            self.go_on_in_range(&topic, partition, error).await;
        }
        let seek_sequence = self.seek_sequence(&answer);
        SessionEvent::Records(Box::new(answer), seek_sequence)
    }

    fn seek_sequence(&self, answer: &TailAnswer) -> i64 {
        let FetchedPartition { topic, partition, result } = &answer.partition;
        let held = match result {
            Ok(fetched) => {
                let id = TopicPartition { topic_id: fetched.topic_id, partition: *partition };
                self.held.get(&id)
            }
            Err(_) => {
                let mut held = self.held.iter();
                held.find(|(id, held)| *held.topic == **topic && id.partition == *partition)
                    .map(|(_, held)| held)
            }
        };
        held.map_or(0, |held| held.seek_sequence)
    }

    async fn go_on_in_range(&mut self, topic: &str, partition: i32, error: &Error) {
        let name = match self.options.out_of_range {
            OutOfRange::Error => return,
            OutOfRange::Earliest => "start",
            OutOfRange::Latest => "end",
        };
        let place = self.held.iter().find(|(id, held)| *held.topic == *topic && id.partition == partition);
        let offset = error.metadata.get(name).and_then(|offset| offset.parse().ok());
        if let (Some((id, _)), Some(offset)) = (place, offset) {
            self.read_from(*id, offset, None).await;
        }
    }
}

/// Where a partition begins; one that can't be opened tells so when it is read.
async fn log_start(broker: &Broker, topic: &str, id: TopicPartition) -> Offset {
    let partition = broker.partition(topic, Some(id.topic_id), id.partition).await;
    partition.map_or(0, |partition| partition.offsets().log_start)
}

/// What the present work comes to; never ends without work. Cancel safe: the work stays where it is.
async fn working(work: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match work {
        Some(running) => {
            let done = running.await;
            *work = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// A partition, and the epoch under which it was read, as a commit names it.
type Refused = BTreeMap<((String, i32), Option<MemberEpoch>), PositionError>;

fn result_of(
    frame: CommitFrame,
    committed: &BTreeMap<(String, i32), Result<(), Error>>,
    refused: &Refused,
) -> CommitResult {
    let partitions = frame.offsets.into_iter().map(|(commit, epoch)| {
        let place = (commit.topic, commit.partition);
        let result = match (refused.get(&(place.clone(), epoch)), committed.get(&place)) {
            (Some(error), _) => Err(position_error(&place.0, place.1, error)),
            (None, Some(Err(error))) => Err(Error::new(error.kind, error.message.clone())),
            (None, _) => Ok(()),
        };
        (place.0, place.1, result)
    });
    CommitResult { sequence: frame.sequence, partitions: partitions.collect() }
}
