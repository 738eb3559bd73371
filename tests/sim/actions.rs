//! What happens in a world: one table, each row with its weight.

use std::time::Duration;

use weir::base::{Error, ErrorKind, GroupId, Offset, TopicPartition};
use weir::broker::groups::session::OutOfRange;
use weir::coordinator::group::GroupCommand;
use weir::coordinator::group::assign::{AssignmentInput, assign};
use weir::coordinator::group::commands::InstallTarget;
use weir::coordinator::group::position::Position;
use weir::coordinator::group::start::Start;
use weir::log::ReadError;
use weir::record::RecordBatch;
use weir::replica::Wait;

use crate::broker::Broker;
use crate::call::{Answer, Of};
use crate::event::Event;
use crate::member::{Member, Zombie};
use crate::oracle::state_of;
use crate::topics::COMPACTED;
use crate::world::{Stepped, World};

/// One thing that may happen.
type Action = fn(&mut World) -> Stepped;

/// What may happen, and how often.
const ACTIONS: [(usize, Action); 21] = [
    (30, World::let_time_pass),
    (30, World::sync),
    (25, World::produce),
    (25, World::work),
    (15, World::serve_some),
    (10, World::listen),
    (8, World::steer),
    (12, World::let_go),
    (10, World::commit_some),
    (10, World::assign_some),
    (6, World::join_some),
    (2, World::leave_some),
    (6, World::commit_as_some_zombie),
    (4, World::commit_late),
    (1, World::commit_as_outsider),
    (3, World::housekeep),
    (3, World::compact),
    (1, World::trim),
    (1, World::change_topics),
    (2, World::compare),
    (4, World::care_for_broker),
];

/// Most records that a member works on in one step.
const WORK_MAX: usize = 5;

/// What a record counts of a member's credit.
const RECORD_BYTES: usize = 40;

impl World {
    /// One step: something happens.
    pub(super) fn act(&mut self) -> Stepped {
        let total: usize = ACTIONS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(total);
        for (weight, action) in ACTIONS {
            if drawn < weight {
                return action(self);
            }
            drawn -= weight;
        }
        Ok(())
    }

    fn let_time_pass(&mut self) -> Stepped {
        let ms = 1 + self.below(400) as u64;
        self.pass(Duration::from_millis(ms))
    }

    fn some_member(&mut self) -> usize {
        self.below(self.members.len())
    }

    fn work(&mut self) -> Stepped {
        let index = self.some_member();
        if self.now() < self.members[index].slow_until {
            return Ok(());
        }
        let count = 1 + self.below(WORK_MAX);
        let read = self.read_by(index);
        match read.len() {
            0 => Ok(()),
            len => {
                let place = read[self.below(len)];
                self.work_on(index, place, count)
            }
        }
    }

    /// What the broker reads for a member.
    pub(super) fn read_by(&self, index: usize) -> Vec<TopicPartition> {
        let stream = self.members[index].stream.and_then(|key| self.streams.get(&key));
        stream.map(|stream| stream.tail.keys().copied().collect()).unwrap_or_default()
    }

