//! Bugs of other systems' write-ahead logs, each as a test with its name.

use base::ShardId;

use crate::format::{
    BATCH_HEADER_BYTES, Kind, RECORD_HEADER_BYTES, RecordHead, Seed, SegmentHead, put_record,
    put_segment_head, seal_batch,
};
use crate::fuzz::open_as_verified;
use crate::types::Position;

const SALT: u64 = 5;

/// A segment with one batch, said to be of so many records.
fn segment(records: u32, body: &[u8]) -> Vec<u8> {
    let shards = Default::default();
    let head = SegmentHead { number: 1, salt: SALT, previous_end: 0, oldest: 1, shards };
    let mut bytes = put_segment_head(&head);
    let offset = bytes.len() as u64;
    let batch = [&[0; BATCH_HEADER_BYTES], body].concat();
    // The second batch states that the first was synced, so that what is wrong is damage.
    for (records, mut batch) in [(records, batch), (0, vec![0; BATCH_HEADER_BYTES])] {
        let at = bytes.len() as u64;
        let mark = Position { segment: 1, offset: if records == 0 { at } else { offset } };
        seal_batch(&mut batch, records, mark, Seed::new(1, SALT), at);
        bytes.extend(batch);
    }
    bytes
}

fn record(index: u64, payload: &[u8]) -> Vec<u8> {
    let head = RecordHead { shard: ShardId(1), kind: Kind::Entry, entry_kind: 1, term: 1, index };
    let mut bytes = Vec::new();
    put_record(&mut bytes, head, payload);
    bytes
}

/// A length in a record above what is there took as much memory as it said.
#[test]
fn cve_2020_15106_a_record_of_an_absurd_length_is_damage() {
    assert!(open_as_verified(&segment(1, &record(1, b"payload"))));
    for length in [8u32, 0x7fff_ffff, u32::MAX] {
        let mut body = record(1, b"payload");
        body[4..8].copy_from_slice(&length.to_le_bytes());
        assert!(!open_as_verified(&segment(1, &body)), "a length of {length}");
    }
    // And one whose padding is missing, with another said to follow.
    let mut body = record(1, b"payload");
    body.truncate(RECORD_HEADER_BYTES + 7);
    assert!(!open_as_verified(&segment(2, &body)));
}

/// An index at the end of what a number can be ended the process, again at each start.
#[test]
fn cve_2020_15112_an_entry_of_an_absurd_index_is_damage() {
    assert!(open_as_verified(&segment(1, &record(u64::MAX - 1, b"payload"))));
    assert!(!open_as_verified(&segment(1, &record(u64::MAX, b"payload"))));
    let jump = [record(1, b"payload"), record(1 << 60, b"payload")].concat();
    assert!(!open_as_verified(&segment(2, &jump)));
}
