//! How far a group is behind, partition by partition: in records, and in the age of the oldest one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::base::{Error, ErrorKind, Offset, Timestamp};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{duration_in_words, print_error};
use crate::client::{Client, Event, Group, GroupMember, GroupState, Start};

/// One partition of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) committed: Option<Offset>,
    pub(super) start: Offset,
    pub(super) end: Offset,
    /// Age of the oldest record that is not read, in ms.
    pub(super) behind_ms: Option<i64>,
    /// Who reads it, and from where.
    pub(super) member: Option<(String, String)>,
}

/// A group and its partitions, by topic and number.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) group: Group,
    pub(super) places: Vec<Place>,
}

impl Place {
    /// Records from the committed offset to the end; of a partition without one, all that there are.
    pub(super) fn lag(&self) -> i64 {
        (self.end - self.next()).max(0)
    }

    /// The first record that is not read.
    fn next(&self) -> Offset {
        self.committed.map_or(self.start, |committed| committed.max(self.start))
    }

    /// As scripts read it.
    pub(super) fn as_json(&self) -> Value {
        json!({
            "topic": self.topic,
            "partition": self.partition,
            "committed": self.committed,
            "end": self.end,
            "lag": self.lag(),
            "behind_ms": self.behind_ms,
            "member": self.member.as_ref().map(|(id, _)| id),
            "host": self.member.as_ref().map(|(_, host)| host),
        })
    }
}

impl Standing {
    /// Records that are not read, of all partitions.
    pub(super) fn lag(&self) -> i64 {
        self.places.iter().map(Place::lag).sum()
    }

    /// Age of the oldest of them, in ms.
    pub(super) fn behind_ms(&self) -> Option<i64> {
        self.places.iter().filter_map(|place| place.behind_ms).max()
    }

    /// The lag in words: `131 (oldest unread 4.2 s)`.
    pub(super) fn lag_in_words(&self) -> String {
        let lag = crate::cli::output::thousands(self.lag());
        match self.behind_ms() {
            Some(ms) => format!("{lag} (oldest unread {})", duration_in_words(ms)),
            None => lag,
        }
    }
}

/// Groups that were looked up.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) standings: Vec<Standing>,
    /// Those that could not be, and why.
    failures: Vec<(String, Failure)>,
}

impl Found {
    /// Tells what could not be looked up, and how the command ends with that.
    pub(super) fn report(&self) -> Exit {
        let end = self.failures.iter().map(|(_, failure)| {
            print_error(&failure.in_words());
            failure.exit
        });
        end.fold(Exit::Done, Exit::and)
    }

    /// The same as JSON documents show it.
    pub(super) fn errors_json(&self) -> Value {
        let show = |(group, failure): &(String, Failure)| {
            let error = json!({ "reason": failure.reason(), "message": failure.message });
            json!({ "group": group, "error": error })
        };
        self.failures.iter().map(show).collect()
    }

    /// What could not be looked up, in words.
    pub(super) fn unknown(&self) -> Vec<String> {
        self.failures.iter().map(|(_, failure)| failure.in_words()).collect()
    }
}

/// Looks groups up. `now_ms` is what ages count to.
pub(super) async fn look_up_all(client: &Client, groups: &[String], now_ms: Timestamp) -> Found {
    let mut found = Found { standings: Vec::new(), failures: Vec::new() };
    for name in groups {
        match look_up(client, name, now_ms).await {
            Ok(standing) => found.standings.push(standing),
            Err(failure) => found.failures.push((name.clone(), failure)),
        }
    }
    found
}

/// Looks a group up. `now_ms` is what ages count to.
///
/// Errors: GROUP_NOT_FOUND, the broker can't be asked.
async fn look_up(client: &Client, group: &str, now_ms: Timestamp) -> Result<Standing, Failure> {
    let admin = client.admin();
    let group = admin.describe_group(group).await?;
    let mut committed = BTreeMap::new();
    for found in admin.group_offsets(&group.listing.name).await? {
        committed.insert((found.topic, found.partition), found.offset);
    }
    let mut members = BTreeMap::new();
    for member in &group.members {
        for place in &member.assigned {
            members.insert(place.clone(), (member.member_id.clone(), member.host.clone()));
        }
    }
    let mut places = Vec::new();
    for name in topics_of(&group.members, committed.keys()) {
        let topic = match admin.describe_topic(&name).await {
            Ok(topic) => topic,
            // Deleted a moment ago.
            Err(error) if error.kind == ErrorKind::TopicNotFound => continue,
            Err(error) => return Err(error.into()),
        };
        for partition in topic.partitions {
            let place = (topic.name.clone(), partition.partition);
            places.push(Place {
                committed: committed.get(&place).copied(),
                member: members.get(&place).cloned(),
                topic: place.0,
                partition: place.1,
                start: partition.log_start_offset,
                end: partition.high_watermark,
                behind_ms: None,
            });
        }
    }
    for of_topic in places.chunk_by_mut(|a, b| a.topic == b.topic) {
        find_ages(client, of_topic, now_ms).await?;
    }
    Ok(Standing { group, places })
}

