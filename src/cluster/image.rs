//! What all metadata commands up to an offset add up to: an immutable value, shared by `Arc`.
//!
//! [`Image::apply`] is the only way to a new one, and a pure function: the same commands give the same image, on
//! every machine and in every run. Readers hold an image as long as they like.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::command::{Command, Configs};
use crate::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::config::TopicConfig;

/// One partition as the metadata knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionState {
    /// Rises at every run that may have lost the end of the log.
    pub leader_epoch: LeaderEpoch,
    /// Records below it were trimmed away.
    pub trim_offset: Offset,
}

/// One topic as the metadata knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its identity for its whole life.
    pub id: TopicId,
    /// Its name; of a deleted topic, the name that it had.
    pub name: Arc<str>,
    /// All partitions by number, those not yet ready among them.
    pub partitions: Vec<PartitionState>,
    /// Partitions 0 to this − 1 have their folders and can be used.
    pub ready_count: i32,
    /// Configs that are set.
    pub configs: Configs,
    /// All settings, defaults filled in.
    pub config: Arc<TopicConfig>,
    /// Deleted, but something of it is still on disk.
    pub deleting: bool,
    /// Metadata offset of the command that made it.
    pub created: Offset,
}

impl Topic {
    /// How many partitions it has, those not yet ready among them.
    pub fn partition_count(&self) -> i32 {
        self.partitions.len() as i32
    }

    /// Whether it can be used at all: not while its first folders are being made.
    pub fn is_ready(&self) -> bool {
        self.ready_count > 0
    }

    /// A partition that can be used.
    pub fn ready_partition(&self, partition: i32) -> Option<PartitionState> {
        if partition >= self.ready_count {
            return None;
        }
        usize::try_from(partition).ok().and_then(|index| self.partitions.get(index)).copied()
    }

    /// The identities of partitions `from` to `until` − 1.
    pub fn ids(&self, from: i32, until: i32) -> impl Iterator<Item = TopicPartition> + use<> {
        let topic_id = self.id;
        (from..until).map(move |partition| TopicPartition { topic_id, partition })
    }
}

/// Why a command does not fit the image. In a log that a broker wrote this is damage or a bug.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApplyError {
    /// Its offset was applied already.
    Offset {
        /// Of the command.
        found: Offset,
        /// The lowest that can follow.
        expected: Offset,
    },
    /// No topic, or no living one, has this id.
    UnknownTopic(TopicId),
    /// A topic with this id or name lives.
    TopicExists(String),
    /// The topic is alive and can't be purged.
    NotDeleted(TopicId),
    /// A partition count that is not positive, falls, or is above the partitions that there are.
    PartitionCount {
        /// The topic.
        topic_id: TopicId,
        /// The count.
        found: i32,
    },
    /// The topic has no such partition.
    UnknownPartition(TopicPartition),
    /// A number that may only rise did not.
    NotRising {
        /// Which one.
        what: &'static str,
        /// In the command.
        found: i64,
        /// In the image.
        current: i64,
    },
    /// A config does not hold.
    Config(String),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { found, expected } => {
                write!(f, "command at offset {found} where {expected} or more must follow")
            }
            Self::UnknownTopic(id) => write!(f, "no living topic has id {id}"),
            Self::TopicExists(name) => write!(f, "topic '{name}' exists already"),
            Self::NotDeleted(id) => write!(f, "topic with id {id} is not deleted"),
            Self::PartitionCount { topic_id, found } => {
                write!(f, "partition count {found} does not fit topic with id {topic_id}")
            }
            Self::UnknownPartition(id) => write!(f, "partition {id} does not exist"),
            Self::NotRising { what, found, current } => {
                write!(f, "{what} {found} is not above the present {current}")
            }
            Self::Config(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for ApplyError {}

/// All metadata at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    names: Arc<BTreeMap<Arc<str>, Arc<Topic>>>,
    ids: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    broker_epoch: LeaderEpoch,
    next_producer_id: i64,
    next_offset: Offset,
}

impl Default for Image {
    /// Before the first command.
    fn default() -> Self {
        Self {
            names: Arc::default(),
            ids: Arc::default(),
            broker_epoch: 0,
            next_producer_id: 0,
            next_offset: 0,
        }
    }
}

