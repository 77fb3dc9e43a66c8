//! A whole state from one replica to another: whole or not at all, whatever happens on the way.

use openraft::storage::RaftStateMachine;
use store::Memory;

use super::*;
use crate::rig::{Life, Machinery, SHARD, hash_at};
use crate::state::StateMachine;

/// A replica with so many entries applied and checkpointed.
fn at(machinery: &Machinery, index: u64) -> Life {
    let mut life = machinery.start();
    grow(machinery, &mut life, index);
    life
}

fn grow(machinery: &Machinery, life: &mut Life, index: u64) {
    while life.last() < index {
        machinery.append(life);
    }
    let applied = life.replica.applied().map_or(0, |log_id| log_id.index);
    life.apply_some(index - applied);
    checkpoint(life);
}

fn checkpoint(life: &mut Life) {
    life.clock.advance(crate::limits::CHECKPOINT_AGE);
    life.settle();
    assert_eq!(life.replica.checkpoint().unwrap().meta.last_log_id, life.replica.applied());
}

fn reader(life: &Life) -> (SnapshotReader, SnapshotMeta) {
    let snapshot = current(&life.replica).unwrap().unwrap();
    (snapshot.snapshot.reader().unwrap(), snapshot.meta)
}

fn chunks(life: &Life) -> (Vec<Bytes>, SnapshotMeta) {
    let (mut reader, meta) = reader(life);
    let chunks = std::iter::from_fn(|| reader.next_chunk().unwrap()).collect();
    (chunks, meta)
}

fn receive(life: &Life, chunks: &[Bytes]) -> Result<Staged, NotWhole> {
    let mut writer = SnapshotWriter::new(&life.replica);
    for chunk in chunks {
        writer.accept(chunk)?;
    }
    writer.finish()
}

fn install(life: &mut Life, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
    let mut machine = StateMachine(life.replica.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut install = std::pin::pin!(machine.install_snapshot(meta, data));
        loop {
            match futures::poll!(&mut install) {
                std::task::Poll::Ready(done) => return done,
                std::task::Poll::Pending => drop(life.committer.step().unwrap()),
            }
        }
    })
}

#[test]
fn a_state_arrives_whole_and_is_there_after_a_crash() {
    let (from, to) = (Machinery::new(1), Machinery::new(2));
    let source = at(&from, 100);
    let mut target = at(&to, 10);
    let (chunks, meta) = chunks(&source);
    let staged = receive(&target, &chunks).unwrap();
    assert_eq!(target.replica.hash().1, hash_at(10), "nothing changes before the install");
    install(&mut target, &meta, SnapshotData::Staged(staged)).unwrap();
    assert_eq!(target.replica.hash(), source.replica.hash());
    drop(target);
    to.disk.crash();
    to.store.crash();
    let target = to.start();
    assert_eq!(target.replica.hash(), source.replica.hash());
}

#[test]
fn a_crash_before_the_install_leaves_the_old_state_and_nothing_in_the_way() {
    let (from, to) = (Machinery::new(1), Machinery::new(2));
    let source = at(&from, 100);
    let target = at(&to, 10);
    let (chunks, meta) = chunks(&source);
    let staged = receive(&target, &chunks).unwrap();
    std::mem::forget(staged);
    drop(target);
    to.disk.crash();
    to.store.crash();
    let mut target = to.start();
    assert_eq!(target.replica.hash().1, hash_at(10));
    let staged = receive(&target, &chunks).unwrap();
    install(&mut target, &meta, SnapshotData::Staged(staged)).unwrap();
    assert_eq!(target.replica.hash(), source.replica.hash());
}

#[test]
fn what_is_sent_stays_as_it_was_while_checkpoints_go_on() {
    let (from, to) = (Machinery::new(1), Machinery::new(2));
    let mut source = at(&from, 50);
    let mut target = at(&to, 1);
    let (mut reader, meta) = reader(&source);
    let mut writer = SnapshotWriter::new(&target.replica);
    grow(&from, &mut source, 150);
    grow(&to, &mut target, 20);
    while let Some(chunk) = reader.next_chunk().unwrap() {
        writer.accept(&chunk).unwrap();
        let (last, other) = (source.last(), target.last());
        grow(&from, &mut source, last + 1);
        grow(&to, &mut target, other + 1);
    }
    let staged = writer.finish().unwrap();
    install(&mut target, &meta, SnapshotData::Staged(staged)).unwrap();
    assert_eq!(target.replica.hash(), (meta.last_log_id, hash_at(50)));
}

#[test]
fn checkpoints_go_on_after_an_install_and_one_that_was_being_written_is_given_up() {
    let (from, to) = (Machinery::new(1), Machinery::new(2));
    let source = at(&from, 100);
    let mut target = at(&to, 10);
    let (chunks, meta) = chunks(&source);
    let staged = receive(&target, &chunks).unwrap();
    to.append(&target);
    target.apply_some(1);
    target.clock.advance(crate::limits::CHECKPOINT_AGE);
    target.checkpointer.step().unwrap();
    assert!(!target.replica.has_changes(), "a checkpoint is being written");
    install(&mut target, &meta, SnapshotData::Staged(staged)).unwrap();
    target.settle();
    assert_eq!(target.replica.checkpoint().unwrap().meta, meta);
    drop(target);
    to.disk.crash();
    to.store.crash();
    assert_eq!(to.start().replica.hash(), source.replica.hash());
}

