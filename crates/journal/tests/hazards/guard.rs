//! The rows of the guard's table, and each file of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{ClusterId, Disk, Incarnation, ManualClock, NodeId, SeededEntropy, ShardId, SimDisk};
use bytes::Bytes;
use journal::guard::{
    Ballast, DamagedPart, DataLock, Forming, Found, GuardError, Identity, damaged_parts,
    forget_damaged, inspect, load_witness, note_damaged, save_witness,
};
use journal::{Marks, OpenError, Position};

use crate::rig::{A, B, DATA, Rig, id, new_disk, segment};

fn data() -> &'static Path {
    Path::new(DATA)
}

fn identity() -> Identity {
    Identity {
        cluster: ClusterId(77),
        node: NodeId(2),
        incarnation: Incarnation { count: 3, random: 99 },
        forming: Forming::Formed,
    }
}

/// A formed node with a journal whose witness is kept.
fn formed() -> (SimDisk, Rig) {
    let disk = new_disk(1);
    identity().save(&disk, data()).unwrap();
    let mut rig = Rig::open(&disk);
    rig.committer.keep_witness(data(), Arc::new(ManualClock::at(0))).unwrap();
    rig.vote(A, "mine");
    rig.step();
    (disk, rig)
}

fn marks(disk: &SimDisk) -> Marks {
    match inspect(disk, data(), NodeId(2)).expect("its own") {
        Found::Data { identity: found, marks } => {
            assert_eq!(found, identity());
            marks
        }
        Found::Nothing => panic!("there is data"),
    }
}

#[test]
fn a_vote_is_in_the_witness_before_it_is_answered() {
    let (disk, mut rig) = formed();
    for round in 0..20 {
        let (told, fork_on_answer) = (Arc::clone(&rig.told), disk.clone());
        let vote = Bytes::from(format!("vote {round}"));
        let expected = vote.clone();
        rig.journal.save_vote(
            A,
            vote,
            Box::new(move |result| {
                result.clone().unwrap();
                let fork = fork_on_answer.fork(round);
                fork.crash();
                let marks = load_witness(&fork, data()).unwrap().unwrap();
                assert_eq!(marks.votes[&A], expected);
                told.lock().unwrap().push((round, result));
            }),
        );
        rig.step();
    }
    assert_eq!(rig.acknowledged(), 21);
}

#[test]
fn entries_do_not_wait_for_the_witness_which_follows_within_a_tenth_of_a_second() {
    let disk = new_disk(1);
    let clock = Arc::new(ManualClock::at(0));
    let mut rig = Rig::open(&disk);
    rig.committer.keep_witness(data(), Arc::clone(&clock) as Arc<dyn base::Clock>).unwrap();
    let told = |disk: &SimDisk| load_witness(disk, data()).unwrap().unwrap().synced.unwrap();
    let before = told(&disk);
    let syncs = disk.syncs();
    rig.entry(A, 1, 20);
    assert_eq!(disk.syncs(), syncs + 1, "one sync, the journal's");
    assert_eq!(told(&disk), before);
    clock.advance(Duration::from_millis(100));
    rig.step();
    assert_eq!(told(&disk), rig.journal.synced_position());
}

#[test]
fn the_witness_keeps_checkpoints_through_a_restart() {
    let (disk, mut rig) = formed();
    rig.journal.note_checkpoint(B, id(3, 9));
    rig.vote(A, "again");
    rig.step();
    drop(rig);
    disk.crash();
    let found = marks(&disk);
    assert_eq!(found.checkpoints[&B], id(3, 9));
    let mut rig = Rig::open_with(&disk, &found).unwrap();
    rig.committer.keep_witness(data(), Arc::new(ManualClock::at(0))).unwrap();
    assert_eq!(marks(&disk).checkpoints[&B], id(3, 9));
}

