//! The journal on the machine's disk, driven by a thread as in production.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use base::{RealDisk, ShardId};
use bytes::Bytes;
use journal::{Done, Failed, Journal, LogId, Marks, Options, Record, open, verify};

const SHARD: ShardId = ShardId(3);

fn record(term: u64, index: u64, payload: &str) -> Record {
    Record { term, index, kind: 1, payload: Bytes::copy_from_slice(payload.as_bytes()) }
}

fn start(dir: &Path) -> (Journal, JoinHandle<Result<(), Failed>>) {
    let options = Options { segment_bytes: 8 * 1024, cache_bytes: 64, ..Options::default() };
    let (journal, committer) =
        open(Arc::new(RealDisk), dir, options, &Marks::default()).expect("opens");
    (journal, std::thread::spawn(move || committer.run()))
}

/// A `done` and how to wait for it.
fn done() -> (Done, impl FnOnce()) {
    let (tell, told) = mpsc::channel();
    let done: Done = Box::new(move |result| tell.send(result).expect("somebody waits"));
    (done, move || told.recv_timeout(Duration::from_secs(10)).expect("called").expect("durable"))
}

#[test]
fn what_was_acknowledged_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("journal");
    let (journal, thread) = start(&dir);
    let (vote_done, vote_wait) = done();
    journal.save_vote(SHARD, Bytes::from_static(b"vote"), vote_done);
    for index in 0..200 {
        let (append_done, wait) = done();
        journal.append(SHARD, vec![record(1 + index / 100, index, &"x".repeat(100))], append_done);
        wait();
    }
    vote_wait();
    journal.save_committed(SHARD, LogId { term: 2, index: 180 });
    journal.purge(SHARD, LogId { term: 1, index: 49 });
    let (cut_done, wait) = done();
    journal.truncate_after(SHARD, Some(189), cut_done);
    wait();
    let before = journal.log_state(SHARD);
    let starts = journal.term_starts(SHARD);
    drop(journal);
    thread.join().unwrap().unwrap();

    let report = verify(&RealDisk, &dir, &Marks::default()).expect("whole");
    assert_eq!(report.shards.len(), 1);
    let (journal, thread) = start(&dir);
    assert_eq!(journal.log_state(SHARD), before);
    assert_eq!(before.first_index, Some(50));
    assert_eq!(before.last, Some(LogId { term: 2, index: 189 }));
    assert_eq!(journal.term_starts(SHARD), starts);
    let records = journal.read(SHARD, 50..300, usize::MAX).unwrap();
    assert_eq!(records.len(), 140);
    assert_eq!(records[60], record(2, 110, &"x".repeat(100)));
    assert_eq!(journal.read(SHARD, 60..300, 1).unwrap().len(), 1);
    drop(journal);
    thread.join().unwrap().unwrap();
}

#[test]
fn segments_that_nobody_needs_are_recycled() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("journal");
    let (journal, thread) = start(&dir);
    for index in 0..1000 {
        let (append_done, wait) = done();
        journal.append(SHARD, vec![record(1, index, &"y".repeat(100))], append_done);
        wait();
        if index % 50 == 49 {
            journal.purge(SHARD, LogId { term: 1, index: index - 20 });
        }
    }
    let usage = journal.usage();
    assert!(usage.segments <= 5, "{usage:?}");
    assert!(usage.bytes <= 8 * 8 * 1024, "{usage:?}");
    assert_eq!(usage.pins.len(), 1);
    drop(journal);
    thread.join().unwrap().unwrap();
    let (journal, thread) = start(&dir);
    assert_eq!(journal.read(SHARD, 980..1000, usize::MAX).unwrap().len(), 20);
    drop(journal);
    thread.join().unwrap().unwrap();
}

#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let _lock = journal::guard::DataLock::take(&RealDisk, data.path()).unwrap();
    let (journal, mut committer) = open(
        Arc::new(RealDisk),
        &data.path().join("journal"),
        Options::default(),
        &Marks::default(),
    )
    .unwrap();
    committer.keep_witness(data.path(), Arc::new(base::SystemClock)).unwrap();
    let ballast = journal::guard::Ballast::new(Arc::new(RealDisk), data.path(), 1 << 20);
    assert!(ballast.take().unwrap());
    drop(journal);
    let mut files = 0;
    for dir in [data.path().to_owned(), data.path().join("journal")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let wanted = if entry.file_type().unwrap().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, wanted, "{:?}", entry.path());
            files += 1;
        }
    }
    assert_eq!(files, 5, "lock, witness, ballast, the journal's directory, a segment");
}

#[test]
fn a_data_directory_is_locked_until_its_process_lets_go() {
    let data = tempfile::tempdir().unwrap();
    let lock = journal::guard::DataLock::take(&RealDisk, data.path()).unwrap();
    assert!(journal::guard::DataLock::take(&RealDisk, data.path()).is_err());
    drop(lock);
    journal::guard::DataLock::take(&RealDisk, data.path()).unwrap();
}
