//! The journal's limits, with their reasons. What waits for the committer has no limit here: those
//! who propose hold permits in bytes (`Usage::unsynced_bytes` tells).

use std::time::Duration;

/// Below this a segment's header and a batch of ordinary size wouldn't fit.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

/// Zeros are written ahead in slices of this: small enough that a batch never waits long behind
/// one, large enough that the file's length changes seldom.
pub(crate) const FILL_BYTES: u64 = 1024 * 1024;

/// Freed segments that wait to be used again. One is taken at every change of segment; more would
/// only occupy disk.
pub(crate) const SPARES_MAX: usize = 2;

/// Reads of old entries gather neighbours up to this many bytes apart into one call.
pub(crate) const READ_GAP_BYTES: u64 = 4 * 1024;

/// One call reads at most this much, one large record aside.
pub(crate) const READ_BYTES_MAX: u64 = 1024 * 1024;

/// How far the witness may lag: so much may be lost of the journal's end without being noticed, and
/// a telling costs two syncs.
pub(crate) const WITNESS_EVERY: Duration = Duration::from_millis(100);

/// The time of a telling is followed by this many times as much without one, so that a slow disk is
/// not kept busy by it.
pub(crate) const WITNESS_REST: u32 = 49;

/// How far back a batch's list of shards is searched for one that is there: far enough for the
/// shards of a node that take turns, short enough to cost nothing with many.
pub(crate) const SHARDS_SEARCHED: usize = 16;
