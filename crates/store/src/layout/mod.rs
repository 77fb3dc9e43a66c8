//! What stands in sled, byte for byte: one file per stored thing, with its key and value. Never how
//! it is used.
//!
//! Each shard has a tree of its own, `shard-<id>.<generation>`. Its keys, in their order:
//!
//! | first byte | file | what |
//! |---|---|---|
//! | 1 | [`sum`] | how many records of kinds 2 to 5 there are, and the sum of their keys' hashes |
//! | 2 | [`root`] | the checkpoint that the shard is at |
//! | 3 | [`change`] | which keys a checkpoint wrote: what sweeping has to look at |
//! | 4 | [`dropped`] | a prefix that a checkpoint dropped |
//! | 5 | [`entry`] | a part under the version that wrote it: its value, or where that is, or its removal |
//! | 6 | [`chunk`] | a piece of a part's value |
//!
//! The tree `catalogue` says which shards there are ([`catalogue`]), the file `format` beside sled's
//! which format everything has ([`format`]).
//!
//! A reader at a version sees, of each key, the newest entry at or below it, unless that entry was
//! never switched to, says "removed", or is older than a drop of its prefix. So a switch writes one
//! record, the root, however much has changed; and what is in the way goes later.
//!
//! Kinds 1 to 5 stand together and are small. They are read whole when a store is opened, so that
//! the loss of any of them is noticed by the sum; the loss of a chunk is noticed by its entry.
//!
//! Kind bytes are never used for anything else. Every value is framed ([`frame`]).

pub(crate) mod catalogue;
pub(crate) mod change;
pub(crate) mod chunk;
pub(crate) mod dropped;
pub(crate) mod entry;
mod fields;
pub(crate) mod format;
mod frame;
#[cfg(test)]
mod fuzz;
pub(crate) mod root;
pub(crate) mod sum;
mod version;

pub(crate) use frame::{FRAME_BYTES, frame, unframe};
pub(crate) use version::Version;

/// Why stored bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Bad(pub(crate) &'static str);
