//! Whether a store is whole: every checksum and every reference. Never changes the store: sled
//! writes when it opens, so it works on a copy.

use std::fmt;
use std::fs;
use std::path::Path;

use base::ShardId;

use crate::api::{Error, Root, Store};
use crate::on_sled::{Options, Sled, check_deep, check_format};

/// Damaged values that a report names for each shard; the rest is only counted.
const DAMAGE_NAMED_MAX: usize = 20;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub shards: Vec<ShardReport>,
    /// Why nothing could be read, if so.
    pub unreadable: Option<String>,
}

/// What [`verify`] found of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    pub shard: ShardId,
    /// The checkpoint it is at.
    pub root: Option<Root>,
    pub parts_count: u64,
    pub parts_bytes: u64,
    /// The first of what is damaged, as sentences.
    pub damage: Vec<String>,
    pub damage_count: usize,
    /// Pieces of parts that nothing refers to, after sweeping: lost space, not lost data.
    pub orphans_count: usize,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.unreadable.is_none() && self.shards.iter().all(|shard| shard.damage_count == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.unreadable {
            writeln!(f, "store: unreadable: {why}")?;
        }
        for report in &self.shards {
            let ShardReport {
                shard,
                root,
                parts_count,
                parts_bytes,
                damage_count,
                orphans_count,
                ..
            } = report;
            let number = root.as_ref().map(|root| root.number.0.to_string());
            let number = number.as_deref().unwrap_or("none");
            writeln!(
                f,
                "store: shard {shard}: checkpoint {number}, {parts_count} parts, \
                 {parts_bytes} bytes, {damage_count} damaged, {orphans_count} orphans"
            )?;
            for damage in &report.damage {
                writeln!(f, "  {damage}")?;
            }
        }
        Ok(())
    }
}

/// Reads everything in the store in `dir`, which no process may have open. `scratch` is an empty or
/// missing directory on a disk with room for a copy; it is removed at the end.
///
/// # Errors
/// A store of a newer program, and whatever the disk refused. Damage is no error: it is reported.
pub fn verify(dir: &Path, scratch: &Path) -> Result<Report, Error> {
    if let Err(error @ Error::Newer { .. }) = check_format(dir) {
        return Err(error);
    }
    copy_dir(dir, scratch)?;
    let report = verify_copy(scratch);
    fs::remove_dir_all(scratch)?;
    Ok(report)
}

fn verify_copy(dir: &Path) -> Report {
    let store = match Sled::open(dir, Options::default()) {
        Ok(store) => store,
        Err(error) => {
            return Report { shards: Vec::new(), unreadable: Some(error.to_string()) };
        }
    };
    let shards = store.shards().into_iter().map(|(shard, _)| verify_shard(&store, shard)).collect();
    Report { shards, unreadable: None }
}

fn verify_shard(store: &Sled, shard: ShardId) -> ShardReport {
    let mut damage = Vec::new();
    let root = store.root(shard).unwrap_or_else(|error| {
        damage.push(error);
        None
    });
    let (mut parts_count, mut parts_bytes, mut orphans_count) = (0, 0, 0);
    if damage.is_empty() {
        (parts_count, parts_bytes) = check_deep(store, shard, &mut damage);
        orphans_count = count_orphans(store, shard).unwrap_or_else(|error| {
            damage.push(error);
            0
        });
    }
    ShardReport {
        shard,
        root,
        parts_count,
        parts_bytes,
        damage_count: damage.len(),
        damage: damage.iter().take(DAMAGE_NAMED_MAX).map(Error::to_string).collect(),
        orphans_count,
    }
}

fn count_orphans(store: &Sled, shard: ShardId) -> Result<usize, Error> {
    while store.sweep(shard)? {}
    store.orphans_count(shard)
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
