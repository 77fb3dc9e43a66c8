//! The data model of Redis Streams as a deterministic state machine.
//!
//! ```text
//! needs(state, command) -> the blocks that apply will look into
//! apply(state, blocks, stamp, command) -> reply + events
//! ```
//!
//! Never asks the world: no clock, no I/O, no randomness, no thread, no iteration order that
//! differs between nodes. The same commands give the same state, replies and hash on every replica.
//! Also home of the encoding of commands and of every part of the state (tags written out, version
//! first), since both outlive the process.

mod checkpoint;
mod chunks;
mod code;
mod commands;
mod encoding;
mod finder;
mod group;
mod hash;
mod idempotence;
mod listpack;
mod parts;
mod places;
mod queries;
mod reading;
mod resolve;
mod sessions;
mod settings;
mod state;
mod stored;
mod stream;
mod told;
mod transaction;
mod view;
mod waiting;
mod wire;
mod work;

pub mod block;
pub mod command;
pub mod error;
pub mod event;
pub mod glob;
pub mod id;
pub mod limits;
pub mod query;
pub mod reply;

pub use block::{Block, Blocks};
pub use checkpoint::{CheckpointParts, Loader};
pub use encoding::{Batch, Run};
pub use idempotence::id_of_fields;
pub use parts::{block_of_part, block_part_key, is_block_part};
pub use places::PLACE_BITS;
pub use sessions::{Admit, NotAdmitted, Origin, SEQUENCE_FIRST};
pub use settings::Settings;
pub use state::{Applied, Dirty, State};
pub use waiting::Undelivered;
