//! Every limit of the protocol, with its reason. Never what depends on a command or on the
//! configuration: those come in as [`crate::Limits`].

/// Bytes of an inline request, and of the line that announces an array or a bulk. Redis's
/// `PROTO_INLINE_MAX_SIZE`: a client that sends this much without a line end isn't speaking RESP.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Arguments of one request; Redis's historical maximum.
pub const ARGS_MAX: usize = 1 << 20;

/// Arguments of one request before authentication, as in Redis: `HELLO` and `AUTH` need fewer.
pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;

/// Bytes of one bulk before authentication, as in Redis.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 << 10;

/// Bytes of one whole request before authentication: a stranger can't make the server hold more.
pub const UNAUTHENTICATED_REQUEST_BYTES_MAX: usize = 64 << 10;

/// Bytes of what an error reply says; anything longer is cut. The longest fixed text is 250.
pub const ERROR_BYTES_MAX: usize = 512;

/// Arrays within arrays that a reply may have. Weir's deepest is 6.
pub const REPLY_DEPTH_MAX: usize = 32;

/// Items that room is made for when an aggregate of a reply is announced: the rest when they come.
pub const REPLY_ITEMS_AHEAD_MAX: usize = 1024;

const _: () = assert!(UNAUTHENTICATED_BULK_BYTES_MAX < UNAUTHENTICATED_REQUEST_BYTES_MAX);
