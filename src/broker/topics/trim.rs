//! Removes records below an offset: the commands are durable, then the records go, then it is answered.

use std::sync::Arc;

use super::create::detached;
use super::names::refuse_internal;
use super::request::{TrimTopic, TrimmedPartition};
use crate::base::limits::REQUEST_ITEMS_MAX;
use crate::base::{Error, ErrorKind, Offset, offset::NO_OFFSET};
use crate::broker::Broker;
use crate::broker::errors::Place;
use crate::broker::lookup::find_topic;
use crate::cluster::{Command, Image};
use crate::env::rule::Rule;
use crate::env::threads::off_shard;
use crate::log::LogOffsets;
use crate::replica::Partition;

impl Broker {
    /// Trims partitions of a topic. One that can't be trimmed has its own error and keeps no other from it.
    ///
    /// Holds after: what was trimmed never comes back. Cost: one sync for all. Errors of the whole: POLICY_VIOLATION for
    /// internal topics, TOPIC_NOT_FOUND, INVALID_REQUEST; of a partition: PARTITION_NOT_FOUND, OFFSET_OUT_OF_RANGE.
    pub async fn trim_topic(self: &Arc<Self>, request: TrimTopic) -> Result<Vec<TrimmedPartition>, Error> {
        self.refuse_when_stopping()?;
        refuse_internal(&self.image(), &request.name)?;
        find_topic(&self.image(), &request.name)?;
        check_items(&request)?;
        let mut plans = Vec::with_capacity(request.partitions.len());
        for &(number, offset) in &request.partitions {
            let found = self.partition(&request.name, None, number).await;
            let plan = found.and_then(|partition| {
                let to = target(&request.name, number, offset, partition.offsets())?;
                Ok((partition, to))
            });
            plans.push((number, plan));
        }
        if request.validate_only {
            let planned = |(partition, plan): (i32, Plan)| TrimmedPartition {
                partition,
                log_start: plan.map(|(_, to)| to),
            };
            return Ok(plans.into_iter().map(planned).collect());
        }
        let broker = self.clone();
        detached(async move { broker.trim_planned(request.name, plans).await }).await
    }

    async fn trim_planned(
        self: &Arc<Self>,
        name: String,
        plans: Vec<(i32, Plan)>,
    ) -> Result<Vec<TrimmedPartition>, Error> {
        if Rule::NoteTrim.holds() {
            self.metadata.commit_with(|image| commands(image, &name, &plans)).await?;
        }
        let broker = self.clone();
        let trimmed = off_shard(move || {
            let is_stopping = broker.refuse_when_stopping().is_err();
            let trim = |(number, plan): (i32, Plan)| {
                let place = Place { topic: &name, partition: number, stopping: is_stopping };
                let log_start = plan
                    .and_then(|(partition, to)| partition.trim(to).map_err(|error| place.read_error(error)));
                TrimmedPartition { partition: number, log_start }
            };
            plans.into_iter().map(trim).collect()
        });
        Ok(trimmed.await)
    }
}

/// A partition and its log start to be, or why not.
type Plan = Result<(Arc<Partition>, Offset), Error>;

fn check_items(request: &TrimTopic) -> Result<(), Error> {
    let count = request.partitions.len();
    if (1..=REQUEST_ITEMS_MAX).contains(&count) {
        return Ok(());
    }
    let message = format!(
        "trim of topic '{}' names {count} partitions; name from 1 to {REQUEST_ITEMS_MAX}",
        request.name
    );
    Err(Error::new(ErrorKind::InvalidRequest, message).with("field", "partitions"))
}

fn commands(image: &Image, name: &str, plans: &[(i32, Plan)]) -> Result<Vec<Command>, Error> {
    let topic = find_topic(image, name)?;
    let planned = plans.iter().filter_map(|(_, plan)| plan.as_ref().ok());
    let command = |(partition, to): &(Arc<Partition>, Offset)| {
        let id = partition.id();
        let state = topic.ready_partition(id.partition).filter(|_| id.topic_id == topic.id)?;
        let rises = *to > state.trim_offset && *to > partition.offsets().log_start;
        rises.then_some(Command::TrimPartition { topic_id: topic.id, partition: id.partition, offset: *to })
    };
    Ok(planned.filter_map(command).collect())
}

/// The log start that a partition gets.
fn target(topic: &str, partition: i32, asked: Offset, marks: LogOffsets) -> Result<Offset, Error> {
    let LogOffsets { log_start, high_watermark, .. } = marks;
    match asked {
        NO_OFFSET => Ok(high_watermark),
        0.. if asked <= high_watermark => Ok(asked.max(log_start)),
        _ => {
            let message = format!(
                "partition {partition} of topic '{topic}' can't be trimmed to offset {asked}: it holds offsets \
                 {log_start} to {high_watermark}; give one of these"
            );
            Err(Error::new(ErrorKind::OffsetOutOfRange, message)
                .with("topic", topic)
                .with("partition", partition)
                .with("start", log_start)
                .with("end", high_watermark))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: LogOffsets =
        LogOffsets { log_start: 10, stable: 50, high_watermark: 50, log_end: 60, flushed: 50 };

    #[test]
    fn offsets_are_clamped_or_refused() {
        let to = |asked| target("orders", 3, asked, MARKS).map_err(|error| error.kind);
        assert_eq!(to(30), Ok(30));
        assert_eq!(to(-1), Ok(50), "all that is committed");
        assert_eq!(to(50), Ok(50));
        assert_eq!(to(5), Ok(10), "gone already");
        for wrong in [51, 60, i64::MAX, -2, i64::MIN] {
            assert_eq!(to(wrong), Err(ErrorKind::OffsetOutOfRange), "{wrong}");
        }
        let error = target("orders", 3, 51, MARKS).expect_err("beyond");
        assert_eq!((&*error.metadata["start"], &*error.metadata["end"]), ("10", "50"));
    }

    #[test]
    fn a_request_names_some_partitions_but_not_too_many() {
        let request = |count: usize| TrimTopic {
            name: "orders".to_owned(),
            partitions: vec![(0, 0); count],
            ..TrimTopic::default()
        };
        assert!(check_items(&request(1)).is_ok());
        assert!(check_items(&request(0)).is_err());
        assert!(check_items(&request(REQUEST_ITEMS_MAX + 1)).is_err());
    }
}
