//! Bytes of any kind as the files of a data directory: segments, identity, witness, what was damaged. They
//! are read or refused, nothing panics, and an open takes what the check without one takes. Checksums are
//! mostly made right first, or nothing behind them would be reached. Never what power cuts leave: those
//! are `tests/hazards.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::fuzz::{Random, Target};
use base::sum::{crc32c, crc32c_append};
use base::{Access, ClusterId, Disk, Incarnation, NodeId, ShardId, SimDisk};
use bytes::Bytes;

use crate::format::{
    BATCH_HEADER_BYTES, BATCH_MAGIC, Kind, RECORD_HEADER_BYTES, RecordHead, SEGMENT_HEADER_BYTES,
    Seed, SegmentHead, ShardState, padded, put_record, put_segment_head, seal_batch,
};
use crate::guard::{self, Forming, Identity, identity, sealed, witness};
use crate::segment::file_name;
use crate::{LogId, Marks, Options, Position, open, verify};

const DIR: &str = "/data";
/// What an input's first byte says it is, and whether its checksums are made right.
const SEGMENT: u8 = 0;
const IDENTITY: u8 = 1;
const WITNESS: u8 = 2;
const DAMAGED: u8 = 3;
const KINDS: u8 = 4;
const MENDED: u8 = 0x80;

fn disk_with(name: &str, bytes: &[u8]) -> Arc<SimDisk> {
    let (disk, dir) = (SimDisk::new(1), Path::new(DIR));
    disk.create_dir_all(dir).unwrap();
    disk.open(&dir.join(name), Access::Create).unwrap().write_at(bytes, 0).unwrap();
    Arc::new(disk)
}

/// Whether the file is taken.
fn reads(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    let mut bytes = bytes.to_vec();
    let (mends, dir) = (kind & MENDED != 0, Path::new(DIR));
    match (kind & !MENDED) % KINDS {
        SEGMENT => {
            if mends {
                mend_segment(&mut bytes);
            }
            open_as_verified(&bytes)
        }
        other => {
            if mends && bytes.len() >= 12 {
                let sum = crc32c(&bytes[12..]);
                put_u32(&mut bytes, 8, sum);
            }
            match other {
                IDENTITY => {
                    let disk = disk_with(identity::FILE, &bytes);
                    Identity::load(&*disk, dir).is_ok()
                }
                WITNESS => guard::load_witness(&*disk_with(witness::FILE, &bytes), dir).is_ok(),
                _ => guard::damaged_parts(&*disk_with("damaged", &bytes), dir).is_ok(),
            }
        }
    }
}

