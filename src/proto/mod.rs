//! Generated gRPC types of `proto/weir/v1`.

#[allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
pub mod grpc;
