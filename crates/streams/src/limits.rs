//! Every limit of the state machine, with its reason. They are part of what `apply` does, so a
//! change of one is a change of the format.

/// Entries in a block; Redis's `stream-node-max-entries`. Visible in `~` trimming.
pub const BLOCK_ENTRIES_DEFAULT: u64 = 100;

/// The most that may be chosen: which entries of a block are deleted stands in so many bits.
pub const BLOCK_ENTRIES_MAX: usize = 128;

/// Bytes in a block; Redis's `stream-node-max-bytes`. Visible in `~` trimming.
pub const BLOCK_BYTES_DEFAULT: u64 = 4096;

/// The most that may be chosen: a block is read whole for one entry of it, and the open one of a
/// stream is written whole by each checkpoint.
pub const BLOCK_BYTES_MAX: u64 = 1 << 20;

/// Blocks' worth of entries that `~` trimming removes at most in one call when no LIMIT is given;
/// Redis's.
pub const TRIM_BLOCKS_MAX_DEFAULT: u64 = 100;

/// Entries that one read delivers at most, whatever COUNT says: their blocks are in memory at once.
/// As many lines of what is pending are told at once.
pub const READ_ENTRIES_MAX: u64 = 1_000_000;

/// Replies of one gateway that are kept until it says that its client has them.
pub const KEPT_REPLIES_MAX: usize = 4096;

/// Bytes of the same.
pub const KEPT_REPLY_BYTES_MAX: usize = 4 << 20;

/// Bytes of blocks that one command or query looks into at most, beyond one block; a read of
/// several streams shares them. What is past it is left out, as if COUNT had been smaller.
pub const READ_BYTES_MAX: u64 = 64 << 20;

/// What the replies of one transaction may take before it reads no more: every replica has them in
/// memory at once. The step that goes above it is still answered.
pub const TRANSACTION_TOLD_BYTES_MAX: u64 = READ_BYTES_MAX;

/// Bytes of blocks of a stream that can be copied: they are in memory at once, until a checkpoint
/// has them.
pub const COPY_BYTES_MAX: u64 = 64 << 20;

/// Steps that matching one name with one pattern takes at most, some 200 us: a name that needs more
/// isn't covered. A pattern of 100 bytes may be tried at each byte of a name of 1,000.
pub const PATTERN_STEPS_MAX: usize = 1 << 17;

/// Keys that one tick removes at most when their time has passed: what is left waits for the next
/// one, and is seen by nobody meanwhile.
pub const EXPIRE_KEYS_MAX: usize = 1000;

/// Pending entries that XAUTOCLAIM looks at, as a multiple of its COUNT; Redis's number.
pub const AUTO_CLAIM_SCAN_FACTOR: u64 = 10;

/// Pending entries that one read with CLAIM passes over because they exist no more; it will not find
/// them in its way again.
pub const CLAIM_GONE_MAX: u64 = 1000;

/// Deliveries of an entry that are counted; Redis's number, which has a sign.
pub const DELIVERIES_MAX: u64 = i64::MAX as u64;

/// How long a stream remembers what its producers added; Redis's greatest.
pub const IDEMPOTENCE_MS_MAX: u64 = 86_400_000;

/// Ids of each producer that a stream remembers; Redis's greatest.
pub const IDEMPOTENCE_IDS_MAX: u64 = 10_000;

/// Bytes that the memory of its producers takes of a stream: it is in memory whole.
pub const IDEMPOTENCE_BYTES_MAX: u64 = 16 << 20;
