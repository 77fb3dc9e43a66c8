//! The log at rest: every stream, group and offset of the node's shards, as of their last
//! checkpoints. In sled, behind one small trait; and in memory, with faults, for simulation.
//!
//! Never knows what the bytes mean, nor tokio, openraft or `streams`. The only crate that knows
//! sled.

mod api;

pub use api::{CheckpointNumber, Error, Part, Pin, Root, Store, Switch};

/// Parts in one [`Store::put`]: a batch of sled holds all other batches up, so it stays short.
pub const PUT_PARTS_MAX: usize = 64;