impl Image {
    /// The living topic of this name. Cost: a lookup in a sorted map, no allocation.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.names.get(name)
    }

    /// The topic of this id, deleted ones that are still on disk among them.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.ids.get(&id)
    }

    /// Living topics by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values()
    }

    /// Living topics whose name comes after `name`, by name.
    pub fn topics_after(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.names.range::<str, _>((Excluded(name), Unbounded)).map(|(_, topic)| topic)
    }

    /// All topics by id, deleted ones that are still on disk among them.
    pub fn topics_with_deleted(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.ids.values()
    }

    /// Number of the broker's run; 0 before the first.
    pub fn broker_epoch(&self) -> LeaderEpoch {
        self.broker_epoch
    }

    /// Producer ids below it are taken.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// All commands below this offset are in the image.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The image after `command`, which stands at `offset`.
    ///
    /// Cost: one topic is copied, and where the set of topics changes, a pointer for each topic. Errors: the
    /// command does not fit; the image stays as it is.
    pub fn apply(&self, command: &Command, offset: Offset) -> Result<Self, ApplyError> {
        if offset < self.next_offset {
            return Err(ApplyError::Offset { found: offset, expected: self.next_offset });
        }
        let mut next = self.clone();
        next.change(command, offset)?;
        next.next_offset = offset + 1;
        Ok(next)
    }

    fn change(&mut self, command: &Command, offset: Offset) -> Result<(), ApplyError> {
        match command {
            Command::CreateTopic { topic_id, name, partition_count, configs } => {
                self.create_topic((*topic_id, offset), name, *partition_count, configs)
            }
            Command::AddPartitions { topic_id, partition_count } => {
                self.add_partitions(*topic_id, *partition_count)
            }
            Command::PartitionsReady { topic_id, partition_count } => {
                self.partitions_ready(*topic_id, *partition_count)
            }
            Command::SetConfigs { topic_id, configs } => self.set_configs(*topic_id, configs),
            Command::DeleteTopic { topic_id } => self.delete_topic(*topic_id),
            Command::TopicPurged { topic_id } => self.topic_purged(*topic_id),
            Command::TrimPartition { topic_id, partition, offset } => {
                self.trim_partition(TopicPartition { topic_id: *topic_id, partition: *partition }, *offset)
            }
            Command::BrokerStarted { broker_epoch, unclean } => self.broker_started(*broker_epoch, unclean),
            Command::ReserveProducerIds { next } => {
                rises("producer id", *next, self.next_producer_id)?;
                self.next_producer_id = *next;
                Ok(())
            }
        }
    }

    fn create_topic(
        &mut self,
        (id, created): (TopicId, Offset),
        name: &str,
        partition_count: i32,
        configs: &Configs,
    ) -> Result<(), ApplyError> {
        if self.ids.contains_key(&id) || self.names.contains_key(name) {
            return Err(ApplyError::TopicExists(name.to_owned()));
        }
        if partition_count < 1 {
            return Err(ApplyError::PartitionCount { topic_id: id, found: partition_count });
        }
        self.put(Topic {
            id,
            name: name.into(),
            partitions: vec![PartitionState::default(); partition_count as usize],
            ready_count: 0,
            configs: configs.clone(),
            config: typed(name, configs)?,
            deleting: false,
            created,
        });
        Ok(())
    }

    fn add_partitions(&mut self, id: TopicId, partition_count: i32) -> Result<(), ApplyError> {
        let mut topic = self.living(id)?;
        if partition_count <= topic.partition_count() {
            return Err(ApplyError::PartitionCount { topic_id: id, found: partition_count });
        }
        topic.partitions.resize(partition_count as usize, PartitionState::default());
        self.put(topic);
        Ok(())
    }

    fn partitions_ready(&mut self, id: TopicId, partition_count: i32) -> Result<(), ApplyError> {
        let mut topic = self.living(id)?;
        if partition_count < topic.ready_count || partition_count > topic.partition_count() {
            return Err(ApplyError::PartitionCount { topic_id: id, found: partition_count });
        }
        topic.ready_count = partition_count;
        self.put(topic);
        Ok(())
    }

    fn set_configs(&mut self, id: TopicId, configs: &Configs) -> Result<(), ApplyError> {
        let mut topic = self.living(id)?;
        topic.config = typed(&topic.name, configs)?;
        topic.configs = configs.clone();
        self.put(topic);
        Ok(())
    }

    fn delete_topic(&mut self, id: TopicId) -> Result<(), ApplyError> {
        let mut topic = self.living(id)?;
        topic.deleting = true;
        Arc::make_mut(&mut self.names).remove(&topic.name);
        Arc::make_mut(&mut self.ids).insert(id, Arc::new(topic));
        Ok(())
    }

    fn topic_purged(&mut self, id: TopicId) -> Result<(), ApplyError> {
        match self.ids.get(&id) {
            None => Err(ApplyError::UnknownTopic(id)),
            Some(topic) if !topic.deleting => Err(ApplyError::NotDeleted(id)),
            Some(_) => {
                Arc::make_mut(&mut self.ids).remove(&id);
                Ok(())
            }
        }
    }

    fn trim_partition(&mut self, id: TopicPartition, offset: Offset) -> Result<(), ApplyError> {
        let mut topic = self.living(id.topic_id)?;
        let state = partition_mut(&mut topic, id)?;
        state.trim_offset = state.trim_offset.max(offset);
        self.put(topic);
        Ok(())
    }

    fn broker_started(&mut self, epoch: LeaderEpoch, unclean: &[TopicPartition]) -> Result<(), ApplyError> {
        rises("broker epoch", i64::from(epoch), i64::from(self.broker_epoch))?;
        for group in unclean.chunk_by(|a, b| a.topic_id == b.topic_id) {
            let mut topic = self.living(group[0].topic_id)?;
            for id in group {
                partition_mut(&mut topic, *id)?.leader_epoch += 1;
            }
            self.put(topic);
        }
        self.broker_epoch = epoch;
        Ok(())
    }

    fn living(&self, id: TopicId) -> Result<Topic, ApplyError> {
        match self.ids.get(&id) {
            Some(topic) if !topic.deleting => Ok(Topic::clone(topic)),
            _ => Err(ApplyError::UnknownTopic(id)),
        }
    }

    fn put(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        if !topic.deleting {
            Arc::make_mut(&mut self.names).insert(topic.name.clone(), topic.clone());
        }
        Arc::make_mut(&mut self.ids).insert(topic.id, topic);
    }

    /// An image made of whole topics, as a snapshot keeps them. Errors: two living topics of one name or id.
    pub(super) fn from_parts(facts: Facts, topics: Vec<Topic>) -> Result<Self, ApplyError> {
        let mut image = Self {
            broker_epoch: facts.broker_epoch,
            next_producer_id: facts.next_producer_id,
            next_offset: facts.next_offset,
            ..Self::default()
        };
        for topic in topics {
            let name_taken = !topic.deleting && image.names.contains_key(&topic.name);
            if name_taken || image.ids.contains_key(&topic.id) {
                return Err(ApplyError::TopicExists(topic.name.to_string()));
            }
            image.put(topic);
        }
        Ok(image)
    }
}

