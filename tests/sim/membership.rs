//! What members say, and what they make of what they are told.

use std::sync::Arc;

use weir::base::{MemberId, Offset, TopicPartition};
use weir::broker::groups::OffsetCommit;
use weir::broker::groups::session::held::Place;
use weir::broker::groups::session::state::Close;
use weir::broker::groups::session::{AssignedPartition, CommitFrame, RevokedPartition, SessionEvent};
use weir::coordinator::group::commands::{Commit, Join, Owned};
use weir::coordinator::group::position::Position;
use weir::coordinator::group::{GroupCommand, GroupError, GroupReply};
use weir::coordinator::runtime::RunError;

use crate::call::Of;
use crate::event::{Event, OUTSIDER};
use crate::member::{Held, Zombie};
use crate::rules::SimRule;
use crate::session::{REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS};
use crate::world::{Stepped, World};

impl World {
    /// A member joins, or comes back.
    pub(super) fn join(&mut self, index: usize) -> Stepped {
        let (now, topics) = (self.now(), self.shown_topics());
        if self.members[index].stream.is_some() || self.members[index].is_joining || self.broker.is_none() {
            return Ok(());
        }
        self.next_member += 1;
        let member = &mut self.members[index];
        member.is_joining = true;
        let claims = member.claims();
        let join = Join {
            group: member.group.clone(),
            member_id: member.id.clone(),
            fresh_id: MemberId::stored(&format!("m{}", self.next_member)),
            instance_id: member.instance.clone(),
            client_id: "client".into(),
            client_host: "host".into(),
            subscription: member.subscription.clone(),
            assignor: None,
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            start: member.start,
            owned: claims.clone(),
            connected: true,
            topics,
        };
        let ids: Vec<MemberId> = member.id.iter().chain([&join.fresh_id]).cloned().collect();
        self.sessions.joins(&ids, member.instance.as_ref(), now);
        let of = Of::Join(index, self.members[index].connection, claims);
        self.ask(of, GroupCommand::Join(join));
        self.settle()
    }

    /// The coordinator has answered a join. What has happened has happened, whether or not somebody is told.
    pub(super) fn take_join(
        &mut self,
        (index, connection): (usize, u32),
        claims: &[Owned],
        reply: Result<GroupReply, RunError<GroupError>>,
    ) -> Stepped {
        let is_heard = self.members[index].connection == connection;
        let Ok(GroupReply::Member(view)) = reply else {
            self.note(format_args!("member {index}: it can't join"));
            if is_heard {
                self.members[index].lose_connection();
            }
            return Ok(());
        };
        let key = self.open_stream(index, claims, &view);
        self.sessions.stands(&view.member_id);
        if view.pending_revocation.is_empty() {
            self.sessions.is_done(&view.member_id);
        }
        if !is_heard {
            self.close_stream(key, Close::Lost);
            return Ok(());
        }
        let member = &mut self.members[index];
        if member.id.as_ref() != Some(&view.member_id) && member.instance.is_none() {
            member.held.clear();
            member.revoking.clear();
        }
        (member.is_joining, member.stream) = (false, Some(key));
        member.id = Some(view.member_id);
        member.claimed = claims.iter().map(|owned| owned.id).collect();
        Ok(())
    }

    /// A member hears everything that its stream tells it.
    pub(super) fn hear(&mut self, index: usize) -> Stepped {
        while let Some(key) = self.members[index].stream
            && let Some(stream) = self.streams.get_mut(&key)
            && let Some(event) = stream.state.next_event()
        {
            match event {
                SessionEvent::Assigned(came) => {
                    came.iter().try_for_each(|came| self.take_assigned(index, key, came))?;
                }
                SessionEvent::Revoke(revoked, _) => {
                    revoked.iter().try_for_each(|revoked| self.take_revoked(index, revoked))?;
                }
                SessionEvent::Lost(lost) => lost.iter().try_for_each(|lost| self.take_lost(index, lost))?,
                SessionEvent::Committed(result) => {
                    let results = result.partitions.into_iter().map(|(.., result)| result.is_ok()).collect();
                    self.take_committed(index, result.sequence as u64, results)?;
                }
                SessionEvent::Records(..) => unreachable!("the world reads them"),
            }
        }
        Ok(())
    }

