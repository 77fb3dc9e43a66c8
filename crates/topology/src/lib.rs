//! Slots, shards, nodes: which key belongs to which shard, and who the nodes are.
//!
//! Pure, like `streams`: never a clock, a socket, a thread or an unordered map.

mod map;
pub mod meta;
mod slot;

pub use map::{SHARDS_MAX, ShardMap};
pub use meta::{Addresses, Meta, MetaCommand, MetaReply, NodeState, Settings};
pub use slot::{SLOTS_COUNT, SlotId, slot_of};
