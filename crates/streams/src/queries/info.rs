//! XINFO. The short forms look at no block.

use bytes::Bytes;

use super::unread::Unread;
use super::{Answer, refs};
use crate::block::Blocks;
use crate::error::Refusal;
use crate::group::{Consumer, Group};
use crate::id::EntryId;
use crate::limits::READ_ENTRIES_MAX;
use crate::reading::{Budget, Walk};
use crate::reply::{
    ConsumerFullInfo, ConsumerInfo, EntryRef, GroupFullInfo, GroupInfo, PendingDetail, Reply,
    StreamFullInfo, StreamInfo, StreamSummary,
};
use crate::stream::Stream;
use crate::view::View;

pub(super) fn stream(view: View<'_>, stream: &Stream) -> Reply<EntryRef> {
    let edge = |id: EntryId| (stream.length > 0).then_some(EntryRef { stream: stream.number, id });
    Reply::Stream(Box::new(StreamInfo {
        summary: summary(view, stream),
        groups_count: stream.groups.len() as u64,
        first: edge(stream.first_id()),
        last: edge(stream.last_live_id()),
    }))
}

pub(super) fn full_walk(count: u64) -> Walk {
    Walk::range(EntryId::MIN, EntryId::MAX, false, count)
}

pub(super) fn stream_full(view: View<'_>, stream: &Stream, blocks: &Blocks, count: u64) -> Answer {
    let ids = full_walk(count).ids(stream, blocks, &mut Budget::unbounded())?;
    let shown = if count == 0 { READ_ENTRIES_MAX } else { count.min(READ_ENTRIES_MAX) };
    let each = usize::try_from(shown).unwrap_or(usize::MAX);
    let mut shown = Shown { each, left: usize::try_from(READ_ENTRIES_MAX).unwrap_or(usize::MAX) };
    let unread = Unread::count(stream, blocks)?;
    let groups = stream.groups.iter().map(|(name, group)| {
        let info = group_info(stream, &unread, name, group);
        group_full(info, group, &mut shown)
    });
    Ok(Reply::StreamFull(Box::new(StreamFullInfo {
        summary: summary(view, stream),
        entries: refs(stream, ids),
        groups: groups.collect(),
    })))
}

fn summary(view: View<'_>, stream: &Stream) -> StreamSummary {
    let bases = stream.spans_from(EntryId::MIN).map(|span| span.base);
    let (blocks_count, tree_nodes_count) = count_nodes(bases);
    StreamSummary {
        length: stream.length,
        blocks_count,
        tree_nodes_count,
        last_id: stream.last_id,
        max_deleted_id: stream.max_deleted_id,
        entries_added: stream.entries_added,
        first_id: stream.first_id(),
        idempotence: Some(stream.idempotence.info(view.settings(), view.now_ms())),
    }
}

/// How many keys there are, and the nodes of a radix tree that joins runs of single children: one
/// node for each key's end, one for each byte at which keys part, one for each run between them.
fn count_nodes(keys: impl Iterator<Item = EntryId>) -> (u64, u64) {
    const KEY_BYTES: usize = 16;
    let (mut count, mut nodes) = (0, 0);
    let mut previous: Option<[u8; KEY_BYTES]> = None;
    // The depths at which the path to the previous key parts from others, ascending.
    let mut partings: Vec<usize> = Vec::new();
    for id in keys {
        count += 1;
        let mut key = [0; KEY_BYTES];
        key[..8].copy_from_slice(&id.ms.to_be_bytes());
        key[8..].copy_from_slice(&id.seq.to_be_bytes());
        if let Some(previous) = previous {
            let depth = previous.iter().zip(&key).take_while(|(a, b)| a == b).count();
            nodes += edge_nodes(partings.last().copied().max(Some(depth)), KEY_BYTES);
            while let Some(lower) = partings.pop_if(|parting| *parting > depth) {
                nodes += edge_nodes(partings.last().copied().max(Some(depth)), lower);
            }
            if partings.last() != Some(&depth) {
                partings.push(depth);
            }
        }
        previous = Some(key);
    }
    if count == 0 {
        return (0, 1);
    }
    nodes += edge_nodes(partings.last().copied(), KEY_BYTES);
    while let Some(lower) = partings.pop() {
        nodes += edge_nodes(partings.last().copied(), lower);
    }
    (count, nodes)
}

