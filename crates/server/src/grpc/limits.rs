//! Every limit of the gRPC door, with its reason.

use std::time::Duration;

use tonic::transport::Server;

/// What a message may hold beside an entry's own bytes: tags and lengths of its fields. An entry
/// of very many tiny fields is refused for it.
pub const MESSAGE_ROOM_BYTES: usize = 1 << 20;

/// Calls at one time on one connection: what HTTP/2 clients expect to be given (RFC 9113, 6.5.2:
/// not below 100).
pub const CALLS_MAX: u32 = 128;

/// Headers of a call: a password and some metadata, not more.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Bytes of one `AppendMany` that wait for their answer: at 10 ms a commit still 400 MB/s. Above it
/// the call is not read on, and HTTP/2 holds the client back.
pub const WAITING_BYTES_MAX: usize = 4 << 20;

/// The same in messages, so that a flood of empty ones is bounded, too.
pub const WAITING_MESSAGES_MAX: usize = 1024;

/// What one append counts beside its own bytes: the command, the waiting answer, the result.
pub const APPEND_ROOM_BYTES: usize = 512;

/// Bytes of entries in one message of `Range`: enough to hide the cost of a message.
pub const PAGE_BYTES: usize = 256 << 10;

/// Entries that one query of `Range` asks for, at the start: they may be of the greatest size.
pub const PAGE_ENTRIES_FIRST: u64 = 16;

/// The same, at most, when they turned out to be small.
pub const PAGE_ENTRIES_MAX: u64 = 4096;

/// HTTP/2 windows: what may be under way before the receiver has looked at it.
pub const WINDOW_BYTES: u32 = 1 << 20;

/// A connection that is silent for so long is asked whether it lives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// It is closed if it doesn't say so within this.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stopping node waits for the calls that it has taken. Longer than the request
/// deadline's default would only wait for clients that don't read.
pub const DRAIN: Duration = Duration::from_secs(10);

/// How often readiness is looked at for those who watch it.
pub const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// What an overloaded client is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Passwords above this are refused before they are compared.
pub const PASSWORD_BYTES_MAX: usize = 4096;

pub(super) fn apply(server: Server) -> Server {
    server
        .max_concurrent_streams(CALLS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(4 * WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}