    fn take_assigned(&mut self, index: usize, key: u32, came: &AssignedPartition) -> Stepped {
        let AssignedPartition { id, ownership_epoch, offset, committed, .. } = *came;
        let member = &mut self.members[index];
        member.claimed.remove(&id);
        if member.held.get(&id).is_some_and(|held| held.epoch == ownership_epoch) {
            // It held it all along, and goes on where it stands.
            return self.seek(index, key, id);
        }
        let Some(owner) = member.id.clone() else { return Ok(()) };
        member.held.insert(id, Held::new(ownership_epoch, offset));
        member.late.remove(&id);
        member.paused.remove(&id);
        let place = (member.group.clone(), id);
        // Some want nothing of it for now, while it is being opened.
        if self.one_in(8) {
            self.pause(index, key, id);
        }
        // Of a topic that is gone it hears soon.
        if self.topics.name_of(id.topic_id).is_none() {
            return Ok(());
        }
        if committed.is_none() && offset > 0 {
            self.tell(Event::Skipped { place: place.clone(), to: offset })?;
        }
        self.tell(Event::Begun { place, owner: (owner, ownership_epoch), offset, committed })?;
        // WHY now: what a member has let go of comes back to it now and then only.
        let again = self.zombies.iter().position(|zombie| self.has_again(zombie));
        match again.map(|again| self.zombies.swap_remove(again)) {
            Some(zombie) => self.commit_as_zombie(zombie),
            None => Ok(()),
        }
    }

    fn take_revoked(&mut self, index: usize, revoked: &RevokedPartition) -> Stepped {
        let member = &mut self.members[index];
        member.claimed.remove(&revoked.id);
        let Some(held) = member.held.remove(&revoked.id) else { return Ok(()) };
        member.revoking.insert(revoked.id, held);
        let Some(id) = member.id.clone() else { return Ok(()) };
        let place = (member.group.clone(), revoked.id);
        let is_target = self.oracle.is_target(&place, &id);
        self.tell(Event::Revoked { place, member: id, is_target })
    }

    fn take_lost(&mut self, index: usize, lost: &RevokedPartition) -> Stepped {
        let member = &mut self.members[index];
        let was_claimed = member.claimed.remove(&lost.id);
        let had = member.held.remove(&lost.id).or(member.revoking.remove(&lost.id)).is_some();
        let Some(id) = member.id.clone() else { return Ok(()) };
        let place = (member.group.clone(), lost.id);
        // What it came back with may be another's by now.
        if !had || was_claimed || self.topics.name_of(lost.id.topic_id).is_none() {
            return Ok(());
        }
        self.tell(Event::Lost { place, member: id })
    }

    fn take_committed(&mut self, index: usize, commit: u64, results: Vec<bool>) -> Stepped {
        let member = &mut self.members[index];
        member.commits.remove(&commit);
        if !results.is_empty() && results.iter().all(|is_ok| *is_ok) {
            return self.tell(Event::CommitAccepted { commit });
        }
        // It is sent again.
        member.held.values_mut().chain(member.revoking.values_mut()).for_each(|held| held.committed = 0);
        Ok(())
    }

    /// A member wants to go on where it stands.
    pub(super) fn seek(&mut self, index: usize, key: u32, id: TopicPartition) -> Stepped {
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        let Some(held) = self.members[index].held.get_mut(&id) else { return Ok(()) };
        held.seek_sequence += 1;
        let place = Place { offset: held.at, leader_epoch: None };
        if stream.state.seek(id, place, held.seek_sequence) {
            stream.tail.remove(&id);
        }
        Ok(())
    }

