//! Reads the coordinator's log as it becomes durable, from its first record to its last, and says what it means: the history against
//! which everything is held.

use std::collections::{BTreeMap, BTreeSet};

use weir::base::limits::DECOMPRESSED_BYTES_MAX;
use weir::base::{GroupId, MemberId, Offset, TopicPartition};
use weir::coordinator::group::commands::{DescribeGroup, GetOffsets, ListGroups};
use weir::coordinator::group::position::PartitionName;
use weir::coordinator::group::records::GroupRecord;
use weir::coordinator::group::views::MemberDescription;
use weir::coordinator::group::{GroupCommand, GroupReply, GroupShard};
use weir::coordinator::{Effects, Now, Shard, StoredRecord};
use weir::record::RecordBatch;
use weir::replica::{Partition, Wait};

use crate::event::{Event, GroupPlace, Owner};
use crate::topics::SimTopics;

/// The history of a coordinator.
pub(super) struct Oracle {
    machine: GroupShard,
    read_to: Offset,
    owners: BTreeMap<GroupPlace, Owner>,
    /// Partitions that were not in the target of their owner at some time since it owns them.
    dropped: BTreeSet<GroupPlace>,
    /// Which topic a stored name stood for.
    named: BTreeMap<(GroupId, PartitionName), TopicPartition>,
}

impl Oracle {
    pub(super) fn new() -> Self {
        Self {
            machine: GroupShard::new(),
            read_to: 0,
            owners: BTreeMap::new(),
            dropped: BTreeSet::new(),
            named: BTreeMap::new(),
        }
    }

    /// What has become durable since the last time. A log that can't be read now is read later.
    pub(super) fn catch_up(&mut self, log: &Partition) -> Vec<Event> {
        let mut events = Vec::new();
        while self.read_to < log.offsets().high_watermark {
            let Ok(mut slice) = log.read(self.read_to, 1 << 20, Wait::Allowed) else { break };
            let from = self.read_to;
            while let Ok(Some(batch)) = RecordBatch::take_first(&mut slice.bytes) {
                self.read_batch(&batch, from, &mut events);
            }
            self.read_to = slice.next_offset;
        }
        events
    }

    fn read_batch(&mut self, batch: &RecordBatch, from: Offset, events: &mut Vec<Event>) {
        let records = batch.records(DECOMPRESSED_BYTES_MAX).expect("it was validated");
        for record in records.iter().map(|record| record.expect("it was validated")) {
            if let (Some(key), true) = (record.key, record.offset >= from) {
                let value = record.value.map(|value| value.to_vec().into());
                self.replay(record.offset, &StoredRecord { key: key.to_vec().into(), value }, events);
            }
        }
    }

    fn replay(&mut self, offset: Offset, record: &StoredRecord, events: &mut Vec<Event>) {
        self.machine.replay(offset, record);
        let Ok(record) = GroupRecord::decode(record) else { return };
        let group = record.group().clone();
        match record {
            GroupRecord::Offset(_, name, Some(committed)) => {
                let id = committed.position.id();
                self.named.insert((group.clone(), name), id);
                let commit = committed.position.metadata.parse().ok();
                let offset = committed.position.offset;
                events.push(Event::Committed { place: (group.clone(), id), offset, commit });
            }
            GroupRecord::Offset(_, name, None) => {
                if let Some(id) = self.named.remove(&(group.clone(), name)) {
                    events.push(Event::Forgotten { place: (group.clone(), id) });
                }
            }
            GroupRecord::Target(_, member, target) => {
                let target = target.unwrap_or_default();
                let has = |id: &TopicPartition| {
                    target.get(&id.topic_id).is_some_and(|numbers| numbers.contains(&id.partition))
                };
                let owned = self.owners.iter().filter(|(place, owner)| place.0 == group && owner.0 == member);
                self.dropped.extend(owned.map(|(place, _)| place.clone()).filter(|place| !has(&place.1)));
            }
            GroupRecord::Current(..) | GroupRecord::Member(..) => self.compare_owners(&group, events),
            _ => {}
        }
        if self.members(&group).is_none() {
            events.push(Event::Ended { group });
        }
    }

    fn compare_owners(&mut self, group: &GroupId, events: &mut Vec<Event>) {
        let mut now = BTreeMap::new();
        for member in self.members(group).unwrap_or_default() {
            for (id, epoch) in member.assigned {
                now.insert((group.clone(), id), (member.member_id.clone(), epoch));
            }
            for id in member.pending_revocation {
                // The epoch of what is to be let go is the one since which it is owned.
                let place = (group.clone(), id);
                if let Some(before) = self.owners.get(&place).filter(|owner| owner.0 == member.member_id) {
                    now.insert(place, before.clone());
                }
            }
        }
        let of_group = |place: &GroupPlace| place.0 == *group;
        let gone = self.owners.keys().filter(|place| of_group(place) && !now.contains_key(place));
        events.extend(gone.map(|place| Event::Owned { place: place.clone(), owner: None }));
        for (place, owner) in &now {
            if self.owners.get(place) != Some(owner) {
                self.dropped.remove(place);
                events.push(Event::Owned { place: place.clone(), owner: Some(owner.clone()) });
            }
        }
        self.owners.retain(|place, _| !of_group(place));
        self.owners.extend(now);
    }

    fn members(&self, group: &GroupId) -> Option<Vec<MemberDescription>> {
        let describe = GroupCommand::DescribeGroup(DescribeGroup { group: group.clone() });
        match ask(&self.machine, describe) {
            Some(GroupReply::Group(description)) => Some(description.members),
            _ => None,
        }
    }

    /// Whether a member is to own a partition in the end, and was all the while that it owned it. What is on its way to another
    /// member stays so when plans change again.
    pub(super) fn is_target(&self, place: &GroupPlace, member: &MemberId) -> bool {
        let members = self.members(&place.0).unwrap_or_default();
        !self.dropped.contains(place)
            && members.iter().any(|known| known.member_id == *member && known.target.contains(&place.1))
    }

    /// The members of a group, with what they own.
    pub(super) fn owners_of(&self, place: &GroupPlace) -> usize {
        let members = self.members(&place.0).unwrap_or_default();
        members.iter().filter(|member| member.assigned.contains_key(&place.1)).count()
    }

    /// Everything that the history comes to.
    pub(super) fn state(&self, topics: &SimTopics) -> String {
        state_of(&self.machine, topics)
    }
}

fn ask(machine: &GroupShard, command: GroupCommand) -> Option<GroupReply> {
    let now = Now { monotonic: std::time::Duration::ZERO, wall: 0 };
    machine.handle(command, now, &mut Effects::new()).ok()
}

/// Everything that a machine answers about its groups.
pub(super) fn state_of(machine: &GroupShard, topics: &SimTopics) -> String {
    let topics: std::sync::Arc<SimTopics> = topics.clone().into();
    let Some(GroupReply::Groups(groups)) = ask(machine, GroupCommand::ListGroups(ListGroups)) else {
        return "no list of groups".to_owned();
    };
    let one = |group: GroupId| {
        let offsets = GetOffsets { group: group.clone(), partitions: None, topics: topics.clone() };
        let described = ask(machine, GroupCommand::DescribeGroup(DescribeGroup { group }));
        format!("{described:?} {:?}", ask(machine, GroupCommand::GetOffsets(offsets)))
    };
    groups.into_iter().map(|summary| one(summary.group)).collect::<Vec<_>>().join("; ")
}