/// The topics of which all partitions count: one without a commit and without a reader is behind as well. Those that members name count
/// before they are shared out, or a group that has just begun would be behind in nothing.
fn topics_of<'a>(
    members: &'a [GroupMember],
    committed: impl Iterator<Item = &'a (String, i32)>,
) -> BTreeSet<String> {
    let named = members.iter().flat_map(|member| &member.topics);
    let assigned = members.iter().flat_map(|member| &member.assigned);
    named.chain(committed.chain(assigned).map(|(topic, _)| topic)).cloned().collect()
}

/// Reads the first unread record of each partition that has one.
async fn find_ages(client: &Client, places: &mut [Place], now_ms: Timestamp) -> Result<(), Error> {
    let behind: Vec<(i32, Offset)> =
        places.iter().filter(|place| place.lag() > 0).map(|place| (place.partition, place.next())).collect();
    if behind.is_empty() {
        return Ok(());
    }
    let mut open: BTreeSet<i32> = behind.iter().map(|(partition, _)| *partition).collect();
    let topic = places[0].topic.clone();
    // One batch of each is enough.
    let mut builder = client.consumer().topic(&*topic).max_bytes(1).partitions(open.iter().copied());
    for (partition, offset) in behind {
        builder = builder.start_at(&*topic, partition, Start::Offset(offset));
    }
    let mut consumer = builder.build().await?;
    while !open.is_empty() {
        match consumer.next_event().await {
            Some(Event::Record(record)) if open.remove(&record.partition) => {
                let place = places.iter_mut().find(|place| place.partition == record.partition);
                if let Some(place) = place.filter(|_| record.timestamp >= 0) {
                    place.behind_ms = Some((now_ms - record.timestamp).max(0));
                }
            }
            Some(Event::Record(_)) => {}
            // Compaction or a trim has taken what was there.
            Some(Event::CaughtUp { partition, .. }) => drop(open.remove(&partition)),
            // The lag in records is known all the same.
            Some(Event::Error(error)) => {
                match error.metadata.get("partition").and_then(|number| number.parse::<i32>().ok()) {
                    Some(partition) => drop(open.remove(&partition)),
                    None => break,
                }
            }
            None => break,
        }
    }
    Ok(())
}

/// The members that keep a group busy, as an error names them: `2 active members (a 10.0.0.7, b)`.
pub(super) fn active_members(group: &Group) -> Option<String> {
    if group.listing.state == GroupState::Empty || group.members.is_empty() {
        return None;
    }
    let named: Vec<String> = group
        .members
        .iter()
        .map(|member| format!("{} {}", member.member_id, member.host).trim_end().to_owned())
        .collect();
    let count = crate::cli::output::count(named.len() as i64, "active member");
    Some(format!("{count} ({})", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(committed: Option<i64>, start: i64, end: i64) -> Place {
        let (topic, behind_ms, member) = ("t".to_owned(), None, None);
        Place { topic, partition: 0, committed, start, end, behind_ms, member }
    }

    #[test]
    fn lag_counts_what_is_there_to_read() {
        assert_eq!(place(Some(5), 0, 12).lag(), 7);
        assert_eq!(place(Some(5), 10, 12).lag(), 2, "retention took the rest");
        assert_eq!(place(None, 10, 12).lag(), 2);
        assert_eq!(place(Some(20), 0, 12).lag(), 0, "an offset behind the end");
    }

    #[test]
    fn a_topic_counts_that_is_committed_assigned_or_only_asked_for() {
        let place = |topic: &str| (topic.to_owned(), 0);
        let member = |topic: &str, assigned| GroupMember {
            member_id: "m".to_owned(),
            instance_id: String::new(),
            client_id: String::new(),
            host: String::new(),
            member_epoch: 1,
            topics: vec![topic.to_owned()],
            pattern: String::new(),
            assigned,
            revoked: Vec::new(),
        };
        let members = [member("joined", vec![]), member("named", vec![place("found")])];
        let topics = topics_of(&members, [place("left")].iter()).into_iter().collect::<Vec<_>>();
        assert_eq!(topics, ["found", "joined", "left", "named"]);
    }
}