    /// The next records of a partition go to a member, which works on them.
    pub(super) fn work_on(&mut self, index: usize, id: TopicPartition, count: usize) -> Stepped {
        // What it is told comes before records.
        self.hear(index)?;
        let Some(key) = self.members[index].stream else { return Ok(()) };
        let Some(stream) = self.streams.get(&key).filter(|stream| stream.state.may_read()) else {
            return Ok(());
        };
        let (Some(&at), Some(topic)) = (stream.tail.get(&id), self.topics.name_of(id.topic_id)) else {
            return Ok(());
        };
        let Some(partition) = self.broker.as_ref().and_then(|broker| broker.partition(&id)).cloned() else {
            return Ok(());
        };
        match partition.read(at, 1 << 16, Wait::Allowed) {
            Ok(mut slice) => {
                let mut records = Vec::new();
                while let Ok(Some(batch)) = RecordBatch::take_first(&mut slice.bytes) {
                    records.extend(records_of(&batch).into_iter().filter(|(offset, ..)| *offset >= at));
                }
                records.truncate(count);
                self.give(index, (key, id), &topic, records)
            }
            Err(ReadError::OutOfRange { start, end, .. }) if at < start => {
                let error = Error::new(ErrorKind::OffsetOutOfRange, "it was removed");
                let goes_on = self.members[index].out_of_range != OutOfRange::Error;
                self.pass_over(index, (key, id), &error.with("start", start).with("end", end), start)?;
                if goes_on { Ok(()) } else { self.seek(index, key, id) }
            }
            Err(ReadError::Damaged { end, .. }) => {
                let error = Error::new(ErrorKind::DamagedRange, "it is damaged");
                self.pass_over(index, (key, id), &error, end)?;
                self.seek(index, key, id)
            }
            Err(error) => {
                self.note(format_args!("{id}: {error}"));
                Ok(())
            }
        }
    }

