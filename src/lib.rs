//! Weir: a partitioned commit-log broker.
//!
//! Programs that write and read records want [`client`], with [`Client`] as its beginning; all else is the broker's own.
//!
//! Everything durable is a record in a partition log. Requests go down, records go to disk, offsets come up.
//!
//! ```text
//!  L7 tools      cli  bench                  L6 doors   api::grpc     client (L0–L1 only)
//!  L5 requests   broker        <- the only place where log, replica, cluster and coordinator meet
//!  L4 machines   coordinator
//!  L3 copies     replica  cluster
//!  L2 disk       log
//!  L1 bytes      record
//!  L0 words      base  env  config  metrics  proto
//! ```
//!
//! Imports go downward only; `tests/tidy` holds them against the table in `docs/ARCHITECTURE.md`.

pub mod api;
pub mod base;
pub mod bench;
pub mod broker;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod coordinator;
pub mod env;
pub mod log;
pub mod metrics;
pub mod proto;
pub mod record;
pub mod replica;

/// The Rust code of the README, compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeCode;

/// That of the tutorial on ordered records.
#[cfg(doctest)]
#[doc = include_str!("../docs/tutorials/ordered-user-activity.md")]
pub struct TutorialCode;

/// That of the page on groups.
#[cfg(doctest)]
#[doc = include_str!("../docs/explanation/groups.md")]
pub struct GroupsCode;

pub use base::{Error, ErrorKind, Outcome};
pub use client::{Acks, Client, Record};
