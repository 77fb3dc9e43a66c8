//! The RESP door: Redis's protocol on a socket. Clients of Redis Streams work unchanged.
//!
//! Meets the gRPC door at `Command` and `Query` and knows nothing of it; sees the shards only as a
//! [`raft::Shards`]. Redis's commands and their words are known here and in `commands`, nowhere
//! else.

mod absent;
mod channels;
mod clients;
mod compatibility;
mod connection;
mod door;
mod error;
mod inbox;
mod keyspace;
mod latency;
mod limits;
mod listener;
mod manual;
mod pause;
mod queue;
mod reply;
mod route;
mod session;
mod settings;
mod shown;
mod slow_log;
mod socket;
mod statistics;
mod table;
mod transaction;
mod unread;

pub(crate) use channels::{Channels, Kind as ChannelKind};
pub(crate) use clients::{Client, Kind, Unblock};
pub(crate) use door::Door;
pub use door::{Options, Port, Stats};
pub(crate) use error::{Echo, SyntaxError};
pub(crate) use keyspace::Classes;
pub use listener::{Handle, Service};
pub use manual::manual;
pub(crate) use pause::Paused;
pub(crate) use reply::Nothing;
pub(crate) use session::{Replies, Turn};
pub(crate) use settings::Number;
pub use socket::Socket;
#[cfg(test)]
pub(crate) use table::Little;
pub(crate) use table::{Doc, Flags, Group, Keys, Run, Spec, all, find, lookup, rows};
pub(crate) use transaction::{Watched, lock};
