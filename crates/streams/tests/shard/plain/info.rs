//! XPENDING and XINFO of the model.

use std::collections::BTreeSet;

use bytes::Bytes;
use streams::Settings;
use streams::command::{ReadFrom, ReadGroup};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::{
    ConsumerFullInfo, ConsumerInfo, Entry, GroupFullInfo, GroupInfo, IdempotenceInfo,
    PendingDetail, PendingEntry, PendingSummary, Reply, StreamFullInfo, StreamInfo, StreamSummary,
};

use super::groups::Group;
use super::{Answer, Model, Produced, Stream};

impl Model {
    pub(crate) fn ask_group(&self, now: u64, query: &Query) -> Answer {
        let stream_of = |key: &Bytes| self.keys.get(key).ok_or(Refusal::NoKey);
        Ok(match query {
            Query::PendingSummary { key, group } => self.summary(key, group)?,
            Query::PendingRange { key, group, min_idle_ms, start, end, count, consumer } => {
                let (_, group) = self.group(key, group)?;
                let mut found = Vec::new();
                for (id, pending) in &group.pending {
                    let owned = pending.released.is_none();
                    let idle_ms = owned.then(|| now - pending.delivered);
                    let its = |name: &Bytes| owned && *name == pending.consumer;
                    let mine = consumer.as_ref().is_none_or(its);
                    let inside = start <= id && id <= end;
                    let idle = pending.is_idle(*min_idle_ms, now);
                    if inside && mine && idle && (found.len() as u64) < *count {
                        found.push(PendingEntry {
                            id: *id,
                            consumer: pending.consumer.clone(),
                            idle_ms,
                            deliveries: pending.count,
                        });
                    }
                }
                Reply::Pending(found)
            }
            Query::Stream { key } => {
                let stream = stream_of(key)?;
                let alive = stream.alive();
                Reply::Stream(Box::new(StreamInfo {
                    summary: stream.summary(now, &self.chosen),
                    groups_count: stream.groups.len() as u64,
                    first: alive.first().cloned(),
                    last: alive.last().cloned(),
                }))
            }
            Query::StreamFull { key, count } => stream_of(key)?.full(now, *count, &self.chosen),
            Query::Groups { key } => {
                let stream = stream_of(key)?;
                let groups = stream.groups.iter();
                Reply::Groups(groups.map(|(name, group)| stream.info(name, group)).collect())
            }
            Query::Consumers { key, group: name } => {
                let stream = stream_of(key)?;
                let missing = || Refusal::NoGroupForKey { key: key.clone(), group: name.clone() };
                let group = stream.groups.get(name).ok_or_else(missing)?;
                let consumers = group.consumers.iter().map(|(name, consumer)| ConsumerInfo {
                    name: name.clone(),
                    pending_count: group.owned(name).len() as u64,
                    idle_ms: now - consumer.seen,
                    inactive_ms: consumer.active.map(|active| now - active),
                });
                Reply::Consumers(consumers.collect())
            }
            Query::WouldDeliver(read) => {
                self.check_read(read)?;
                let would = read.streams.iter().any(|(key, from)| {
                    let (stream, group) = self.group(key, &read.group).unwrap();
                    stream.would(group, read, *from, now)
                        || !group.consumers.contains_key(&read.consumer)
                });
                Reply::Count(u64::from(would))
            }
            _ => unreachable!("answered elsewhere"),
        })
    }

    fn summary(&self, key: &Bytes, group: &Bytes) -> Answer {
        let (_, group) = self.group(key, group)?;
        let ids: Vec<EntryId> = group.pending.keys().copied().collect();
        let counts = group.consumers.keys().map(|n| (n.clone(), group.owned(n).len() as u64));
        Ok(Reply::PendingSummary(PendingSummary {
            total: ids.len() as u64,
            range: ids.first().copied().zip(ids.last().copied()),
            consumers: counts.filter(|(_, count)| *count > 0).collect(),
        }))
    }
}

impl Group {
    fn owned(&self, name: &Bytes) -> Vec<PendingDetail> {
        let mut all = self.details();
        all.retain(|detail| detail.consumer == name && self.pending[&detail.id].released.is_none());
        all
    }

