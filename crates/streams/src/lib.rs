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

pub mod block;
pub mod command;
pub mod error;
pub mod event;
pub mod id;
pub mod limits;
pub mod query;
pub mod reply;
