//! Where a group is to go on: at one place, where another group stands, or at the places of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::args::ResetArgs;
use super::selection::Selection;
use crate::base::{Error, ErrorKind, Offset};
use crate::cli::exit::{Failure, no_partition};
use crate::cli::offset::{Bounds, Place, parse_place};
use crate::client::{Admin, At, Partition};

/// Topic and partition.
pub(super) type Name = (String, i32);

/// Where the places come from.
pub(super) enum Source {
    /// One place, for every partition.
    Place(Place),
    /// Where another group stands.
    Group(String),
    /// What a file says.
    File(BTreeMap<Name, Offset>),
}

impl Source {
    /// The one that is named; a file is read.
    ///
    /// Errors: usage, when it can't be understood; a file that can't be read.
    pub(super) fn of(args: &ResetArgs, now_ms: i64) -> Result<Self, Failure> {
        match (&args.to, &args.to_group, &args.to_file) {
            (Some(text), _, _) => {
                let place = parse_place(text, now_ms);
                Ok(Self::Place(place.map_err(|error| Failure::usage(format!("--to: {error}")))?))
            }
            (_, Some(group), _) => Ok(Self::Group(group.clone())),
            (_, _, Some(path)) => Ok(Self::File(read_places(path)?)),
            _ => unreachable!("one of the three is required"),
        }
    }

    /// The offsets that it gives a group that stands at `current`; a record or the end is at each of them.
    ///
    /// Errors: the first place that is wrong: no such topic or partition, an offset out of range.
    pub(super) async fn places(
        self,
        admin: &Admin,
        args: &ResetArgs,
        current: &BTreeMap<Name, Offset>,
    ) -> Result<BTreeMap<Name, Offset>, Failure> {
        let places = match self {
            Self::Place(place) => resolve(admin, args, current, place).await?,
            Self::Group(group) => chosen(args, offsets_of(admin, &group).await?),
            Self::File(places) => chosen(args, places),
        };
        check(admin, &places).await?;
        Ok(places)
    }
}

/// Where a group stands.
pub(super) async fn offsets_of(admin: &Admin, group: &str) -> Result<BTreeMap<Name, Offset>, Failure> {
    let found = admin.group_offsets(group).await?;
    Ok(found.into_iter().map(|found| ((found.topic, found.partition), found.offset)).collect())
}

fn chosen(args: &ResetArgs, mut offsets: BTreeMap<Name, Offset>) -> BTreeMap<Name, Offset> {
    offsets.retain(|(topic, partition), _| Selection::choose(&args.topics, topic, *partition));
    offsets
}

/// One place in every partition that is named, or else in all of the topics that the group has an offset for.
async fn resolve(
    admin: &Admin,
    args: &ResetArgs,
    current: &BTreeMap<Name, Offset>,
    place: Place,
) -> Result<BTreeMap<Name, Offset>, Failure> {
    let named = args.topics.iter().map(|selection| selection.topic.as_str());
    let all = current.keys().map(|(topic, _)| topic.as_str()).filter(|_| args.topics.is_empty());
    let topics: BTreeSet<&str> = named.chain(all).collect();
    let mut offsets = BTreeMap::new();
    for name in topics {
        let topic = admin.describe_topic(name).await?;
        let count = topic.partitions.len();
        let wanted = args.topics.iter().filter(|selection| selection.topic == name);
        if let Some(wrong) =
            wanted.flat_map(|selection| &selection.partitions).find(|number| **number as usize >= count)
        {
            return Err(no_partition(name, *wrong, count).into());
        }
        let is_chosen = |number: i32| Selection::choose(&args.topics, name, number);
        let partitions: Vec<_> =
            topic.partitions.iter().filter(|partition| is_chosen(partition.partition)).collect();
        let mut found = vec![None; partitions.len()];
        if let Some(timestamp) = place.timestamp() {
            let places = partitions.iter().map(|partition| (partition.partition, At::Timestamp(timestamp)));
            let listed = admin.list_offsets(name, places).await?;
            found = listed.into_iter().map(|listed| Ok(listed?.offset)).collect::<Result<_, Error>>()?;
        }
        for (partition, found) in partitions.into_iter().zip(found) {
            let bounds = Bounds { start: partition.log_start_offset, end: partition.high_watermark };
            offsets.insert((name.to_owned(), partition.partition), place.resolve(bounds, found));
        }
    }
    Ok(offsets)
}

