//! Measuring a broker from outside: the same generator, checks and figures for every [`Driver`].
//!
//! A run writes values that tell their own number and time ([`Values`]), reads them back, and holds what it read against
//! what it wrote ([`Chain`]). Latency counts from the time at which a record was *due*, not from when it was sent: a broker
//! that stalls is charged for every record that waited (coordinated omission, as wrk2 and HdrHistogram describe it).
//! Reading order: [`workload`], [`schedule`], [`driver`], [`run`].

pub mod bare;
pub mod driver;
pub mod latency;

pub mod run;
pub mod schedule;

pub mod workload;

pub use driver::{Driver, Reader, Writer};
pub use latency::Latencies;

pub use schedule::Rate;
pub use workload::{Chain, Values};
