//! Metadata commands: the records of the log `__cluster_metadata`.
//!
//! The stored form is `proto/weir/storage/v1/metadata.proto`; this is the same with checked types.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use prost::Message;

use crate::base::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::proto::storage::{self as stored, command::Command as Stored};

/// The command set that this Weir knows: a new kind of command, or a field that changes what one does, gets the next
/// number, and is stored with it.
pub const COMMAND_SET_VERSION: u32 = 1;

/// Configs that are set on a topic, by key.
pub type Configs = BTreeMap<String, String>;

/// One change of the metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A topic exists from here on; its partitions can be used once they are ready.
    CreateTopic {
        /// Never used before.
        topic_id: TopicId,
        /// Not the name of a living topic.
        name: String,
        /// At least 1.
        partition_count: i32,
        /// Those that are set; all others have their default.
        configs: Configs,
    },
    /// The topic has this many partitions in all.
    AddPartitions {
        /// A living topic.
        topic_id: TopicId,
        /// More than before.
        partition_count: i32,
    },
    /// The folders of partitions 0 to `partition_count` − 1 are durable.
    PartitionsReady {
        /// A living topic.
        topic_id: TopicId,
        /// Not fewer than before.
        partition_count: i32,
    },
    /// These are now all configs that are set on the topic.
    SetConfigs {
        /// A living topic.
        topic_id: TopicId,
        /// Replace all that were set.
        configs: Configs,
    },
    /// The topic is gone and its name free; its folders have still to be removed.
    DeleteTopic {
        /// A living topic.
        topic_id: TopicId,
    },
    /// Nothing of the topic is left on disk.
    TopicPurged {
        /// A deleted topic.
        topic_id: TopicId,
    },
    /// Records of the partition below `offset` are gone.
    TrimPartition {
        /// A living topic.
        topic_id: TopicId,
        /// One of its partitions.
        partition: i32,
        /// The new log start; one that lies below the present one changes nothing.
        offset: Offset,
    },
    /// A broker began a run.
    BrokerStarted {
        /// One more than that of the run before.
        broker_epoch: LeaderEpoch,
        /// Partitions whose log may have lost its end: their leader epoch rises by one. Sorted.
        unclean: Vec<TopicPartition>,
    },
    /// Producer ids below `next` are taken.
    ReserveProducerIds {
        /// Higher than before.
        next: i64,
    },
}

/// Why the bytes of a command can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// They are not a command.
    Malformed(String),
    /// A newer Weir wrote a command that this one does not know.
    Newer {
        /// Command set of the writer.
        found: u32,
        /// Newest command set known here.
        known: u32,
    },
    /// A topic id is not 16 bytes long.
    TopicId,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "not a metadata command: {what}"),
            Self::Newer { found, known } => write!(
                f,
                "a metadata command was written by a newer Weir (command set {found}, this one knows up to {known}); \
                 start that version again"
            ),
            Self::TopicId => write!(f, "a metadata command has a topic id that is not 16 bytes long"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Command {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        stored::Command { version: COMMAND_SET_VERSION, command: Some(self.to_stored()) }.encode_to_vec()
    }

    /// Reads the stored form.
    ///
    /// Errors: the bytes are no command, or one of a newer Weir.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let found =
            stored::Command::decode(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
        match found.command {
            _ if found.version > COMMAND_SET_VERSION => {
                Err(DecodeError::Newer { found: found.version, known: COMMAND_SET_VERSION })
            }
            Some(command) => Self::from_stored(command),
            None => Err(DecodeError::Malformed("it says nothing that is known".to_owned())),
        }
    }

    fn to_stored(&self) -> Stored {
        match self {
            Self::CreateTopic { topic_id, name, partition_count, configs } => {
                Stored::CreateTopic(stored::CreateTopic {
                    topic_id: id_bytes(*topic_id),
                    name: name.clone(),
                    partition_count: *partition_count,
                    configs: configs_to_stored(configs),
                })
            }
            Self::AddPartitions { topic_id, partition_count } => {
                Stored::AddPartitions(stored::AddPartitions {
                    topic_id: id_bytes(*topic_id),
                    partition_count: *partition_count,
                })
            }
            Self::PartitionsReady { topic_id, partition_count } => {
                Stored::PartitionsReady(stored::PartitionsReady {
                    topic_id: id_bytes(*topic_id),
                    partition_count: *partition_count,
                })
            }
            Self::SetConfigs { topic_id, configs } => Stored::SetConfigs(stored::SetConfigs {
                topic_id: id_bytes(*topic_id),
                configs: configs_to_stored(configs),
            }),
            Self::DeleteTopic { topic_id } => {
                Stored::DeleteTopic(stored::DeleteTopic { topic_id: id_bytes(*topic_id) })
            }
            Self::TopicPurged { topic_id } => {
                Stored::TopicPurged(stored::TopicPurged { topic_id: id_bytes(*topic_id) })
            }
            Self::TrimPartition { topic_id, partition, offset } => {
                Stored::TrimPartition(stored::TrimPartition {
                    topic_id: id_bytes(*topic_id),
                    partition: *partition,
                    offset: *offset,
                })
            }
            Self::BrokerStarted { broker_epoch, unclean } => Stored::BrokerStarted(stored::BrokerStarted {
                broker_epoch: *broker_epoch,
                unclean: group_by_topic(unclean),
            }),
            Self::ReserveProducerIds { next } => {
                Stored::ReserveProducerIds(stored::ReserveProducerIds { next: *next })
            }
        }
    }

    fn from_stored(command: Stored) -> Result<Self, DecodeError> {
        Ok(match command {
            Stored::CreateTopic(c) => Self::CreateTopic {
                topic_id: topic_id(&c.topic_id)?,
                name: c.name,
                partition_count: c.partition_count,
                configs: configs_from_stored(c.configs),
            },
            Stored::AddPartitions(c) => {
                Self::AddPartitions { topic_id: topic_id(&c.topic_id)?, partition_count: c.partition_count }
            }
            Stored::PartitionsReady(c) => {
                Self::PartitionsReady { topic_id: topic_id(&c.topic_id)?, partition_count: c.partition_count }
            }
            Stored::SetConfigs(c) => {
                Self::SetConfigs { topic_id: topic_id(&c.topic_id)?, configs: configs_from_stored(c.configs) }
            }
            Stored::DeleteTopic(c) => Self::DeleteTopic { topic_id: topic_id(&c.topic_id)? },
            Stored::TopicPurged(c) => Self::TopicPurged { topic_id: topic_id(&c.topic_id)? },
            Stored::TrimPartition(c) => Self::TrimPartition {
                topic_id: topic_id(&c.topic_id)?,
                partition: c.partition,
                offset: c.offset,
            },
            Stored::BrokerStarted(c) => {
                Self::BrokerStarted { broker_epoch: c.broker_epoch, unclean: ungroup(&c.unclean)? }
            }
            Stored::ReserveProducerIds(c) => Self::ReserveProducerIds { next: c.next },
        })
    }
}

