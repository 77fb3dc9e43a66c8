//! Bytes that were synced and aren't what they were.

use base::{Disk, SimDisk};
use journal::{Damage, Marks, OpenError, Position, verify};

use crate::rig::{A, B, Rig, dir, id, new_disk, record, segment, try_open};

/// Two closed segments and an open one; the position synced, and the one before the last batch.
fn written() -> (SimDisk, Position, Position) {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    rig.vote(B, "b");
    let mut before = Position::default();
    while rig.journal.synced_position().segment < 3 {
        rig.entry(A, 1, 300);
    }
    for _ in 0..3 {
        before = rig.journal.synced_position();
        rig.entry(B, 1, 30);
    }
    let synced = rig.journal.synced_position();
    assert_eq!((before.segment, synced.segment), (3, 3));
    drop(rig);
    disk.kill();
    (disk, before, synced)
}

fn damage(disk: &SimDisk, marks: &Marks) -> Option<Damage> {
    let verified = verify(disk, &dir(), marks);
    let opened = try_open(disk, marks).map(|_| ());
    match (verified, opened) {
        (Ok(_), Ok(())) => None,
        (Err(OpenError::Damaged(one)), Err(OpenError::Damaged(other))) => {
            assert_eq!(one, other, "verify and open say the same");
            Some(one)
        }
        others => panic!("neither whole nor damaged: {others:?}"),
    }
}

#[test]
fn a_bit_flipped_anywhere_below_the_mark_is_damage_that_names_segment_and_offset() {
    let (disk, before, _) = written();
    for number in 1..=3 {
        let file = segment(number);
        let bytes = disk.bytes(&file).unwrap();
        let end = if number < 3 { last_written(&bytes) } else { before.offset };
        for offset in 0..end {
            let fork = disk.fork(offset);
            fork.flip(&file, offset, offset as u8).unwrap();
            let found = damage(&fork, &Marks::default());
            let found = found.unwrap_or_else(|| panic!("{number}: {offset} unseen"));
            assert_eq!(found.file, file);
            assert!(found.offset <= offset, "{found} is after byte {offset}");
            assert!(found.offset + 700 > offset, "{found} is far before byte {offset}");
        }
    }
}

fn last_written(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64
}

#[test]
fn a_bit_flipped_above_the_mark_is_cut() {
    let (disk, before, synced) = written();
    for offset in before.offset..synced.offset {
        let fork = disk.fork(offset);
        fork.flip(&segment(3), offset, offset as u8).unwrap();
        let rig = Rig::open(&fork);
        assert_eq!(rig.all(B).len(), 2, "the last batch is gone");
    }
    for offset in synced.offset..disk.bytes(&segment(3)).unwrap().len() as u64 {
        let fork = disk.fork(offset);
        fork.flip(&segment(3), offset, offset as u8).unwrap();
        assert!(damage(&fork, &Marks::default()).is_none());
    }
}

#[test]
fn with_a_witness_the_last_batch_is_below_the_mark_too() {
    let (disk, before, synced) = written();
    let marks = Marks { synced: Some(synced), ..Marks::default() };
    for offset in before.offset..synced.offset {
        let fork = disk.fork(offset);
        fork.flip(&segment(3), offset, offset as u8).unwrap();
        let found = damage(&fork, &marks).expect("damage");
        assert_eq!((found.file, found.offset), (segment(3), before.offset));
    }
}

#[test]
fn a_journal_shorter_than_the_witness_says_is_damage() {
    let (disk, _, synced) = written();
    let marks = Marks { synced: Some(synced), ..Marks::default() };
    assert!(damage(&disk.fork(0), &marks).is_none());

    let fork = disk.fork(0);
    fork.tamper(&segment(3), |bytes| bytes.truncate(synced.offset as usize - 1)).unwrap();
    assert_eq!(damage(&fork, &marks).expect("cut").file, segment(3));

    let fork = disk.fork(0);
    fork.remove(&segment(3)).unwrap();
    assert_eq!(damage(&fork, &marks).expect("its end is missing").file, segment(2));

    let fork = disk.fork(0);
    for number in 1..=3 {
        fork.remove(&segment(number)).unwrap();
    }
    let found = damage(&fork, &marks).expect("empty");
    assert_eq!(found.file, dir());
    assert!(found.what.contains("the witness says"), "{found}");
}

#[test]
fn a_missing_segment_is_damage_that_names_it() {
    let (disk, _, _) = written();
    for number in 1..=2 {
        let fork = disk.fork(0);
        fork.remove(&segment(number)).unwrap();
        assert_eq!(damage(&fork, &Marks::default()).expect("missing").file, segment(number));
    }
}

#[test]
fn a_segment_in_the_place_of_another_is_damage() {
    let (disk, _, _) = written();
    let second = disk.bytes(&segment(2)).unwrap();
    disk.tamper(&segment(1), |bytes| bytes.clone_from(&second)).unwrap();
    assert_eq!(damage(&disk, &Marks::default()).expect("not itself").file, segment(1));
}

#[test]
fn a_vote_that_is_not_the_one_the_witness_has_is_damage_that_names_the_shard() {
    let (disk, _, synced) = written();
    let mut marks = Marks { synced: Some(synced), ..Marks::default() };
    marks.votes.insert(B, "b".into());
    assert!(damage(&disk.fork(0), &marks).is_none());
    marks.votes.insert(B, "another".into());
    let found = damage(&disk, &marks).expect("another vote");
    assert!(found.what.contains("vote of shard 2"), "{found}");
}

#[test]
fn a_newer_format_is_refused_and_not_called_damage() {
    let (disk, _, _) = written();
    disk.tamper(&segment(3), |bytes| {
        bytes[12] = 99;
        let length = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
        let crc = base::sum::crc32c(&bytes[12..length]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    })
    .unwrap();
    match try_open(&disk, &Marks::default()).map(|_| ()) {
        Err(OpenError::Newer { file, version: 99 }) => assert_eq!(file, segment(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_old_entry_that_was_damaged_while_running_is_a_fault_when_it_is_read() {
    let disk = new_disk(1);
    let mut rig = Rig::open(&disk);
    for _ in 0..20 {
        rig.entry(A, 1, 300);
    }
    let bytes = disk.bytes(&segment(1)).unwrap();
    let wanted = record(1, 3, 300).payload;
    let at = bytes.windows(300).position(|window| *window == wanted[..]).unwrap();
    disk.flip(&segment(1), at as u64 + 7, 1).unwrap();
    let error = rig.journal.read(A, 0..10, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("entry 3 of shard 1") && error.contains("segment-000000000001"));
    assert_eq!(rig.journal.read(A, 0..3, usize::MAX).unwrap().len(), 3);
    rig.journal.purge(A, id(1, 3));
    assert_eq!(rig.journal.read(A, 4..20, usize::MAX).unwrap().len(), 16);
}
