//! Segment files that have more than one life.

use std::sync::Arc;

use base::Disk;
use journal::{Marks, ReadError, verify};

use crate::rig::{A, B, Rig, dir, id, new_disk, record, segment};

/// Fills segments with batches of one length, purging, until `number` is written to.
fn write_until(rig: &mut Rig, number: u64) {
    while rig.journal.synced_position().segment < number {
        write_one(rig);
    }
}

fn write_one(rig: &mut Rig) {
    rig.entry(A, 1, 200);
    let last = rig.journal.log_state(A).last.unwrap();
    rig.journal.purge(A, id(1, last.index.saturating_sub(3)));
}

#[test]
fn a_recycled_segment_with_old_valid_records_shows_only_the_new_ones() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    // From the second segment on all begin alike, so that old batches lie where new ones will.
    write_until(&mut rig, 6);
    for _ in 0..25 {
        write_one(&mut rig);
        let before = rig.contents();
        let end = rig.journal.synced_position();
        let bytes = disk.bytes(&segment(end.segment)).unwrap();
        if end.segment == 6 && end.offset < 7 * 1024 {
            let next = &bytes[end.offset as usize..][..4];
            assert_eq!(next, b"WJBA", "an old batch begins exactly where the new ones end");
        }
        let fork = disk.fork(end.offset);
        fork.crash();
        // The last purge waits for the next sync.
        let found = Rig::open(&fork).all(A);
        assert_eq!(found[found.len() - 3..], before[0].1);
        assert_eq!(found.len(), 4);
    }
}

#[test]
fn files_are_used_again_and_not_more_than_needed() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    write_until(&mut rig, 40);
    let names = disk.list(&dir()).unwrap();
    assert!(names.len() <= 5, "{names:?}");
    let usage = rig.journal.usage();
    assert!(usage.segments <= 3, "{usage:?}");
    assert_eq!(
        usage.bytes,
        names
            .iter()
            .map(|name| { disk.bytes(&dir().join(name)).unwrap().len() as u64 })
            .sum::<u64>()
    );
}

#[test]
fn the_shard_that_pins_the_oldest_segment_is_named() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.entry(B, 1, 10);
    write_until(&mut rig, 12);
    let usage = rig.journal.usage();
    assert_eq!((usage.pins[0].shard, usage.pins[0].segment), (B, 1));
    assert_eq!(usage.segments, 12, "nothing can go");
    assert!(usage.pins[0].bytes > 11 * 6000);
    rig.journal.purge(B, id(1, 0));
    write_until(&mut rig, 14);
    assert!(rig.journal.usage().segments <= 3);
    let rig = rig.crash();
    assert_eq!(rig.journal.log_state(B).purged, Some(id(1, 0)));
}

#[test]
fn votes_and_marks_survive_the_segments_that_they_were_written_in() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.vote(A, "mine");
    rig.vote(B, "other");
    rig.journal.save_committed(B, id(1, 9));
    write_until(&mut rig, 9);
    let mut rig = rig.crash();
    assert_eq!(rig.journal.log_state(A).vote.unwrap(), "mine");
    let other = rig.journal.log_state(B);
    assert_eq!((other.vote.unwrap(), other.committed), ("other".into(), Some(id(1, 9))));
    write_until(&mut rig, 15);
    assert_eq!(rig.crash().journal.log_state(B).vote.unwrap(), "other");
}

#[test]
fn a_purge_that_is_not_synced_frees_nothing() {
    for seed in 0..50 {
        let disk = new_disk(seed);
        let mut rig = Rig::open(&disk);
        while rig.journal.synced_position().segment < 4 {
            rig.entry(A, 1, 200);
        }
        let before = rig.all(A);
        rig.journal.purge(A, id(1, 60));
        disk.power_off_after(2);
        rig.append(A, vec![record(1, before.len() as u64, 200)]);
        let _ = rig.committer.step();
        let rig = rig.crash();
        let after = rig.all(A);
        let first = after[0].index as usize;
        assert!(first == 0 || first == 61);
        assert_eq!(after[..before.len() - first], before[first..]);
    }
}

