//! Every limit of the store, with its reason.

/// Parts in one [`crate::Store::put`]: a batch of sled holds all other batches up, so it stays
/// short.
pub const PUT_PARTS_MAX: usize = 64;

/// Bytes of a part's key. Keys are ids, not names; sixteen of them stand in one page of sled.
pub const PART_KEY_BYTES_MAX: usize = 1024;