    /// A partition gives an error, and its reader goes on behind what is gone.
    fn pass_over(
        &mut self,
        index: usize,
        (key, id): (u32, TopicPartition),
        error: &Error,
        to: Offset,
    ) -> Stepped {
        let topic = self.topics.name_of(id.topic_id).unwrap_or_default();
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.tail.remove(&id);
            stream.state.give((&topic, id.partition), Err(error), 0);
        }
        let member = &mut self.members[index];
        if let Some(held) = member.held.get_mut(&id) {
            held.at = to;
        }
        let place = (member.group.clone(), id);
        self.tell(Event::Skipped { place, to })
    }

    /// Records are sent to a member, which works on them unless it has gone elsewhere.
    fn give(
        &mut self,
        index: usize,
        (key, id): (u32, TopicPartition),
        topic: &str,
        records: Vec<(Offset, u32, Option<u64>)>,
    ) -> Stepped {
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        let Some((last, ..)) = records.last() else { return Ok(()) };
        let size_bytes = records.len() * RECORD_BYTES;
        stream.tail.insert(id, last + 1);
        let sequence = stream.state.give((topic, id.partition), Ok(id.topic_id), size_bytes);
        if self.members[index].has_credit {
            stream.state.add_credit(size_bytes as i64);
        }
        let (group, member) = (self.members[index].group.clone(), stream.id.clone());
        let is_paused = self.members[index].paused.contains(&id);
        let held = self.members[index].held.get_mut(&id).filter(|_| !is_paused);
        if held.as_ref().is_some_and(|held| held.seek_sequence != sequence) {
            return Ok(());
        }
        // What it does not hold, as far as it knows, or has paused, nobody may send it.
        let epoch = held.map_or(-1, |held| {
            held.at = last + 1;
            held.epoch
        });
        for (offset, _, value) in records {
            let (place, owner) = ((group.clone(), id), (member.clone(), epoch));
            let value = value.expect("tombstones are for compacted topics");
            self.tell(Event::Processed { place, owner, offset, value })?;
        }
        Ok(())
    }

    fn serve_some(&mut self) -> Stepped {
        let keys: Vec<u32> = self.streams.keys().copied().collect();
        if !keys.is_empty() {
            let key = keys[self.below(keys.len())];
            self.serve(key)?;
        }
        self.settle()
    }

    fn listen(&mut self) -> Stepped {
        let index = self.some_member();
        self.hear(index)
    }

    fn let_go(&mut self) -> Stepped {
        let index = self.some_member();
        if self.now() < self.members[index].mute_until {
            return Ok(());
        }
        self.hear(index)?;
        self.finish_revoking(index)
    }

    /// A member commits what it is to let go of, and once that is answered lets go.
    pub(super) fn finish_revoking(&mut self, index: usize) -> Stepped {
        let member = &self.members[index];
        let Some(key) = member.stream.filter(|_| !member.revoking.is_empty()) else { return Ok(()) };
        if member.revoking.values().any(|held| held.at > held.committed) {
            return self.commit(index);
        }
        if !member.commits.is_empty() {
            return Ok(());
        }
        // It may commit too late what it lets go of now, on its stream or as somebody without one.
        let is_late = self.one_in(2);
        let member = &mut self.members[index];
        let held = std::mem::take(&mut member.revoking);
        let given: Vec<TopicPartition> = held.keys().copied().collect();
        if is_late {
            member.late.extend(held.clone());
        }
        let group = member.group.clone();
        self.zombies.extend(member.id.clone().map(|id| Zombie { group, id, held }));
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.state.give_up(&given);
        }
        self.settle()
    }

    fn commit_some(&mut self) -> Stepped {
        let index = self.some_member();
        self.commit(index)
    }

    fn join_some(&mut self) -> Stepped {
        let index = self.some_member();
        self.join(index)
    }

    fn leave_some(&mut self) -> Stepped {
        let index = self.some_member();
        let keep = self.one_in(2);
        self.commit(index)?;
        self.leave(index, keep)
    }

    fn commit_as_some_zombie(&mut self) -> Stepped {
        if self.zombies.is_empty() {
            return Ok(());
        }
        // WHY first: what a member has let go of comes back to it now and then only.
        let index = match self.zombies.iter().position(|zombie| self.has_again(zombie)) {
            Some(index) => index,
            None => self.below(self.zombies.len()),
        };
        let zombie = self.zombies.swap_remove(index);
        self.commit_as_zombie(zombie)
    }

    /// Whether a member owns again what it gave up before.
    pub(super) fn has_again(&self, zombie: &Zombie) -> bool {
        let has = |member: &Member| zombie.held.keys().any(|id| member.held.contains_key(id));
        self.members.iter().any(|member| member.id.as_ref() == Some(&zombie.id) && has(member))
    }

    /// An assignor is asked, or one that works is done; some are slow.
    pub(super) fn assign_some(&mut self) -> Stepped {
        if let Some(group) = self.asked.pop_first() {
            let topics = self.topics.clone();
            let asked = group.clone();
            self.call(Of::Target(group), |broker| {
                let host = broker.host.clone();
                async move {
                    Answer::Input(host.look(|machine| machine.assignment_input(&asked, &topics)).await)
                }
            });
            return self.settle();
        }
        if self.at_work.is_empty() || self.one_in(4) {
            return Ok(());
        }
        let index = self.below(self.at_work.len());
        let input = self.at_work.swap_remove(index);
        self.install(&input)
    }

    fn install(&mut self, input: &AssignmentInput) -> Stepped {
        let starts = self.starts_of(input);
        let install = InstallTarget::new(input, assign(input), starts, self.shown_topics());
        self.ask(Of::Target(input.group.clone()), GroupCommand::InstallTarget(install));
        self.settle()
    }

    fn starts_of(&self, input: &AssignmentInput) -> Vec<Position> {
        let Some(broker) = self.broker.as_ref().filter(|_| input.start != Start::Earliest) else {
            return Vec::new();
        };
        let places = input.to_start.iter().flat_map(|facts| {
            let place = |partition| TopicPartition { topic_id: facts.id, partition };
            (0..facts.partition_count).map(move |number| (facts.name.clone(), place(number)))
        });
        let position = |(topic, id): (_, TopicPartition)| Position {
            topic_id: id.topic_id,
            topic,
            partition: id.partition,
            offset: broker.partition(&id).map_or(0, |partition| partition.offsets().high_watermark),
            leader_epoch: -1,
            metadata: "".into(),
        };
        places.map(position).collect()
    }

    /// An assignor has its input, or its target was taken; what failed is asked for again.
    pub(super) fn take_target(&mut self, group: GroupId, answer: Answer) {
        match answer {
            Answer::Input(Ok(input)) => self.at_work.extend(input),
            Answer::Group(Ok(_)) => {}
            _ => drop(self.asked.insert(group)),
        }
    }

    /// Retention and rolls.
    pub(super) fn housekeep(&mut self) -> Stepped {
        let Some(broker) = &self.broker else { return Ok(()) };
        broker.store.housekeeping();
        let starts = broker.starts();
        self.notice_death();
        starts.into_iter().try_for_each(|(place, below)| self.tell(Event::Removed { place, below }))
    }

    pub(super) fn compact(&mut self) -> Stepped {
        if let Some(broker) = &self.broker {
            let passes = broker.store.compact();
            self.note(format_args!("{passes} logs compacted"));
        }
        self.notice_death();
        self.settle()
    }

    fn trim(&mut self) -> Stepped {
        let places = self.topics.places();
        let (name, place) = places[self.below(places.len())].clone();
        let Some(partition) = self.broker.as_ref().and_then(|broker| broker.partition(&place)).cloned()
        else {
            return Ok(());
        };
        if &*name == COMPACTED {
            return Ok(());
        }
        let offsets = partition.offsets();
        let to =
            offsets.log_start + self.below((offsets.high_watermark - offsets.log_start) as usize + 1) as i64;
        // The command is durable first: from then on records below may be gone.
        self.topics.trim(place, to);
        self.tell(Event::Removed { place, below: to })?;
        partition.trim(to).ok();
        self.notice_death();
        Ok(())
    }

    fn change_topics(&mut self) -> Stepped {
        match self.below(4) {
            0 => self.topics.grow("t0"),
            1 => self.topics.grow("t1"),
            2 => self.make_again("t1")?,
            _ => self.make_again("t2")?,
        }
        if let Some(broker) = &mut self.broker {
            // What can't be opened now, for want of space, is opened at the next start.
            broker.open_all(&self.topics);
        }
        self.notice_death();
        self.tell_topics();
        self.settle()
    }

    /// Deletes a topic and makes another of its name.
    fn make_again(&mut self, name: &str) -> Stepped {
        if let Some(gone) = self.topics.delete(name) {
            for partition in 0..gone.partition_count {
                let place = TopicPartition { topic_id: gone.id, partition };
                self.producers.iter_mut().for_each(|producer| producer.forget(&place));
                self.tell(Event::Gone { place })?;
            }
            if let Some(broker) = &mut self.broker {
                broker.remove(gone.id, name);
            }
        }
        self.topics.create(name, 2);
        Ok(())
    }

    /// Holds what the coordinator knows against its history.
    pub(super) fn compare(&mut self) -> Stepped {
        let is_durable = |broker: &Broker| {
            let offsets = broker.offsets.offsets();
            offsets.high_watermark == offsets.log_end
        };
        // What is under way would be in one of the two and not in the other.
        if !self.calls.is_empty() || !self.broker.as_ref().is_some_and(is_durable) {
            return Ok(());
        }
        let topics = self.topics.clone();
        self.call(Of::Nobody, |broker| {
            let host = broker.host.clone();
            async move { Answer::State(host.look(|machine| state_of(machine, &topics)).await.ok()) }
        });
        self.settle()
    }

    /// Starts a broker that is not there or has a partition offline, and tells it of topics that it was not told of.
    pub(super) fn care_for_broker(&mut self) -> Stepped {
        if self.broker.as_ref().is_some_and(Broker::is_sick) {
            self.kill();
        }
        if self.broker.is_none() {
            return self.start_broker();
        }
        if self.untold_topics {
            self.tell_topics();
        }
        self.settle()
    }
}

/// Offset, key and value of the records of a batch.
pub(super) fn records_of(batch: &RecordBatch) -> Vec<(i64, u32, Option<u64>)> {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok();
    let records = batch.records(1 << 20).expect("it was validated");
    let each = records.iter().map(|record| {
        let record = record.expect("it was validated");
        let key = record.key.and_then(number).expect("a number") as u32;
        (record.offset, key, record.value.map(|value| number(value).expect("a number")))
    });
    each.collect()
}
