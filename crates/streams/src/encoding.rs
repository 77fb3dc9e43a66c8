//! Commands, queries, replies and batches as bytes: what the log, the peers and checkpoints carry.
//! Tags are written out and never used again; a version comes first. Reading is total.

mod batch;
mod command;
mod keys;
mod query;
mod reply;

pub use batch::{Batch, Run};

pub(crate) use keys::read_settings;
pub(crate) use reply::{put_reply, read_reply};

#[cfg(test)]
mod fuzz;
