//! The last write, in any state that a power cut may leave it in.

use base::{Disk, SECTOR_BYTES};
use journal::{Marks, verify};

use crate::rig::{A, B, Rig, dir, id, new_disk, record, segment};

#[test]
fn a_batch_torn_at_every_byte_is_cut_and_nothing_else() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    for _ in 0..3 {
        rig.entry(A, 1, 40);
    }
    let before = rig.journal.synced_position();
    let kept = rig.contents();
    rig.append(A, vec![record(1, 3, 100), record(1, 4, 700)]);
    rig.append(B, vec![record(1, 0, 100)]);
    rig.step();
    let after = rig.journal.synced_position();
    let whole = rig.contents();
    let file = segment(before.segment);
    let bytes = disk.bytes(&file).unwrap();
    let (from, to) = (before.offset as usize, after.offset as usize);
    for filler in [0u8, 0xff, b'W'] {
        for cut in from..=to {
            let fork = disk.fork(cut as u64);
            fork.tamper(&file, |bytes| bytes[cut..to].fill(filler)).unwrap();
            // A filler that is what was there anyway is no tear.
            let torn = fork.bytes(&file).unwrap() != bytes;
            fork.kill();
            let rig = Rig::open(&fork);
            assert_eq!(rig.contents(), if torn { kept.clone() } else { whole.clone() }, "{cut}");
        }
    }
}

#[test]
fn a_batch_torn_by_sectors_is_cut_and_nothing_else() {
    for seed in 0..300 {
        let disk = new_disk(seed);
        let mut rig = Rig::open(&disk);
        rig.entry(A, 1, 40);
        let kept = rig.contents();
        rig.append(A, vec![record(1, 1, 5 * SECTOR_BYTES)]);
        disk.power_off_after(2);
        assert!(rig.committer.step().is_err(), "its sync doesn't happen");
        assert_eq!(rig.acknowledged(), 1);
        let rig = rig.crash();
        let found = rig.contents();
        assert!(found == kept || rig.all(A).len() == 2);
    }
}

#[test]
fn what_was_cut_stays_cut_when_more_is_written() {
    let disk = new_disk(3);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 40);
    rig.append(A, vec![record(1, 1, 600)]);
    disk.power_off_after(2);
    assert!(rig.committer.step().is_err());
    disk.kill();
    let at = disk.bytes(&segment(1)).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    disk.flip(&segment(1), at as u64, 0).unwrap();
    let mut rig = Rig::open(&disk);
    assert_eq!(rig.all(A).len(), 1);
    rig.append(A, vec![record(2, 1, 50)]);
    rig.step();
    let mut rig = rig.crash();
    assert_eq!(rig.all(A)[1], record(2, 1, 50));
    rig.entry(A, 2, 50);
    assert_eq!(rig.crash().all(A).len(), 3);
}

#[test]
fn what_the_page_cache_shows_after_a_kill_is_durable_once_it_is_open() {
    for seed in 0..100 {
        let disk = new_disk(seed);
        let mut rig = Rig::open(&disk);
        rig.entry(A, 1, 40);
        rig.append(A, vec![record(1, 1, 900)]);
        rig.vote(B, "b");
        disk.power_off_after(2);
        assert!(rig.committer.step().is_err());
        let rig = rig.kill();
        let shown = rig.contents();
        assert_eq!(rig.all(A).len(), 2, "written, never synced");
        assert_eq!(rig.crash().contents(), shown);
    }
}

#[test]
fn power_lost_at_every_step_of_an_open_loses_nothing() {
    for tail in [false, true] {
        let disk = new_disk(5);
        let mut rig = Rig::open(&disk);
        for _ in 0..30 {
            rig.entry(A, 1, 400);
        }
        rig.vote(A, "mine");
        rig.journal.purge(A, id(1, 12));
        rig.step();
        if tail {
            rig.append(A, vec![record(1, 30, 900)]);
            rig.step();
        }
        let whole = rig.contents();
        disk.kill();
        for steps in 1.. {
            let fork = disk.fork(steps);
            fork.power_off_after(steps);
            let opened = Rig::open_with(&fork, &Marks::default());
            let finished = opened.is_ok();
            drop(opened);
            fork.crash();
            verify(&fork, &dir(), &Marks::default()).expect("whole");
            let rig = Rig::open(&fork);
            assert_eq!(rig.contents(), whole, "step {steps}");
            assert_eq!(rig.crash().contents(), whole, "step {steps}, again");
            if finished {
                break;
            }
        }
    }
}

#[test]
fn power_lost_at_every_step_of_a_first_open_leaves_an_empty_journal() {
    for steps in 1..12 {
        let disk = new_disk(steps);
        disk.power_off_after(steps);
        let _ = Rig::open_with(&disk, &Marks::default());
        disk.crash();
        assert_eq!(Rig::open(&disk).journal.shards(), []);
    }
}

#[test]
fn verify_changes_nothing() {
    let disk = new_disk(6);
    let mut rig = Rig::open(&disk);
    for _ in 0..30 {
        rig.entry(A, 1, 400);
    }
    drop(rig);
    disk.set_read_only(true);
    let report = verify(&disk, &dir(), &Marks::default()).unwrap();
    assert!(report.segments > 1);
    assert_eq!(report.records + report.tail_batches, 30);
    assert_eq!(report.tail_batches, 1, "nothing says that the last one was synced");
    assert_eq!(disk.list(&dir()).unwrap().len() as u64, report.segments);
}
