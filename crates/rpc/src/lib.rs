//! Everything from `proto/`: the messages and services of the public API ([`v1`]) and of peers
//! ([`peer`]), generated when this crate is built.
//!
//! Never sled, openraft, RESP, nor any behaviour: what a call does is written in `server` and
//! `raft`.

#![expect(
    clippy::allow_attributes,
    clippy::too_many_lines,
    unused_qualifications,
    reason = "nobody writes or reads the generated code"
)]

/// The public API: package `weir.v1`.
pub mod v1 {
    tonic::include_proto!("weir.v1");

    /// The files of this package, encoded: what reflection hands out.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weir.v1.descriptors"));
}

/// What nodes say to each other: package `weir.peer.v1`.
pub mod peer {
    tonic::include_proto!("weir.peer.v1");
}
