//! What all connections of one RESP port share: options, shards, clock, clients, counters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Clock, NodeId};
use raft::Shards;

use super::clients::Clients;
use super::limits;
use super::pause::Pause;
use crate::config::Password;

/// Which of a node's RESP ports this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// For any client: this node answers for any key, and says that it is no cluster.
    Any,
}

/// What a RESP port is given.
#[derive(Clone, Debug)]
pub struct Options {
    pub port: Port,
    pub node: NodeId,
    /// None: whoever connects may read and write.
    pub password: Option<Password>,
    /// Bytes of one entry, names and values together.
    pub entry_bytes_max: usize,
    pub connections_max: usize,
    /// What the node may use, as `CONFIG GET maxmemory` shows it.
    pub memory_bytes: u64,
    /// Unsent bytes of one connection; more closes it.
    pub output_bytes_max: usize,
}

/// What all connections of a port share.
pub(crate) struct Door {
    pub(crate) options: Options,
    pub(crate) address: SocketAddr,
    pub(crate) shards: Arc<dyn Shards>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clients: Clients,
    pub(crate) counters: Counters,
    pub(crate) pause: Pause,
    /// Milliseconds of the clock when the port was opened.
    pub(crate) started_ms: u64,
}

impl Door {
    pub(crate) fn new(
        options: Options,
        address: SocketAddr,
        shards: Arc<dyn Shards>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let started_ms = monotonic_ms(&*clock);
        let (clients, counters) = (Clients::default(), Counters::default());
        let pause = Pause::default();
        Self { options, address, shards, clock, clients, counters, pause, started_ms }
    }

    /// Milliseconds of the clock that never goes back.
    pub(crate) fn now_ms(&self) -> u64 {
        monotonic_ms(&*self.clock)
    }

    /// Whether there is a place for another connection. Those who have yet to say who they are
    /// take a part of the places only.
    pub(crate) fn has_place(&self) -> bool {
        let places = self.options.connections_max;
        let strangers_max = match self.options.password {
            Some(_) => places.div_ceil(limits::STRANGERS_PART),
            None => places,
        };
        self.clients.count() < places && self.clients.strangers_count() < strangers_max
    }

    /// How much a client may send in one request.
    pub(crate) fn limits(&self, authenticated: bool) -> resp::Limits {
        if !authenticated {
            return resp::Limits::unauthenticated();
        }
        let entry = self.options.entry_bytes_max;
        resp::Limits::authenticated(
            entry.saturating_add(limits::BULK_BYTES_ROOM),
            entry.saturating_add(limits::REQUEST_BYTES_ROOM),
        )
    }

    /// Bytes that may wait for a client to take them.
    pub(crate) fn output_bytes_max(&self, authenticated: bool) -> usize {
        let max = self.options.output_bytes_max;
        if authenticated { max } else { max.min(limits::UNAUTHENTICATED_OUTPUT_BYTES_MAX) }
    }
}

fn monotonic_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}

/// What happened at a port since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) connections_refused: Counter,
    pub(crate) commands: Counter,
    pub(crate) errors: Counter,
    pub(crate) input_bytes: Counter,
    pub(crate) output_bytes: Counter,
    pub(crate) output_closed: Counter,
    pub(crate) accept_failed: Counter,
    pub(crate) logins_failed: Counter,
    pub(crate) http: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: usize) {
        self.0.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one, and tells whether to log it: ever more seldom, so that nobody can fill the log.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        (self.0.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }
}

/// A port's figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub clients: usize,
    pub connections: u64,
    pub connections_refused: u64,
    pub commands: u64,
    pub errors: u64,
    /// Connections that were closed because their client took too little of its output.
    pub output_closed: u64,
    /// Connections that could not be taken, for want of descriptors or memory.
    pub accept_failed: u64,
}

impl Door {
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            clients: self.clients.count(),
            connections: counters.connections.get(),
            connections_refused: counters.connections_refused.get(),
            commands: counters.commands.get(),
            errors: counters.errors.get(),
            output_closed: counters.output_closed.get(),
            accept_failed: counters.accept_failed.get(),
        }
    }
}
