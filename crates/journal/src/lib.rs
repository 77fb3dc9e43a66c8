//! The node's write-ahead journal: votes and Raft entries of all shards in one order of files,
//! written by one committer with one sync, and the guard around it (identity, witness, lock,
//! ballast).
//!
//! Never knows Raft: entries, votes and what they mean are bytes to it. Never reads a clock or
//! makes randomness, never reaches the file system but through `base::Disk`, never tries again
//! what failed.

mod committer;
mod error;
mod format;
#[cfg(test)]
mod fuzz;
pub mod guard;
mod handover;
mod index;
mod journal;
#[cfg(test)]
mod known_bugs;
mod limits;
mod logs;
mod marks;
mod options;
mod read;
mod recovery;
mod replay;
mod segment;
mod shared;
#[cfg(test)]
mod shuttle_tests;
mod survey;
mod types;
mod verify;
mod witness;

/// What the hand-over is made of. A test puts shuttle's in its place.
mod primitives {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
}

pub use committer::{Committer, MakeRoom};
pub use error::{Damage, OpenError, ReadError, Refused};
pub use journal::{Journal, open};
pub use limits::SEGMENT_BYTES_MIN;
pub use marks::Marks;
pub use options::Options;
pub use shared::Hook;
pub use types::{Done, Failed, LogId, LogState, Pin, Position, Record, Usage};
pub use verify::{Report, verify};
