//! The log at rest: every stream, group and offset of the node's shards, as of their last
//! checkpoints. In sled, behind one small trait; and in memory, with faults, for simulation.
//!
//! Never knows what the bytes mean, nor tokio, openraft or `streams`. The only crate that knows
//! sled.

mod api;
pub mod conformance;
pub mod limits;
mod memory;

pub use api::{CheckpointNumber, Error, Part, Pin, Root, Store, Switch};
pub use limits::{PART_KEY_BYTES_MAX, PUT_PARTS_MAX};
pub use memory::{Memory, SwitchFault};
