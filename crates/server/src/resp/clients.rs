//! The connections of this door, for `CLIENT LIST` and the figures of `INFO`. Never their sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::channels::{Counts, Subscriptions};
use super::inbox::{Inbox, Mail};
use super::table::Spec;

/// What everybody may know of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local_address: SocketAddr,
    /// Milliseconds of the door's clock.
    pub(crate) connected_ms: u64,
    /// When it last asked for something.
    active_ms: AtomicU64,
    /// It has said who it is, or need not.
    known: AtomicBool,
    /// It is blocked.
    waiting: AtomicBool,
    /// It is shown what others ask.
    monitors: AtomicBool,
    said: Mutex<Said>,
    subscriptions: Mutex<Subscriptions>,
    /// What others have for it.
    pub(crate) inbox: Inbox,
}

/// What a client said about itself, and what it asked last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) library_name: String,
    pub(crate) library_version: String,
    pub(crate) resp3: bool,
    /// What it asked last.
    pub(crate) last: Option<&'static Spec>,
}

/// What kind of client a connection is, as `CLIENT LIST TYPE` tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    PubSub,
}

impl Client {
    pub(crate) fn new(
        id: u64,
        address: SocketAddr,
        local_address: SocketAddr,
        now_ms: u64,
    ) -> Self {
        Self {
            id,
            address,
            local_address,
            connected_ms: now_ms,
            active_ms: AtomicU64::new(now_ms),
            known: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            monitors: AtomicBool::new(false),
            said: Mutex::default(),
            subscriptions: Mutex::default(),
            inbox: Inbox::default(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        if self.subscriptions().counts().is_zero() { Kind::Normal } else { Kind::PubSub }
    }

    /// What it listens to.
    pub(crate) fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whole seconds since it connected.
    pub(crate) fn age(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.connected_ms) / 1000
    }

    pub(crate) fn note_active(&self, now_ms: u64) {
        self.active_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn said(&self) -> Said {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One line of `CLIENT LIST`, with the fields that clients look for.
    pub(crate) fn line(&self, now_ms: u64) -> String {
        let Said { name, library_name, library_version, resp3, last } = self.said();
        let (age, flags) = (self.age(now_ms), self.flags());
        let idle = now_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed)) / 1000;
        let Counts { channels, patterns, sharded } = self.subscriptions().counts();
        let last = last.map_or_else(|| "NULL".to_owned(), Spec::path);
        format!(
            "id={} addr={} laddr={} name={name} age={age} idle={idle} flags={flags} db=0 \
             sub={channels} psub={patterns} ssub={sharded} multi=-1 watch=0 cmd={last} user=default redir=-1 resp={} \
             lib-name={library_name} lib-ver={library_version}\n",
            self.id,
            self.address,
            self.local_address,
            if resp3 { 3 } else { 2 },
        )
    }

    /// One letter for each thing that is special about it, as in Redis.
    fn flags(&self) -> &'static str {
        match self.kind() {
            Kind::Normal if self.waiting.load(Ordering::Relaxed) => "b",
            Kind::Normal if self.monitors.load(Ordering::Relaxed) => "O",
            Kind::Normal => "N",
            Kind::PubSub => "P",
        }
    }
}

/// What a blocked connection is told when another one ends its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if its time were over.
    Timeout,
    Error,
}

/// All connections, by id.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
    strangers: AtomicUsize,
    waiting: AtomicUsize,
    monitors: AtomicUsize,
}

impl Clients {
    /// An id that no connection had.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a connection that has yet to say who it is.
    pub(crate) fn insert(&self, client: Arc<Client>) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(client.id, client);
    }

    pub(crate) fn remove(&self, client: &Client) {
        self.note_known(client, true);
        self.note_waiting(client, false);
        self.set_monitors(client, false);
        self.lock().remove(&client.id);
    }

    /// Whether the client may do anything now.
    pub(crate) fn note_known(&self, client: &Client, known: bool) {
        let before = client.known.swap(known, Ordering::Relaxed);
        if known && !before {
            self.strangers.fetch_sub(1, Ordering::Relaxed);
        } else if before && !known {
            self.strangers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From now on a client is shown what others ask, or not.
    pub(crate) fn set_monitors(&self, client: &Client, monitors: bool) {
        let before = client.monitors.swap(monitors, Ordering::Relaxed);
        if monitors && !before {
            self.monitors.fetch_add(1, Ordering::Relaxed);
        } else if before && !monitors {
            self.monitors.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Shows a line to the clients that want to see what is asked, where there are any.
    pub(super) fn show(&self, line: impl FnOnce() -> String) {
        if self.monitors.load(Ordering::Relaxed) == 0 {
            return;
        }
        let line: Arc<str> = line().into();
        let clients = self.lock();
        let monitors = clients.values().filter(|it| it.monitors.load(Ordering::Relaxed));
        monitors.for_each(|client| client.inbox.put(Mail::Line(Arc::clone(&line))));
    }

    /// Connections that have yet to say who they are.
    pub(crate) fn strangers_count(&self) -> usize {
        self.strangers.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn list(&self) -> Vec<Arc<Client>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Lets every connection look around: something changed that may concern it.
    pub(crate) fn ring_all(&self) {
        self.lock().values().for_each(|client| client.inbox.ring());
    }

    /// Whether the client is blocked now.
    pub(crate) fn note_waiting(&self, client: &Client, waiting: bool) {
        let before = client.waiting.swap(waiting, Ordering::Relaxed);
        if waiting && !before {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else if before && !waiting {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            // What came too late is not for its next wait.
            client.inbox.take_unblock();
        }
    }

    /// Connections that are blocked.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the wait of a blocked connection; says whether it was blocked.
    pub(crate) fn unblock(&self, id: u64, how: Unblock) -> bool {
        let client = self.lock().get(&id).map(Arc::clone);
        let blocked = client.filter(|client| client.waiting.load(Ordering::Relaxed));
        blocked.is_some_and(|client| {
            client.inbox.unblock(how);
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
