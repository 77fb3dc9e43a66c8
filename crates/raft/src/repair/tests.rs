//! A shard whose store is damaged: the note, the peer's checkpoint in its place, the log's tail.

use bytes::Bytes;
use store::CheckpointNumber;

use super::*;
use crate::rig::{Life, Machinery, SHARD, entry, hash_at};
use crate::types::log_id;

fn at(machinery: &Machinery, index: u64) -> Life {
    let mut life = machinery.start();
    while life.last() < index {
        machinery.append(&life);
    }
    life.apply_some(index);
    life.clock.advance(crate::limits::CHECKPOINT_AGE);
    life.settle();
    life
}

/// Stages the state of `source` for the damaged shard of `target`.
fn stage(source: &Life, target: &Machinery) -> Staged {
    let snapshot = crate::snapshot::current(&source.replica).unwrap().unwrap();
    let mut reader = snapshot.snapshot.reader().unwrap();
    let mut writer = begin(Arc::new(target.store.clone()), SHARD).unwrap();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        writer.accept(&chunk).unwrap();
    }
    writer.finish().unwrap()
}

/// Installs it over the journal of `target`, whose committer is stepped meanwhile.
fn put_in_place(target: &Machinery, staged: Staged) -> Result<(), RepairError> {
    let (journal, mut committer) = target.journal();
    let store: Arc<dyn Store> = Arc::new(target.store.clone());
    let mut install = Box::pin(install(&store, &journal, SHARD, staged));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match install.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => drop(committer.step().unwrap()),
        }
    }
}

#[test]
fn a_damaged_shard_takes_a_peers_checkpoint_and_goes_on_from_its_own_log() {
    let (peer, node) = (Machinery::new(1), Machinery::new(2));
    let source = at(&peer, 60);
    let target = at(&node, 80);
    let hash = target.replica.hash();
    drop(target);
    node.store.damage_shard(SHARD);
    put_in_place(&node, stage(&source, &node)).unwrap();
    let target = node.start();
    assert_eq!(target.replica.hash().1, hash_at(60));
    target.apply_some(u64::MAX);
    let last = target.last();
    assert_eq!(target.replica.hash().1, hash_at(last));
    assert!(target.replica.hash() >= hash);
}

#[test]
fn a_log_that_does_not_hold_the_position_is_truncated() {
    let (peer, node) = (Machinery::new(1), Machinery::new(2));
    let source = at(&peer, 90);
    let target = at(&node, 20);
    drop(target);
    node.store.damage_shard(SHARD);
    put_in_place(&node, stage(&source, &node)).unwrap();
    let target = node.start();
    assert_eq!(target.replica.applied(), Some(entry(90).log_id));
    let state = target.journal.log_state(SHARD);
    assert_eq!((state.first_index, state.last), (None, state.purged), "{state:?}");
}

#[test]
fn an_older_checkpoint_than_what_was_purged_is_refused() {
    let (peer, node) = (Machinery::new(1), Machinery::new(2));
    let source = at(&peer, 20);
    let mut target = at(&node, 80);
    target.journal.purge(SHARD, journal::LogId { term: 1, index: 30 });
    node.append(&target);
    target.committer.step().unwrap();
    drop(target);
    node.store.damage_shard(SHARD);
    let refused = put_in_place(&node, stage(&source, &node)).unwrap_err();
    assert!(matches!(refused, RepairError::TooOld { theirs: Some(20..=22), purged: 30 }));
    assert!(node.store.root(SHARD).unwrap().is_none(), "the shard stays without a state");
}

#[test]
fn a_damaged_value_breaks_the_node_and_is_noted() {
    let node = Machinery::new(1);
    drop(at(&node, 20));
    assert!(node.store.damage(SHARD, &Bytes::from_static(b"1")));
    let broken = node.try_start().err().expect("a value is damaged");
    let noted = damaged_part(SHARD, &broken).expect("it is noted");
    assert_eq!(noted.shard, SHARD);
}

#[test]
fn a_node_that_ends_over_what_does_not_decode_names_the_store_and_the_shard() {
    let dir = tempfile::tempdir().unwrap();
    let fault =
        streams::error::Fault::Damaged { what: "block", detail: "it is too short".to_owned() };
    let noted =
        crate::node::running::noted(&base::RealDisk, dir.path(), ShardId(3), &Broken::Fault(fault));
    let words =
        "damaged value in the store of shard 3, damaged block: it is too short; start again";
    assert!(noted.to_string().starts_with(words), "{noted}");
}

#[test]
fn a_failed_disk_is_no_damage() {
    assert_eq!(damaged_part(SHARD, &Broken::Journal("it failed".to_owned())), None);
    let full = store::Error::Io(io::ErrorKind::StorageFull.into());
    assert_eq!(damaged_part(SHARD, &full.into()), None);
}

#[test]
fn the_position_may_be_where_the_log_was_purged() {
    let (peer, node) = (Machinery::new(1), Machinery::new(2));
    let source = at(&peer, 20);
    let position = source.replica.applied().unwrap().index;
    let mut target = at(&node, 80);
    target.journal.purge(SHARD, journal::LogId { term: 1, index: position });
    node.append(&target);
    target.committer.step().unwrap();
    let last = target.last();
    drop(target);
    node.store.damage_shard(SHARD);
    put_in_place(&node, stage(&source, &node)).unwrap();
    let target = node.start();
    assert_eq!((target.replica.applied(), target.last()), (Some(log_id(1, position)), last));
    target.apply_some(u64::MAX);
    assert_eq!(target.replica.hash().1, hash_at(last));
    assert_eq!(target.replica.checkpoint().unwrap().number, CheckpointNumber(1));
}

#[test]
fn a_shard_is_started_only_from_a_store_that_is_whole_and_as_new_as_was_witnessed() {
    let node = Machinery::new(1);
    let life = at(&node, 40);
    let checkpoint = life.replica.checkpoint().unwrap().meta.last_log_id.unwrap();
    let mut marks = Marks::default();
    marks.checkpoints.insert(SHARD, to_journal(checkpoint));
    let check = |store: &dyn Store, noted: &[DamagedPart], marks: &Marks| {
        damage(store, &life.journal, SHARD, noted, marks).unwrap()
    };
    assert_eq!(check(&node.store, &[], &marks), None);
    assert_eq!(check(&node.store, &[], &Marks::default()), None);
    let noted = DamagedPart { shard: SHARD, key: Bytes::from_static(b"k") };
    assert!(check(&node.store, std::slice::from_ref(&noted), &marks).is_some());
    let other = DamagedPart { shard: ShardId(77), ..noted };
    assert_eq!(check(&node.store, &[other], &marks), None);
    let empty = store::Memory::new();
    assert!(check(&empty, &[], &marks).is_some(), "the witness saw a checkpoint");
    assert_eq!(check(&empty, &[], &Marks::default()), None, "the log has everything");
    life.journal.purge(SHARD, journal::LogId { term: 1, index: 10 });
    assert!(check(&empty, &[], &Marks::default()).is_some(), "the log's beginning is purged");
    assert_eq!(check(&node.store, &[], &marks), None);
    node.store.damage_shard(SHARD);
    assert!(check(&node.store, &[], &Marks::default()).is_some());
}
