//! What a journal can be told, and its limits with their reasons.

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

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Length of a segment file. A batch that is longer makes its segment longer.
    pub segment_bytes: u64,
    /// A batch is closed above this many bytes.
    pub batch_bytes: usize,
    /// What [`crate::Journal::kept_from`] wants kept for followers that were away, over all shards.
    pub kept_bytes: u64,
    /// Memory for recent entries, over all shards. Entries that aren't written yet come on top.
    pub cache_bytes: usize,
    /// Random bits, drawn anew at every open: nobody who can't read the files can foretell a
    /// checksum.
    pub salt: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            batch_bytes: 4 * 1024 * 1024,
            kept_bytes: 256 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            salt: 0,
        }
    }
}
