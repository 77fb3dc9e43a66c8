//! One group without Raft on a simulated disk and a store in memory, killed between any two steps:
//! what comes back is never ahead of the journal, and goes on to the same state.

use store::{Store, SwitchFault};

use super::*;
use crate::rig::{Life, Machinery, SHARD};

fn cuts() -> u64 {
    if std::env::var_os("WEIR_TEST_LONG").is_some() { 5_000 } else { 200 }
}

#[test]
fn killed_between_any_two_steps_it_comes_back_never_ahead_of_the_journal() {
    for cut in 1..cuts() {
        let machinery = Machinery::new(cut);
        let mut life = machinery.start();
        for _ in 0..3 {
            for _ in 0..cut {
                assert!(machinery.act(&mut life));
            }
            drop(life);
            life = machinery.crash_and_check();
        }
    }
}

#[test]
fn power_lost_within_any_write_it_comes_back_never_ahead_of_the_journal() {
    for cut in 1..cuts() {
        let machinery = Machinery::new(cut);
        let mut life = machinery.start();
        machinery.disk.power_off_after(cut);
        while machinery.act(&mut life) && !machinery.disk.is_off() {}
        drop(life);
        machinery.crash_and_check();
    }
}

#[test]
fn a_switch_that_fails_leaves_the_old_or_the_new_checkpoint_and_ends_the_process() {
    for fault in [SwitchFault::Lost, SwitchFault::Kept] {
        for nth in 1..10 {
            let machinery = Machinery::new(nth);
            let mut life = machinery.start();
            machinery.store.fail_switch(nth, fault);
            while machinery.act(&mut life) {}
            assert_eq!(life.broken.lock().unwrap().len(), 1, "the hook is called once");
            drop(life);
            machinery.crash_and_check();
        }
    }
}

/// Appends, applies, takes to the store and purges so many entries.
fn work(machinery: &Machinery, life: &mut Life, entries: u32) {
    for _ in 0..entries {
        machinery.append(life);
        life.apply_some(u64::MAX);
        life.settle();
        life.purge();
    }
}

#[test]
fn the_journal_stays_small_and_what_a_follower_needs_stays() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    work(&machinery, &mut life, 2_000);
    let usage = life.journal.usage();
    assert!(usage.bytes < 12 * 4096, "{usage:?}");

    let snapshot = crate::snapshot::current(&life.replica).unwrap().unwrap();
    let held = snapshot.meta.last_log_id.unwrap().index;
    work(&machinery, &mut life, 2_000);
    assert!(life.journal.log_state(SHARD).first_index.unwrap() <= held + 1, "it is held");
    drop(snapshot);
    life.clock.advance(PURGE_EVERY);
    life.settle();
    life.purge();
    assert!(life.journal.log_state(SHARD).first_index.unwrap() > held + 1, "it is let go");
}

#[test]
fn the_journal_keeps_nothing_for_followers_when_the_disk_is_short() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    work(&machinery, &mut life, 500);
    let behind = |life: &Life| {
        let checkpoint = life.replica.checkpoint().unwrap().meta.last_log_id.unwrap().index;
        let first = life.journal.log_state(SHARD).first_index;
        first.map_or(0, |first| (checkpoint + 1).saturating_sub(first))
    };
    assert!(behind(&life) > 0, "entries are kept for followers that were away");
    life.checkpointer.bell().set_short(true);
    life.clock.advance(PURGE_EVERY);
    life.settle();
    life.purge();
    assert_eq!(behind(&life), 0);
}

#[test]
fn a_shard_is_checkpointed_when_it_is_old_and_has_changes_and_not_otherwise() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    life.settle();
    life.clock.advance(CHECKPOINT_AGE);
    life.settle();
    assert_eq!(life.replica.checkpoint(), None, "nothing has changed");
    machinery.append(&life);
    life.apply_some(1);
    life.settle();
    let first = life.replica.checkpoint().expect("it is old and has changed");
    machinery.append(&life);
    life.apply_some(1);
    life.settle();
    assert_eq!(life.replica.checkpoint(), Some(first.clone()), "it is too young");
    life.clock.advance(CHECKPOINT_AGE);
    life.settle();
    assert!(life.replica.checkpoint().unwrap().number > first.number);
    assert_eq!(life.replica.dirty().bytes, 0);
}

#[test]
fn a_checkpoint_takes_everything_that_was_applied_to_the_store() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    machinery.append(&life);
    life.apply_some(u64::MAX);
    life.clock.advance(CHECKPOINT_AGE);
    life.settle();
    let applied = life.replica.applied();
    assert!(applied.is_some() && !life.replica.has_changes());
    drop(life);
    let root = machinery.store.root(SHARD).unwrap().unwrap();
    let meta = crate::state::RootMeta::decode(&root.meta).unwrap();
    assert_eq!(meta.snapshot.last_log_id, applied);
}

#[test]
fn a_busy_shard_is_not_checkpointed_for_what_is_kept_for_followers_anyway() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    work(&machinery, &mut life, 500);
    assert!(life.journal.usage().bytes > 8192, "the journal is always above what is kept");
    let before = life.replica.checkpoint().unwrap().number.0;
    for _ in 0..10 {
        machinery.append(&life);
        life.apply_some(1);
        life.settle();
    }
    assert!(life.replica.checkpoint().unwrap().number.0 <= before + 3, "only when it is due");
}

#[test]
fn when_all_shards_together_hold_too_much_one_is_checkpointed_though_it_holds_little() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    machinery.append(&life);
    life.apply_some(1);
    life.settle();
    assert_eq!(life.replica.checkpoint(), None);
    life.replica.with(|cells: &mut crate::machine::cells::Cells| cells.filling = true);
    life.settle();
    assert_eq!(life.replica.checkpoint().unwrap().meta.last_log_id, life.replica.applied());
}

#[test]
fn a_replica_that_was_closed_writes_no_more_and_another_takes_its_place() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    machinery.append(&life);
    life.committer.step().unwrap();
    life.apply_some(1);
    life.clock.advance(CHECKPOINT_AGE);
    while life.replica.has_changes() {
        life.checkpointer.step().unwrap();
    }
    life.checkpointer.step().unwrap();
    life.replica.close().unwrap();
    let again = machinery.open(life.journal.clone(), |_, _| {}).unwrap();
    life.checkpointer.bell().watch(again.clone());
    life.replica = again;
    life.settle();
    assert_eq!(life.replica.checkpoint(), None, "the one on its way was given up");
    life.apply_some(1);
    life.clock.advance(CHECKPOINT_AGE);
    life.settle();
    assert_eq!(life.replica.checkpoint().unwrap().meta.last_log_id, life.replica.applied());
}
