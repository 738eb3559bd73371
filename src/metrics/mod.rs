//! Metrics: what is counted, what it is called, and the text in which Prometheus reads it.
//!
//! Reading order: [`counter`] (what costs one atomic), [`registry`] (what is counted where), [`names`] (the one table of all
//! metrics), [`export`]; [`rates`] (what the registry keeps of itself).

pub mod counter;
pub mod export;
pub mod names;
pub mod rates;
pub mod registry;

pub use counter::{Counter, Gauge, Histogram};
pub use rates::Rate;
pub use registry::{Counters, LogCounters, Method, Protocol, Refusal, TopicBook, TopicCounters};
