//! Slots, shards, nodes: which key belongs to which shard, and who the nodes are.
//!
//! Pure, like `streams`: never a clock, a socket, a thread or an unordered map.

mod slot;

pub use slot::{SLOTS_COUNT, SlotId, slot_of};