    /// A member pauses what it reads, goes on with what it paused, or seeks to where it stands: nothing of it makes a difference in
    /// the end.
    pub(super) fn steer(&mut self) -> Stepped {
        let index = self.below(self.members.len());
        let held: Vec<TopicPartition> = self.members[index].held.keys().copied().collect();
        let Some(key) = self.members[index].stream.filter(|_| !held.is_empty()) else { return Ok(()) };
        let id = held[self.below(held.len())];
        match self.below(3) {
            0 => self.seek(index, key, id),
            1 => {
                self.pause(index, key, id);
                Ok(())
            }
            _ => {
                self.resume(index);
                Ok(())
            }
        }
    }

    fn pause(&mut self, index: usize, key: u32, id: TopicPartition) {
        let Some(stream) = self.streams.get_mut(&key).filter(|stream| stream.state.holds(id)) else { return };
        let place = stream.tail.remove(&id).map(|offset| Place { offset, leader_epoch: None });
        stream.state.pause(id, place);
        self.members[index].paused.insert(id);
    }

    /// A member goes on with all that it paused.
    pub(super) fn resume(&mut self, index: usize) {
        let paused: Vec<_> = std::mem::take(&mut self.members[index].paused).into_iter().collect();
        let key = self.members[index].stream;
        if let Some(stream) = key.and_then(|key| self.streams.get_mut(&key)).filter(|_| !paused.is_empty()) {
            stream.state.resume(&paused);
        }
    }

    /// A member commits what it has worked on.
    pub(super) fn commit(&mut self, index: usize) -> Stepped {
        let ahead = if self.is_out(SimRule::CommitAfterWork) { 1 } else { 0 };
        let member = &self.members[index];
        let worked = |held: &Held| (held.at > held.committed).then_some((held.epoch, held.at + ahead));
        let offsets = member.all_held().filter_map(|(place, held)| Some((*place, worked(held)?)));
        let offsets: Vec<_> = offsets.map(|(place, (epoch, offset))| (place, epoch, offset)).collect();
        let Some(commit) = self.say_commit(index, &offsets)? else { return Ok(()) };
        let member = &mut self.members[index];
        member.commits.insert(commit);
        for (id, _, offset) in offsets {
            if let Some(held) = member.held_mut(&id) {
                held.committed = offset - ahead;
            }
        }
        self.settle()
    }

    /// A member commits on its stream what it has given up before.
    pub(super) fn commit_late(&mut self) -> Stepped {
        let index = self.below(self.members.len());
        let late = std::mem::take(&mut self.members[index].late);
        let offsets: Vec<_> = late.into_iter().map(|(id, held)| (id, held.epoch, held.at)).collect();
        self.say_commit(index, &offsets)?;
        self.settle()
    }

