//! What each question is answered from. Nothing here changes anything.

mod info;
mod keys;
mod pending;
mod unread;

use bytes::Bytes;

use crate::block::Blocks;
use crate::command::Most;
use crate::commands::{Outcome, would_deliver};
use crate::error::{Fault, Refusal};
use crate::id::{BlockKey, EntryId};
use crate::query::{After, Query};
use crate::reading::{Budget, Walk};
use crate::reply::{EntryRef, Reply};
use crate::state::State;
use crate::stream::Stream;
use crate::view::View;

pub(crate) fn answer(view: View<'_>, blocks: &Blocks, query: &Query) -> Outcome {
    let stream_of = |key: &Bytes| view.stream(key).ok_or(Refusal::NoKey);
    let reply = match query {
        Query::Length { key } => Reply::Count(view.stream(key).map_or(0, |stream| stream.length)),
        Query::Range { key, start, end, count, reverse } => match (view.stream(key), count) {
            (None, _) => Reply::Entries(Vec::new()),
            (Some(_), Some(0)) => Reply::Nil,
            (Some(stream), count) => {
                let walk = Walk::range(*start, *end, *reverse, count.unwrap_or(0));
                Reply::Entries(refs(stream, walk.ids(stream, blocks, &mut Budget::unbounded())?))
            }
        },
        Query::Read { count, most, streams } => read(view, blocks, *count, *most, streams)?,
        Query::PendingSummary { key, group } => pending::summary(view, key, group)?,
        Query::PendingRange { key, group, min_idle_ms, start, end, count, consumer } => {
            let range = pending::Range {
                min_idle_ms: *min_idle_ms,
                start: *start,
                end: *end,
                count: *count,
                consumer: consumer.as_ref(),
            };
            pending::range(view, key, group, view.now_ms(), &range)?
        }
        Query::Stream { key } => info::stream(view, stream_of(key)?),
        Query::StreamFull { key, count } => {
            info::stream_full(view, stream_of(key)?, blocks, *count)?
        }
        Query::Groups { key } => info::groups(stream_of(key)?, blocks)?,
        Query::Consumers { key, group } => {
            info::consumers(stream_of(key)?, key, group, view.now_ms())?
        }
        Query::Exists { keys } => {
            Reply::Count(keys.iter().filter(|key| view.has(key)).count() as u64)
        }
        Query::Type { key } => Reply::Type { exists: view.has(key) },
        Query::KeysCount => Reply::Count(view.keys_count()),
        Query::LastIds { keys } => {
            let last = |key: &Bytes| view.stream(key).map_or(EntryId::MIN, |one| one.last_id);
            Reply::Ids(keys.iter().map(last).collect())
        }
        Query::WouldDeliver(read) => Reply::Count(u64::from(would_deliver(view, read)?)),
        Query::Scan { place, count, pattern } => {
            keys::scan(view, *place, *count, pattern.as_deref())
        }
        Query::Keys { pattern } => keys::all(view, pattern),
        Query::KeyAt { place } => keys::at(view, *place),
        Query::Lifetime { key, absolute, in_ms } => keys::lifetime(view, key, *absolute, *in_ms),
        Query::Object { key, about } => keys::object(view, key, *about)?,
    };
    Ok(reply)
}

/// Blocks that answering will look into and that are not in the state.
pub(crate) fn needs(state: &State, query: &Query) -> Vec<BlockKey> {
    let mut needs = match query {
        Query::Range { key, start, end, count, reverse } => match state.stream(key) {
            Some(stream) if *count != Some(0) => {
                Walk::range(*start, *end, *reverse, count.unwrap_or(0)).needs(stream, 1)
            }
            _ => Vec::new(),
        },
        Query::Read { count, most, streams } => {
            let walks = streams.iter().filter_map(|(key, after)| {
                let stream = state.stream(key)?;
                let walk = walk_of(stream, *after, *count, streams.len());
                let newest = || stream.is_absent(&stream.spans_back_from(EntryId::MAX).next()?);
                Some(match walk {
                    Some(walk) => walk.within(*most).needs(stream, 1),
                    // How much the newest entry takes is asked only where bytes are counted.
                    None if *after == After::Newest && most.bytes.is_some() => {
                        newest().into_iter().collect()
                    }
                    None => Vec::new(),
                })
            });
            walks.flatten().collect()
        }
        Query::StreamFull { key, count } => match state.stream(key) {
            Some(stream) => {
                let mut needs = info::full_walk(*count).needs(stream, 1);
                needs.extend(unread::needs(stream));
                needs
            }
            None => Vec::new(),
        },
        Query::Groups { key } => state.stream(key).map_or_else(Vec::new, unread::needs),
        Query::Length { .. }
        | Query::PendingSummary { .. }
        | Query::PendingRange { .. }
        | Query::Stream { .. }
        | Query::Consumers { .. }
        | Query::Exists { .. }
        | Query::Type { .. }
        | Query::KeysCount
        | Query::LastIds { .. }
        | Query::Scan { .. }
        | Query::Keys { .. }
        | Query::KeyAt { .. }
        | Query::Lifetime { .. }
        | Query::Object { .. }
        | Query::WouldDeliver(_) => Vec::new(),
    };
    if needs.len() > 1 {
        needs.sort_unstable();
        needs.dedup();
    }
    needs
}

fn read(
    view: View<'_>,
    blocks: &Blocks,
    count: u64,
    most: Most,
    streams: &[(Bytes, After)],
) -> Outcome {
    let mut served = Vec::new();
    let mut budget = Budget::new(most);
    for (key, after) in streams {
        let Some(stream) = view.stream(key).filter(|stream| stream.length > 0) else { continue };
        budget.begin(key);
        let ids = match walk_of(stream, *after, count, streams.len()) {
            Some(walk) => walk.within(most).ids(stream, blocks, &mut budget)?,
            None if *after == After::Newest => newest(stream, blocks, &mut budget)?,
            None => Vec::new(),
        };
        if !ids.is_empty() {
            served.push((stream.key.clone(), refs(stream, ids)));
        }
    }
    if served.is_empty() { Ok(Reply::Nil) } else { Ok(Reply::Streams(served)) }
}

fn newest(stream: &Stream, blocks: &Blocks, budget: &mut Budget) -> Result<Vec<EntryId>, Fault> {
    let id = stream.last_live_id();
    let bytes = if budget.counts_bytes() { stream.wire_bytes(blocks, id)? } else { None };
    Ok(if budget.admits(|| bytes.unwrap_or(0)) { vec![id] } else { Vec::new() })
}

fn walk_of(stream: &Stream, after: After, count: u64, streams: usize) -> Option<Walk> {
    match after {
        After::Id(id) if stream.last_live_id() > id => Walk::after(id, count, streams),
        After::Id(_) | After::Last | After::Newest => None,
    }
}

fn refs(stream: &Stream, ids: Vec<EntryId>) -> Vec<EntryRef> {
    ids.into_iter().map(|id| EntryRef { stream: stream.number, id }).collect()
}

/// What asking for entries may end in.
type Answer = Result<Reply<EntryRef>, Fault>;
