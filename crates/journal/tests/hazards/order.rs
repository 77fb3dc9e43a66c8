//! Everything that a shard hands in keeps its order, through any crash.

use std::sync::{Arc, Mutex};

use journal::Done;

use crate::rig::{A, B, Rig, id, new_disk, record};

#[test]
fn truncate_then_reopen() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, (0..10).map(|index| record(1, index, 20)).collect());
    rig.truncate(A, Some(6));
    rig.append(A, vec![record(2, 7, 20), record(2, 8, 20)]);
    rig.step();
    let rig = rig.crash();
    assert_eq!(rig.journal.log_state(A).last, Some(id(2, 8)));
    assert_eq!(rig.journal.term_starts(A), [id(1, 0), id(2, 7), id(2, 8)]);
    let entries = rig.all(A);
    assert_eq!(entries.len(), 9);
    assert_eq!((entries[6].term, entries[7].term), (1, 2));
}

#[test]
fn truncate_everything_then_reopen() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, (0..10).map(|index| record(1, index, 20)).collect());
    rig.truncate(A, None);
    rig.step();
    let mut rig = rig.crash();
    assert_eq!(rig.journal.log_state(A), Default::default());
    assert_eq!(rig.journal.term_starts(A), []);
    rig.append(A, vec![record(2, 0, 20)]);
    rig.step();
    assert_eq!(rig.crash().all(A), [record(2, 0, 20)]);
}

#[test]
fn purge_then_truncate_then_reopen() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, (0..10).map(|index| record(1, index, 20)).collect());
    rig.journal.purge(A, id(1, 4));
    rig.truncate(A, Some(7));
    rig.step();
    let rig = rig.crash();
    let state = rig.journal.log_state(A);
    assert_eq!((state.purged, state.first_index), (Some(id(1, 4)), Some(5)));
    assert_eq!(state.last, Some(id(1, 7)));
    assert_eq!(rig.all(A).len(), 3);
}

#[test]
fn purge_then_truncate_down_to_the_purge_then_reopen() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, (0..10).map(|index| record(1, index, 20)).collect());
    rig.journal.purge(A, id(1, 4));
    rig.truncate(A, Some(4));
    rig.step();
    let mut rig = rig.crash();
    let state = rig.journal.log_state(A);
    assert_eq!((state.first_index, state.last), (None, Some(id(1, 4))));
    rig.append(A, vec![record(3, 5, 20)]);
    rig.step();
    assert_eq!(rig.crash().all(A), [record(3, 5, 20)]);
}

#[test]
fn a_purge_past_the_end_as_after_an_installed_snapshot_then_reopen() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, (0..10).map(|index| record(1, index, 20)).collect());
    rig.journal.purge(A, id(4, 100));
    rig.append(A, vec![record(4, 101, 20)]);
    rig.step();
    let rig = rig.crash();
    assert_eq!(rig.journal.log_state(A).purged, Some(id(4, 100)));
    assert_eq!(rig.all(A), [record(4, 101, 20)]);
    assert_eq!(rig.journal.term_starts(A), [id(4, 101)]);
}

#[test]
fn a_purge_that_goes_back_is_nothing() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, (0..10).map(|index| record(1, index, 20)).collect());
    rig.journal.purge(A, id(1, 5));
    rig.journal.purge(A, id(1, 3));
    rig.step();
    assert_eq!(rig.journal.log_state(A).purged, Some(id(1, 5)));
    assert_eq!(rig.crash().journal.log_state(A).purged, Some(id(1, 5)));
}

#[test]
fn votes_and_entries_are_in_one_order() {
    for seed in 0..400 {
        let disk = new_disk(seed);
        let mut rig = Rig::open(&disk);
        rig.vote(A, "first");
        rig.step();
        // More than one batch, so that a crash may fall between them.
        rig.vote(A, "second");
        rig.append(A, vec![record(2, 0, 1500)]);
        rig.append(A, vec![record(2, 1, 1500)]);
        rig.vote(A, "third");
        disk.power_off_after(1 + seed % 4);
        let _ = rig.committer.step();
        let rig = rig.crash();
        let vote = rig.journal.log_state(A).vote.unwrap();
        match rig.all(A).len() {
            0 => assert!(vote == "first" || vote == "second"),
            1 => assert_eq!(vote, "second"),
            _ => assert!(vote == "second" || vote == "third"),
        }
    }
}

