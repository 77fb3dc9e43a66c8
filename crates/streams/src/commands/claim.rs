//! XCLAIM and XAUTOCLAIM: pending entries change their owner.

use super::{Call, Outcome, entry_ref, no_group};
use crate::block::Blocks;
use crate::command::{AutoClaim, Claim, Delivered};
use crate::error::{Fault, Stop};
use crate::event::Event;
use crate::group::{ConsumerNumber, Group, Pending};
use crate::id::{BlockKey, EntryId};
use crate::limits::{AUTO_CLAIM_SCAN_FACTOR, READ_ENTRIES_MAX};
use crate::reading::Looked;
use crate::reply::{Claimed, Reply};
use crate::state::State;
use crate::stream::{Once, Span, Stream};

use base::planted::{Bug, is};
use bytes::Bytes;

impl Call<'_> {
    pub(super) fn claim(&mut self, claim: &Claim) -> Outcome {
        let taken = self.with_group(&claim.key, &claim.group, &claim.consumer, |claimer| {
            claimer.claim(claim)
        })?;
        let Some(stream) = self.state.stream(&claim.key) else { return Ok(Reply::Nil) };
        if claim.just_id {
            return Ok(Reply::Ids(taken));
        }
        Ok(Reply::Entries(taken.into_iter().map(|id| entry_ref(stream, id)).collect()))
    }

    pub(super) fn auto_claim(&mut self, claim: &AutoClaim) -> Outcome {
        let found = self.with_group(&claim.key, &claim.group, &claim.consumer, |claimer| {
            claimer.auto_claim(claim)
        })?;
        let Some(stream) = self.state.stream(&claim.key) else { return Ok(Reply::Nil) };
        let claimed = if claim.just_id {
            Claimed::Ids(found.claimed)
        } else {
            Claimed::Entries(found.claimed.into_iter().map(|id| entry_ref(stream, id)).collect())
        };
        Ok(Reply::AutoClaimed { next: found.next, claimed, deleted: found.deleted })
    }

    /// Runs `run` with the group taken out of its stream and its consumer made.
    fn with_group<T>(
        &mut self,
        key: &Bytes,
        name: &Bytes,
        who: &Bytes,
        run: impl FnOnce(&mut Claimer<'_>) -> Result<T, Fault>,
    ) -> Result<T, Stop> {
        let now_ms = self.now_ms;
        let stream = self.state.stream_mut(key).ok_or_else(|| no_group(key, name))?;
        let mut group = stream.take_group(name).ok_or_else(|| no_group(key, name))?;
        let (consumer, made) = group.consumer_or_new(who, now_ms);
        group.see(consumer, now_ms);
        let mut claimer = Claimer {
            stream,
            group: &mut group,
            blocks: self.blocks,
            consumer,
            now_ms,
            touched: 0,
        };
        let result = run(&mut claimer)?;
        let touched = claimer.touched;
        stream.put_group(name, group);
        self.state.dirty.bytes += 64 + 48 * touched;
        if made {
            let (key, group) = (key.clone(), name.clone());
            self.events.push(Event::ConsumerCreated { key, group });
        }
        Ok(result)
    }
}

struct Claimer<'a> {
    stream: &'a Stream,
    /// Taken out of the stream.
    group: &'a mut Group,
    blocks: &'a Blocks,
    consumer: ConsumerNumber,
    now_ms: u64,
    touched: usize,
}

struct Found {
    next: EntryId,
    claimed: Vec<EntryId>,
    deleted: Vec<EntryId>,
}

