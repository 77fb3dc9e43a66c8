//! The connections of this node, for `CLIENT LIST` and the figures of `INFO`. Never their sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::channels::{Counts, Subscriptions};
use super::inbox::{Inbox, Mail};
use super::table::Spec;
use crate::dispatch::Reading;

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
    /// What it waits for, while it is blocked.
    blocked: Mutex<Option<Blocked>>,
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
    /// Requests that wait for EXEC, since MULTI.
    pub(crate) queued_count: Option<usize>,
    pub(crate) watched_count: usize,
}

/// What a blocked connection waits for.
#[derive(Clone, Debug)]
struct Blocked {
    keys: Vec<Bytes>,
    /// As a member of a group: it is told when the key goes.
    in_group: bool,
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
            blocked: Mutex::default(),
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

    fn blocked(&self) -> MutexGuard<'_, Option<Blocked>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_blocked(&self) -> bool {
        self.blocked().is_some()
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
        let said = self.said();
        let Said { name, library_name, library_version, resp3, last, .. } = &said;
        let (age, flags) = (self.age(now_ms), self.flags(said.queued_count.is_some()));
        let multi = said.queued_count.map_or_else(|| "-1".to_owned(), |count| count.to_string());
        let watch = said.watched_count;
        let idle = now_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed)) / 1000;
        let Counts { channels, patterns, sharded } = self.subscriptions().counts();
        let last = last.map_or_else(|| "NULL".to_owned(), Spec::path);
        format!(
            "id={} addr={} laddr={} name={name} age={age} idle={idle} flags={flags} db=0 \
             sub={channels} psub={patterns} ssub={sharded} multi={multi} watch={watch} cmd={last} user=default redir=-1 resp={} \
             lib-name={library_name} lib-ver={library_version}\n",
            self.id,
            self.address,
            self.local_address,
            if *resp3 { 3 } else { 2 },
        )
    }

    /// One letter for each thing that is special about it, as in Redis.
    fn flags(&self, in_transaction: bool) -> &'static str {
        match self.kind() {
            Kind::Normal if in_transaction => "x",
            Kind::Normal if self.is_blocked() => "b",
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
    blocked: AtomicUsize,
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
        self.note_blocked(client, None);
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

    /// What the client waits for now, if it is blocked.
    pub(crate) fn note_blocked(&self, client: &Client, on: Option<&Reading>) {
        let mut blocked = client.blocked();
        if blocked.is_some() == on.is_some() {
            return;
        }
        match on {
            Some(_) => self.blocked.fetch_add(1, Ordering::Relaxed),
            None => self.blocked.fetch_sub(1, Ordering::Relaxed),
        };
        *blocked = on.map(|reading| Blocked {
            keys: reading.keys().cloned().collect(),
            in_group: matches!(reading, Reading::InGroup(_)),
        });
        // What came too late is not for its next wait.
        client.inbox.take_unblock();
    }

    /// Connections that are blocked.
    pub(crate) fn blocked_count(&self) -> usize {
        self.blocked.load(Ordering::Relaxed)
    }

    /// How many keys connections wait for, and for how many of them so that it matters whether the
    /// key is there.
    pub(crate) fn blocking_keys_count(&self) -> (usize, usize) {
        let clients = self.list();
        let blocked: Vec<Blocked> =
            clients.iter().filter_map(|one| one.blocked().clone()).collect();
        let keys: BTreeSet<&Bytes> = blocked.iter().flat_map(|one| &one.keys).collect();
        let in_group = blocked.iter().filter(|one| one.in_group).flat_map(|one| &one.keys);
        (keys.len(), in_group.collect::<BTreeSet<_>>().len())
    }

    /// Ends the wait of a blocked connection; says whether it was blocked.
    pub(crate) fn unblock(&self, id: u64, how: Unblock) -> bool {
        let client = self.lock().get(&id).map(Arc::clone);
        let blocked = client.filter(|client| client.is_blocked());
        blocked.is_some_and(|client| {
            client.inbox.unblock(how);
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
