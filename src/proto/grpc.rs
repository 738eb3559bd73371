//! Package `weir.v1`.

tonic::include_proto!("weir.v1");

/// The encoded descriptor set of every file under `proto/`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
