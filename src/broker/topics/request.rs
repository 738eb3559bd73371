//! Requests about topics and their replies, in the words of no protocol.

use std::collections::BTreeSet;

use crate::base::{Error, LeaderEpoch, Offset, TopicId};
use crate::cluster::Configs;
use crate::config::topic::TopicSetting;
use crate::log::{LogOffsets, LogSize};
use crate::metrics::Rate;

/// Makes a topic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreateTopic {
    /// Its name.
    pub name: String,
    /// 0: the default, which is 1.
    pub partition_count: i32,
    /// Configs that differ from their default.
    pub configs: Configs,
    /// Checks everything and changes nothing.
    pub validate_only: bool,
}

/// Changes a topic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UpdateTopic {
    /// Its name.
    pub name: String,
    /// Configs to set.
    pub set_configs: Configs,
    /// Configs that go back to their default.
    pub delete_configs: BTreeSet<String>,
    /// `None`: as it is. It may only rise.
    pub partition_count: Option<i32>,
    /// Checks everything and changes nothing.
    pub validate_only: bool,
}

/// Deletes a topic with all its records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeleteTopic {
    /// Its name.
    pub name: String,
    /// Checks everything and changes nothing.
    pub validate_only: bool,
}

/// Lists topics by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListTopics {
    /// With `*` and `?`; empty means all.
    pub name_glob: String,
    /// Also the broker's own.
    pub include_internal: bool,
    /// 0: the default, which is 1,000; more than 10,000 means 10,000.
    pub page_size: i32,
    /// Empty for the first page, else from the page before.
    pub page_token: String,
}

/// Removes records below an offset.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrimTopic {
    /// The topic's name.
    pub name: String,
    /// Partition, and the offset below which records go; −1 means the high watermark.
    pub partitions: Vec<(i32, Offset)>,
    /// Checks everything and changes nothing.
    pub validate_only: bool,
}

/// What became of one partition of a [`TrimTopic`], in the order of the request.
#[derive(Debug)]
pub struct TrimmedPartition {
    /// The partition.
    pub partition: i32,
    /// Its log start now (with `validate_only`: as it would be).
    pub log_start: Result<Offset, Error>,
}

/// A topic as clients see it.
#[derive(Debug)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// `None` for one that was only validated.
    pub topic_id: Option<TopicId>,
    /// Whether it is the broker's own.
    pub internal: bool,
    /// By number.
    pub partitions: Vec<PartitionDescription>,
    /// Every key, set or default.
    pub configs: Vec<TopicSetting>,
    /// What is written and read lately; `None` where the topic is not counted for itself.
    pub rate: Option<Rate>,
}

/// A partition as clients see it.
#[derive(Debug)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// Its leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// Its marks; all 0 when it can't be opened.
    pub offsets: LogOffsets,
    /// What it takes on disk; all 0 when it can't be opened.
    pub size: LogSize,
    /// Why it is offline, if it is.
    pub error: Option<Error>,
}

/// One page of topics.
#[derive(Debug)]
pub struct TopicPage {
    /// By name.
    pub topics: Vec<TopicDescription>,
    /// For the next page; empty after the last one.
    pub next_page_token: String,
}

/// A changed topic.
#[derive(Debug)]
pub struct UpdatedTopic {
    /// As it is now (with `validate_only`: as it would be).
    pub topic: TopicDescription,
    /// As it was before.
    pub previous: TopicDescription,
}
