//! `weir verify`: checks a stopped node's data. Changes nothing: the store is read in a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base::{Disk, NodeId, RealDisk, ShardId};
use journal::guard::{self, DataLock, Found, GuardError, Identity};
use journal::{LogState, Marks, OpenError};

use crate::cli::Verify;
use crate::failed::Failed;
use crate::out;

/// Where each shard's log begins and ends.
type Logs = BTreeMap<ShardId, LogState>;

/// The lock's file, in a data directory that was ever used.
const LOCK_FILE: &str = "lock";

pub(crate) fn run(args: &Verify) -> Result<(), Failed> {
    let dir = args.dir.as_path();
    if !dir.is_dir() {
        return Err(Failed::wrong(format!("{}: no such directory", dir.display())));
    }
    let _lock = lock(dir)?;
    let marks = promised(dir)?;
    let mut damage = Vec::new();
    let logs = check_journal(dir, &marks, &mut damage)?;
    let stored = check_store(dir, args.scratch.as_deref(), &mut damage)?;
    check_checkpoints(&marks, &logs, &stored, &mut damage);
    let noted = guard::damaged_parts(&RealDisk, dir).map_err(|error| refused(&error))?;
    damage.extend(noted.iter().map(|part| format!("noted while running: {part:?}")));
    match damage.split_first() {
        None => {
            out::say("whole: every checksum and every reference is as it was written");
            Ok(())
        }
        Some((first, rest)) => {
            rest.iter().for_each(out::say);
            Err(Failed::data(format!("{}: damaged: {first}", dir.display())))
        }
    }
}

/// A node that runs changes its data while it is read.
fn lock(dir: &Path) -> Result<Option<DataLock>, Failed> {
    if !RealDisk.exists(&dir.join(LOCK_FILE)) {
        return Ok(None);
    }
    DataLock::take(&RealDisk, dir).map(Some).map_err(|error| refused(&error))
}

/// What the directory's owner has promised. A file that is missing is damage, as it is to a node that starts.
fn promised(dir: &Path) -> Result<Marks, Failed> {
    let identity = Identity::load(&RealDisk, dir).map_err(|error| refused(&error))?;
    let node = identity.map_or(NodeId(0), |identity| identity.node);
    match guard::inspect(&RealDisk, dir, node).map_err(|error| refused(&error))? {
        Found::Data { marks, .. } => Ok(marks),
        Found::Nothing => {
            let dir = dir.display();
            Err(Failed::wrong(format!("{dir}: not a node's data directory (no identity)")))
        }
    }
}

/// Each shard's log, as far as the journal is whole.
fn check_journal(dir: &Path, marks: &Marks, damage: &mut Vec<String>) -> Result<Logs, Failed> {
    match journal::verify(&RealDisk, &dir.join(guard::JOURNAL_DIR), marks) {
        Ok(report) => {
            out::say(format!(
                "journal: {} segments, {} batches, {} records, {} shards, {} batches perhaps unsynced",
                report.segments,
                report.batches,
                report.records,
                report.shards.len(),
                report.tail_batches,
            ));
            Ok(report.shards)
        }
        Err(error @ OpenError::Newer { .. }) => Err(Failed::data(error.to_string())),
        Err(error) => {
            damage.push(error.to_string());
            Ok(Logs::new())
        }
    }
}

fn check_store(
    dir: &Path,
    scratch: Option<&Path>,
    damage: &mut Vec<String>,
) -> Result<store::Report, Failed> {
    let store_dir = dir.join(guard::STORE_DIR);
    if !store_dir.is_dir() {
        out::say("store: none yet");
        return Ok(store::Report::default());
    }
    let mut scratch_dir = tempfile::Builder::new();
    scratch_dir.prefix("weir-verify-");
    let made = match scratch {
        Some(scratch) => scratch_dir.tempdir_in(scratch),
        None => scratch_dir.tempdir(),
    };
    let made = made.map_err(|error| Failed::machine(format!("no room for a copy: {error}")))?;
    let report = match store::verify(&store_dir, &made.path().join("store")) {
        Ok(report) => report,
        Err(error @ store::Error::Newer { .. }) => return Err(Failed::data(error.to_string())),
        Err(error) => {
            return Err(Failed::machine(format!("{}: {error}", store_dir.display())));
        }
    };
    out::say(report.to_string().trim_end());
    if !report.is_whole() {
        damage.push(format!("{}: see the lines above", store_dir.display()));
    }
    Ok(report)
}

/// A store can be whole and still lack its newest checkpoints. A shard that is damaged has been named.
fn check_checkpoints(marks: &Marks, logs: &Logs, stored: &store::Report, damage: &mut Vec<String>) {
    if stored.unreadable.is_some() {
        return;
    }
    let shards: BTreeSet<_> = marks.checkpoints.keys().chain(logs.keys()).collect();
    for shard in shards {
        let report = stored.shards.iter().find(|report| report.shard == *shard);
        if report.is_some_and(|report| report.damage_count > 0) {
            continue;
        }
        let root = report.and_then(|report| report.root.as_ref());
        let witnessed = marks.checkpoints.get(shard).copied();
        let purged = logs.get(shard).and_then(|log| log.purged);
        let short = raft::repair::falls_short(root, witnessed, purged);
        damage.extend(short.map(|why| format!("shard {shard}: {why}")));
    }
}

fn refused(error: &GuardError) -> Failed {
    Failed::with_code(error.exit_code(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_data_directory_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let args = Verify { dir: dir.path().to_owned(), scratch: None };
        assert_eq!(run(&args).unwrap_err().exit_code(), 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_shard_that_lost_its_checkpoint_is_named_beside_one_that_is_damaged() {
        let report = |shard, damage_count| store::ShardReport {
            shard: ShardId(shard),
            root: None,
            parts_count: 0,
            parts_bytes: 0,
            damage: Vec::new(),
            damage_count,
            orphans_count: 0,
        };
        let shards = vec![report(1, 1), report(2, 0)];
        let stored = store::Report { shards, unreadable: None };
        let mut marks = Marks::default();
        for shard in [1, 2] {
            marks.checkpoints.insert(ShardId(shard), journal::LogId { term: 3, index: 40 });
        }
        let mut damage = Vec::new();
        check_checkpoints(&marks, &Logs::new(), &stored, &mut damage);
        let [one] = damage.as_slice() else { panic!("{damage:?}") };
        assert!(one.starts_with("shard 2: the store was at a checkpoint and lost it"), "{one}");
    }
}
