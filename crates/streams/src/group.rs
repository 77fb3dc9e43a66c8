//! A consumer group: where it stands, its consumers, and what was delivered and not acknowledged.
//! Never looks at entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::chunks::ChunkMap;
use crate::id::EntryId;

/// Pending entries in a chunk, the unit in which a checkpoint writes them.
pub(crate) const PENDING_CHUNK_ITEMS: usize = 128;

/// The number of a consumer in its group. Never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerNumber(pub(crate) u64);

/// The number of a group in its stream. Never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupNumber(pub(crate) u64);

/// One delivered and not acknowledged entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) consumer: ConsumerNumber,
    pub(crate) delivered_ms: u64,
    pub(crate) deliveries: u64,
}

/// A reader of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    pub(crate) name: Bytes,
    pub(crate) seen_ms: u64,
    /// What only the leader knows of `seen_ms`: in no checkpoint and no hash.
    pub(crate) seen_here_ms: u64,
    pub(crate) active_ms: Option<u64>,
    /// Ids of its pending entries: the same as in the group's list.
    pub(crate) pending: BTreeSet<EntryId>,
}

impl Consumer {
    /// When it last asked for something, as far as this replica knows.
    pub(crate) fn last_seen_ms(&self) -> u64 {
        self.seen_ms.max(self.seen_here_ms)
    }
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) number: GroupNumber,
    pub(crate) last_id: EntryId,
    /// How many entries the group has read of all that were ever added, where known.
    pub(crate) entries_read: Option<u64>,
    pub(crate) pending: ChunkMap<EntryId, Pending, PENDING_CHUNK_ITEMS>,
    pub(crate) consumers: BTreeMap<ConsumerNumber, Consumer>,
    pub(crate) names: BTreeMap<Bytes, ConsumerNumber>,
    pub(crate) consumer_next: u64,
    /// Whether something besides the pending list changed since the last checkpoint.
    pub(crate) changed: bool,
    /// Whether the group is in its stream's list of changed ones.
    pub(crate) listed: bool,
    /// Whether a checkpoint has it.
    pub(crate) stored: bool,
}

impl Group {
    pub(crate) fn consumer_number(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.names.get(name).copied()
    }

    pub(crate) fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(&self.consumer_number(name)?)
    }

    /// The consumer of a name, made if it isn't there; and whether it was made.
    pub(crate) fn consumer_or_new(&mut self, name: &Bytes, now_ms: u64) -> (ConsumerNumber, bool) {
        if let Some(number) = self.names.get(name) {
            return (*number, false);
        }
        let number = ConsumerNumber(self.consumer_next);
        self.consumer_next += 1;
        // A copy: the bytes at hand are a slice of a whole batch.
        let name = Bytes::copy_from_slice(name);
        let consumer = Consumer { name: name.clone(), seen_ms: now_ms, ..Consumer::default() };
        self.consumers.insert(number, consumer);
        self.names.insert(name, number);
        self.changed = true;
        (number, true)
    }

    pub(crate) fn see(&mut self, consumer: ConsumerNumber, now_ms: u64) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.seen_ms = now_ms;
            self.changed = true;
        }
    }

    pub(crate) fn set_active(&mut self, consumer: ConsumerNumber, now_ms: u64) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.active_ms = Some(now_ms);
            self.changed = true;
        }
    }

    /// Makes an entry pending for a consumer, whosever it was.
    pub(crate) fn set_pending(&mut self, id: EntryId, pending: Pending) {
        let before = self.pending.insert(id, pending);
        if let Some(before) = before {
            if before.consumer == pending.consumer {
                return;
            }
            self.forget_owned(before.consumer, id);
        }
        if let Some(consumer) = self.consumers.get_mut(&pending.consumer) {
            consumer.pending.insert(id);
        }
    }

    /// Whether the entry was pending.
    pub(crate) fn drop_pending(&mut self, id: EntryId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.forget_owned(pending.consumer, id);
        true
    }

    fn forget_owned(&mut self, consumer: ConsumerNumber, id: EntryId) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.pending.remove(&id);
        }
    }

    /// Removes a consumer with what is pending for it; how much that was.
    pub(crate) fn drop_consumer(&mut self, name: &[u8]) -> Option<u64> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers.remove(&number)?;
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        self.changed = true;
        Some(consumer.pending.len() as u64)
    }
}
