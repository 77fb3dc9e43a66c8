//! Entries put into a reply that names them: on the leader, which has somebody to answer.

use bytes::Bytes;

use crate::block::Blocks;
use crate::error::Fault;
use crate::finder::Finder;
use crate::id::{BlockKey, StreamNumber};
use crate::reply::{Claimed, Delivery, Entry, EntryRef, Reply, StreamFullInfo, StreamInfo};
use crate::state::State;
use crate::stream::Span;

/// Blocks of the entries that a reply names, as far as they aren't in the state.
pub(crate) fn needs(state: &State, reply: &Reply<EntryRef>) -> Vec<BlockKey> {
    let mut needs = Vec::new();
    // Where the last one is: those that follow are mostly there too.
    let mut at: Option<(StreamNumber, Span<'_>)> = None;
    let need = |entry: &EntryRef| {
        if at.is_some_and(|(stream, span)| stream == entry.stream && span.has(entry.id)) {
            return;
        }
        let Some(stream) = state.streams.get(&entry.stream) else { return };
        at = stream.locate(entry.id).map(|span| (entry.stream, span));
        needs.extend(at.and_then(|(_, span)| stream.is_absent(&span)));
    };
    match reply {
        Reply::Entries(entries) | Reply::AutoClaimed { claimed: Claimed::Entries(entries), .. } => {
            entries.iter().for_each(need);
        }
        Reply::Streams(streams) => {
            streams.iter().flat_map(|(_, entries)| entries).for_each(need);
        }
        Reply::Deliveries(streams) => {
            let all = streams.iter().flat_map(|(_, deliveries)| deliveries);
            all.map(|delivery| &delivery.entry).for_each(need);
        }
        Reply::Stream(info) => info.first.iter().chain(&info.last).for_each(need),
        Reply::StreamFull(info) => info.entries.iter().for_each(need),
        Reply::Transaction(replies) => {
            needs = replies.iter().flat_map(|reply| self::needs(state, reply)).collect();
        }
        _ => {}
    }
    needs.sort_unstable();
    needs.dedup();
    needs
}

pub(crate) fn resolve(
    state: &State,
    blocks: &Blocks,
    reply: Reply<EntryRef>,
) -> Result<Reply<Entry>, Fault> {
    let mut finder = Finder::new(state, blocks);
    let mut there = |entries: Vec<EntryRef>| -> Result<Vec<Entry>, Fault> {
        let all = entries.into_iter().map(|entry| finder.entry(entry));
        all.filter(|entry| entry.as_ref().map_or(true, |entry| entry.fields.is_some())).collect()
    };
    Ok(match reply {
        Reply::Entries(entries) => Reply::Entries(there(entries)?),
        Reply::Streams(streams) => Reply::Streams(by_stream(streams, |entry| finder.entry(entry))?),
        Reply::Deliveries(streams) => Reply::Deliveries(by_stream(streams, |delivery| {
            let Delivery { entry, earlier } = delivery;
            Ok(Delivery { entry: finder.entry(entry)?, earlier })
        })?),
        Reply::AutoClaimed { next, claimed, deleted } => {
            let claimed = match claimed {
                Claimed::Entries(entries) => Claimed::Entries(there(entries)?),
                Claimed::Ids(ids) => Claimed::Ids(ids),
            };
            Reply::AutoClaimed { next, claimed, deleted }
        }
        Reply::Stream(info) => {
            let StreamInfo { summary, groups_count, first, last } = *info;
            let mut one = |entry: Option<EntryRef>| -> Result<Option<Entry>, Fault> {
                Ok(there(entry.into_iter().collect())?.pop())
            };
            let (first, last) = (one(first)?, one(last)?);
            Reply::Stream(Box::new(StreamInfo { summary, groups_count, first, last }))
        }
        Reply::StreamFull(info) => {
            let StreamFullInfo { summary, entries, groups } = *info;
            let entries = there(entries)?;
            Reply::StreamFull(Box::new(StreamFullInfo { summary, entries, groups }))
        }
        Reply::Ok => Reply::Ok,
        Reply::Nil => Reply::Nil,
        Reply::Count(count) => Reply::Count(count),
        Reply::Added(id) => Reply::Added(id),
        Reply::Ids(ids) => Reply::Ids(ids),
        Reply::Deleted(done) => Reply::Deleted(done),
        Reply::PendingSummary(summary) => Reply::PendingSummary(summary),
        Reply::Pending(pending) => Reply::Pending(pending),
        Reply::Groups(groups) => Reply::Groups(groups),
        Reply::Consumers(consumers) => Reply::Consumers(consumers),
        Reply::Type { exists } => Reply::Type { exists },
        Reply::Transaction(replies) => {
            let all = replies.into_iter().map(|reply| resolve(state, blocks, reply));
            Reply::Transaction(all.collect::<Result<_, Fault>>()?)
        }
        Reply::Held(reply) => *reply,
        Reply::Watched(numbers) => Reply::Watched(numbers),
        Reply::NoKey => Reply::NoKey,
        Reply::Signed(number) => Reply::Signed(number),
        Reply::Text(text) => Reply::Text(text),
        Reply::Keys(keys) => Reply::Keys(keys),
        Reply::Scanned { next, keys } => Reply::Scanned { next, keys },
        Reply::Refused(refusal) => Reply::Refused(refusal),
    })
}

fn by_stream<T, U>(
    streams: Vec<(Bytes, Vec<T>)>,
    mut one: impl FnMut(T) -> Result<U, Fault>,
) -> Result<Vec<(Bytes, Vec<U>)>, Fault> {
    let all = |(key, items): (Bytes, Vec<T>)| {
        Ok((key, items.into_iter().map(&mut one).collect::<Result<_, Fault>>()?))
    };
    streams.into_iter().map(all).collect()
}
