//! Every limit of the store, with its reason, and the checks of what callers give.

use crate::api::{Error, Part, Switch};

/// Parts in one [`crate::Store::put`]: a batch of sled holds all other batches up, so it stays
/// short.
pub const PUT_PARTS_MAX: usize = 64;

/// Bytes of a part's key. A page of sled's index holds up to 320 keys for a moment and must stay
/// below a quarter of a segment, like the pages of values. Keys are ids, not names.
pub const PART_KEY_BYTES_MAX: usize = 128;

/// Bytes of a part's value.
pub const PART_VALUE_BYTES_MAX: usize = 64 << 20;

/// Bytes of sled's segments. Fixed when a store is made. Larger ones cost disk and latency.
pub(crate) const SEGMENT_BYTES: usize = 512 << 10;

/// How often and how long opening waits for the lock of sled's file, which a store that was just
/// closed in this process gives up a moment later.
pub(crate) const LOCK_TRIES: usize = 200;
pub(crate) const LOCK_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

/// Bytes of one value inside sled. A page above a quarter of a segment becomes a blob file, which is
/// never synced and never goes away. A page of values splits when it is visited with more than 16
/// in it, and a neighbour with up to 3 may be merged into it before that: 20 values must fit.
pub(crate) const VALUE_BYTES_MAX: usize = 6_000;

/// What a page of sled holds beside a value: its key and lengths.
const VALUE_OVERHEAD_BYTES: usize = 300;
const _: () = assert!(20 * (VALUE_BYTES_MAX + VALUE_OVERHEAD_BYTES) < SEGMENT_BYTES / 4);

/// Escaped key, kind, terminator, version and what the index adds.
const SLED_KEY_BYTES_MAX: usize = 2 * (PART_KEY_BYTES_MAX + 1) + 32;
const _: () = assert!(320 * SLED_KEY_BYTES_MAX < SEGMENT_BYTES / 4);

/// Bytes of a part in one chunk: a value inside sled without its frame.
pub(crate) const CHUNK_BYTES: usize = VALUE_BYTES_MAX - crate::layout::FRAME_BYTES;

/// Values up to this stand in the index entry itself: a second key would cost more.
pub(crate) const INLINE_BYTES_MAX: usize = 512;

/// Small records in one batch of sled: the entries of one put, what says where they are, the sum.
/// A batch stops everybody else meanwhile, and costs two syncs.
pub(crate) const BATCH_OPERATIONS_MAX: usize = PUT_PARTS_MAX + 4;

/// What sled is given before it is waited for, in chunks: 16 of them come to one write of a segment,
/// measured. So four writes at most are on their way at a time, one that the waiting begins, and one
/// that a reader may: fewer than sled's seven threads.
pub(crate) const AHEAD_OF_SLED_MAX: usize = 64;

/// A batch makes two writes, however small it is.
pub(crate) const BATCH_AHEAD_OF_SLED: usize = 32;

/// Keys that one call of sweep removes or looks at: more than what one put makes old, so that a sweep
/// a put keeps up; some 40 ms, in which nobody else may write.
pub(crate) const SWEEP_KEYS_MAX: usize = 256;
const _: () = assert!(SWEEP_KEYS_MAX >= 4 * PUT_PARTS_MAX);

/// Versions that a root lists as passed over. Above it they are swept before the next switch; each
/// stands for a crash or a failed transfer.
pub(crate) const PASSED_OVER_MAX: usize = 64;
const _: () = assert!(PASSED_OVER_MAX * 12 + INLINE_BYTES_MAX + 64 < CHUNK_BYTES);

pub(crate) fn check_switch(switch: &Switch) -> Result<(), Error> {
    let keys = switch.removed.iter().chain(&switch.dropped_prefixes);
    if keys.into_iter().any(|key| key.len() > PART_KEY_BYTES_MAX) {
        return Err(Error::Misuse("a part's key is too long"));
    }
    if switch.meta.len() > PART_VALUE_BYTES_MAX {
        return Err(Error::Misuse("a checkpoint's meta is too long"));
    }
    Ok(())
}

pub(crate) fn check_parts(parts: &[Part]) -> Result<(), Error> {
    if parts.len() > PUT_PARTS_MAX {
        return Err(Error::Misuse("too many parts in one put"));
    }
    if parts.iter().any(|part| part.key.len() > PART_KEY_BYTES_MAX) {
        return Err(Error::Misuse("a part's key is too long"));
    }
    if parts.iter().any(|part| part.value.len() > PART_VALUE_BYTES_MAX) {
        return Err(Error::Misuse("a part's value is too long"));
    }
    Ok(())
}
