//! The log at rest: every stream, group and offset of the node's shards, as of their last
//! checkpoints. In sled, behind one small trait; and in memory, with faults, for simulation.
//!
//! Never knows what the bytes mean, nor tokio, openraft or `streams`. The only crate that knows
//! sled.

mod api;
mod aside;
pub mod conformance;
mod durable;
mod layout;
pub mod limits;
mod memory;
mod on_sled;
mod verify;

pub use api::{CheckpointNumber, Error, Part, Pin, Root, Store, Stores, Switch};
pub use aside::OnDisk;
pub use durable::is_in_effect as sync_fence_in_effect;
pub use limits::{PART_KEY_BYTES_MAX, PUT_PARTS_MAX};
pub use memory::{Memory, SwitchFault};
pub use on_sled::{Options, Sled};
pub use verify::{Report, ShardReport, verify};
