//! openraft used for one shard, and for all shards of a node. The only crate that knows openraft.
//!
//! Never knows RESP or the command line; reaches sled only through `store`, the peers only through
//! [`Link`](link), time and randomness only through what is handed in.

pub mod bus;
pub mod cache;
pub mod checkpoint;
mod clock;
mod expire;
mod forming;
mod gateway;
mod held;
pub mod limits;
pub mod link;
pub mod log;
pub mod machine;
mod meta;
pub mod network;
pub mod node;
mod propose;
mod read;
mod refill;
pub mod repair;
mod replace;
#[cfg(test)]
mod rig;
mod route;
pub mod runtime;
pub mod settings;
mod shard;
mod shards;
mod slots;
pub mod snapshot;
pub mod state;
mod supervisor;
pub mod types;
mod waits;

pub use node::{Driver, Failure, Member, Node, Options, Pace, Reads, SIMULATED_PANIC, World};
pub use shards::{
    Held, NodeStatus, Observer, Outcome, PeerStatus, Pending, ProposeError, ShardStatus, Shards,
};
pub use waits::{WaitWork, Watch, Watches};
