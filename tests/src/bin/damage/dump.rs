//! What a data directory holds, read in this process as a node reads it: every entry, every vote, every part of every
//! checkpoint. Never reads a directory that it doesn't own: opening writes.

use std::collections::{BTreeMap, BTreeSet};
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

/// What a directory has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dump {
    shards: BTreeMap<ShardId, Shard>,
    /// Whether no shard has a state, since the store isn't opened.
    is_storeless: bool,
}

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
    let store = match Sled::open(&dir.join(guard::STORE_DIR), options) {
        Err(error @ store::Error::Newer { .. }) => return Err(error).context("store"),
        opened => opened.map_err(|error| error.to_string()),
    };
    let mut dump = Dump { is_storeless: store.is_err(), ..Dump::default() };
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
        let state = match &store {
            Ok(store) => state(store, shard).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        dump.shards.insert(shard, Shard { log, entries, state });
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

/// What a damaged directory is beside the whole one.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) opened: Opened,
    /// Whether every log is opened, and as it was.
    pub(crate) is_log_whole: bool,
    /// The shards whose state isn't what it was: damaged, or an older one.
    pub(crate) hurt: BTreeSet<ShardId>,
    /// Of these, the damaged ones.
    pub(crate) damaged: BTreeSet<ShardId>,
}

/// What `found` is beside `whole`.
pub(crate) fn compare(whole: &Dump, found: &Result<Dump>) -> Found {
    let mut all = Found {
        opened: Opened::Same,
        is_log_whole: true,
        hurt: BTreeSet::new(),
        damaged: BTreeSet::new(),
    };
    for (shard, whole) in &whole.shards {
        let found = found.as_ref().ok().and_then(|found| found.shards.get(shard));
        let (log, state) = match found {
            Some(found) => (compare_log(whole, found), compare_state(whole, found)),
            None => (Opened::Refused, Opened::Refused),
        };
        all.opened = all.opened.max(log).max(state);
        all.is_log_whole &= log == Opened::Same;
        if state != Opened::Same {
            all.hurt.insert(*shard);
        }
        if matches!(state, Opened::Refused | Opened::ShardDamaged) {
            all.damaged.insert(*shard);
        }
    }
    // What answers a wrong byte is that, whatever else doesn't open.
    let is_refused = found.as_ref().map_or(true, |found| found.is_storeless);
    if is_refused && all.opened != Opened::Wrong {
        all.opened = Opened::Refused;
    }
    all
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
