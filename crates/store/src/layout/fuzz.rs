//! Bytes of any kind for everything that stands in sled: what reads has one spelling, what doesn't is
//! bad, nothing panics. Frames are made right around what was changed, or nothing within would be
//! reached. Never sled itself: `on_sled/tests` damages its file.

use ::fuzz::feed_varied;
use base::ShardId;

use super::catalogue::{self, Shelf};
use super::entry::Entry;
use super::root::RootRecord;
use super::sum::Sum;
use super::{Version, change, chunk, dropped, entry, format, frame, unframe};

const KEY: &[u8] = b"key";

/// Whether it reads as what its first byte says it is.
fn reads(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    let framed = frame(KEY, bytes);
    assert_eq!(unframe(KEY, &framed), Ok(bytes));
    let again = |read: Option<Vec<u8>>| {
        if let Some(spelt) = &read {
            assert_eq!(spelt, bytes, "it has another spelling");
        }
        read.is_some()
    };
    match kind % 11 {
        0 => again(RootRecord::decode(bytes).ok().map(|root| root.encode())),
        1 => again(Entry::decode(bytes).ok().map(|entry| entry.encode())),
        2 => again(entry::decode_key(bytes).ok().map(|(name, version)| entry::key(&name, version))),
        3 => change::decode(bytes).is_ok_and(|names| {
            let names_then: Vec<_> = change::encode(&names)
                .iter()
                .flat_map(|record| change::decode(record).expect("it was just written"))
                .collect();
            assert_eq!(names_then, names);
            true
        }),
        4 => change::decode_key(bytes).is_ok(),
        5 => {
            let key = of_kind(dropped::KIND, bytes);
            let read = dropped::decode_key(&key).map(|(of, at)| dropped::key(of, at));
            read.is_ok_and(|again| again == key || panic!("it has another spelling"))
        }
        6 => {
            let key = of_kind(chunk::KIND, bytes);
            let read = chunk::decode_key(&key).map(|(of, at, piece)| chunk::key(of, at, piece));
            read.is_ok_and(|again| again == key || panic!("it has another spelling"))
        }
        7 => again(Sum::decode(bytes).ok().map(Sum::encode)),
        8 => Shelf::decode(bytes).is_ok(),
        9 => catalogue::decode_tree_name(bytes).is_some() | catalogue::decode_key(bytes).is_ok(),
        _ => format::newer(bytes).is_ok() | unframe(KEY, bytes).is_ok(),
    }
}

/// Under the kind that whoever looks for such keys has found them by.
fn of_kind(kind: u8, key: &[u8]) -> Vec<u8> {
    [&[kind], key.get(1..).unwrap_or_default()].concat()
}

fn corpus() -> Vec<Vec<u8>> {
    let version = Version { number: 258, life: 3 };
    let names = [entry::part_name(b"k\0y"), entry::meta_name()];
    let root = RootRecord {
        version,
        passed_over: vec![Version { number: 257, life: 3 }],
        meta: Some(b"meta".to_vec()),
    };
    let mut sum = Sum::default();
    sum.add(b"\x05some key");
    let things = [
        (0, root.encode()),
        (1, Entry::Here(b"value".to_vec()).encode()),
        (1, Entry::Chunks { sequence: 1, chunks: 2, bytes: 7000 }.encode()),
        (2, entry::key(&names[0], version)),
        (3, change::encode(&names).concat()),
        (4, change::key(version, 7)),
        (5, dropped::key(version, 7)),
        (6, chunk::key(version, 7, 9)),
        (7, sum.encode()),
        (8, Shelf { generation: 5, rooted: true }.encode()),
        (9, catalogue::key(ShardId(258)).to_vec()),
        (9, catalogue::tree_name(ShardId(258), 5).into_bytes()),
        (10, format::encode()),
        (10, frame(KEY, b"payload")),
    ];
    things.iter().map(|(kind, bytes)| [&[*kind][..], bytes].concat()).collect()
}

#[test]
fn fuzz_layout() {
    feed_varied("layout", 100_000, &corpus(), reads);
}
