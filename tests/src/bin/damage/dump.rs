//! What a data directory holds, read in this process as a node reads it: every entry, every vote, every part of every
//! checkpoint. Never reads a directory that it doesn't own: opening writes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use base::{RealDisk, ShardId};
use bytes::Bytes;
use journal::{LogState, Record, guard};
use store::{Root, Sled, Store};

/// At a time.
const READ_BYTES: usize = 8 << 20;

/// What one shard has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shard {
    log: LogState,
    entries: BTreeMap<u64, Record>,
    /// Why there is no state, where it is damaged.
    state: Result<Option<State>, String>,
}

/// A checkpoint: where it stands, and its parts.
type State = (Root, BTreeMap<Bytes, Bytes>);

pub(crate) type Dump = BTreeMap<ShardId, Shard>;

/// What a damaged directory turned out to be beside the whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Opened {
    /// All is as it was.
    Same,
    /// It isn't opened, or what is asked for isn't answered.
    Refused,
    /// Some shards have no state, the others are as they were.
    ShardDamaged,
    /// A checkpoint is an older one.
    Older,
    /// The end of the log is gone.
    Shorter,
    /// It answers what was never written.
    Wrong,
}

/// Everything in a directory. An error is a refusal.
pub(crate) fn dump(dir: &Path) -> Result<Dump> {
    // sled panics at damage, which the store turns into errors: its words are of no interest.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let dump = read(dir);
    std::panic::set_hook(hook);
    dump
}

fn read(dir: &Path) -> Result<Dump> {
    let marks = guard::load_witness(&RealDisk, dir).context("witness")?.unwrap_or_default();
    let options = journal::Options {
        segment_bytes: 1 << 20,
        kept_bytes: 0,
        cache_bytes: 1 << 20,
        ..journal::Options::default()
    };
    let disk = std::sync::Arc::new(RealDisk);
    let (journal, _committer) =
        journal::open(disk, &dir.join(guard::JOURNAL_DIR), options, &marks).context("journal")?;
    let options = store::Options { cache_bytes: 8 << 20 };
    let store = Sled::open(&dir.join(guard::STORE_DIR), options).context("store")?;
    let mut dump = Dump::new();
    for shard in [ShardId(0), ShardId(1), ShardId(2), ShardId::META] {
        let log = journal.log_state(shard);
        let mut entries = BTreeMap::new();
        let end = log.last.map_or(0, |id| id.index) + 1;
        let mut next = log.purged.map_or(0, |id| id.index) + 1;
        while next < end {
            let records = journal.read(shard, next..end, READ_BYTES).context("reading entries")?;
            next += records.len().max(1) as u64;
            entries.extend(records.into_iter().map(|record| (record.index, record)));
        }
        let state = state(&store, shard).map_err(|error| error.to_string());
        dump.insert(shard, Shard { log, entries, state });
    }
    Ok(dump)
}

fn state(store: &Sled, shard: ShardId) -> Result<Option<State>, store::Error> {
    let Some(root) = store.root(shard)? else { return Ok(None) };
    let mut parts = BTreeMap::new();
    for key in store.keys(shard, b"", None, usize::MAX)? {
        // A part that is listed and not there is as wrong as one with other bytes.
        let value = store.get(shard, &key)?.unwrap_or_default();
        parts.insert(key, value);
    }
    Ok(Some((root, parts)))
}

/// What `found` is beside `whole`.
pub(crate) fn compare(whole: &Dump, found: &Result<Dump>) -> Opened {
    let Ok(found) = found else { return Opened::Refused };
    let each = whole.iter().map(|(shard, whole)| match found.get(shard) {
        Some(found) => compare_log(whole, found).max(compare_state(whole, found)),
        None => Opened::Wrong,
    });
    each.max().unwrap_or(Opened::Same)
}

fn compare_log(whole: &Shard, found: &Shard) -> Opened {
    if found.entries.iter().any(|(index, record)| whole.entries.get(index) != Some(record)) {
        return Opened::Wrong;
    }
    match found.entries.len() == whole.entries.len() && found.log.vote == whole.log.vote {
        true => Opened::Same,
        false => Opened::Shorter,
    }
}

fn compare_state(whole: &Shard, found: &Shard) -> Opened {
    match (&whole.state, &found.state) {
        (_, Err(_)) => Opened::ShardDamaged,
        (whole, found) if whole == found => Opened::Same,
        (Ok(Some((whole, _))), Ok(Some((found, _)))) if found.number < whole.number => {
            Opened::Older
        }
        (_, Ok(None)) => Opened::Older,
        _ => Opened::Wrong,
    }
}