#[test]
fn the_witness_learns_of_a_checkpoint_while_nothing_is_written() {
    let disk = new_disk(1);
    let clock = Arc::new(ManualClock::at(0));
    let mut rig = Rig::open(&disk);
    rig.committer.keep_witness(data(), Arc::clone(&clock) as Arc<dyn base::Clock>).unwrap();
    rig.journal.note_checkpoint(B, id(3, 9));
    clock.advance(Duration::from_millis(100));
    rig.committer.step().unwrap();
    let marks = load_witness(&disk, data()).unwrap().unwrap();
    assert_eq!(marks.checkpoints.get(&B), Some(&id(3, 9)));
}

#[test]
fn a_journal_shorter_than_the_witness_says_is_not_served() {
    let (disk, mut rig) = formed();
    rig.entry(A, 1, 30);
    rig.vote(A, "last");
    rig.step();
    let synced = rig.journal.synced_position();
    drop(rig);
    disk.crash();
    disk.tamper(&segment(1), |bytes| bytes.truncate(synced.offset as usize - 8)).unwrap();
    match Rig::open_with(&disk, &marks(&disk)).map(|_| ()) {
        Err(error @ OpenError::Damaged(_)) => {
            assert_eq!(error.exit_code(), 2);
            let line = error.to_string();
            assert!(line.contains("segment-000000000001") && line.contains("weir node replace"));
            assert!(!line.contains('\n'));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_journal_from_an_older_copy_is_not_served() {
    let (disk, mut rig) = formed();
    let copy = disk.bytes(&segment(1)).unwrap();
    rig.vote(A, "promised since");
    rig.step();
    drop(rig);
    disk.crash();
    disk.tamper(&segment(1), |bytes| *bytes = copy).unwrap();
    assert!(matches!(Rig::open_with(&disk, &marks(&disk)).map(|_| ()), Err(OpenError::Damaged(_))));
}

#[test]
fn a_lost_journal_directory_is_not_served() {
    let (disk, rig) = formed();
    drop(rig);
    disk.crash();
    disk.remove(&segment(1)).unwrap();
    let error = Rig::open_with(&disk, &marks(&disk)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the witness says"), "{error}");
}

#[test]
fn an_empty_data_directory_is_a_new_node_or_one_that_its_peers_know() {
    let disk = new_disk(1);
    assert_eq!(inspect(&disk, data(), NodeId(2)).unwrap(), Found::Nothing);
    let error = GuardError::emptied(data(), NodeId(2), "node 1 at 10.0.0.1:6382");
    assert_eq!(error.exit_code(), 2);
    let line = error.to_string();
    assert!(line.contains("/data is empty") && line.contains("weir node replace 2"), "{line}");
}

#[test]
fn a_data_directory_of_another_node_is_refused() {
    let (disk, _rig) = formed();
    let error = inspect(&disk, data(), NodeId(3)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("of node 2, but this is node 3"), "{error}");
}

#[test]
fn data_without_identity_or_without_witness_is_refused() {
    for (lost, named) in [("identity", "/data/identity"), ("witness", "/data/witness")] {
        let (disk, rig) = formed();
        drop(rig);
        disk.remove(&data().join(lost)).unwrap();
        let error = inspect(&disk, data(), NodeId(2)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_node_that_is_forming_may_have_no_witness_yet() {
    let disk = new_disk(1);
    let forming = Identity { forming: Forming::Forming, ..identity() };
    forming.save(&disk, data()).unwrap();
    let found = inspect(&disk, data(), NodeId(2)).unwrap();
    assert_eq!(found, Found::Data { identity: forming, marks: Marks::default() });
}

#[test]
fn a_bit_flipped_in_identity_or_witness_is_damage_that_names_the_file() {
    let (disk, rig) = formed();
    drop(rig);
    for name in ["identity", "witness"] {
        let path = data().join(name);
        for offset in 0..disk.bytes(&path).unwrap().len() as u64 {
            let fork = disk.fork(offset);
            fork.flip(&path, offset, offset as u8).unwrap();
            match inspect(&fork, data(), NodeId(2)).map(|_| ()) {
                Err(GuardError::Damaged(damage)) => assert_eq!(damage.file, path),
                other => panic!("byte {offset} of {name}: {other:?}"),
            }
        }
        for length in 0..disk.bytes(&path).unwrap().len() {
            let fork = disk.fork(0);
            fork.tamper(&path, |bytes| bytes.truncate(length)).unwrap();
            assert!(matches!(inspect(&fork, data(), NodeId(2)), Err(GuardError::Damaged(_))));
        }
    }
}

#[test]
fn a_newer_identity_is_refused_and_not_called_damage() {
    let (disk, rig) = formed();
    drop(rig);
    disk.tamper(&data().join("identity"), |bytes| {
        bytes[12] = 9;
        let crc = base::sum::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    })
    .unwrap();
    let error = inspect(&disk, data(), NodeId(2)).unwrap_err();
    assert!(matches!(error, GuardError::Newer { version: 9, .. }));
}

#[test]
fn power_lost_at_every_step_of_a_replacement_leaves_the_old_file_or_the_new_one() {
    let old = identity();
    let new = old.next_life(&SeededEntropy::new(5));
    assert_eq!(new.incarnation.count, 4);
    let mark =
        |segment| Marks { synced: Some(Position { segment, offset: 8 }), ..Marks::default() };
    for seed in 0..200 {
        let disk = new_disk(seed);
        old.save(&disk, data()).unwrap();
        save_witness(&disk, data(), &mark(1)).unwrap();
        disk.power_off_after(1 + seed % 14);
        let saved = new.save(&disk, data()).is_ok();
        let witnessed = save_witness(&disk, data(), &mark(2)).is_ok();
        disk.crash();
        let found = Identity::load(&disk, data()).unwrap().expect("one of them");
        assert!(found == new || (found == old && !saved));
        let found = load_witness(&disk, data()).unwrap().expect("one of them");
        assert!(found == mark(2) || (found == mark(1) && !witnessed));
    }
}

#[test]
fn a_locked_data_directory_is_refused() {
    let disk = new_disk(1);
    let lock = DataLock::take(&disk, data()).unwrap();
    let error = DataLock::take(&disk, data()).map(|_| ()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("/data/lock"), "{error}");
    drop(lock);
    DataLock::take(&disk, data()).unwrap();
}

#[test]
fn a_ballast_occupies_real_room_and_gives_it_up() {
    let disk = new_disk(1);
    disk.set_capacity(250_000);
    let ballast = Ballast::new(Arc::new(disk.clone()), data(), 100_000);
    assert!(ballast.take().unwrap());
    assert!(ballast.is_taken());
    assert_eq!(disk.free_bytes(data()).unwrap(), 150_000);
    assert!(ballast.give_up().unwrap());
    assert!(!ballast.give_up().unwrap());
    assert_eq!(disk.free_bytes(data()).unwrap(), 250_000);
    disk.set_capacity(150_000);
    assert!(!ballast.take().unwrap(), "not when it would take more than half of what is free");
}

#[test]
fn a_damaged_value_is_noted_through_a_crash_until_it_is_forgotten() {
    let disk = new_disk(1);
    let part = |shard, key| DamagedPart { shard: ShardId(shard), key: Bytes::from_static(key) };
    note_damaged(&disk, data(), part(1, b"block 7")).unwrap();
    note_damaged(&disk, data(), part(2, b"root")).unwrap();
    note_damaged(&disk, data(), part(1, b"block 7")).unwrap();
    disk.crash();
    let golden = b"WEIRDAMG\xb6\x00\x00\x00\x01\0\0\0\x1b\0\0\0\0\0\0\0\
        \x02\0\0\0\x01\0\x07\0\0\0block 7\x02\0\x04\0\0\0root";
    let found = disk.bytes(&data().join("damaged")).unwrap();
    assert_eq!((&found[..8], &found[12..]), (&golden[..8], &golden[12..]), "golden bytes");
    assert_eq!(damaged_parts(&disk, data()).unwrap(), [part(1, b"block 7"), part(2, b"root")]);
    forget_damaged(&disk, data()).unwrap();
    disk.crash();
    assert_eq!(damaged_parts(&disk, data()).unwrap(), []);
}