/// The stored form of a topic id.
pub(super) fn id_bytes(id: TopicId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

/// Reads a stored topic id.
pub(super) fn topic_id(bytes: &[u8]) -> Result<TopicId, DecodeError> {
    TopicId::from_slice(bytes).ok_or(DecodeError::TopicId)
}

/// The stored form of configs: sorted by key.
pub(super) fn configs_to_stored(configs: &Configs) -> Vec<stored::Config> {
    configs.iter().map(|(key, value)| stored::Config { key: key.clone(), value: value.clone() }).collect()
}

/// Reads stored configs.
pub(super) fn configs_from_stored(configs: Vec<stored::Config>) -> Configs {
    configs.into_iter().map(|config| (config.key, config.value)).collect()
}

fn group_by_topic(partitions: &[TopicPartition]) -> Vec<stored::UncleanTopic> {
    partitions
        .chunk_by(|a, b| a.topic_id == b.topic_id)
        .map(|group| stored::UncleanTopic {
            topic_id: id_bytes(group[0].topic_id),
            partitions: group.iter().map(|id| id.partition).collect(),
        })
        .collect()
}

fn ungroup(groups: &[stored::UncleanTopic]) -> Result<Vec<TopicPartition>, DecodeError> {
    let mut partitions = Vec::new();
    for group in groups {
        let topic_id = topic_id(&group.topic_id)?;
        partitions.extend(group.partitions.iter().map(|&partition| TopicPartition { topic_id, partition }));
    }
    Ok(partitions)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_command() -> impl Strategy<Value = Command> {
        let id = || (0u8..4).prop_map(|n| TopicId([n; 16]));
        let configs = || {
            prop_oneof![
                Just(Configs::new()),
                Just(Configs::from([("retention.ms".to_owned(), "1000".to_owned())])),
                Just(Configs::from([("flush".to_owned(), "os".to_owned())])),
            ]
        };
        let count = || 0i32..5;
        prop_oneof![
            (id(), "[ab]", count(), configs()).prop_map(|(topic_id, name, partition_count, configs)| {
                Command::CreateTopic { topic_id, name, partition_count, configs }
            }),
            (id(), count())
                .prop_map(|(topic_id, partition_count)| Command::AddPartitions { topic_id, partition_count }),
            (id(), count()).prop_map(|(topic_id, partition_count)| Command::PartitionsReady {
                topic_id,
                partition_count
            }),
            (id(), configs()).prop_map(|(topic_id, configs)| Command::SetConfigs { topic_id, configs }),
            id().prop_map(|topic_id| Command::DeleteTopic { topic_id }),
            id().prop_map(|topic_id| Command::TopicPurged { topic_id }),
            (id(), count(), 0i64..100).prop_map(|(topic_id, partition, offset)| Command::TrimPartition {
                topic_id,
                partition,
                offset
            }),
            (0i32..9, proptest::collection::btree_set((id(), count()), 0..6)).prop_map(
                |(broker_epoch, unclean)| Command::BrokerStarted {
                    broker_epoch,
                    unclean: unclean
                        .into_iter()
                        .map(|(topic_id, partition)| TopicPartition { topic_id, partition })
                        .collect(),
                }
            ),
            (0i64..5000).prop_map(|next| Command::ReserveProducerIds { next }),
        ]
    }

    proptest! {
        #[test]
        fn commands_round_trip(command in any_command()) {
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Command::decode(&bytes);
        }
    }

    #[test]
    fn an_unknown_command_names_the_versions() {
        // Field 2047 as an empty message, and version 7: what a later command would look like here.
        let bytes = [0x08, 7, 0xfa, 0x7f, 0];
        let error = Command::decode(&bytes).expect_err("unknown");
        assert_eq!(error, DecodeError::Newer { found: 7, known: COMMAND_SET_VERSION });
        assert!(error.to_string().contains("newer Weir (command set 7, this one knows up to 1)"));
    }

    #[test]
    fn a_short_topic_id_is_refused() {
        let stored = stored::Command {
            version: 1,
            command: Some(Stored::DeleteTopic(stored::DeleteTopic {
                topic_id: Bytes::from_static(b"short"),
            })),
        };
        assert_eq!(Command::decode(&stored.encode_to_vec()), Err(DecodeError::TopicId));
    }
}
