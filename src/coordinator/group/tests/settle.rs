//! The end of a history: everybody does what they are told, and everything has to come to rest.

use std::collections::BTreeSet;

use super::super::assign::assign;
use super::super::topics::Topics;
use super::super::views::GroupState;
use super::world::{Checked, Life, World, ensure};
use crate::base::TopicPartition;

/// Rounds after which nothing comes to rest any more.
const ROUNDS_MAX: usize = 400;

impl World {
    /// Those who live come back; assignors end, the woken look, revocations are answered, and time passes until no timer runs. Nobody
    /// looks who was not woken.
    pub(super) fn settle(&mut self) -> Checked {
        for index in 0..self.clients.len() {
            if self.clients[index].life == Life::Away {
                self.join(index)?;
            }
        }
        for _ in 0..ROUNDS_MAX {
            let moved = self.one_round()?;
            match self.timers.next() {
                _ if moved => {}
                Some(next) => self.pass(next.saturating_sub(self.now))?,
                None => return self.check_rest(),
            }
        }
        Err("it does not come to rest".to_owned())
    }

    fn one_round(&mut self) -> Result<bool, String> {
        let mut moved = self.unseen_topics;
        if self.unseen_topics {
            self.tell_topics()?;
        }
        self.begin_assign();
        while !self.at_work.is_empty() {
            moved = true;
            self.end_assign(0)?;
        }
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            if client.life != Life::Connected {
                continue;
            }
            let id = client.id.clone().map(|id| (client.group.clone(), id));
            if id.is_some_and(|id| self.woken.contains(&id)) {
                moved = true;
                self.heartbeat(index, None)?;
            }
            if !self.clients[index].pending.is_empty() && !self.clients[index].mute {
                moved = true;
                self.answer(index)?;
            }
        }
        self.check_offsets()?;
        Ok(moved)
    }

    /// Every member is a client that lives, knows what it owns, and owns its target; every partition that is wanted has an owner.
    fn check_rest(&mut self) -> Checked {
        for (group_id, group) in &self.shard.groups {
            let state = group.state();
            ensure!(
                matches!(state, GroupState::Empty | GroupState::Stable),
                "{group_id} is {state}: {group:?}"
            );
            for member in group.members() {
                let client = self.clients.iter().find(|client| client.id.as_ref() == Some(member.id));
                let Some(client) = client.filter(|client| client.life == Life::Connected) else {
                    return Err(format!("{} is still a member of {group_id}", member.id));
                };
                let current = member.current();
                ensure!(client.held == current.assigned, "{} believes {:?}", member.id, client.held);
            }
            let resolved = group.wanted.resolve(&self.topics);
            let all = resolved.values().flat_map(|facts| {
                let topic_id = facts.id;
                (0..facts.partition_count).map(move |partition| TopicPartition { topic_id, partition })
            });
            let missing: BTreeSet<_> = all.filter(|id| group.owners.get(id).is_none()).collect();
            ensure!(group.member_count() == 0 || missing.is_empty(), "nobody owns {missing:?}");
        }
        self.check_even()
    }

    /// The targets are those that the assignor would give.
    fn check_even(&self) -> Checked {
        for (id, group) in self.shard.groups.iter().filter(|(_, group)| group.member_count() > 0) {
            let topics: &dyn Topics = &self.topics;
            let input = super::super::assign::input_of(id, group, topics);
            let target = assign(&input);
            for member in group.members() {
                let expected = target.get(member.id).cloned().unwrap_or_default();
                ensure!(*member.target == expected, "{} has an old target", member.id);
            }
        }
        Ok(())
    }
}
