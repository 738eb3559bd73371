//! The cluster's metadata: which topics there are, their configs, epochs and trims.
//!
//! Every change is a [`Command`], a record of the log `__cluster_metadata`. All commands together give the [`Image`],
//! which everything else reads. Reading order: [`command`], [`image`], [`snapshot`], [`metadata_log`].

pub mod command;
pub mod image;
pub mod metadata_log;
pub mod snapshot;

pub use command::{Command, Configs};
pub use image::{Image, PartitionState, Topic};
pub use metadata_log::{CommitError, MetadataError, MetadataLog, ReplayError};
