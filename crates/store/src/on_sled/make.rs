//! Making and opening the directory. Never opens a half-made store: a new one gets its name when it
//! is whole and synced.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::ShardId;

use super::{Options, failed, guarded, unreadable};
use crate::api::Error;
use crate::durable::{self, Synced};
use crate::layout::catalogue::{self, Shelf};
use crate::layout::{format, frame, unframe};
use crate::limits::{LOCK_TRIES, LOCK_WAIT, SEGMENT_BYTES};

/// Opens the store in `dir`; makes it first if need be.
pub(super) fn open(dir: &Path, options: Options) -> Result<(sled::Db, Synced), Error> {
    if !durable::is_in_effect() {
        return Err(Error::Misuse("this binary lets sled sync by sync_file_range"));
    }
    if is_missing(dir)? {
        make(dir, options).map_err(|error| naming(dir, error))?;
    }
    check_format(dir)?;
    remove_half_snapshots(dir)?;
    let bytes = fs::metadata(dir.join("db")).map_or(0, |file| file.len());
    tracing::info!(dir = %dir.display(), bytes, "opening the store, which may take a while");
    let db = guarded(|| open_db(dir, options))?;
    if !db.was_recovered() {
        return Err(Error::Unreadable("the store is empty, although one was made".to_owned()));
    }
    let synced = Synced::open(dir)?;
    // What sled found was perhaps never synced, though the page cache shows it.
    synced.sync()?;
    match synced.blobs_count()? {
        0 => Ok((db, synced)),
        _ => Err(Error::Unreadable("there are blob files, which are never synced".to_owned())),
    }
}

/// What went wrong when a store was made is the machine's fault, never damage: there was nothing yet.
/// The error of a call says nothing of what was called.
fn naming(dir: &Path, error: Error) -> Error {
    let (kind, why) = match error {
        Error::Io(error) => (error.kind(), error.to_string()),
        Error::Unreadable(why) => (io::ErrorKind::Other, why),
        error => return error,
    };
    Error::Io(io::Error::new(kind, format!("making and syncing {}: {why}", dir.display())))
}

fn is_missing(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether this program knows what was written. A store that lost the file alone is not lost: its
/// values say what they are too.
pub(crate) fn check_format(dir: &Path) -> Result<(), Error> {
    let file = dir.join(format::FILE);
    let bytes = match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    match format::newer(&bytes) {
        Ok(None) => Ok(()),
        Ok(Some(version)) => Err(Error::Newer { file, version }),
        Err(bad) => Err(Error::Unreadable(format!("{} {bad}", file.display()))),
    }
}

/// Sled's threads may hold the lock for a moment after a store was dropped.
pub(super) fn open_db(dir: &Path, options: Options) -> Result<sled::Db, Error> {
    for _ in 1..LOCK_TRIES {
        match try_open_db(dir, options) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(LOCK_WAIT);
            }
            other => return other,
        }
    }
    try_open_db(dir, options)
}

fn try_open_db(dir: &Path, options: Options) -> Result<sled::Db, Error> {
    sled::Config::new()
        .path(dir)
        .cache_capacity(options.cache_bytes)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None)
        .open()
        .map_err(|error| match &error {
            sled::Error::Io(io) if io.to_string().starts_with("could not acquire lock") => {
                Error::Io(io::Error::new(io::ErrorKind::WouldBlock, error.to_string()))
            }
            _ => unreadable(error),
        })
}

/// Makes a store beside its place, syncs it once and renames it.
fn make(dir: &Path, options: Options) -> Result<(), Error> {
    let making = beside(dir, "making");
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    let parent = parent(dir);
    fs::create_dir_all(parent)?;
    guarded(|| {
        let db = open_db(&making, options)?;
        let catalogue = db.open_tree(catalogue::TREE).map_err(failed)?;
        let made = frame(catalogue::MADE_KEY, catalogue::MADE);
        catalogue.insert(catalogue::MADE_KEY, made).map_err(failed)?;
        db.flush().map_err(failed)?;
        Ok(())
    })?;
    fs::write(making.join(format::FILE), format::encode())?;
    durable::sync_made(&making)?;
    fs::rename(&making, dir)?;
    durable::sync_dir(parent)?;
    Ok(())
}

/// `dir` with an ending.
pub(crate) fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".");
    name.push(ending);
    dir.with_file_name(name)
}

pub(crate) fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A crash while sled writes a snapshot leaves `snap.*.generating`, which it then takes for a
/// snapshot. The one before is still there.
fn remove_half_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("snap.") && text.ends_with(".generating") {
            fs::remove_file(dir.join(&name))?;
        }
    }
    Ok(())
}

/// The shards that the store holds.
pub(super) fn read_catalogue(
    db: &sled::Db,
    catalogue: &sled::Tree,
) -> Result<BTreeMap<ShardId, Shelf>, Error> {
    let bad = |detail: &str| Error::Unreadable(format!("the catalogue {detail}"));
    let made = catalogue.get(catalogue::MADE_KEY).map_err(unreadable)?;
    let made = made.ok_or_else(|| bad("is empty, although the store was made"))?;
    if unframe(catalogue::MADE_KEY, &made).map_err(|error| bad(error.0))? != catalogue::MADE {
        return Err(bad("is not one of ours"));
    }
    let mut shelves = BTreeMap::new();
    for record in catalogue.scan_prefix([catalogue::SHARD]) {
        let (key, value) = record.map_err(unreadable)?;
        let shelf = unframe(&key, &value).and_then(Shelf::decode);
        let id = catalogue::decode_key(&key).map_err(|error| bad(error.0))?;
        shelves.insert(id, shelf.map_err(|error| bad(error.0))?);
    }
    for name in db.tree_names() {
        let tree = catalogue::decode_tree_name(&name);
        let known = |(id, generation)| {
            shelves.get(&id).is_some_and(|shelf: &Shelf| shelf.generation >= generation)
        };
        if !tree.is_none_or(known) {
            return Err(bad("lacks a shard that has a tree"));
        }
    }
    Ok(shelves)
}
