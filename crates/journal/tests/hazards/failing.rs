//! A disk that refuses.

use std::sync::Arc;

use base::Disk;
use journal::{Marks, OpenError, guard};

use crate::rig::{A, B, DATA, Rig, id, new_disk, record, try_open};

#[test]
fn after_the_nth_sync_failed_nothing_is_acknowledged_any_more() {
    for count in 1..=60 {
        let disk = new_disk(count);
        let mut rig = Rig::open(&disk);
        disk.fail_sync_after(count);
        let mut acknowledged_before = None;
        for index in 0..70 {
            rig.append(A, vec![record(1, index, 300)]);
            rig.vote(B, "b");
            let stepped = rig.committer.step();
            match acknowledged_before {
                None if stepped.is_err() => acknowledged_before = Some(rig.acknowledged()),
                None => assert_eq!(rig.acknowledged() as u64, 2 * index + 2),
                Some(_) => assert!(stepped.is_err(), "it never comes back"),
            }
        }
        let before = acknowledged_before.expect("a sync failed");
        assert_eq!(rig.acknowledged(), before, "nothing after it");
        assert_eq!(rig.told.lock().unwrap().len(), 140, "and everybody was told");
        let done = rig.done();
        rig.journal.sync(done);
        assert!(rig.told.lock().unwrap().last().unwrap().1.is_err());
        let rig = rig.crash();
        assert!(rig.all(A).len() >= before / 2);
    }
}

#[test]
fn a_sync_that_fails_because_the_disk_is_full_is_never_tried_again() {
    for count in 1..=40 {
        let disk = new_disk(count);
        let mut rig = Rig::open(&disk);
        rig.committer.when_full(Box::new(|| true));
        disk.set_sync_error(std::io::ErrorKind::StorageFull);
        disk.fail_sync_after(count);
        let mut index = 0;
        while index < 100 {
            rig.append(A, vec![record(1, index, 300)]);
            index += 1;
            if rig.committer.step().is_err() {
                break;
            }
        }
        assert!(index < 100, "room does not bring back what a sync lost");
        assert_eq!(rig.acknowledged() as u64, index - 1);
    }
}

#[test]
fn when_the_committer_is_gone_those_who_wait_are_told() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.append(A, vec![record(1, 0, 10)]);
    let Rig { journal, committer, told, .. } = rig;
    drop(committer);
    assert!(told.lock().unwrap()[0].1.is_err());
    let told_again = Arc::clone(&told);
    journal.sync(Box::new(move |result| told_again.lock().unwrap().push((9, result))));
    assert!(told.lock().unwrap()[1].1.is_err());
}

#[test]
fn a_sync_that_fails_while_opening_refuses_and_the_next_open_is_whole() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 20);
    drop(rig);
    disk.kill();
    disk.fail_sync_after(1);
    match try_open(&disk, &Marks::default()).map(|_| ()) {
        Err(error @ OpenError::Refused(_)) => assert_eq!(error.exit_code(), 3),
        other => panic!("{other:?}"),
    }
    disk.crash();
    assert_eq!(Rig::open(&disk).all(A).len(), 1);
}

#[test]
fn a_full_disk_fails_the_journal_and_loses_nothing_acknowledged() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    disk.set_capacity(40 * 1024);
    let mut index = 0;
    let failed = loop {
        rig.append(A, vec![record(1, index, 300)]);
        index += 1;
        if let Err(failed) = rig.committer.step() {
            break failed;
        }
    };
    assert!(failed.to_string().contains("segment"), "{failed}");
    let acknowledged = rig.acknowledged();
    assert_eq!(acknowledged as u64, index - 1);
    disk.crash();
    disk.set_capacity(u64::MAX);
    let rig = Rig::open(&disk);
    assert!(rig.all(A).len() >= acknowledged);
}

#[test]
fn on_a_full_disk_the_ballast_goes_first_and_nobody_notices() {
    let disk = new_disk(1);
    let ballast = guard::Ballast::new(Arc::new(disk.clone()), DATA.as_ref(), 30 * 1024);
    assert!(ballast.take().unwrap());
    let mut rig = Rig::open(&disk);
    disk.set_capacity(60 * 1024);
    let given = ballast.clone();
    rig.committer.when_full(Box::new(move || given.give_up().unwrap_or(false)));
    let mut index = 0;
    while ballast.is_taken() {
        rig.append(A, vec![record(1, index, 300)]);
        rig.step();
        index += 1;
    }
    assert!(index > 10);
    // With room again, old segments can be freed, and everything goes on.
    for _ in 0..200 {
        rig.journal.purge(A, id(1, index - 5));
        rig.append(A, vec![record(1, index, 300)]);
        rig.step();
        index += 1;
    }
    assert_eq!(rig.acknowledged() as u64, index);
    let rig = rig.crash();
    assert_eq!(rig.journal.log_state(A).last, Some(id(1, index - 1)));
}

#[test]
fn a_read_only_disk_refuses_to_open() {
    let disk = new_disk(1);
    drop(Rig::open(&disk));
    disk.kill();
    disk.set_read_only(true);
    assert!(matches!(try_open(&disk, &Marks::default()).map(|_| ()), Err(OpenError::Refused(_))));
    assert!(disk.exists(&crate::rig::segment(1)));
}