/// Whether every place is one where a reader can go on.
async fn check(admin: &Admin, places: &BTreeMap<Name, Offset>) -> Result<(), Failure> {
    let places: Vec<(&Name, &Offset)> = places.iter().collect();
    for of_topic in places.chunk_by(|(a, _), (b, _)| a.0 == b.0) {
        let name = &of_topic[0].0.0;
        let partitions = admin.describe_topic(name).await?.partitions;
        let count = partitions.len();
        let mut found: BTreeMap<i32, Partition> =
            partitions.into_iter().map(|partition| (partition.partition, partition)).collect();
        for &((_, number), &offset) in of_topic {
            let partition = found.remove(number).ok_or_else(|| no_partition(name, *number, count))?;
            if let Some(error) = partition.error {
                return Err(error.into());
            }
            let bounds = Bounds { start: partition.log_start_offset, end: partition.high_watermark };
            if !(bounds.start..=bounds.end).contains(&offset) {
                return Err(out_of_range(name, *number, offset, bounds).into());
            }
        }
    }
    Ok(())
}

/// A group that stood there would read nothing.
fn out_of_range(topic: &str, partition: i32, offset: Offset, bounds: Bounds) -> Error {
    let Bounds { start, end } = bounds;
    let message = format!(
        "topic '{topic}', partition {partition}: offset {offset} is out of range: it begins at {start} and ends at {end}"
    );
    Error::new(ErrorKind::OffsetOutOfRange, message)
}

/// Lines of topic,partition,offset.
#[allow(clippy::disallowed_methods, reason = "a file that the user names, not the broker's disk")]
fn read_places(path: &str) -> Result<BTreeMap<Name, Offset>, Failure> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().read_to_string(&mut text),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::failed(format!("--to-file: can't read {path}: {error}")))?;
    parse_places(&text).map_err(|error| Failure::usage(format!("--to-file: {path}: {error}")))
}

fn parse_places(text: &str) -> Result<BTreeMap<Name, Offset>, String> {
    let mut places = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at + 1;
        let (name, offset) = parse_line(line)
            .ok_or_else(|| format!("line {number}: '{line}' is not topic,partition,offset"))?;
        if places.contains_key(&name) {
            let (topic, partition) = name;
            return Err(format!("line {number}: topic '{topic}', partition {partition} has a place already"));
        }
        places.insert(name, offset);
    }
    Ok(places)
}

fn parse_line(line: &str) -> Option<(Name, Offset)> {
    let words: Vec<&str> = line.split(',').map(str::trim).collect();
    let &[topic, partition, offset] = words.as_slice() else { return None };
    let partition = partition.parse::<i32>().ok().filter(|partition| *partition >= 0)?;
    let offset = offset.parse::<Offset>().ok().filter(|offset| *offset >= 0)?;
    (!topic.is_empty()).then(|| ((topic.to_owned(), partition), offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_lines() {
        let read = parse_places("orders,0,5\n\n orders , 1 , 6 \n").expect("fine");
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [(("orders".to_owned(), 0), 5), (("orders".to_owned(), 1), 6)]
        );
        for wrong in ["orders", "orders,0", "orders,x,5", "orders,0,-5", ",0,5", "a,0,5,6"] {
            assert_eq!(
                parse_places(wrong).unwrap_err(),
                format!("line 1: '{wrong}' is not topic,partition,offset")
            );
        }
    }
    #[test]
    fn a_place_named_twice_is_refused() {
        assert_eq!(
            parse_places("orders,0,5\norders,1,5\n\norders,0,5\n").unwrap_err(),
            "line 4: topic 'orders', partition 0 has a place already"
        );
    }
}
