//! Who listens to which channel at this node, and what they are told: what clients publish anywhere in
//! the cluster, and what happens to keys as this node applies it. At most once. Never waits for a
//! listener: what one doesn't take is bounded by its inbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use raft::bus::{Ear, Notice};
use streams::event::Event;
use streams::glob::{self, Case};

use super::clients::Client;
use super::inbox::{Mail, Message};
use super::keyspace;
use super::limits;
use super::settings::Number;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    /// A channel of the SSUBSCRIBE family: apart from the others, and otherwise alike.
    Sharded,
}

impl Kind {
    /// The class of what is published to it, between nodes.
    fn class(self) -> u8 {
        match self {
            Self::Channel | Self::Pattern => 1,
            Self::Sharded => 2,
        }
    }
}

/// What one client listens to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    names: BTreeSet<(Kind, Bytes)>,
    bytes: usize,
}

/// How many of each kind a client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) channels: usize,
    pub(crate) patterns: usize,
    pub(crate) sharded: usize,
}

impl Counts {
    pub(crate) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The number that replies to subscriptions of a kind tell.
    pub(crate) fn told(self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels + self.patterns,
            Kind::Sharded => self.sharded,
        }
    }
}

impl Subscriptions {
    pub(crate) fn counts(&self) -> Counts {
        let count = |wanted| self.names.iter().filter(|(kind, _)| *kind == wanted).count();
        Counts {
            channels: count(Kind::Channel),
            patterns: count(Kind::Pattern),
            sharded: count(Kind::Sharded),
        }
    }
}

/// Listeners by what they listen to.
type Listeners = BTreeMap<(Kind, Bytes), BTreeMap<u64, Arc<Client>>>;

/// A node's.
#[derive(Debug)]
pub(crate) struct Channels {
    listeners: Mutex<Listeners>,
    /// Which events are told, as `notify-keyspace-events` says.
    pub(crate) events: Number,
}

impl Channels {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { listeners: Mutex::default(), events: Number::new(0) })
    }

    /// From now on a client listens to this. Says whether there was room for it.
    pub(crate) fn subscribe(&self, client: &Arc<Client>, kind: Kind, name: &Bytes) -> bool {
        // A copy, so that a small name doesn't hold the buffer of a large request.
        let name = Bytes::copy_from_slice(name);
        let mut listeners = self.lock();
        let mut mine = client.subscriptions();
        let bytes = name.len() + limits::SUBSCRIPTION_OVERHEAD_BYTES;
        if mine.names.contains(&(kind, name.clone())) {
            return true;
        }
        if mine.bytes + bytes > limits::SUBSCRIPTIONS_BYTES_MAX {
            return false;
        }
        mine.bytes += bytes;
        mine.names.insert((kind, name.clone()));
        listeners.entry((kind, name)).or_default().insert(client.id, Arc::clone(client));
        true
    }

    /// It no longer does.
    pub(crate) fn unsubscribe(&self, client: &Client, kind: Kind, name: &Bytes) {
        let (mut listeners, name) = (self.lock(), (kind, name.clone()));
        let mut mine = client.subscriptions();
        if mine.names.remove(&name) {
            mine.bytes -= name.1.len() + limits::SUBSCRIPTION_OVERHEAD_BYTES;
            forget(&mut listeners, client.id, &name);
        }
    }

    /// It listens to nothing more.
    pub(crate) fn unsubscribe_all(&self, client: &Client) {
        let names = std::mem::take(&mut *client.subscriptions()).names;
        if names.is_empty() {
            return;
        }
        let mut listeners = self.lock();
        names.iter().for_each(|name| forget(&mut listeners, client.id, name));
    }

    /// What a client listens to, of one kind.
    pub(crate) fn names_of(&self, client: &Client, wanted: Kind) -> Vec<Bytes> {
        let mine = client.subscriptions();
        let names = mine.names.iter().filter(|(kind, _)| *kind == wanted);
        names.map(|(_, name)| name.clone()).collect()
    }

    /// What anybody listens to, of one kind, and how many do.
    pub(crate) fn all(&self, wanted: Kind) -> Vec<(Bytes, usize)> {
        let listeners = self.lock();
        let wanted = listeners.iter().filter(|((kind, _), _)| *kind == wanted);
        wanted.map(|((_, name), clients)| (name.clone(), clients.len())).collect()
    }

    /// Tells who listens at this node; tells how many that were.
    fn tell(&self, sharded: bool, channel: &Bytes, payload: &Bytes) -> usize {
        let listeners = self.lock();
        let kind = if sharded { Kind::Sharded } else { Kind::Channel };
        let message = |pattern| Message {
            sharded,
            pattern,
            channel: channel.clone(),
            payload: payload.clone(),
        };
        let mut told = 0;
        for client in listeners.get(&(kind, channel.clone())).into_iter().flat_map(BTreeMap::values)
        {
            client.inbox.put(Mail::Message(message(None)));
            told += 1;
        }
        if sharded {
            return told;
        }
        let first = (Kind::Pattern, Bytes::new())..(Kind::Sharded, Bytes::new());
        for ((_, pattern), clients) in listeners.range(first) {
            if covers(pattern, channel) {
                for client in clients.values() {
                    client.inbox.put(Mail::Message(message(Some(pattern.clone()))));
                    told += 1;
                }
            }
        }
        told
    }

    /// How many of this node will hear what is published now.
    pub(crate) fn count_of(&self, kind: Kind, channel: &Bytes) -> usize {
        let listeners = self.lock();
        let direct = listeners.get(&(kind, channel.clone())).map_or(0, BTreeMap::len);
        let first = (Kind::Pattern, Bytes::new())..(Kind::Sharded, Bytes::new());
        let patterns = listeners.range(first).filter(|_| kind == Kind::Channel);
        let covering = patterns.filter(|((_, pattern), _)| covers(pattern, channel));
        direct + covering.map(|(_, clients)| clients.len()).sum::<usize>()
    }

    /// What is to be told to everybody who listens to this, at any node.
    pub(crate) fn notice(kind: Kind, channel: &Bytes, payload: &Bytes) -> Notice {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        Notice { class: kind.class(), channel: copy(channel), payload: copy(payload) }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn covers(pattern: &[u8], channel: &[u8]) -> bool {
    glob::matches(pattern, channel, Case::Counts)
}

fn forget(listeners: &mut Listeners, id: u64, name: &(Kind, Bytes)) {
    if let Some(clients) = listeners.get_mut(name) {
        clients.remove(&id);
        if clients.is_empty() {
            listeners.remove(name);
        }
    }
}

impl Ear for Channels {
    fn told(&self, notice: &Notice) {
        let sharded = match notice.class {
            class if class == Kind::Channel.class() => false,
            class if class == Kind::Sharded.class() => true,
            // Of a newer node.
            _ => return,
        };
        self.tell(sharded, &notice.channel, &notice.payload);
    }

    fn happened(&self, events: &[Event]) {
        let wanted = keyspace::Classes::from_bits(self.events.get());
        for event in events {
            keyspace::messages(wanted, event).for_each(|(channel, payload)| {
                self.tell(false, &channel, &payload);
            });
        }
    }

    fn wants_events(&self) -> bool {
        self.events.get() != 0
    }
}
