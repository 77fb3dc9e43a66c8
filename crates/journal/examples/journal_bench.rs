//! Acknowledged records a second through the journal, beside a bare loop of `pwrite` and
//! `fdatasync` of the same bytes, interleaved in one run.
//!
//! `cargo run --release -p journal --example journal_bench -- [DIR] [ROUNDS] [ROUND_MS] [CACHE_BYTES] [WRITERS]`
//!
//! A writer is closed: it hands in its next record when the last one is acknowledged, from the
//! callback, so that what is measured is the journal and not threads of clients. Both sides write
//! to files that have bytes already: a zero-filled one, and recycled segments.
#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::{Access, Clock, Disk, DiskFile, RealDisk, ShardId, SystemClock};
use bytes::Bytes;
use journal::{Journal, LogId, Marks, Options, Record, open};

const PAYLOAD_BYTES: usize = 128;
/// What a record occupies on disk, and what a batch adds.
const RECORD_BYTES: usize = 32 + PAYLOAD_BYTES;
const BATCH_BYTES: usize = 40;
const FILE_BYTES: u64 = 64 * 1024 * 1024;
const KEPT_ENTRIES: u64 = 20_000;
const SHARDS_MAX: u16 = 8;

static PAYLOAD: [u8; PAYLOAD_BYTES] = [7; PAYLOAD_BYTES];

/// Closed-loop writers on some shards. Whatever costs time here counts against the journal.
struct Load {
    journal: Journal,
    next: Vec<AtomicU64>,
    acknowledged: AtomicU64,
    running: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Hands in one record, and the next one when it is acknowledged.
    fn submit(&'static self, shard: usize) {
        let index = add(&self.next[shard]);
        let id = ShardId(u16::try_from(shard).expect("few shards"));
        if index.is_multiple_of(4096) && index > KEPT_ENTRIES {
            self.journal.purge(id, LogId { term: 1, index: index - KEPT_ENTRIES });
        }
        let record = Record { term: 1, index, kind: 1, payload: Bytes::from_static(&PAYLOAD) };
        let done = Box::new(move |result: Result<(), journal::Failed>| {
            result.expect("the disk works");
            add(&self.acknowledged);
            if self.stop.load(Ordering::Relaxed) {
                self.running.fetch_sub(1, Ordering::SeqCst);
            } else {
                self.submit(shard);
            }
        });
        self.journal.append(id, [record], done);
    }
}

/// Adds one, and returns what was before. Only the committer's thread adds.
fn add(number: &AtomicU64) -> u64 {
    let before = number.load(Ordering::Relaxed);
    number.store(before + 1, Ordering::Relaxed);
    before
}

/// Nanoseconds of processor that the threads of this process have had.
fn cpu_ns() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_task = |task: std::fs::DirEntry| -> Option<f64> {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(of_task).sum()
}

/// Records a second with `writers` on `shards`, for `time`, and nanoseconds of processor for each.
fn journal_rate(journal: &Journal, writers: u64, shards: u16, time: Duration) -> (f64, f64) {
    let next = |shard| {
        let last = journal.log_state(ShardId(shard)).last;
        AtomicU64::new(last.map_or(0, |last| last.index + 1))
    };
    // As checkpoints do on a node: a shard that is idle keeps no old segment from being recycled.
    for shard in journal.shards() {
        if let Some(last) = journal.log_state(shard).last {
            journal.purge(shard, last);
        }
    }
    // Callbacks refer to it without counting; a few bytes a round are never freed.
    let load: &'static Load = Box::leak(Box::new(Load {
        journal: journal.clone(),
        next: (0..shards).map(next).collect(),
        acknowledged: AtomicU64::new(0),
        running: AtomicU64::new(writers),
        stop: AtomicBool::new(false),
    }));
    // Nothing is taken before all have handed in: the first to do so would race with callbacks
    // for the next index of its shard.
    journal.sync(Box::new(move |_| {
        for writer in 0..writers {
            let shard = usize::try_from(writer % u64::from(shards)).expect("few shards");
            load.submit(shard);
        }
    }));
    let (start, cpu) = (SystemClock.monotonic(), cpu_ns());
    std::thread::sleep(time);
    let acknowledged = load.acknowledged.load(Ordering::Relaxed) as f64;
    let (elapsed, cpu) = (SystemClock.monotonic() - start, cpu_ns() - cpu);
    load.stop.store(true, Ordering::Relaxed);
    while load.running.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    (acknowledged / elapsed.as_secs_f64(), cpu / acknowledged.max(1.0))
}

