//! Consumer groups through the door: the unary service, and the stream that is a member.

pub mod convert;
pub mod service;
pub mod stream;

pub use service::Grouping;
pub use stream::{ConsumeStream, consume};
