//! What the group machine refuses, as public errors.

use crate::base::ids::InvalidName;
use crate::base::{Error, ErrorKind, GroupId, Outcome};
use crate::broker::errors::Place;
use crate::broker::groups::offsets_topic::OFFSETS_TOPIC;
use crate::broker::lookup::shown;
use crate::coordinator::group::GroupError;
use crate::coordinator::group::coordinator_partition;
use crate::coordinator::group::errors::{
    AdminError, CommitError, DeleteOffsetError, JoinError, MemberError, PositionError,
};
use crate::coordinator::runtime::{LoadError, RunError};
use crate::log::ReadError;

/// A command for one group that was not carried out.
pub fn group_error(group: &GroupId, error: RunError<GroupError>) -> Error {
    run_error(group, coordinator_partition(group), error)
}

/// A command for all groups of a partition of the offsets topic that was not carried out.
pub fn partition_error(partition: i32, error: RunError<GroupError>) -> Error {
    run_error(&GroupId::stored("*"), partition, error)
}

/// What it means that a partition of the offsets topic can't be replayed, and what to do.
const UNUSABLE: &str = "its groups can't be used until its folder is restored from a copy; other groups can";

fn run_error(group: &GroupId, partition: i32, error: RunError<GroupError>) -> Error {
    let place = Place { topic: OFFSETS_TOPIC, partition, stopping: false };
    match error {
        RunError::Refused(refused) => refused_error(group, refused),
        RunError::Append(error) => place.append_error(error),
        RunError::Parted(error) => place.append_error(error).outcome(Outcome::Unknown),
        RunError::NoMemory => no_memory(group),
        RunError::TooLarge(error) => {
            let message = format!(
                "group '{group}': what is to be stored does not fit one batch: {error}; ask for less at once"
            );
            Error::new(ErrorKind::InvalidRequest, message)
        }
        RunError::TooMany => {
            let message = format!(
                "group '{group}': so many offsets, with the names and texts beside them, do not fit one batch, \
                 and so can't all be set or none; set fewer at once, in several requests"
            );
            Error::new(ErrorKind::InvalidRequest, message).with("group", group)
        }
        RunError::Load(LoadError::Read(ReadError::Damaged { first, end })) => {
            // Nobody seeks in this log: all of it is needed.
            place.damaged_for(first, end, UNUSABLE).outcome(Outcome::NotWritten)
        }
        RunError::Load(LoadError::Read(error)) => place.read_error(error).outcome(Outcome::NotWritten),
        RunError::Load(LoadError::Offline(error)) => place.append_error(error).outcome(Outcome::NotWritten),
        RunError::Load(LoadError::Batch(error)) => {
            let message =
                format!("partition {} of topic '{OFFSETS_TOPIC}': {error}; {UNUSABLE}", place.partition);
            Error::new(ErrorKind::StorageError, message).outcome(Outcome::NotWritten)
        }
    }
}

fn no_memory(group: &GroupId) -> Error {
    let message = format!(
        "group '{group}': there is no memory for more members and offsets; delete groups that nobody needs, or raise memory.bytes"
    );
    Error::new(ErrorKind::Throttled, message).with("group", group)
}

fn refused_error(group: &GroupId, error: GroupError) -> Error {
    let kind = match &error {
        GroupError::Join(JoinError::Full) => ErrorKind::GroupFull,
        GroupError::Join(_) | GroupError::Member(MemberError::Subscription(_)) => ErrorKind::InvalidRequest,
        GroupError::Member(error) | GroupError::Commit(CommitError::Member(error)) => kind_of_member(error),
        GroupError::Commit(CommitError::NotEmpty { .. }) | GroupError::Admin(AdminError::NotEmpty { .. }) => {
            ErrorKind::GroupNotEmpty
        }
        GroupError::Admin(AdminError::NotFound { .. }) => ErrorKind::GroupNotFound,
    };
    let message = match &error {
        GroupError::Admin(AdminError::NotFound { .. }) => format!("{error}; {}", kind.row().advice),
        _ => format!("group '{group}': {error}"),
    };
    Error::new(kind, message).with("group", group)
}

fn kind_of_member(error: &MemberError) -> ErrorKind {
    match error {
        MemberError::Unknown { .. } => ErrorKind::UnknownMember,
        MemberError::Fenced { .. } => ErrorKind::MemberFenced,
        MemberError::Subscription(_) => ErrorKind::InvalidRequest,
    }
}

/// One offset of a commit that was refused.
pub fn position_error(topic: &str, partition: i32, error: &PositionError) -> Error {
    let kind = match error {
        PositionError::NotOwner | PositionError::Stale { .. } => ErrorKind::PartitionNotOwned,
        PositionError::Offset { .. } | PositionError::Metadata { .. } => ErrorKind::InvalidRequest,
    };
    let message = format!("partition {partition} of topic '{}': {error}", shown(topic));
    Error::new(kind, message).with("topic", shown(topic)).with("partition", partition)
}

/// An offset that was not deleted.
pub fn delete_error(topic: &str, partition: i32, error: DeleteOffsetError) -> Error {
    let kind = match error {
        DeleteOffsetError::Subscribed => ErrorKind::GroupNotEmpty,
        DeleteOffsetError::NotFound => ErrorKind::OffsetOutOfRange,
    };
    let message = format!("partition {partition} of topic '{}': {error}", shown(topic));
    Error::new(kind, message).with("topic", shown(topic)).with("partition", partition)
}

/// A name that no group, member or instance can have.
pub fn invalid_name(what: &'static str, name: &str, error: InvalidName) -> Error {
    let (kind, name) = (ErrorKind::InvalidGroup, shown(name));
    Error::new(kind, format!("{what} '{name}' can't be used: {error}; {}", kind.row().advice))
        .with(what, name)
}
