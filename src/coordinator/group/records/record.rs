//! A record of the group machine, and its key.

use std::fmt;

use super::assignment;
use super::offset::{self, OFFSET_VERSION};
use super::reader::Reader;
use super::values::{Current, GroupHead, Membership, TargetEpoch};
use super::writer::Writer;
use crate::base::{GroupId, MemberId};
use crate::coordinator::StoredRecord;
use crate::coordinator::group::assign::Assignment;
use crate::coordinator::group::position::{Committed, PartitionName};

const OFFSET: i16 = 1;
const GROUP: i16 = 3;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET: i16 = 7;
const CURRENT: i16 = 8;

/// Version of every value but the offset's.
const VERSION: i16 = 0;

/// One record. `None` as value is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupRecord {
    /// A committed offset.
    Offset(GroupId, PartitionName, Option<Committed>),
    /// A group.
    Group(GroupId, Option<GroupHead>),
    /// A member.
    Member(GroupId, MemberId, Option<Membership>),
    /// What the targets were computed for.
    TargetEpoch(GroupId, Option<TargetEpoch>),
    /// A member's target.
    Target(GroupId, MemberId, Option<Assignment>),
    /// What a member owns.
    Current(GroupId, MemberId, Option<Current>),
}

/// Why a stored record means nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// It is of a type that the group machine does not use.
    UnknownType(i16),
    /// Its value has a version that is not known.
    UnknownVersion {
        /// Its type.
        of: i16,
        /// The version.
        version: i16,
    },
    /// The bytes are not what the type says.
    Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(of) => write!(f, "record type {of} is not one of the group machine's"),
            Self::UnknownVersion { of, version } => {
                write!(f, "version {version} of record type {of} is not known")
            }
            Self::Malformed => write!(f, "the record is malformed"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl GroupRecord {
    /// The stored form.
    pub fn encode(&self) -> StoredRecord {
        let mut key = Writer::new();
        key.i16(self.number());
        key.string(self.group().as_str());
        match self {
            Self::Offset(_, name, _) => {
                key.string(&name.topic);
                key.i32(name.partition);
            }
            Self::Member(_, member, _) | Self::Target(_, member, _) | Self::Current(_, member, _) => {
                key.string(member.as_str());
            }
            Self::Group(..) | Self::TargetEpoch(..) => {}
        }
        StoredRecord { key: key.finish(), value: self.encode_value() }
    }

    fn encode_value(&self) -> Option<bytes::Bytes> {
        let mut out = Writer::new();
        out.i16(if matches!(self, Self::Offset(..)) { OFFSET_VERSION } else { VERSION });
        match self {
            Self::Offset(_, _, value) => offset::write(&mut out, value.as_ref()?),
            Self::Group(_, value) => value.as_ref()?.write(&mut out),
            Self::Member(_, _, value) => value.as_ref()?.write(&mut out),
            Self::TargetEpoch(_, value) => value.as_ref()?.write(&mut out),
            Self::Target(_, _, value) => {
                assignment::write(&mut out, value.as_ref()?);
                out.tags(&[]);
            }
            Self::Current(_, _, value) => value.as_ref()?.write(&mut out),
        }
        Some(out.finish())
    }

    /// Reads the stored form.
    ///
    /// Errors: the record is another's, newer than this Weir, or malformed.
    pub fn decode(record: &StoredRecord) -> Result<Self, DecodeError> {
        let of = Reader::new(&record.key).i16().ok_or(DecodeError::Malformed)?;
        let known = match of {
            OFFSET => OFFSET_VERSION,
            GROUP | MEMBER | TARGET_EPOCH | TARGET | CURRENT => VERSION,
            _ => return Err(DecodeError::UnknownType(of)),
        };
        let mut value = record.value.as_deref().map(Reader::new);
        if let Some(value) = &mut value {
            let version = value.i16().ok_or(DecodeError::Malformed)?;
            if version != known {
                return Err(DecodeError::UnknownVersion { of, version });
            }
        }
        let mut key = Reader::new(&record.key);
        let found = Self::read(&mut key, value.as_mut()).ok_or(DecodeError::Malformed)?;
        let is_whole = key.is_at_end() && value.is_none_or(|value| value.is_at_end());
        if is_whole { Ok(found) } else { Err(DecodeError::Malformed) }
    }

    fn read(key: &mut Reader<'_>, value: Option<&mut Reader<'_>>) -> Option<Self> {
        let of = key.i16()?;
        let group = GroupId::stored(&key.string()?);
        Some(match of {
            OFFSET => {
                let name = PartitionName { topic: key.string()?, partition: key.i32()? };
                let value = read_some(value, |from| offset::read(from, &name))?;
                Self::Offset(group, name, value)
            }
            GROUP => Self::Group(group, read_some(value, GroupHead::read)?),
            TARGET_EPOCH => Self::TargetEpoch(group, read_some(value, TargetEpoch::read)?),
            MEMBER => Self::Member(group, member(key)?, read_some(value, Membership::read)?),
            TARGET => Self::Target(group, member(key)?, read_some(value, target)?),
            CURRENT => Self::Current(group, member(key)?, read_some(value, Current::read)?),
            _ => return None,
        })
    }

    /// The type's number.
    fn number(&self) -> i16 {
        match self {
            Self::Offset(..) => OFFSET,
            Self::Group(..) => GROUP,
            Self::Member(..) => MEMBER,
            Self::TargetEpoch(..) => TARGET_EPOCH,
            Self::Target(..) => TARGET,
            Self::Current(..) => CURRENT,
        }
    }

    /// The group that it is about.
    pub fn group(&self) -> &GroupId {
        match self {
            Self::Offset(group, ..)
            | Self::Group(group, _)
            | Self::Member(group, ..)
            | Self::TargetEpoch(group, _)
            | Self::Target(group, ..)
            | Self::Current(group, ..) => group,
        }
    }
}

fn member(key: &mut Reader<'_>) -> Option<MemberId> {
    key.string().map(|text| MemberId::stored(&text))
}

fn target(from: &mut Reader<'_>) -> Option<Assignment> {
    let target = assignment::read(from)?;
    from.tags(|_, _| Some(false))?;
    Some(target)
}

/// Reads a value where there is one; `None` when it is malformed.
fn read_some<'a, T>(
    value: Option<&mut Reader<'a>>,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(from) => read(from).map(Some),
    }
}
