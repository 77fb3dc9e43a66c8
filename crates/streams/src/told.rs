//! What a reply takes where it is told, roughly, and the same on every replica: the blocks that its
//! entries stand in, and so much for each thing that it lists. Never looks into a block.

use crate::id::StreamNumber;
use crate::reply::{Claimed, EntryRef, GroupFullInfo, Reply};
use crate::state::State;
use crate::stream::Span;

/// For each thing in a list, whatever it is.
const ITEM_BYTES: u64 = 64;

/// Roughly what this reply takes.
pub(crate) fn bytes(state: &State, reply: &Reply<EntryRef>) -> u64 {
    let mut blocks_bytes = 0;
    let mut items: u64 = 0;
    // Where the last one is: those that follow are mostly there too.
    let mut at: Option<(StreamNumber, Span<'_>)> = None;
    let count = |entry: &EntryRef| {
        items += 1;
        if at.is_some_and(|(stream, span)| stream == entry.stream && span.has(entry.id)) {
            return;
        }
        let Some(stream) = state.streams.get(&entry.stream) else { return };
        at = stream.locate(entry.id).map(|span| (entry.stream, span));
        blocks_bytes += at.map_or(0, |(_, span)| span.bytes);
    };
    let listed = match reply {
        Reply::Entries(entries) => {
            entries.iter().for_each(count);
            0
        }
        Reply::AutoClaimed { claimed, deleted, .. } => match claimed {
            Claimed::Entries(entries) => {
                entries.iter().for_each(count);
                deleted.len()
            }
            Claimed::Ids(ids) => ids.len() + deleted.len(),
        },
        Reply::Streams(streams) => {
            streams.iter().flat_map(|(_, entries)| entries).for_each(count);
            streams.len()
        }
        Reply::Deliveries(streams) => {
            let all = streams.iter().flat_map(|(_, deliveries)| deliveries);
            all.map(|delivery| &delivery.entry).for_each(count);
            streams.len()
        }
        Reply::Stream(info) => {
            info.first.iter().chain(&info.last).for_each(count);
            0
        }
        Reply::StreamFull(info) => {
            info.entries.iter().for_each(count);
            info.groups.iter().map(listed_of).sum()
        }
        Reply::Deleted(done) => done.len(),
        Reply::Ids(ids) => ids.len(),
        Reply::Pending(pending) => pending.len(),
        Reply::PendingSummary(summary) => summary.consumers.len(),
        Reply::Groups(groups) => groups.len(),
        Reply::Consumers(consumers) => consumers.len(),
        Reply::Keys(keys) | Reply::Scanned { keys, .. } => keys.len(),
        _ => 0,
    };
    blocks_bytes + ITEM_BYTES * (items + listed as u64)
}

fn listed_of(group: &GroupFullInfo) -> usize {
    let of_consumers = group.consumers.iter().map(|consumer| 1 + consumer.pending.len());
    group.pending.len() + of_consumers.sum::<usize>()
}