#[test]
fn power_lost_at_every_step_of_a_change_of_segment_loses_nothing() {
    let disk = new_disk(2);
    let mut rig = Rig::open(&disk);
    write_until(&mut rig, 8);
    while rig.journal.synced_position().offset < 8 * 1024 - 300 {
        rig.entry(A, 1, 200);
    }
    drop(rig);
    let kept = Rig::open(&disk.fork(0)).contents();
    for steps in 1..40 {
        let fork = disk.fork(steps);
        fork.kill();
        let mut rig = Rig::open(&fork);
        let mut acknowledged = 0;
        fork.power_off_after(steps);
        for _ in 0..40 {
            let last = rig.journal.log_state(A).last.unwrap();
            rig.journal.purge(A, id(1, last.index - 3));
            rig.append(A, vec![record(1, last.index + 1, 200)]);
            let _ = rig.committer.step();
            acknowledged = rig.acknowledged();
        }
        fork.crash();
        verify(&fork, &dir(), &Marks::default()).expect("whole");
        let rig = Rig::open(&fork);
        let last = rig.journal.log_state(A).last.unwrap().index;
        let before = kept[0].0.last.unwrap().index;
        assert!(last >= before + acknowledged as u64, "step {steps}");
        let entries = rig.all(A);
        assert!(entries.iter().all(|entry| *entry == record(1, entry.index, 200)));
    }
}

#[test]
fn a_segment_whose_name_is_visible_but_not_durable_frees_no_older_one() {
    // The process dies between the renaming of a new segment and the sync of its directory; the
    // next one sees the name, and power is lost while it opens: then the segment before is the
    // newest again, and must find all that it needs.
    let disk = new_disk(2);
    let mut rig = Rig::open(&disk);
    write_until(&mut rig, 8);
    drop(rig);
    for steps in 1..60 {
        let fork = disk.fork(steps);
        fork.kill();
        let mut rig = Rig::open(&fork);
        fork.power_off_after(steps);
        for _ in 0..40 {
            let last = rig.journal.log_state(A).last.unwrap();
            rig.journal.purge(A, id(1, last.index - 3));
            rig.append(A, vec![record(1, last.index + 1, 200)]);
            let _ = rig.committer.step();
        }
        let acknowledged = rig.acknowledged() as u64;
        fork.kill();
        for more in 1..9 {
            let fork = fork.fork(100 * steps + more);
            fork.power_off_after(more);
            drop(Rig::open_with(&fork, &Marks::default()));
            fork.crash();
            let rig = Rig::open(&fork);
            let last = rig.all(A).last().unwrap().index;
            assert!(last >= acknowledged, "step {steps}, then {more}");
        }
    }
}

#[test]
fn reading_an_entry_that_is_purged_meanwhile_is_no_damage() {
    // A reader holds the places of old entries while their segment gets another life: provoked
    // by reading from many threads while the journal goes round.
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.entry(A, 1, 200);
    let journal = rig.journal.clone();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut gone = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let Some(first) = journal.log_state(A).first_index else { continue };
                match journal.read(A, first..first + 3, usize::MAX) {
                    Ok(entries) => {
                        assert!(entries.iter().all(|e| *e == record(1, e.index, 200)));
                    }
                    Err(ReadError::Gone { .. }) => gone += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            gone
        }
    });
    write_until(&mut rig, 60);
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    reader.join().unwrap();
}

#[test]
fn kept_from_is_the_first_entry_within_the_kept_bytes() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    while rig.journal.synced_position().segment < 8 {
        rig.entry(A, 1, 200);
    }
    let kept = rig.journal.kept_from(A).unwrap();
    let bytes = (rig.journal.log_state(A).last.unwrap().index - kept) * 200;
    assert!((4 * 1024..=16 * 1024).contains(&bytes), "{bytes}");
    assert_eq!(rig.journal.kept_from(B), None);
    rig.journal.purge(A, id(1, kept - 1));
    assert_eq!(rig.journal.kept_from(A), Some(kept));
}