#[test]
fn a_commit_position_comes_with_the_next_sync_and_never_ahead_of_its_entries() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 20);
    let syncs = disk.syncs();
    rig.journal.save_committed(A, id(1, 0));
    assert_eq!(rig.journal.log_state(A).committed, Some(id(1, 0)));
    assert_eq!(disk.syncs(), syncs);
    rig.entry(B, 1, 20);
    let rig = rig.crash();
    assert_eq!(rig.journal.log_state(A).committed, Some(id(1, 0)));
}

#[test]
fn entries_can_be_read_before_they_are_written() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    // More than the cache's budget: what isn't written yet stays all the same.
    for index in 0..40 {
        rig.append(A, vec![record(1, index, 100)]);
    }
    assert_eq!(rig.acknowledged(), 0);
    let before = rig.all(A);
    assert_eq!(before.len(), 40);
    rig.step();
    rig.entry(A, 1, 100);
    assert_eq!(rig.all(A)[..40], before);
}

#[test]
fn a_read_is_bounded_by_bytes_but_returns_at_least_one() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    for _ in 0..20 {
        rig.entry(A, 1, 100);
    }
    let read = |range, bytes| rig.journal.read(A, range, bytes).unwrap().len();
    assert_eq!(read(0..20, 0), 1);
    assert_eq!(read(0..20, 250), 2);
    assert_eq!(read(0..20, 2000), 20);
    assert_eq!(read(19..40, 0), 1);
    assert_eq!(read(20..40, 2000), 0);
    assert_eq!(read(5..5, 2000), 0);
}

#[test]
fn callbacks_come_in_order_and_after_their_sync() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    let order: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let done = |number| -> Done {
        let (order, disk) = (Arc::clone(&order), disk.clone());
        Box::new(move |_| order.lock().unwrap().push((number, disk.syncs())))
    };
    let syncs = disk.syncs();
    for index in 0..30 {
        rig.journal.append(A, vec![record(1, index, 300)], done(2 * index));
        rig.journal.append(B, vec![record(1, index, 300)], done(2 * index + 1));
    }
    rig.journal.sync(done(60));
    rig.step();
    let order = order.lock().unwrap();
    assert!(order.iter().map(|(number, _)| *number).eq(0..61));
    assert!(order.iter().all(|(_, at)| *at > syncs));
}

#[test]
fn a_sync_with_nothing_to_write_is_answered() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    let done = rig.done();
    rig.journal.sync(done);
    rig.step();
    assert_eq!(rig.acknowledged(), 1);
}

#[test]
fn a_batch_longer_than_a_segment_has_one_of_its_own() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 100);
    rig.entry(A, 1, 100_000);
    rig.entry(A, 1, 100);
    let before = rig.all(A);
    assert_eq!(before.len(), 3);
    let mut rig = rig.crash();
    assert_eq!(rig.all(A), before);
    rig.entry(A, 1, 100);
    assert_eq!(rig.crash().all(A).len(), 4);
}

#[test]
fn an_entry_out_of_order_is_a_panic_that_hurts_nobody_else() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 20);
    let journal = rig.journal.clone();
    for records in
        [vec![record(1, 2, 9)], vec![record(1, 0, 9)], vec![record(1, 1, 9), record(1, 3, 9)]]
    {
        let journal = journal.clone();
        let append = move || journal.append(A, records, Box::new(|_| ()));
        assert!(std::thread::spawn(append).join().is_err());
    }
    rig.entry(A, 1, 20);
    rig.entry(B, 1, 20);
    assert_eq!((rig.all(A).len(), rig.all(B).len()), (2, 1));
}

#[test]
fn an_entry_is_synced_once_it_is_on_the_disk() {
    let disk = new_disk(7);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 40);
    rig.append(A, vec![record(1, 1, 40), record(1, 2, 40)]);
    let synced =
        |rig: &Rig| (0..4).map(|index| rig.journal.is_synced(A, index)).collect::<Vec<_>>();
    assert_eq!(synced(&rig), [true, false, false, false], "handed in is not on the disk");
    rig.step();
    assert_eq!(synced(&rig), [true, true, true, false]);
    rig.journal.purge(A, id(1, 1));
    assert_eq!(synced(&rig), [true, true, true, false], "what is purged was there");
    rig.step();
    assert_eq!(synced(&rig.crash()), [true, true, true, false]);
}
