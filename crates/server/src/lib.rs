//! The program without its command line: sockets, Redis commands, gRPC, HTTP, configuration.
//!
//! Never knows sled or openraft: the replicated shards are a `raft::Shards` to it. Never reads
//! arguments or the environment: both are handed in.

mod commands;
pub mod config;
mod dispatch;
pub mod failure;
pub mod grpc;
mod http;
pub mod logging;
pub mod metrics;
pub mod node;
mod parting;
pub mod ports;
pub mod resp;
mod watchdog;
