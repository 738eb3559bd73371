//! The records of `__consumer_offsets`: Kafka's keys and values, byte for byte, and what Weir adds in tags of its own.
//!
//! A key is `i16` type and the fields of that type, in Kafka's older form (strings with an `i16` length). A value is `i16` version and
//! fields in the flexible form (compact lengths, tagged fields at the end of each structure). All integers are big-endian.
//!
//! | type | about | key | value |
//! |---:|---|---|---|
//! | 1 | a committed offset | group, topic, partition `i32` | version 4: offset `i64`, leader epoch `i32`, metadata, time of commit `i64`; tag 0: topic id |
//! | 3 | a group | group | version 0: group epoch `i32`; tag 0: hash of its topics `i64`; tags 1000–1002 below |
//! | 5 | a member | group, member | version 0: instance id?, rack?, client id, client host, topics\[\], pattern?, rebalance timeout `i32`, assignor?; tag 0: classic protocol (skipped); tag 1000 below |
//! | 6 | a target | group | version 0: target epoch `i32`; tag 0: when it was computed `i64` |
//! | 7 | a member's target | group, member | version 0: \[topic id, partitions\[\]\] |
//! | 8 | what a member owns | group, member | version 0: member epoch `i32`, the one before `i32`, state `i8`, assigned, pending revocation; each \[topic id, partitions\[\]; tag 0: ownership epochs\[\]\] |
//!
//! Weir's tags, which Kafka's tools skip: in type 3, 1000 where the group begins (`i64`: −2 earliest, −1 latest, else a timestamp),
//! 1001 the metadata offset up to which that holds (`i64`), 1002 the hash of its subscription (`i64`); in type 5, 1000 the session
//! timeout in ms (`i32`).
//!
//! Other types and versions are not touched: they are another's. Offsets under keys of type 0 (before Kafka 0.9) and values below
//! version 4 know no topic id and are therefore no offsets here.
//!
//! Source: Kafka 4.3 `group-coordinator/src/main/resources/common/message`.

mod assignment;
mod offset;
mod reader;
mod record;
mod values;
mod writer;

pub use record::{DecodeError, GroupRecord};
pub use values::{Current, GroupHead, Membership, TargetEpoch};

#[cfg(test)]
mod tests;