/// What an image knows beside topics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) broker_epoch: LeaderEpoch,
    pub(super) next_producer_id: i64,
    pub(super) next_offset: Offset,
}

/// All settings of a topic from those that are set.
pub(super) fn typed(name: &str, configs: &Configs) -> Result<Arc<TopicConfig>, ApplyError> {
    let pairs = configs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    TopicConfig::from_pairs(pairs).map(Arc::new).map_err(|errors| {
        let reasons: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.key, error.message)).collect();
        ApplyError::Config(format!("configs of topic '{name}': {}", reasons.join("; ")))
    })
}

fn rises(what: &'static str, found: i64, current: i64) -> Result<(), ApplyError> {
    if found > current { Ok(()) } else { Err(ApplyError::NotRising { what, found, current }) }
}

fn partition_mut(topic: &mut Topic, id: TopicPartition) -> Result<&mut PartitionState, ApplyError> {
    usize::try_from(id.partition)
        .ok()
        .and_then(|index| topic.partitions.get_mut(index))
        .ok_or(ApplyError::UnknownPartition(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::command::tests::any_command;
    use proptest::prelude::*;

    fn id(n: u8) -> TopicId {
        TopicId([n; 16])
    }

    fn create(n: u8, name: &str) -> Command {
        Command::CreateTopic {
            topic_id: id(n),
            name: name.to_owned(),
            partition_count: 2,
            configs: Configs::new(),
        }
    }

    fn after(commands: &[Command]) -> Image {
        commands.iter().enumerate().fold(Image::default(), |image, (offset, command)| {
            image.apply(command, offset as Offset).expect("fits")
        })
    }

    /// Applies what fits and skips what does not, as a broker does that checks before it commits.
    fn replay(commands: &[Command]) -> Image {
        let mut image = Image::default();
        for command in commands {
            if let Ok(next) = image.apply(command, image.next_offset()) {
                image = next;
            }
        }
        image
    }

    fn check(image: &Image) {
        for (name, topic) in image.names.iter() {
            assert_eq!(*name, topic.name);
            assert!(!topic.deleting);
            assert!(Arc::ptr_eq(topic, &image.ids[&topic.id]), "name and id give one topic");
            assert!(topic.ready_count >= 0 && topic.ready_count <= topic.partition_count());
            assert!(topic.partition_count() >= 1);
        }
        let living = image.ids.values().filter(|topic| !topic.deleting).count();
        assert_eq!(living, image.names.len());
    }

    proptest! {
        #[test]
        fn the_same_commands_give_the_same_image(commands in proptest::collection::vec(any_command(), 0..60)) {
            let image = replay(&commands);
            check(&image);
            prop_assert_eq!(&replay(&commands), &image);
        }

        #[test]
        fn a_refused_command_changes_nothing(commands in proptest::collection::vec(any_command(), 0..40)) {
            let image = replay(&commands);
            let before = image.clone();
            for command in &commands {
                let _ = image.apply(command, image.next_offset());
            }
            prop_assert_eq!(before, image);
        }
    }

    #[test]
    fn a_topic_lives_is_deleted_and_purged() {
        let image =
            after(&[create(1, "a"), Command::PartitionsReady { topic_id: id(1), partition_count: 2 }]);
        assert!(image.topic("a").is_some_and(|topic| topic.is_ready()));
        let image = image.apply(&Command::DeleteTopic { topic_id: id(1) }, 2).expect("lives");
        assert!(image.topic("a").is_none());
        assert!(image.topic_by_id(id(1)).is_some_and(|topic| topic.deleting));
        let image = image.apply(&create(2, "a"), 3).expect("name is free");
        let image = image.apply(&Command::TopicPurged { topic_id: id(1) }, 4).expect("deleted");
        assert!(image.topic_by_id(id(1)).is_none());
        assert_eq!(image.topic("a").map(|topic| topic.id), Some(id(2)));
    }

    #[test]
    fn an_unclean_run_raises_the_epochs_it_names() {
        let image = after(&[create(1, "a")]);
        let unclean = vec![TopicPartition { topic_id: id(1), partition: 1 }];
        let image = image.apply(&Command::BrokerStarted { broker_epoch: 1, unclean }, 1).expect("rises");
        let epochs: Vec<_> =
            image.topic("a").expect("lives").partitions.iter().map(|p| p.leader_epoch).collect();
        assert_eq!(epochs, [0, 1]);
        let again = Command::BrokerStarted { broker_epoch: 1, unclean: vec![] };
        assert!(matches!(image.apply(&again, 2), Err(ApplyError::NotRising { .. })));
    }

    #[test]
    fn trims_never_move_back() {
        let trim = |offset| Command::TrimPartition { topic_id: id(1), partition: 0, offset };
        let image = after(&[create(1, "a"), trim(50), trim(20)]);
        assert_eq!(image.topic("a").expect("lives").partitions[0].trim_offset, 50);
    }

    #[test]
    fn offsets_are_applied_once() {
        let image = after(&[create(1, "a")]);
        assert_eq!(image.apply(&create(2, "b"), 0), Err(ApplyError::Offset { found: 0, expected: 1 }));
        assert_eq!(image.apply(&create(2, "b"), 7).expect("a gap is legal").next_offset(), 8);
    }

    #[test]
    fn a_config_that_does_not_hold_is_named() {
        let configs = Configs::from([("retention.ms".to_owned(), "abc".to_owned())]);
        let error = after(&[create(1, "a")])
            .apply(&Command::SetConfigs { topic_id: id(1), configs }, 1)
            .expect_err("not a number");
        assert!(error.to_string().contains("retention.ms"), "{error}");
    }
}
