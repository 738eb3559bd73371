//! Identifiers that are stored or sent, and therefore never change their form.

use std::fmt;
use std::sync::Arc;

use super::limits::GROUP_NAME_BYTES_MAX;

/// Identity of a topic for its whole life: 16 random bytes. A topic that is deleted and created again
/// under the same name has another id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// Takes 16 bytes; any other length gives `None`.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 16]>::try_from(bytes).ok().map(Self)
    }

    /// Parses the 32 hexadecimal digits that `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut id = [0u8; 16];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// One partition of one topic: the identity of a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TopicPartition {
    /// The topic.
    pub topic_id: TopicId,
    /// Index of the partition, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}

/// Identity of a cluster: 16 random bytes, drawn when its first data directory is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TopicId(self.0).fmt(f)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// Identity of an idempotent producer; never negative where one is set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProducerId(pub i64);

/// Why a name of a group, a member or an instance is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvalidName {
    /// It has no letter.
    Empty,
    /// It has this many bytes, more than [`GROUP_NAME_BYTES_MAX`].
    TooLong(usize),
    /// A control character stands at this byte.
    Control(usize),
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::TooLong(bytes) => {
                write!(f, "it has {bytes} bytes, at most {GROUP_NAME_BYTES_MAX} are allowed")
            }
            Self::Control(at) => write!(f, "it has a control character at byte {at}"),
        }
    }
}

/// Holds a name against the rules for groups, members and instances.
fn check_name(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > GROUP_NAME_BYTES_MAX {
        return Err(InvalidName::TooLong(text.len()));
    }
    match text.char_indices().find(|(_, letter)| letter.is_control()) {
        Some((at, _)) => Err(InvalidName::Control(at)),
        None => Ok(()),
    }
}

macro_rules! names {
    ($($(#[doc = $what:literal])+ $name:ident;)*) => {$(
        $(#[doc = $what])+
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes 1 to 249 bytes without control characters.
            ///
            /// Errors: what is wrong with the name.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                check_name(text).map(|()| Self(text.into()))
            }

            /// Takes a name as it was stored, whatever its form.
            pub fn stored(text: &str) -> Self {
                Self(text.into())
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    )*};
}

names! {
    /// Name of a consumer group. Cheap to clone, as are the other two.
    GroupId;
    /// Identity of a member of a group for one stay in it; never used again after it left.
    MemberId;
    /// Name that a static member keeps over restarts.
    InstanceId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_are_checked() {
        assert_eq!(GroupId::parse("żółw").map(|id| id.to_string()), Ok("żółw".to_owned()));
        assert_eq!(GroupId::parse(""), Err(InvalidName::Empty));
        assert_eq!(MemberId::parse(&"m".repeat(250)), Err(InvalidName::TooLong(250)));
        assert!(MemberId::parse(&"m".repeat(249)).is_ok());
        assert_eq!(InstanceId::parse("a\nb"), Err(InvalidName::Control(1)));
    }

    #[test]
    fn topic_id_text_round_trips() {
        let id = TopicId(*b"0123456789abcdef");
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        assert_eq!(TopicId::parse("xyz"), None);
        assert_eq!(TopicId::parse(&"g".repeat(32)), None);
        assert_eq!(TopicId::from_slice(b"short"), None);
    }
}