    /// Sends a commit on a member's stream. Gives its number, if it was sent.
    fn say_commit(
        &mut self,
        index: usize,
        offsets: &[(TopicPartition, i32, Offset)],
    ) -> Result<Option<u64>, crate::world::Breach> {
        let (key, id) = (self.members[index].stream, self.members[index].id.clone());
        let (Some(key), Some(id)) = (key.filter(|_| !offsets.is_empty()), id) else { return Ok(None) };
        if !self.streams.get(&key).is_some_and(|stream| stream.state.has_room()) {
            return Ok(None);
        }
        let who = (self.members[index].group.clone(), id);
        let (commit, positions) = self.tell_commit(&who, offsets)?;
        let frame = positions.into_iter().map(|(position, epoch)| {
            let offset = OffsetCommit {
                topic: position.topic.to_string(),
                topic_id: Some(position.topic_id),
                partition: position.partition,
                offset: position.offset,
                leader_epoch: None,
                metadata: position.metadata.to_string(),
            };
            (offset, Some(epoch))
        });
        let frame = CommitFrame { sequence: commit as i64, offsets: frame.collect() };
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.state.commit(frame);
        }
        Ok(Some(commit))
    }

    /// Tells of a commit. Gives its number, and what is to be kept with the epochs since which it was owned.
    fn tell_commit(
        &mut self,
        (group, id): &(weir::base::GroupId, MemberId),
        offsets: &[(TopicPartition, i32, Offset)],
    ) -> Result<(u64, Vec<(Position, i32)>), crate::world::Breach> {
        let commit = self.next_commit;
        self.next_commit += 1;
        let mut positions = Vec::new();
        for &(partition, epoch, offset) in offsets {
            let Some(topic) = self.topics.name_of(partition.topic_id) else { continue };
            let place = (group.clone(), partition);
            self.tell(Event::Commits { commit, place, owner: (id.clone(), epoch), offset })?;
            let metadata = commit.to_string().into();
            let TopicPartition { topic_id, partition } = partition;
            let position = Position { topic_id, topic, partition, offset, leader_epoch: -1, metadata };
            positions.push((position, epoch));
        }
        Ok((commit, positions))
    }

    /// Somebody who is no member any more commits what it still holds, without a stream.
    pub(super) fn commit_as_zombie(&mut self, zombie: Zombie) -> Stepped {
        let offsets: Vec<_> = zombie.held.iter().map(|(id, held)| (*id, held.epoch, held.at)).collect();
        // WHY not its newest: who names that for what it read before is taken for the owner, once it owns that again.
        let Some(epoch) = zombie.held.values().map(|held| held.epoch).min() else { return Ok(()) };
        let (_, positions) = self.tell_commit(&(zombie.group.clone(), zombie.id.clone()), &offsets)?;
        let positions = positions.into_iter().map(|(position, _)| position).collect();
        let member = (zombie.id.as_str() != OUTSIDER).then_some((zombie.id, epoch));
        self.ask(Of::Nobody, GroupCommand::Commit(Commit { group: zombie.group, member, positions }));
        self.settle()
    }

    /// Somebody who is no member sets a group back to the beginning: allowed where the group has no members.
    pub(super) fn commit_as_outsider(&mut self) -> Stepped {
        let index = self.below(self.members.len());
        let places = self.places_of(index);
        let place = places[self.below(places.len())];
        let group = self.members[index].group.clone();
        let held = [(place, Held::outsiders())].into();
        self.commit_as_zombie(Zombie { group, id: MemberId::stored(OUTSIDER), held })
    }

    /// A member says goodbye; a static one may keep its place. Some are back under the same id before their stream has ended.
    pub(super) fn leave(&mut self, index: usize, keep: bool) -> Stepped {
        let Some(key) = self.members[index].stream else { return Ok(()) };
        self.close_stream(key, Close::Leaves { keep });
        if self.one_in(4) {
            self.members[index].lose_connection();
            return self.join(index);
        }
        self.members[index].forget();
        self.settle()
    }

    /// The broker ends a member: its stream ends with it.
    pub(super) fn fence(&mut self, id: &MemberId) -> Stepped {
        if let Some(silence) = self.sessions.silence(id, self.now()) {
            self.tell(Event::Expired {
                member: id.clone(),
                was_connected: silence.is_connected,
                silent_ms: silence.silent.as_millis() as u64,
                session_timeout_ms: SESSION_TIMEOUT_MS as u64,
                revoking_ms: silence.revoking.as_millis() as u64,
                rebalance_timeout_ms: REBALANCE_TIMEOUT_MS as u64,
            })?;
        }
        self.sessions.leaves(id);
        if self.is_out(SimRule::StopWhenLost) {
            return Ok(());
        }
        for key in self.fence_streams_of(id) {
            if let Some(member) = self.members.iter_mut().find(|member| member.stream == Some(key)) {
                let zombie = member.forget();
                self.zombies.extend(zombie);
            }
        }
        Ok(())
    }

    /// The topics that a group reads, as the coordinator would resolve them.
    pub(super) fn places_of(&self, index: usize) -> Vec<TopicPartition> {
        let subscription = &self.members[index].subscription;
        let is_read = |name: &Arc<str>| match &subscription.pattern {
            Some(_) => name.starts_with('t'),
            None => subscription.names.contains(name),
        };
        self.topics.places().into_iter().filter(|(name, _)| is_read(name)).map(|(_, place)| place).collect()
    }
}
