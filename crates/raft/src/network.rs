//! openraft's network traits over a [`crate::link::Link`], and the link over gRPC.
//!
//! ```text
//! client   what openraft calls: votes, appends, snapshots, transfers, to one peer
//! append   a session of appends, pipelined        sessions   its other end
//! transfer a snapshot, chunk by chunk             serve      calls of Raft that arrive
//! router   who gets what arrives                  wire       messages as bytes
//! grpc     the link between processes
//! ```

mod append;
mod client;
#[cfg(test)]
mod fuzz;
pub mod grpc;
mod router;
mod serve;
mod sessions;
mod transfer;
mod wire;

pub(crate) use client::Network;
pub(crate) use router::{Answer, CallError, Content, Host, Incoming, Me, Method, Router};
pub(crate) use serve::serve;
pub(crate) use sessions::Feed;
pub(crate) use transfer::Transfers;
