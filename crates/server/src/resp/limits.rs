//! Every limit of the RESP door that isn't configured, with its reason.

use std::time::Duration;

/// What an argument may have beyond `entry_bytes_max`: so that an entry a little too big gets an
/// error that names the reason, not the end of its connection.
pub(super) const BULK_BYTES_ROOM: usize = 1 << 20;

/// What a request may have beyond `entry_bytes_max`: room for the ids of an XACK or XDEL of half a
/// million entries.
pub(super) const REQUEST_BYTES_ROOM: usize = 16 << 20;

/// Requests of one connection that may wait for the shards. A pipeline that is deeper is taken in
/// several turns.
pub(super) const IN_FLIGHT_COUNT_MAX: usize = 1024;

/// Bytes of the same. A request that is bigger waits alone.
pub(super) const IN_FLIGHT_BYTES_MAX: usize = 4 << 20;

/// Reads of one connection that may wait for the shards: an answer may be large.
pub(super) const READS_IN_FLIGHT_MAX: usize = 32;

/// Bytes that a connection may queue between MULTI and EXEC: they become one entry of a log.
pub(super) const TRANSACTION_BYTES_MAX: usize = 16 << 20;

/// Requests of the same: their replies are kept until they are confirmed.
pub(super) const TRANSACTION_REQUESTS_MAX: usize = 65_536;

/// Bytes of the keys that a connection may watch, and what each costs beside its own, roughly: they
/// become part of that entry.
pub(super) const WATCHED_BYTES_MAX: usize = 1 << 20;
pub(super) const WATCHED_OVERHEAD_BYTES: usize = 64;

/// Unsent bytes above which a connection's further requests wait.
pub(super) const OUTPUT_BYTES_SOFT: usize = 1 << 20;

/// Unsent bytes of a client that has yet to authenticate (CVE-2025-21605: there was no limit).
pub(super) const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 64 << 10;

/// One in so many connections may have yet to authenticate: strangers can't take every place.
pub(super) const STRANGERS_PART: usize = 4;

/// For how long a client may have yet to authenticate: programs do it at once, and strangers must
/// not keep their places.
pub(super) const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(5);

/// For how long a client may take nothing of what waits for it.
pub(super) const OUTPUT_STALLED_MAX: Duration = Duration::from_secs(60);

/// Of the memory, what all clients together may leave unread. Above it an answer to a read that is not
/// small is `-BUSY` instead, and a client that takes nothing is parted from soon: one that reads has its
/// bytes for a moment only, a thousand that don't would have all there is.
pub(super) const OUTPUT_PART: u64 = 8;

/// An answer that is given even then.
pub(super) const ANSWER_BYTES_SMALL: usize = 16 << 10;

/// Unsent bytes above which, then, a connection's further requests wait.
pub(super) const OUTPUT_BYTES_SOFT_FULL: usize = 32 << 10;

/// For how long a client may take nothing, then, and how often that is looked at.
pub(super) const OUTPUT_STALLED_FULL_MAX: Duration = Duration::from_secs(1);
pub(super) const OUTPUT_LOOK_EVERY: Duration = Duration::from_millis(500);

/// For how long a node that stops waits for the answers of a connection.
pub(super) const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// For how long of that it goes on taking requests: of a client that never pauses, and of one that
/// is silent just now, whose next reply can then say that it was the last.
pub(super) const DRAIN_TAKING: Duration = Duration::from_millis(500);

/// Bytes read at once at least. A pipeline of 100 small XADDs fits.
pub(super) const READ_BYTES: usize = 16 << 10;

/// Bytes read at once at most, where a big request is arriving.
pub(super) const READ_BYTES_MAX: usize = 1 << 20;

/// Bytes of messages that nobody asked for, on their way to one client: what was published while it
/// read slowly. More ends its connection.
pub(super) const MAIL_BYTES_MAX: usize = 8 << 20;

/// Bytes of the names that one client may listen to, and what each costs beside its own, roughly.
pub(super) const SUBSCRIPTIONS_BYTES_MAX: usize = 4 << 20;
pub(super) const SUBSCRIPTION_OVERHEAD_BYTES: usize = 200;

/// Arguments of a request, and bytes of each, that the slow log keeps, as in Redis.
pub(super) const SLOW_ARGS_MAX: usize = 32;
pub(super) const SLOW_ARG_BYTES_MAX: usize = 128;

/// The same that monitoring clients are shown: a line stays below 100 KiB.
pub(super) const MONITORED_ARGS_MAX: usize = 64;
pub(super) const MONITORED_ARG_BYTES_MAX: usize = 512;

/// Samples that LATENCY keeps of each event, as in Redis.
pub(super) const LATENCY_SAMPLES_MAX: usize = 160;

/// For how long no connection is taken after the machine had no descriptor or memory for one.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(OUTPUT_BYTES_SOFT <= IN_FLIGHT_BYTES_MAX);
const _: () = assert!(READ_BYTES < READ_BYTES_MAX);