    fn details(&self) -> Vec<PendingDetail> {
        let all = self.pending.iter().map(|(id, pending)| PendingDetail {
            id: *id,
            consumer: pending.consumer.clone(),
            delivered_ms: pending.delivered,
            deliveries: pending.count,
        });
        all.collect()
    }
}

impl Stream {
    fn would(&self, group: &Group, read: &ReadGroup, from: ReadFrom, now: u64) -> bool {
        let claimable = |idle| {
            let first = group.line().first().copied();
            first.is_some_and(|id| group.pending[&id].is_idle(idle, now))
        };
        match from {
            ReadFrom::New => {
                self.alive().iter().any(|entry| entry.id > group.last)
                    || read.claim_idle_ms.is_some_and(claimable)
            }
            ReadFrom::History(after) => {
                group.owned(&read.consumer).iter().any(|detail| detail.id > after)
            }
        }
    }

    fn summary(&self, now: u64, chosen: &Settings) -> StreamSummary {
        let keys: Vec<[u8; 16]> = self.nodes.iter().map(|node| bytes_of(node.base)).collect();
        StreamSummary {
            length: self.length(),
            blocks_count: keys.len() as u64,
            tree_nodes_count: if keys.is_empty() { 1 } else { tree_nodes(&keys, 0) },
            last_id: self.last,
            max_deleted_id: self.max_deleted,
            entries_added: self.added,
            first_id: self.first(),
            idempotence: Some(self.produced.info(now, chosen)),
        }
    }

    fn info(&self, name: &Bytes, group: &Group) -> GroupInfo {
        GroupInfo {
            name: name.clone(),
            consumers_count: group.consumers.len() as u64,
            pending_count: group.pending.len() as u64,
            last_delivered_id: group.last,
            entries_read: group.read,
            lag: self.lag(group),
            unread: match self.lag(group) {
                Some(_) => None,
                None => Some(self.alive().iter().filter(|one| one.id > group.last).count() as u64),
            },
            nacked_count: {
                let released = group.pending.values().filter(|one| one.released.is_some());
                Some(released.count() as u64)
            },
        }
    }

    fn full(&self, now: u64, count: u64, chosen: &Settings) -> Reply<Entry> {
        let shown = if count == 0 { usize::MAX } else { count as usize };
        let cut = |mut details: Vec<PendingDetail>| {
            details.truncate(shown);
            details
        };
        let mut entries = self.alive();
        entries.truncate(shown);
        let groups = self.groups.iter().map(|(name, group)| GroupFullInfo {
            info: self.info(name, group),
            pending: cut(group.details()),
            consumers: group
                .consumers
                .iter()
                .map(|(name, consumer)| ConsumerFullInfo {
                    name: name.clone(),
                    seen_ms: consumer.seen,
                    active_ms: consumer.active,
                    pending_count: group.owned(name).len() as u64,
                    pending: cut(group.owned(name)),
                })
                .collect(),
        });
        let groups = groups.collect();
        let summary = self.summary(now, chosen);
        Reply::StreamFull(Box::new(StreamFullInfo { summary, entries, groups }))
    }
}

impl Produced {
    fn info(&self, now: u64, chosen: &Settings) -> IdempotenceInfo {
        let (duration_ms, ids_max) = self.bounds(chosen);
        let fresh: Vec<_> = self.list.iter().filter(|(at, ..)| at + duration_ms > now).collect();
        let names: BTreeSet<_> = fresh.iter().map(|(_, one, _)| &one.name).collect();
        let (producers_count, ids_count) = (names.len() as u64, fresh.len() as u64);
        let Self { added, duplicates, dropped, .. } = *self;
        IdempotenceInfo {
            duration_ms,
            ids_max,
            producers_count,
            ids_count,
            added,
            duplicates,
            dropped,
        }
    }
}

fn bytes_of(id: EntryId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

/// Nodes of a tree of these keys below a depth: runs of single children are one node.
fn tree_nodes(keys: &[[u8; 16]], depth: usize) -> u64 {
    if keys.len() == 1 {
        return 1 + u64::from(depth < 16);
    }
    let mut parting = depth;
    while keys.iter().all(|key| key[parting] == keys[0][parting]) {
        parting += 1;
    }
    let below: u64 = keys
        .chunk_by(|a, b| a[parting] == b[parting])
        .map(|same| tree_nodes(same, parting + 1))
        .sum();
    u64::from(parting > depth) + 1 + below
}
