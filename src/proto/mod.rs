//! Generated types of `proto/weir`: [`grpc`] is what goes over the wire, [`storage`] what is stored.

#[allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
pub mod grpc;
#[allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
pub mod storage;
