//! Package `weir.storage.v1`.

include!(concat!(env!("OUT_DIR"), "/weir.storage.v1.rs"));
