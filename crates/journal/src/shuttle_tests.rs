//! The hand-over between shards and committer under many schedules: this file compiles it a second
//! time on shuttle's primitives. Shuttle's waits never time out, so a lost wake-up is a deadlock,
//! which it reports.

use std::collections::VecDeque;
use std::time::Duration;

use base::ShardId;
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use crate::format::{Kind, RecordHead, get_record};
use crate::types::{Done, Failed};

mod primitives {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "handover.rs"]
#[expect(clippy::duplicate_mod, reason = "a second copy on other primitives is the point")]
#[expect(dead_code, reason = "the tests need only a part of it")]
mod handover;

use handover::{Batch, Handover, InBatch, Wake};

const SCHEDULES: usize = 3_000;
const SHARDS: u16 = 3;
const EACH: u64 = 3;

type Told = Arc<Mutex<Vec<(u16, u64, bool)>>>;
type Places = Arc<Mutex<Vec<(RecordHead, InBatch)>>>;

fn head(shard: u16, index: u64) -> RecordHead {
    RecordHead { shard: ShardId(shard), kind: Kind::Entry, entry_kind: 0, term: 1, index }
}

fn done(told: &Told, shard: u16, index: u64) -> Done {
    let told = Arc::clone(told);
    // Shuttle's threads stay on one thread of the machine: what they share may travel.
    Box::new(move |result| told.lock().unwrap().push((shard, index, result.is_ok())))
}

/// Hands in some records, as a shard does; the last one closes.
fn shard(handover: Arc<Handover>, told: Told, places: Places, open: Arc<Mutex<u16>>, shard: u16) {
    for index in 0..EACH {
        let done = done(&told, shard, index);
        match handover.fill() {
            Ok(mut filling) => {
                let at = filling.record(head(shard, index), &[7; 30]);
                places.lock().unwrap().push((head(shard, index), at));
                filling.finish(done);
            }
            Err(failed) => done(Err(failed)),
        }
    }
    let mut open = open.lock().unwrap();
    *open -= 1;
    if *open == 0 {
        handover.close();
    }
}

/// Takes what waits and answers it; fails at the `fail_at`-th taking.
fn committer(handover: &Handover, fail_at: usize) -> Vec<Batch> {
    let mut written = Vec::new();
    let mut takings = 0;
    let mut spare = None;
    loop {
        let wake = handover.wait(Duration::from_secs(1));
        assert_ne!(wake, Wake::Time);
        let mut taken = VecDeque::new();
        let first = handover.take(&mut taken, spare.take());
        assert_eq!(first, written.len() as u64, "batches are numbered without a hole");
        takings += 1;
        if takings == fail_at {
            let failed = Failed::new("the sync failed");
            let waiting = handover.fail(&failed);
            for done in taken.into_iter().flat_map(|batch| batch.dones).chain(waiting) {
                done(Err(failed.clone()));
            }
            return written;
        }
        let nothing = taken.is_empty();
        for mut batch in taken {
            for done in std::mem::take(&mut batch.dones) {
                done(Ok(()));
            }
            written.push(batch);
        }
        spare = Some(Batch::default());
        if wake == Wake::Closed && nothing {
            return written;
        }
    }
}

fn run(batch_bytes: usize, fail_at: usize) {
    let handover = Arc::new(Handover::new(batch_bytes, 0));
    let (told, places) = (Told::default(), Places::default());
    let open = Arc::new(Mutex::new(SHARDS));
    let shards: Vec<_> = (0..SHARDS)
        .map(|number| {
            let (handover, told) = (Arc::clone(&handover), Arc::clone(&told));
            let (places, open) = (Arc::clone(&places), Arc::clone(&open));
            thread::spawn(move || shard(handover, told, places, open, number))
        })
        .collect();
    let written = committer(&handover, fail_at);
    for shard in shards {
        shard.join().unwrap();
    }
    check(&told.lock().unwrap(), fail_at);
    for (head, at) in places.lock().unwrap().iter() {
        let Some(batch) = written.get(usize::try_from(at.batch).unwrap()) else {
            assert!(fail_at < usize::MAX, "everything is written");
            continue;
        };
        let found = get_record(&batch.bytes[at.offset as usize..]).unwrap();
        assert_eq!(found, (*head, 30), "a record lies where the shard was told");
    }
}

/// Everybody was told once, in order; and after the first failure nobody that it is durable.
fn check(told: &[(u16, u64, bool)], fail_at: usize) {
    assert_eq!(told.len() as u64, u64::from(SHARDS) * EACH);
    for shard in 0..SHARDS {
        let of_shard: Vec<_> = told.iter().filter(|(of, ..)| *of == shard).collect();
        let durable = of_shard.iter().take_while(|(.., ok)| *ok).count();
        assert!(of_shard[durable..].iter().all(|(.., ok)| !ok), "never durable after a failure");
        assert!(of_shard[..durable].iter().map(|(_, index, _)| *index).eq(0..durable as u64));
        assert!(fail_at < usize::MAX || durable as u64 == EACH);
    }
}

#[test]
fn no_wake_up_is_lost_and_callbacks_keep_their_order() {
    shuttle::check_random(|| run(4096, usize::MAX), SCHEDULES);
}

#[test]
fn batches_that_fill_up_keep_their_order() {
    shuttle::check_pct(|| run(150, usize::MAX), SCHEDULES, 3);
}

#[test]
fn after_a_failure_everybody_is_told_and_nobody_that_it_is_durable() {
    shuttle::check_random(|| run(150, 1), SCHEDULES);
    shuttle::check_pct(|| run(150, 2), SCHEDULES, 3);
}