/// What `verify` takes, an open takes as well, and finds the same.
pub(crate) fn open_as_verified(bytes: &[u8]) -> bool {
    let (disk, dir, marks) = (disk_with(&file_name(1), bytes), Path::new(DIR), Marks::default());
    let report = verify(&*disk, dir, &marks);
    let options = Options { segment_bytes: crate::SEGMENT_BYTES_MIN, ..Options::default() };
    let opened = open(disk.clone(), dir, options, &marks);
    let Ok(report) = report else {
        assert!(opened.is_err(), "an open takes what verify refuses");
        return false;
    };
    match opened {
        Ok((journal, _)) => {
            for (shard, state) in report.shards {
                let found = journal.log_state(shard);
                assert!(report.tail_batches > 0 || found == state, "{found:?}, {state:?}");
                let first = found.first_index.unwrap_or(0);
                drop(journal.read(shard, first..first.saturating_add(10), 1 << 20));
            }
            true
        }
        // What was perhaps never synced is looked into by an open alone.
        Err(_) => {
            assert!(report.tail_batches > 0, "an open refuses what verify takes");
            false
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Makes every checksum of a segment right, where what it is of is there.
fn mend_segment(bytes: &mut [u8]) {
    if bytes.len() < SEGMENT_HEADER_BYTES {
        return;
    }
    let mut at = u32_at(bytes, 16);
    if !(SEGMENT_HEADER_BYTES..=bytes.len()).contains(&at) {
        return;
    }
    let sum = crc32c(&bytes[12..at]);
    put_u32(bytes, 8, sum);
    let (number, salt) = (u64_at(bytes, 24), u64_at(bytes, 32));
    let seed = crc32c_append(crc32c(&number.to_le_bytes()), &salt.to_le_bytes());
    while at + BATCH_HEADER_BYTES <= bytes.len() {
        let length = u32_at(bytes, at + 8);
        let end = at + BATCH_HEADER_BYTES + length;
        if bytes[at..].starts_with(&BATCH_MAGIC) && end <= bytes.len() {
            mend_batch(&mut bytes[at..end], crc32c_append(seed, &(at as u64).to_le_bytes()));
            at = end;
        } else {
            at += 1;
        }
    }
}

fn mend_batch(batch: &mut [u8], seed: u32) {
    let body = &mut batch[BATCH_HEADER_BYTES..];
    let mut from = 0;
    while from + RECORD_HEADER_BYTES <= body.len() {
        let end = from + RECORD_HEADER_BYTES + u32_at(body, from + 4);
        if end > body.len() {
            break;
        }
        let sum = crc32c(&body[from + 4..end]);
        put_u32(body, from, sum);
        from = padded(end);
    }
    let sum = crc32c_append(seed, body);
    put_u32(batch, 32, sum);
    let sum = crc32c_append(seed, &batch[8..BATCH_HEADER_BYTES]);
    put_u32(batch, 4, sum);
}

/// A segment with a record of each kind.
fn segment() -> Vec<u8> {
    let id = |term, index| Some(LogId { term, index });
    let vote = Some(Bytes::from_static(b"vote"));
    let state = ShardState { vote, committed: id(3, 4), purged: id(2, 3) };
    let shards = BTreeMap::from([(ShardId(1), state), (ShardId::META, ShardState::default())]);
    let head = SegmentHead { number: 1, salt: 5, previous_end: 0, oldest: 1, shards };
    let mut bytes = put_segment_head(&head);
    let mut mark = Position::default();
    for batch in 0..3u64 {
        let mut buffer = vec![0; BATCH_HEADER_BYTES];
        let record = |kind, index| RecordHead {
            shard: ShardId(1),
            kind,
            entry_kind: u8::from(kind == Kind::Entry),
            term: 3,
            index,
        };
        put_record(&mut buffer, record(Kind::Entry, 4 + batch), b"payload");
        put_record(&mut buffer, record(Kind::Vote, 0), b"another vote");
        put_record(&mut buffer, record(Kind::Committed, 4), b"");
        if batch == 1 {
            put_record(&mut buffer, record(Kind::Truncate, 5), b"");
            put_record(&mut buffer, record(Kind::Entry, 5), b"again");
            put_record(&mut buffer, record(Kind::Purge, 4), b"");
        }
        let offset = bytes.len() as u64;
        let records = if batch == 1 { 6 } else { 3 };
        seal_batch(&mut buffer, records, mark, Seed::new(1, 5), offset);
        mark = Position { segment: 1, offset };
        bytes.extend(buffer);
    }
    bytes
}

fn corpus() -> Vec<Vec<u8>> {
    let identity = Identity {
        cluster: ClusterId(7),
        node: NodeId(2),
        incarnation: Incarnation { count: 3, random: 4 },
        forming: Forming::Formed,
    };
    let id = LogId { term: 3, index: 4 };
    let marks = Marks {
        synced: Some(Position { segment: 2, offset: 8 }),
        votes: BTreeMap::from([(ShardId(1), Bytes::from_static(b"vote"))]),
        checkpoints: BTreeMap::from([(ShardId(1), id), (ShardId::META, id)]),
    };
    let part = b"\x01\0\0\0\x02\0\x03\0\0\0key";
    let damaged = sealed::Kind { magic: *b"WEIRDAMG", version: 1 };
    let files = [
        (SEGMENT, segment()),
        (IDENTITY, sealed::seal(&identity::KIND, &identity.encode())),
        (WITNESS, sealed::seal(&witness::KIND, &witness::encode(&marks))),
        (DAMAGED, sealed::seal(&damaged, part)),
    ];
    let mended = files.iter().map(|(kind, file)| [&[kind | MENDED][..], file].concat());
    mended.collect()
}

/// One of the corpus with something changed: a field of it to a number at which something may end,
/// or anything.
fn make(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    const EDGES: [u64; 8] =
        [0, 1, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, u64::MAX - 1, u64::MAX, 1 << 63];
    // Segments mostly: the others are small.
    let mut input = corpus[random.below(8).saturating_sub(4) % corpus.len()].clone();
    for _ in 0..1 + random.below(3) {
        let bytes = if random.one_in(2) { 4 } else { 8 };
        if random.one_in(2) && input.len() > 16 {
            let at = 1 + random.below((input.len() - 8) / 4) * 4;
            let number =
                if random.one_in(2) { *random.pick(&EDGES) } else { random.below(64) as u64 };
            input[at..at + bytes].copy_from_slice(&number.to_le_bytes()[..bytes]);
        } else {
            random.vary(&mut input, &[]);
        }
    }
    if random.one_in(8) && !input.is_empty() {
        input[0] &= !MENDED;
    }
    input
}

#[test]
fn fuzz_journal() {
    let corpus = corpus();
    assert!(corpus.iter().all(|input| reads(input)), "all of the corpus is taken");
    let make = |random: &mut Random| make(random, &corpus);
    let corpus = corpus.clone();
    let target = Target { name: "journal", inputs_count: 100_000, corpus, make: &make };
    target.run(|| {
        |input: &[u8]| {
            reads(input);
        }
    });
}