/// Records a second when `writers` records at a time are written and synced, and nothing else.
fn bare_rate(file: &dyn DiskFile, at: &mut u64, writers: u64, time: Duration) -> f64 {
    let records = usize::try_from(writers).expect("few writers");
    let bytes = vec![7; BATCH_BYTES + records * RECORD_BYTES];
    let start = SystemClock.monotonic();
    let mut written = 0;
    loop {
        if *at + bytes.len() as u64 > FILE_BYTES {
            *at = 0;
        }
        file.write_at(&bytes, *at).expect("the disk works");
        file.sync().expect("the disk works");
        *at += bytes.len() as u64;
        written += writers;
        let elapsed = SystemClock.monotonic() - start;
        if elapsed >= time {
            return written as f64 / elapsed.as_secs_f64();
        }
    }
}

fn zero_filled(path: &Path) -> Arc<dyn DiskFile> {
    let file = RealDisk.open(path, Access::Create).expect("the file opens");
    let zeros = vec![0; 1024 * 1024];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_at(&zeros, at).expect("the disk works");
    }
    file.sync().expect("the disk works");
    file
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut args = std::env::args().skip(1);
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds = args.next().map_or(40, |arg| arg.parse().expect("a number of rounds"));
    let time = args.next().map_or(60, |arg| arg.parse().expect("milliseconds a round"));
    let time = Duration::from_millis(time);
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    let file = zero_filled(&dir.path().join("bare"));
    let cache_bytes = args.next().map_or(1024 * 1024, |arg| arg.parse().expect("bytes of cache"));
    let only: Option<u64> = args.next().map(|arg| arg.parse().expect("a number of writers"));
    let options = Options { cache_bytes, ..Options::default() };
    let (disk, at) = (Arc::new(RealDisk), dir.path().join("journal"));
    let opened = open(disk, &at, options, &Marks::default());
    let (journal, mut committer) = opened.expect("the journal opens");
    committer.keep_witness(dir.path(), Arc::new(SystemClock)).expect("the witness is written");
    let thread = std::thread::Builder::new().name("committer".into());
    // It ends with the process: the loads that are never freed hold on to the journal.
    thread.spawn(move || committer.run()).expect("a thread starts");

    while journal.synced_position().segment < 6 {
        journal_rate(&journal, 500, SHARDS_MAX, time);
    }
    println!("{PAYLOAD_BYTES} B records, medians of {rounds} rounds of {time:?} each");
    println!(
        "{:>7} {:>6} {:>12} {:>12} {:>6}",
        "writers", "shards", "journal/s", "bare/s", "ratio"
    );
    let mut offset = 0;
    for shards in [1, SHARDS_MAX] {
        for writers in only.map_or_else(|| vec![1, 50, 200], |only| vec![only]) {
            let (mut ours, mut cpu, mut bare) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                let (rate, ns) = journal_rate(&journal, writers, shards, time);
                ours.push(rate);
                cpu.push(ns);
                bare.push(bare_rate(&*file, &mut offset, writers, time));
            }
            let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
            let (ours, bare, cpu) = (median(ours), median(bare), median(cpu));
            let ratio = median(ratios);
            println!("{writers:>7} {shards:>6} {ours:>12.0} {bare:>12.0} {ratio:>6.2} {cpu:>8.0}");
        }
    }
    let usage = journal.usage();
    println!("journal: {} segments, {} bytes", usage.segments, usage.bytes);
}
