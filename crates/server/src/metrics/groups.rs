//! How far consumer groups are behind: lag and the age of the oldest unacknowledged entry, of the
//! groups that are read through this node. At most [`GROUPS_MAX`] of them: labels must be bounded.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use raft::Shards;
use streams::query::Query;
use streams::reply::Reply;

use super::{Page, label};

/// More would make every scrape slow and every dashboard useless.
const GROUPS_MAX: usize = 1_000;

/// How long one group is waited for: a shard without a leader must not hold the others up.
const ANSWER_WAIT: Duration = Duration::from_millis(500);

/// The groups read through this node, and what was last seen of them.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<BTreeMap<Name, Seen>>);

type Name = (Bytes, Bytes);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    lag: u64,
    oldest_ms: u64,
    /// Nothing is shown before it was asked for the first time.
    asked: bool,
}

impl Groups {
    /// A group is read through this node.
    pub(crate) fn note(&self, key: &Bytes, group: &Bytes) {
        let mut groups = self.0.lock().expect("no holder panics");
        if groups.len() < GROUPS_MAX {
            groups.entry((key.clone(), group.clone())).or_default();
        }
    }

    /// Asks the shards about every noted group; one that is gone is forgotten.
    pub(crate) async fn refresh(&self, shards: &dyn Shards, now_ms: u64) {
        let names: Vec<Name> = self.0.lock().expect("no holder panics").keys().cloned().collect();
        for name in names {
            let looked = tokio::time::timeout(ANSWER_WAIT, look(shards, &name, now_ms)).await;
            let mut groups = self.0.lock().expect("no holder panics");
            match looked {
                Ok(Some(Some(seen))) => drop(groups.insert(name, seen)),
                Ok(Some(None)) => drop(groups.remove(&name)),
                Ok(None) | Err(_) => {}
            }
        }
    }

    pub(super) fn show(&self, page: &mut Page) {
        let groups = self.0.lock().expect("no holder panics").clone();
        let shown = groups.iter().filter(|(_, seen)| seen.asked).map(|((key, group), seen)| {
            let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
            (format!("{},{}", label("stream", &text(key)), label("group", &text(group))), *seen)
        });
        let shown: Vec<(String, Seen)> = shown.collect();
        for (labels, seen) in &shown {
            let help = "Entries of the stream that the group has not delivered yet.";
            page.gauge("weir_group_lag_entries", help, labels, seen.lag);
        }
        for (labels, seen) in &shown {
            let help = "Age of the oldest entry that was delivered and not acknowledged.";
            let name = "weir_group_oldest_unacknowledged_milliseconds";
            page.gauge(name, help, labels, seen.oldest_ms);
        }
    }
}

/// What a group looks like now; `Some(None)`: it is gone; `None`: its shard does not answer.
async fn look(shards: &dyn Shards, (key, group): &Name, now_ms: u64) -> Option<Option<Seen>> {
    let shard = shards.shard_of(key);
    let groups = shards.read(shard, Query::Groups { key: key.clone() }).await.ok()?;
    let Reply::Groups(groups) = groups else { return Some(None) };
    let Some(info) = groups.into_iter().find(|info| info.name == *group) else {
        return Some(None);
    };
    let query = Query::PendingSummary { key: key.clone(), group: group.clone() };
    let Ok(Reply::PendingSummary(pending)) = shards.read(shard, query).await else { return None };
    let oldest_ms = pending.range.map_or(0, |(first, _)| now_ms.saturating_sub(first.ms));
    Some(Some(Seen { lag: info.lag.or(info.unread).unwrap_or(0), oldest_ms, asked: true }))
}
