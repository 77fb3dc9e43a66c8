//! Every limit of this crate, with its reason.

use std::time::Duration;

/// Bytes of entries that one read of the log gives, one large entry aside: what is in memory at
/// once while a follower catches up, or while entries are applied again after a start.
pub const READ_BYTES_MAX: usize = 1024 * 1024;

/// A shard with this much that isn't in the store is checkpointed: memory that can't be given up,
/// and what has to be applied again after a crash.
pub const CHECKPOINT_DIRTY_BYTES: usize = 8 * 1024 * 1024;

/// Changed parts after which a shard is checkpointed: many small ones cost more than their bytes.
pub const CHECKPOINT_DIRTY_PARTS: usize = 20_000;

/// A shard with changes is checkpointed at least this often, so that its log can go.
pub const CHECKPOINT_AGE: Duration = Duration::from_secs(30);