/// The node at depth `lower`, and the run between it and the parting above it, or the root.
fn edge_nodes(upper: Option<usize>, lower: usize) -> u64 {
    let start = upper.map_or(0, |upper| upper + 1);
    1 + u64::from(lower > start)
}

pub(super) fn groups(stream: &Stream, blocks: &Blocks) -> Answer {
    let unread = Unread::count(stream, blocks)?;
    let groups = stream.groups.iter();
    let groups = groups.map(|(name, group)| group_info(stream, &unread, name, group));
    Ok(Reply::Groups(groups.collect()))
}

pub(super) fn consumers(
    stream: &Stream,
    key: &Bytes,
    name: &Bytes,
    now_ms: u64,
) -> Result<Reply<EntryRef>, Refusal> {
    let Some(group) = stream.groups.get(name) else {
        return Err(Refusal::NoGroupForKey { key: key.clone(), group: name.clone() });
    };
    let describe = |consumer: &Consumer| ConsumerInfo {
        name: consumer.name.clone(),
        pending_count: consumer.pending.len() as u64,
        idle_ms: now_ms.saturating_sub(consumer.last_seen_ms()),
        inactive_ms: consumer.active_ms.map(|active_ms| now_ms.saturating_sub(active_ms)),
    };
    Ok(Reply::Consumers(by_name(group).map(describe).collect()))
}

fn by_name(group: &Group) -> impl Iterator<Item = &Consumer> {
    group.names.values().filter_map(|number| group.consumers.get(number))
}

fn group_info(stream: &Stream, unread: &Unread, name: &Bytes, group: &Group) -> GroupInfo {
    let lag = stream.lag(group);
    GroupInfo {
        name: name.clone(),
        consumers_count: group.consumers.len() as u64,
        pending_count: group.pending.len() as u64,
        last_delivered_id: group.last_id,
        entries_read: group.entries_read,
        lag,
        unread: if lag.is_none() { unread.of(group) } else { None },
        nacked_count: Some(group.released_count()),
    }
}

/// How much of what is pending is shown: of each list, and of all that are left.
struct Shown {
    each: usize,
    left: usize,
}

impl Shown {
    fn take(&mut self, details: impl Iterator<Item = PendingDetail>) -> Vec<PendingDetail> {
        let taken: Vec<PendingDetail> = details.take(self.each.min(self.left)).collect();
        self.left -= taken.len();
        taken
    }
}

fn group_full(info: GroupInfo, group: &Group, shown: &mut Shown) -> GroupFullInfo {
    let detail = |id: &EntryId| {
        let pending = group.pending.get(id)?;
        let consumer = group.owner_name(pending);
        Some(PendingDetail {
            id: *id,
            consumer,
            delivered_ms: pending.delivered_ms,
            deliveries: pending.deliveries,
        })
    };
    let pending = shown.take(group.pending.iter().filter_map(|(id, _)| detail(id)));
    let consumer_full = |consumer: &Consumer| ConsumerFullInfo {
        name: consumer.name.clone(),
        seen_ms: consumer.last_seen_ms(),
        active_ms: consumer.active_ms,
        pending_count: consumer.pending.len() as u64,
        pending: shown.take(consumer.pending.iter().filter_map(detail)),
    };
    let consumers = by_name(group).map(consumer_full).collect();
    GroupFullInfo { info, pending, consumers }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[(u64, u64)]) -> (u64, u64) {
        count_nodes(ids.iter().map(|(ms, seq)| EntryId::new(*ms, *seq)))
    }

    #[test]
    fn nodes_are_those_of_a_radix_tree() {
        assert_eq!(nodes(&[]), (0, 1));
        assert_eq!(nodes(&[(5, 1)]), (1, 2));
        // One run, one parting at the last byte, two ends.
        assert_eq!(nodes(&[(5, 1), (5, 2)]), (2, 4));
        // They part one byte earlier: a run of one byte below each side.
        assert_eq!(nodes(&[(5, 1), (5, 256)]), (2, 6));
        assert_eq!(nodes(&[(5, 1), (5, 2), (5, 256)]), (3, 7));
    }
}