#[test]
fn a_chunk_that_is_damaged_missing_or_out_of_place_is_refused() {
    let (from, to) = (Machinery::new(1), Machinery::new(2));
    let source = at(&from, 100);
    let target = at(&to, 10);
    let (chunks, _) = chunks(&source);
    let [parts, end] = chunks.as_slice() else { panic!("{} chunks", chunks.len()) };
    for byte in 0..parts.len() {
        let mut damaged = parts.to_vec();
        damaged[byte] ^= 1 << (byte % 8);
        receive(&target, &[damaged.into(), end.clone()]).err().expect("a bit is flipped");
    }
    for cut in 0..end.len() {
        receive(&target, &[parts.clone(), end.slice(..cut)]).err().expect("it is cut");
    }
    let refused: [&[Bytes]; 5] = [
        &[],
        std::slice::from_ref(parts),
        std::slice::from_ref(end),
        &[parts.clone(), parts.clone(), end.clone()],
        &[parts.clone(), end.clone(), end.clone()],
    ];
    for chunks in refused {
        assert!(receive(&target, chunks).is_err());
    }
    receive(&target, &chunks).unwrap();
    assert_eq!(target.replica.hash().1, hash_at(10));
    assert!(target.broken.lock().unwrap().is_empty());
}

#[test]
fn a_chunk_that_is_too_long_is_refused_before_it_is_read() {
    let machinery = Machinery::new(1);
    let life = machinery.start();
    let of = |bytes| Bytes::from(vec![0; bytes]);
    let error = |bytes| SnapshotWriter::new(&life.replica).accept(&of(bytes)).unwrap_err();
    assert!(error(CHUNK_BYTES_MAX + 1).to_string().contains("too long"));
    assert!(error(CHUNK_BYTES).to_string().contains("checksum"));
    assert!(life.broken.lock().unwrap().is_empty(), "a peer's mistake breaks nothing here");
}

#[test]
fn chunks_are_bounded_whatever_the_parts_are() {
    let machinery = Machinery::new(1);
    let mut life = machinery.start();
    let value = "x".repeat(CHUNK_BYTES / 3);
    life.replica.with(|cells: &mut crate::machine::cells::Cells| {
        for cell in 0..10 {
            let proposal = Bytes::from(format!("{cell}={value}"));
            crate::machine::Machine::apply(cells, &proposal, false).unwrap();
        }
    });
    grow(&machinery, &mut life, 1);
    let (chunks, meta) = chunks(&life);
    assert!(chunks.len() > 3);
    assert!(chunks.iter().all(|chunk| chunk.len() < 2 * CHUNK_BYTES));
    let to = Machinery::new(2);
    let mut target = to.start();
    let staged = receive(&target, &chunks).unwrap();
    install(&mut target, &meta, SnapshotData::Staged(staged)).unwrap();
    assert_eq!(target.replica.hash(), life.replica.hash());
}

#[test]
fn a_snapshot_of_another_position_than_promised_breaks_the_node_and_changes_nothing() {
    let (from, to) = (Machinery::new(1), Machinery::new(2));
    let source = at(&from, 100);
    let mut target = at(&to, 10);
    let (chunks, mut meta) = chunks(&source);
    let staged = receive(&target, &chunks).unwrap();
    meta.last_log_id = Some(crate::types::log_id(7, 101));
    install(&mut target, &meta, SnapshotData::Staged(staged)).unwrap_err();
    assert_eq!(target.broken.lock().unwrap().len(), 1);
    assert_eq!(target.replica.hash().1, hash_at(10));
}

#[test]
fn chunks_stay_as_they_are() {
    let store = Memory::new();
    let part = Part { key: Bytes::from_static(b"k"), value: Bytes::from_static(b"value") };
    store.put(SHARD, CheckpointNumber(1), &[part]).unwrap();
    let meta = RootMeta::encode(&SnapshotMeta::default(), b"head");
    store.replace(SHARD, CheckpointNumber(1), meta).unwrap();
    let pin = store.pin(SHARD).unwrap().unwrap();
    let mut reader =
        SnapshotReader::new(Pinned { pin, hold: Holds::default().hold(0), replica: None });
    let hex = |bytes: &Bytes| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let chunks: Vec<_> = std::iter::from_fn(|| reader.next_chunk().unwrap()).collect();
    let golden = ["0101010000000100 6b 05000000 76616c7565", "0102 0100000000000000"];
    for (chunk, golden) in chunks.iter().zip(golden) {
        let golden = golden.replace(' ', "");
        assert!(hex(chunk).starts_with(&golden), "{} is not {golden}", hex(chunk));
    }
    assert_eq!(chunks.len(), 2);
    let root = "01 00 01 00 01 0000 0000 68656164".replace(' ', "");
    assert!(hex(&chunks[1]).contains(&root), "{}", hex(&chunks[1]));
}

#[test]
fn a_damaged_part_breaks_the_node_that_was_to_send_it() {
    let machinery = Machinery::new(1);
    let life = at(&machinery, 100);
    let keys = machinery.store.keys(SHARD, b"", None, 1).unwrap();
    assert!(machinery.store.damage(SHARD, &keys[0]));
    let (mut reader, _) = reader(&life);
    reader.next_chunk().unwrap_err();
    assert_eq!(life.broken.lock().unwrap().len(), 1);
}

#[test]
fn entries_after_a_snapshot_stay_until_its_follower_streams_again() {
    let (holds, peer) = (Holds::default(), NodeId(2));
    let hold = holds.hold(5);
    hold.until_streams(peer);
    holds.streams(NodeId(3), 9);
    holds.streams(peer, 4);
    assert_eq!(holds.least(), Some(5));
    holds.streams(peer, 5);
    assert_eq!(holds.least(), None);
    drop(hold);
    let given_up = holds.hold(7);
    given_up.until_streams(peer);
    drop(given_up);
    assert_eq!(holds.least(), None);
}
