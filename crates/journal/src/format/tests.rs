//! Golden bytes: what is on disks must stay readable. A test that fails here means a new format
//! version, never new bytes in this file.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

const RECORD: RecordHead = RecordHead {
    shard: ShardId(0x0102),
    kind: Kind::Entry,
    entry_kind: 9,
    term: 0x0304,
    index: 0x0506,
};

fn segment_head() -> SegmentHead {
    let id = |term, index| Some(LogId { term, index });
    let whole = ShardState {
        vote: Some(Bytes::from_static(b"vote")),
        committed: id(3, 40),
        purged: id(2, 30),
    };
    let shards = BTreeMap::from([(ShardId(1), whole), (ShardId::META, ShardState::default())]);
    SegmentHead { number: 7, salt: 0xfeed, previous_end: 4096, oldest: 5, shards }
}

#[test]
fn golden_record() {
    let mut bytes = Vec::new();
    put_record(&mut bytes, RECORD, b"payload");
    assert_eq!(hex(&bytes), include_str!("golden/record.hex").trim());
    assert_eq!(get_record(&bytes), Ok((RECORD, 7)));
}

#[test]
fn golden_batch() {
    let mut bytes = vec![0; BATCH_HEADER_BYTES];
    put_record(&mut bytes, RECORD, b"payload");
    put_record(&mut bytes, RecordHead { kind: Kind::Truncate, entry_kind: 0, ..RECORD }, b"");
    let mark = Position { segment: 7, offset: 1000 };
    let seed = Seed::new(7, 0xfeed);
    seal_batch(&mut bytes, 2, mark, seed, 2048);
    assert_eq!(hex(&bytes), include_str!("golden/batch.hex").trim());
    let head = get_batch_head(&bytes, seed, 2048).expect("valid");
    assert_eq!((head.records, head.mark), (2, mark));
    assert_eq!(get_batch_body(&bytes, head, seed, 2048), Some(&bytes[BATCH_HEADER_BYTES..]));
    for (seed, offset) in [(Seed::new(6, 0xfeed), 2048), (Seed::new(7, 0xfeee), 2048), (seed, 2056)]
    {
        assert_eq!(get_batch_head(&bytes, seed, offset), None, "of another life or place");
    }
}

#[test]
fn golden_segment_header() {
    let bytes = put_segment_head(&segment_head());
    assert_eq!(hex(&bytes), include_str!("golden/segment-header.hex").trim());
    assert_eq!(get_segment_head(&bytes), Ok((segment_head(), bytes.len() as u64)));
}

#[test]
fn golden_identity_and_witness() {
    use crate::guard::golden::{identity, witness};
    assert_eq!(hex(&identity()), include_str!("golden/identity.hex").trim());
    assert_eq!(hex(&witness()), include_str!("golden/witness.hex").trim());
}

#[test]
fn every_kind_has_its_number() {
    for (kind, number) in [
        (Kind::Entry, 1),
        (Kind::Vote, 2),
        (Kind::Truncate, 3),
        (Kind::Purge, 4),
        (Kind::Committed, 5),
    ] {
        assert_eq!(kind as u8, number);
        assert_eq!(Kind::from_u8(number), Some(kind));
    }
    assert_eq!(Kind::from_u8(0), None);
    assert_eq!(Kind::from_u8(6), None);
}

#[test]
fn any_bytes_are_refused_and_never_panic() {
    proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300))| {
        let _ = get_record(&bytes);
        let _ = get_segment_head(&bytes);
        proptest::prop_assert!(get_batch_head(&bytes, Seed::new(1, 1), 0).is_none());
    });
}

#[test]
fn a_segment_header_with_any_byte_changed_or_cut_is_refused() {
    let whole = put_segment_head(&segment_head());
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        assert!(get_segment_head(&bytes).is_err(), "byte {at}");
        assert!(get_segment_head(&whole[..at]).is_err(), "cut at {at}");
    }
}
