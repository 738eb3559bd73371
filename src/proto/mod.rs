//! Generated types of `proto/weir`: [`grpc`] is what goes over the wire, [`storage`] what is stored.

// WHY large variants: the frame of records, the largest, is the one that most frames are.
#[allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::large_enum_variant)]
pub mod grpc;
#[allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
pub mod storage;
