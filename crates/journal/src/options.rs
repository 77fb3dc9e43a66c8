//! What a journal can be told.

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Length of a segment file, at least [`crate::SEGMENT_BYTES_MIN`]. A batch that is longer makes its segment longer.
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