impl Claimer<'_> {
    fn claim(&mut self, claim: &Claim) -> Result<Vec<EntryId>, Fault> {
        if let Some(last_id) = claim.last_id.filter(|id| *id > self.group.last_id) {
            self.group.last_id = last_id;
            self.group.changed = true;
        }
        let now = self.now_ms;
        // A time that can't be is taken as now, as in Redis.
        let delivered_ms = match claim.delivered {
            None => now,
            Some(Delivered::IdleMs(idle)) => now.checked_sub(idle).unwrap_or(now),
            Some(Delivered::AtMs(at)) => {
                if at <= now {
                    at
                } else {
                    now
                }
            }
        };
        let mut looked = Looked::default();
        let mut taken = Vec::new();
        for id in &claim.ids {
            let before = self.group.pending.get(id).copied();
            if before.is_none() && !claim.force {
                continue;
            }
            if !admitted(self.stream, *id, &mut looked) {
                continue;
            }
            if !self.exists(*id, before.is_some())? {
                self.touched += usize::from(self.group.drop_pending(*id));
                continue;
            }
            if before.is_some_and(|before| !before.is_idle_for(claim.min_idle_ms, self.now_ms)) {
                continue;
            }
            let counted = before.map_or(1, |before| before.deliveries);
            let next = if claim.just_id { counted } else { counted.saturating_add(1) };
            let deliveries = claim.deliveries.unwrap_or(next);
            if !is(Bug::ClaimDropped) {
                self.take(*id, delivered_ms, deliveries);
            }
            taken.push(*id);
        }
        Ok(taken)
    }

    fn auto_claim(&mut self, claim: &AutoClaim) -> Result<Found, Fault> {
        let mut found = Found { next: EntryId::MIN, claimed: Vec::new(), deleted: Vec::new() };
        let mut count = claim.count.clamp(1, READ_ENTRIES_MAX);
        let mut scans = scans_max(claim);
        let mut looked = Looked::default();
        let mut from = Some(claim.start);
        while let Some((id, pending)) = from.and_then(|from| next_pending(self.group, from)) {
            if scans == 0 || count == 0 || !admitted(self.stream, id, &mut looked) {
                found.next = id;
                return Ok(found);
            }
            scans -= 1;
            from = id.next();
            if !self.exists(id, true)? {
                self.touched += usize::from(self.group.drop_pending(id));
                found.deleted.push(id);
                count -= 1;
            } else if pending.is_idle_for(claim.min_idle_ms, self.now_ms) {
                let more = u64::from(!claim.just_id);
                self.take(id, self.now_ms, pending.deliveries.saturating_add(more));
                found.claimed.push(id);
                count -= 1;
            }
        }
        Ok(found)
    }

    /// Whether the entry exists. One that is pending once did.
    fn exists(&self, id: EntryId, pending: bool) -> Result<bool, Fault> {
        if pending {
            return self.stream.is_there(self.blocks, id);
        }
        self.stream.holds(self.blocks, id)
    }

    fn take(&mut self, id: EntryId, delivered_ms: u64, deliveries: u64) {
        let consumer = self.consumer;
        self.group.set_pending(id, Pending::of(consumer, delivered_ms, deliveries));
        self.group.set_active(consumer, self.now_ms);
        self.touched += 1;
    }
}

fn next_pending(group: &Group, from: EntryId) -> Option<(EntryId, Pending)> {
    group.pending.from(from).next().map(|(id, pending)| (*id, *pending))
}

/// Whether the bytes that one command may look into reach for the block of this id.
pub(super) fn admitted(stream: &Stream, id: EntryId, looked: &mut Looked) -> bool {
    stream.locate(id).is_none_or(|span| looked.admits(&span))
}

fn scans_max(claim: &AutoClaim) -> u64 {
    claim.count.clamp(1, READ_ENTRIES_MAX) * AUTO_CLAIM_SCAN_FACTOR
}

pub(super) fn needs(state: &State, claim: &Claim) -> Vec<BlockKey> {
    let Some((stream, group)) = find(state, &claim.key, &claim.group) else { return Vec::new() };
    let mut looked = Looked::default();
    let mut needs = Vec::new();
    for id in &claim.ids {
        let pending = group.pending.get(id).is_some();
        if !pending && !claim.force || !admitted(stream, *id, &mut looked) {
            continue;
        }
        let span = if pending { must_look_into(stream, *id) } else { stream.locate(*id) };
        needs.extend(span.and_then(|span| stream.is_absent(&span)));
    }
    needs
}

pub(super) fn needs_auto(state: &State, claim: &AutoClaim) -> Vec<BlockKey> {
    let Some((stream, group)) = find(state, &claim.key, &claim.group) else { return Vec::new() };
    let mut looked = Looked::default();
    group
        .pending
        .from(claim.start)
        .map(|(id, _)| *id)
        .take(usize::try_from(scans_max(claim)).unwrap_or(usize::MAX))
        .take_while(|id| admitted(stream, *id, &mut looked))
        .filter_map(|id| stream.is_absent(&must_look_into(stream, id)?))
        .collect()
}

fn must_look_into(stream: &Stream, id: EntryId) -> Option<Span<'_>> {
    match stream.once_there(id) {
        Once::LookInto(span) => Some(span),
        Once::Gone | Once::There => None,
    }
}

fn find<'a>(state: &'a State, key: &[u8], group: &[u8]) -> Option<(&'a Stream, &'a Group)> {
    let stream = state.stream(key)?;
    Some((stream, stream.groups.get(group)?))
}
