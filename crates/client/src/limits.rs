//! Every limit of the client, with its reason.

use std::time::Duration;

/// How long a call may take, repeats included, when nothing else is said: the node's own deadline
/// (10 s) and a little, so that it is the node that gives up first and says what it knows.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may take to be made: then another node is tried.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A silent connection is asked whether it lives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// It is given up if it doesn't say so within this.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after every node was tried once; it doubles up to [`PAUSE_MAX`].
pub const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// See [`PAUSE_FIRST`].
pub const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The greatest message that is taken: a page of entries, or one entry that a node was configured
/// to allow.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Bytes of one message of an `append_many`: enough to hide the cost of a message, and below every
/// node's limit.
pub const BATCH_BYTES: usize = 128 << 10;

/// Appends in one such message.
pub const BATCH_APPENDS: usize = 512;

/// Bytes of an `append_many` that wait for their answer: what a node holds for one call.
pub const WAITING_BYTES: usize = 4 << 20;

/// Appends that wait for their answer: entries may be very small.
pub const WAITING_APPENDS: usize = 16 << 10;

/// Results that the caller has not taken yet.
pub const RESULTS: usize = 1024;

/// HTTP/2 windows: what may be under way before it is looked at.
pub const WINDOW_BYTES: u32 = 1 << 20;
