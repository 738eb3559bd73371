//! What members ask of the coordinator, and what its answers do to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir::base::{MemberId, Offset, TopicPartition};
use weir::coordinator::group::commands::{Commit, Disconnect, GetOffsets, Heartbeat, Join, Leave, Owned};
use weir::coordinator::group::errors::MemberError;
use weir::coordinator::group::position::{Committed, Position};
use weir::coordinator::group::views::MemberView;
use weir::coordinator::group::{GroupCommand, GroupError, GroupReply};
use weir::coordinator::runtime::RunError;

use crate::call::{Ask, Of};
use crate::event::{Event, OUTSIDER};
use crate::member::{Held, Zombie};
use crate::rules::SimRule;
use crate::session::{REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS};
use crate::world::{Stepped, World};

type Reply = Result<GroupReply, RunError<GroupError>>;

impl World {
    fn of(&self, index: usize, ask: Ask) -> Of {
        Of::Member(index, self.members[index].connection, ask)
    }

    /// A member joins, or comes back.
    pub(super) fn join(&mut self, index: usize) -> Stepped {
        let (now, topics) = (self.now(), self.shown_topics());
        if self.members[index].is_connected || self.members[index].is_joining || self.broker.is_none() {
            return Ok(());
        }
        self.next_member += 1;
        let member = &mut self.members[index];
        member.is_joining = true;
        let held = member.held.iter().chain(&member.revoking);
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
            owned: held.map(|(id, held)| Owned { id: *id, epoch: held.epoch }).collect(),
            connected: true,
            topics,
        };
        let ids: Vec<MemberId> = member.id.iter().chain([&join.fresh_id]).cloned().collect();
        self.sessions.joins(&ids, member.instance.as_ref(), now);
        let of = self.of(index, Ask::Join);
        self.ask(of, GroupCommand::Join(join));
        self.settle()
    }

    /// A member looks for news, and says what it holds when `says_owned`.
    pub(super) fn heartbeat(&mut self, index: usize, says_owned: bool) -> Stepped {
        let (now, topics) = (self.now(), self.shown_topics());
        let connected = !self.is_out(SimRule::SayConnected);
        let member = &mut self.members[index];
        let Some(member_id) = member.id.clone().filter(|_| member.is_connected && !member.has_heartbeat)
        else {
            return Ok(());
        };
        (member.has_heartbeat, member.is_woken) = (true, false);
        let owned = || member.held.keys().chain(member.revoking.keys()).copied().collect();
        let heartbeat = Heartbeat {
            group: member.group.clone(),
            member_id: member_id.clone(),
            epoch: member.epoch,
            owned: says_owned.then(owned),
            subscription: None,
            connected,
            topics,
        };
        self.sessions.speaks(&member_id, now);
        let of = self.of(index, Ask::Heartbeat);
        self.ask(of, GroupCommand::Heartbeat(heartbeat));
        self.settle()
    }

    /// A member commits what it has worked on.
    pub(super) fn commit(&mut self, index: usize) -> Stepped {
        let member = &self.members[index];
        let Some(id) = member.id.clone().filter(|_| member.is_connected) else { return Ok(()) };
        let ahead = if self.is_out(SimRule::CommitAfterWork) { 1 } else { 0 };
        let worked =
            |held: &Held| held.at.filter(|at| *at > held.committed).map(|at| (held.epoch, at + ahead));
        let all = member.held.iter().chain(&member.revoking);
        let offsets: Vec<_> = all.filter_map(|(place, held)| Some((*place, worked(held)?))).collect();
        let (group, epoch) = (member.group.clone(), member.epoch);
        if offsets.is_empty() {
            return Ok(());
        }
        let commit = self.next_commit;
        self.members[index].commits.insert(commit);
        for held in self.members[index].held_mut() {
            held.committed = held.committed.max(held.at.unwrap_or(0));
        }
        let zombie = Zombie { group, id, epoch, held: Default::default() };
        let of = self.of(index, Ask::Commit(commit));
        let offsets = offsets.into_iter().map(|(place, (epoch, offset))| (place, epoch, offset)).collect();
        self.send_commit(of, zombie, offsets)
    }

    /// Somebody who is no member any more commits what it still holds.
    pub(super) fn commit_as_zombie(&mut self, zombie: Zombie) -> Stepped {
        let worked = |held: &Held| held.at.map(|at| (held.epoch, at));
        let offsets = zombie.held.iter().filter_map(|(place, held)| {
            let (epoch, at) = worked(held)?;
            Some((*place, epoch, at))
        });
        let offsets = offsets.collect();
        self.send_commit(Of::Nobody, zombie, offsets)
    }

    /// Somebody who is no member sets a group back to the beginning: allowed where the group has no members.
    pub(super) fn commit_as_outsider(&mut self) -> Stepped {
        let index = self.below(self.members.len());
        let places = self.places_of(index);
        let place = places[self.below(places.len())];
        let group = self.members[index].group.clone();
        let held = [(place, Held::outsiders())].into();
        self.commit_as_zombie(Zombie { group, id: MemberId::stored(OUTSIDER), epoch: -1, held })
    }

    fn send_commit(&mut self, of: Of, who: Zombie, offsets: Vec<(TopicPartition, i32, Offset)>) -> Stepped {
        let commit = self.next_commit;
        self.next_commit += 1;
        let mut positions = Vec::new();
        for (id, epoch, offset) in offsets {
            let Some(topic) = self.topics.name_of(id.topic_id) else { continue };
            let place = (who.group.clone(), id);
            self.tell(Event::Commits { commit, place, owner: (who.id.clone(), epoch), offset })?;
            let metadata = commit.to_string().into();
            let (topic_id, partition) = (id.topic_id, id.partition);
            positions.push(Position { topic_id, topic, partition, offset, leader_epoch: -1, metadata });
        }
        let member = (who.id.as_str() != OUTSIDER).then_some((who.id, who.epoch));
        self.ask(of, GroupCommand::Commit(Commit { group: who.group, member, positions }));
        self.settle()
    }

    /// A member says goodbye; a static one may keep its place.
    pub(super) fn leave(&mut self, index: usize, keep: bool) -> Stepped {
        let now = self.now();
        let member = &self.members[index];
        let Some(member_id) = member.id.clone().filter(|_| member.is_connected) else { return Ok(()) };
        // Only a static member can keep its place.
        match keep && member.instance.is_some() {
            true => self.sessions.falls_silent(&member_id, now),
            false => self.sessions.leaves(&member_id),
        }
        let leave = Leave { group: member.group.clone(), member_id, keep };
        let of = self.of(index, Ask::Leave);
        self.ask(of, GroupCommand::Leave(leave));
        self.settle()
    }

    /// The broker learns that a stream is lost.
    pub(super) fn disconnect(&mut self, group: weir::base::GroupId, member_id: MemberId) -> Stepped {
        let now = self.now();
        if self.ask(Of::Nobody, GroupCommand::Disconnect(Disconnect { group, member_id: member_id.clone() }))
        {
            self.sessions.falls_silent(&member_id, now);
        }
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
        let Some(index) = self.members.iter().position(|member| member.id.as_ref() == Some(id)) else {
            return Ok(());
        };
        if self.members[index].is_connected && !self.is_out(SimRule::StopWhenLost) {
            let zombie = self.members[index].forget();
            self.zombies.extend(zombie);
        }
        Ok(())
    }

    /// A member is answered. What was asked on a stream that is lost is answered to nobody.
    pub(super) fn take_reply(&mut self, index: usize, connection: u32, ask: Ask, reply: Reply) -> Stepped {
        let is_heard = self.members[index].connection == connection;
        match (ask, reply) {
            // What has happened has happened, whether or not somebody is told.
            (Ask::Join, Ok(GroupReply::Member(view))) if !is_heard => {
                self.disconnect(self.members[index].group.clone(), view.member_id)
            }
            _ if !is_heard => Ok(()),
            (Ask::Join, Ok(GroupReply::Member(view))) => {
                let member = &mut self.members[index];
                (member.is_joining, member.is_connected) = (false, true);
                self.sessions.stands(&view.member_id);
                self.take_view(index, &view)?;
                // What changed between the join and now was told to nobody: it reads nothing before it has asked again.
                self.members[index].is_woken = true;
                if self.is_out(SimRule::AskAfterJoin) {
                    self.ask_positions(index)?;
                }
                Ok(())
            }
            (Ask::Heartbeat, Ok(GroupReply::Member(view))) => {
                self.members[index].has_heartbeat = false;
                self.take_view(index, &view)?;
                self.ask_positions(index)
            }
            (Ask::Positions(asked), Ok(GroupReply::Offsets(known))) => self.begin(index, asked, &known),
            (Ask::Commit(commit), Ok(GroupReply::Committed(results))) => {
                self.members[index].commits.remove(&commit);
                if !results.is_empty() && results.iter().all(Result::is_ok) {
                    self.tell(Event::CommitAccepted { commit })?;
                }
                Ok(())
            }
            (Ask::Leave, Ok(_)) => {
                self.members[index].forget();
                Ok(())
            }
            (_, Err(RunError::Refused(GroupError::Member(MemberError::Unknown { .. })))) => {
                let zombie = self.members[index].forget();
                self.zombies.extend(zombie);
                Ok(())
            }
            (ask, other) => {
                let is_fine = other.is_ok();
                self.note(format_args!("member {index}: {ask:?} failed {is_fine}"));
                self.drop_stream(index)
            }
        }
    }

    /// The client's stream ended with an error: the broker knows it, and the client comes back.
    pub(super) fn drop_stream(&mut self, index: usize) -> Stepped {
        let member = &mut self.members[index];
        member.lose_connection();
        match (member.group.clone(), member.id.clone()) {
            (group, Some(id)) => self.disconnect(group, id),
            _ => Ok(()),
        }
    }

    fn take_view(&mut self, index: usize, view: &MemberView) -> Stepped {
        if view.pending_revocation.is_empty() {
            self.sessions.is_done(&view.member_id);
        }
        let (told, lost) = self.members[index].take_view(view);
        let (group, member) = (self.members[index].group.clone(), view.member_id.clone());
        for id in told {
            let place = (group.clone(), id);
            let is_target = self.oracle.is_target(&place, &member);
            self.tell(Event::Revoked { place, member: member.clone(), is_target })?;
        }
        for id in lost {
            if self.topics.name_of(id.topic_id).is_some() {
                let place = (group.clone(), id);
                self.tell(Event::Lost { place, member: member.clone() })?;
            }
        }
        Ok(())
    }

    /// A member asks where the group stands in what it begins to hold.
    fn ask_positions(&mut self, index: usize) -> Stepped {
        let member = &mut self.members[index];
        let asked: Vec<TopicPartition> =
            member.held.iter_mut().filter_map(|(id, held)| held.ask(*id)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let group = member.group.clone();
        let partitions: Option<BTreeSet<TopicPartition>> = Some(asked.iter().copied().collect());
        let of = self.of(index, Ask::Positions(asked));
        let topics = self.shown_topics();
        self.ask(of, GroupCommand::GetOffsets(GetOffsets { group, partitions, topics }));
        Ok(())
    }

    fn begin(&mut self, index: usize, asked: Vec<TopicPartition>, known: &[Committed]) -> Stepped {
        for id in asked {
            let member = &self.members[index];
            let committed = match self.is_out(SimRule::BeginAtCommitted) {
                true => None,
                false => member.committed(&id, known),
            };
            let Some(held) = member.held.get(&id).filter(|held| held.at.is_none()) else { continue };
            let owner = (member.id.clone().expect("it holds something"), held.epoch);
            let place = (member.group.clone(), id);
            let offset = committed.unwrap_or(0);
            if let Some(held) = self.members[index].held.get_mut(&id) {
                (held.at, held.committed) = (Some(offset), offset);
            }
            self.tell(Event::Begun { place, owner, offset, committed })?;
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
