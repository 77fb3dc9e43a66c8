//! A consumer group: where it stands, its consumers, and what was delivered and not acknowledged, by
//! id and in the order in which it is claimed. Never looks at entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::chunks::ChunkMap;
use crate::id::EntryId;
use crate::limits::DELIVERIES_MAX;

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
    pub(crate) owner: Owner,
    pub(crate) delivered_ms: u64,
    pub(crate) deliveries: u64,
    /// A reader that would have claimed it found its entry gone: it stays pending, and is out of
    /// the line.
    pub(crate) gone: bool,
}

impl Pending {
    /// Delivered to a consumer.
    pub(crate) fn of(consumer: ConsumerNumber, delivered_ms: u64, deliveries: u64) -> Self {
        let deliveries = deliveries.min(DELIVERIES_MAX);
        Self { owner: Owner::Consumer(consumer), delivered_ms, deliveries, gone: false }
    }

    /// Whether a claim of what is idle for so long takes it: what is nobody's goes at once.
    pub(crate) fn is_idle_for(&self, idle_ms: u64, now_ms: u64) -> bool {
        matches!(self.owner, Owner::Nobody { .. }) || self.idle_ms(now_ms) >= idle_ms
    }

    /// Since it was delivered; that of what is nobody's is the beginning of time.
    pub(crate) fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivered_ms)
    }

    fn place(&self, id: EntryId) -> Option<Place> {
        let place = match self.owner {
            Owner::Nobody { turn } => Place::Released(turn, id),
            Owner::Consumer(_) => Place::Delivered(self.delivered_ms, id),
        };
        (!self.gone).then_some(place)
    }
}

/// Whose a pending entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Consumer(ConsumerNumber),
    /// It was given back to the group; who was given back first goes first.
    Nobody {
        turn: u64,
    },
}

/// A place in the line of those who want to be claimed: what was given back, then what was
/// delivered, longest ago first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Released(u64, EntryId),
    Delivered(u64, EntryId),
}

impl Place {
    pub(crate) fn id(self) -> EntryId {
        match self {
            Self::Released(_, id) | Self::Delivered(_, id) => id,
        }
    }

    /// From when on a reader that claims what is so long idle may have it.
    pub(crate) fn claimable_ms(self, min_idle_ms: u64) -> u64 {
        match self {
            Self::Released(..) => 0,
            Self::Delivered(delivered_ms, _) => delivered_ms.saturating_add(min_idle_ms),
        }
    }
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
    /// The pending entries in the order in which they are claimed: made of the list, never stored.
    pub(crate) line: BTreeSet<Place>,
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

    /// Makes an entry pending, whosever it was.
    pub(crate) fn set_pending(&mut self, id: EntryId, pending: Pending) {
        if let Some(before) = self.pending.insert(id, pending) {
            self.leave_line(id, &before);
            if before.owner != pending.owner {
                self.forget_owned(before.owner, id);
            }
        }
        self.line.extend(pending.place(id));
        if let Owner::Consumer(number) = pending.owner
            && let Some(consumer) = self.consumers.get_mut(&number)
        {
            consumer.pending.insert(id);
        }
    }

    /// Whether the entry was pending.
    pub(crate) fn drop_pending(&mut self, id: EntryId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.leave_line(id, &pending);
        self.forget_owned(pending.owner, id);
        true
    }

    fn leave_line(&mut self, id: EntryId, pending: &Pending) {
        if let Some(place) = pending.place(id) {
            self.line.remove(&place);
        }
    }

    fn forget_owned(&mut self, owner: Owner, id: EntryId) {
        if let Owner::Consumer(number) = owner
            && let Some(consumer) = self.consumers.get_mut(&number)
        {
            consumer.pending.remove(&id);
        }
    }

    /// Gives an entry back, behind those that were given back before.
    pub(crate) fn release(&mut self, id: EntryId, deliveries: u64) {
        let last = self.line.range(..Place::Delivered(0, EntryId::MIN)).next_back();
        let turn = match last {
            Some(Place::Released(turn, _)) => turn.saturating_add(1),
            Some(Place::Delivered(..)) | None => 0,
        };
        let (owner, delivered_ms) = (Owner::Nobody { turn }, 0);
        self.set_pending(id, Pending { owner, delivered_ms, deliveries, gone: false });
    }

    /// How many pending entries are nobody's.
    pub(crate) fn released_count(&self) -> u64 {
        let owned: usize = self.consumers.values().map(|consumer| consumer.pending.len()).sum();
        (self.pending.len() - owned) as u64
    }

    /// The name of whose a pending entry is; empty where it is nobody's.
    pub(crate) fn owner_name(&self, pending: &Pending) -> Bytes {
        let consumer = match pending.owner {
            Owner::Consumer(number) => self.consumers.get(&number),
            Owner::Nobody { .. } => None,
        };
        consumer.map_or_else(Bytes::new, |consumer| consumer.name.clone())
    }

    /// Takes a pending entry that no longer exists out of the line.
    pub(crate) fn mark_gone(&mut self, id: EntryId) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let before = *pending;
        pending.gone = true;
        self.leave_line(id, &before);
    }

    /// Whether anything pending is out of the line.
    pub(crate) fn has_gone(&self) -> bool {
        self.line.len() < self.pending.len()
    }

    /// Lets everything stand in line again: ids may come back.
    pub(crate) fn unmark_gone(&mut self) {
        let gone = self.pending.iter().filter(|(_, pending)| pending.gone);
        let gone: Vec<(EntryId, Pending)> = gone.map(|(id, pending)| (*id, *pending)).collect();
        for (id, pending) in gone {
            self.set_pending(id, Pending { gone: false, ..pending });
        }
    }

    /// Takes pending entries that a checkpoint has; false where they don't fit.
    pub(crate) fn load_pending(&mut self, chunk: u64, items: Vec<(EntryId, Pending)>) -> bool {
        for (id, pending) in &items {
            self.line.extend(pending.place(*id));
            if let Owner::Consumer(number) = pending.owner {
                let Some(consumer) = self.consumers.get_mut(&number) else { return false };
                consumer.pending.insert(*id);
            }
        }
        self.pending.load(chunk, items)
    }

    /// Removes a consumer with what is pending for it; how much that was.
    pub(crate) fn drop_consumer(&mut self, name: &[u8]) -> Option<u64> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers.remove(&number)?;
        for id in &consumer.pending {
            if let Some(pending) = self.pending.remove(id) {
                self.leave_line(*id, &pending);
            }
        }
        self.changed = true;
        Some(consumer.pending.len() as u64)
    }
}
