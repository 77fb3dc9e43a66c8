//! What all connections of a node share, whichever of its RESP ports they came by: clients, channels,
//! settings, counters; and what is a port's own: options and address.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, NodeId};
use bytes::Bytes;
use raft::Shards;
use tokio_util::sync::CancellationToken;

use super::channels::Channels;
use super::clients::{Client, Clients};
use super::keyspace::Classes;
use super::latency::Latency;
use super::pause::Pause;
use super::settings::Settings;
use super::slow_log::{Slow, SlowLog};
use super::statistics::Statistics;
use super::table::Spec;
use super::unread;
use super::{limits, shown};
use crate::config::Password;

/// Which of a node's RESP ports this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// For any client: this node answers for any key, and says that it is no cluster.
    Any,
    /// For clients that know clusters: they are told which node leads a key's shard.
    Cluster,
}

impl Port {
    /// As HELLO and INFO name it.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Self::Any => "standalone",
            Self::Cluster => "cluster",
        }
    }
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

/// A request that was answered.
pub(super) struct Done<'a> {
    pub(super) spec: &'static Spec,
    pub(super) took: Duration,
    pub(super) failed: bool,
    pub(super) args: &'a [Bytes],
    pub(super) client: &'a Client,
}

/// One port. What is counted is shared with the node's other port.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) options: Options,
    pub(crate) address: SocketAddr,
    pub(crate) shards: Arc<dyn Shards>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) slow_log: Arc<SlowLog>,
    pub(crate) latency: Arc<Latency>,
    pub(crate) pause: Arc<Pause>,
    /// Bytes that are written for clients of all ports and that they have yet to take.
    pub(crate) unread: Arc<unread::All>,
    /// A client wants this node to stop.
    pub(crate) shutdown: CancellationToken,
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
        let (clients, counters, slow_log, latency, pause, unread) = Default::default();
        let statistics = Arc::new(Statistics::new());
        let settings = Arc::new(Settings::new(&options));
        Self {
            options,
            address,
            shards,
            clock,
            clients,
            channels: Channels::new(),
            counters,
            statistics,
            settings,
            slow_log,
            latency,
            pause,
            unread,
            shutdown: CancellationToken::new(),
            started_ms,
        }
    }

    /// Another port of the same node.
    pub(crate) fn beside(&self, options: Options, address: SocketAddr) -> Self {
        Self { options, address, ..self.clone() }
    }

    /// Whether clients leave more unread than the node has room for.
    pub(crate) fn is_full(&self) -> bool {
        self.unread.bytes() > self.options.memory_bytes / limits::OUTPUT_PART
    }

    /// Unsent bytes above which a connection's further requests wait.
    pub(crate) fn output_soft(&self) -> usize {
        if self.is_full() { limits::OUTPUT_BYTES_SOFT_FULL } else { limits::OUTPUT_BYTES_SOFT }
    }

    /// For how long a client may take nothing of what waits for it.
    pub(crate) fn output_stalled_max(&self) -> Duration {
        if self.is_full() { limits::OUTPUT_STALLED_FULL_MAX } else { limits::OUTPUT_STALLED_MAX }
    }

    /// Milliseconds of the clock that never goes back.
    pub(crate) fn now_ms(&self) -> u64 {
        monotonic_ms(&*self.clock)
    }

    /// Whether there is a place for another connection. Those who have yet to say who they are
    /// take a part of the places only.
    pub(crate) fn has_place(&self) -> bool {
        let places = size(self.settings.connections_max.get());
        let strangers_max = match self.options.password {
            Some(_) => places.div_ceil(limits::STRANGERS_PART),
            None => places,
        };
        self.clients.count() < places && self.clients.strangers_count() < strangers_max
    }

    /// An error was told.
    pub(super) fn note_error(&self, text: &str) {
        self.counters.errors.add(1);
        self.statistics.note_error(text);
    }

    /// A request was answered.
    pub(super) fn note_done(&self, done: &Done<'_>) {
        let Done { spec, took, failed, args, client } = done;
        if let Some(figures) = self.statistics.of(spec) {
            figures.note(*took, *failed);
        }
        let (us, ms) = (took.as_micros(), took.as_millis());
        let settings = &self.settings;
        if us >= settings.slow_us.get().into() && shown::is_public(spec) {
            let (address, name) = (client.address.to_string(), client.said().name);
            let (at_ms, args) = (self.clock.wall_ms(), shown::kept(args));
            let slow = Slow { id: 0, at_ms, took: *took, args, address, name };
            self.slow_log.push(slow, settings.slow_count_max.get());
        }
        let threshold_ms = settings.latency_ms.get();
        if threshold_ms > 0 && ms >= threshold_ms.into() {
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            self.latency.note(spec.flags.fast, self.clock.wall_ms() / 1000, ms);
        }
    }

    /// Which events of keys are told from now on to who listens at this node.
    pub(crate) fn set_events(&self, classes: Classes) {
        self.channels.events.set(classes.bits());
        if let Some(bus) = self.shards.bus() {
            bus.refresh();
        }
    }

    /// Somebody wanted everything on disk, where it was.
    pub(crate) fn note_saved(&self) {
        self.counters.changes.reset();
    }

    /// Forgets what was counted, but for how many connections there are.
    pub(crate) fn reset_statistics(&self) {
        self.statistics.reset();
        let counters = &self.counters;
        [
            &counters.connections,
            &counters.connections_refused,
            &counters.commands,
            &counters.errors,
            &counters.input_bytes,
            &counters.output_bytes,
            &counters.output_closed,
        ]
        .iter()
        .for_each(|counter| counter.reset());
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
        let max = size(self.settings.output_bytes_max.get());
        if authenticated { max } else { max.min(limits::UNAUTHENTICATED_OUTPUT_BYTES_MAX) }
    }
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn monotonic_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}

/// What happened at a node's ports since they were opened.
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
    /// What changed by requests, counted as Redis counts what is not yet saved.
    pub(crate) changes: Counter,
    pub(crate) rate: Rate,
}

/// How fast a number grows, as seen from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<Look>);

#[derive(Clone, Copy, Debug, Default)]
struct Look {
    at_ms: u64,
    number: u64,
    a_second: u64,
}

impl Rate {
    /// By how much a second it grew since the last look that was a second ago or longer.
    pub(crate) fn of(&self, number: u64, now_ms: u64) -> u64 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed_ms = now_ms.saturating_sub(last.at_ms);
        if passed_ms >= 1000 {
            let a_second = number.saturating_sub(last.number) * 1000 / passed_ms;
            *last = Look { at_ms: now_ms, number, a_second };
        }
        last.a_second
    }
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

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Counts one, and tells whether to log it: ever more seldom, so that nobody can fill the log.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        (self.0.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }
}

/// The figures of a node's ports at one moment.
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
