//! Keys of the parts of a shard's state in a checkpoint. What is inside each stands in
//! `checkpoint`.
//!
//! ```text
//! "s" stream u64                          prefix of everything of a stream
//! "s" stream 1                            its name and counters
//! "s" stream 2 chunk u64                  a chunk of its block index
//! "s" stream 3                            its open block
//! "s" stream 4 group u64                  prefix of everything of a group
//! "s" stream 4 group 1                    its name, place and consumers
//! "s" stream 4 group 2 chunk u64          a chunk of its pending entries
//! "s" stream 5 block u64                  a sealed block
//! "s" stream 6 chunk u64                  a chunk of what its producers added
//! "s" stream 60                           when it expires
//! "s" stream 61                           its number for WATCH
//! "x" node u64                            what is known of a gateway
//! ```
//! Numbers are big-endian, so that keys sort as what they name does.

use base::NodeId;
use bytes::Bytes;

use crate::group::GroupNumber;
use crate::id::{BlockKey, BlockNumber, StreamNumber};

const STREAM: u8 = b's';
const SESSION: u8 = b'x';

const META: u8 = 1;
const INDEX: u8 = 2;
const TAIL: u8 = 3;
const GROUP: u8 = 4;
const BLOCK: u8 = 5;
const PRODUCED: u8 = 6;
const EXPIRY: u8 = 60;
const WATCH: u8 = 61;

const GROUP_META: u8 = 1;
const GROUP_PENDING: u8 = 2;

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKey {
    Stream(StreamNumber),
    IndexChunk(StreamNumber, u64),
    Tail(StreamNumber),
    Group(StreamNumber, GroupNumber),
    PendingChunk(StreamNumber, GroupNumber, u64),
    Block(BlockKey),
    Expiry(StreamNumber),
    Watch(StreamNumber),
    ProducedChunk(StreamNumber, u64),
    Session(NodeId),
}

impl PartKey {
    pub(crate) fn encode(self) -> Bytes {
        let mut key = Vec::with_capacity(27);
        match self {
            Self::Session(node) => {
                key.push(SESSION);
                key.extend_from_slice(&node.0.to_be_bytes());
            }
            Self::Stream(stream) => put(&mut key, stream, META, &[]),
            Self::IndexChunk(stream, chunk) => put(&mut key, stream, INDEX, &[chunk]),
            Self::Tail(stream) => put(&mut key, stream, TAIL, &[]),
            Self::Group(stream, group) => {
                put(&mut key, stream, GROUP, &[group.0]);
                key.push(GROUP_META);
            }
            Self::PendingChunk(stream, group, chunk) => {
                put(&mut key, stream, GROUP, &[group.0]);
                key.push(GROUP_PENDING);
                key.extend_from_slice(&chunk.to_be_bytes());
            }
            Self::Expiry(stream) => put(&mut key, stream, EXPIRY, &[]),
            Self::Watch(stream) => put(&mut key, stream, WATCH, &[]),
            Self::Block(block) => put(&mut key, block.stream, BLOCK, &[block.block.0]),
            Self::ProducedChunk(stream, chunk) => put(&mut key, stream, PRODUCED, &[chunk]),
        }
        Bytes::from(key)
    }

    pub(crate) fn decode(key: &[u8]) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        let (number, rest) = split_number(rest)?;
        if *first == SESSION {
            return rest.is_empty().then_some(Self::Session(NodeId(number)));
        }
        let stream = StreamNumber(number);
        let (kind, rest) = rest.split_first().filter(|_| *first == STREAM)?;
        match (*kind, rest.is_empty()) {
            (META, true) => return Some(Self::Stream(stream)),
            (TAIL, true) => return Some(Self::Tail(stream)),
            (EXPIRY, true) => return Some(Self::Expiry(stream)),
            (WATCH, true) => return Some(Self::Watch(stream)),
            _ => {}
        }
        let (number, rest) = split_number(rest)?;
        match (*kind, rest.split_first()) {
            (INDEX, None) => Some(Self::IndexChunk(stream, number)),
            (PRODUCED, None) => Some(Self::ProducedChunk(stream, number)),
            (BLOCK, None) => Some(Self::Block(BlockKey { stream, block: BlockNumber(number) })),
            (GROUP, Some((&GROUP_META, []))) => Some(Self::Group(stream, GroupNumber(number))),
            (GROUP, Some((&GROUP_PENDING, rest))) => match split_number(rest)? {
                (chunk, []) => Some(Self::PendingChunk(stream, GroupNumber(number), chunk)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The front of everything of all streams.
pub(crate) fn streams_prefix() -> Bytes {
    Bytes::from_static(&[STREAM])
}

fn put(key: &mut Vec<u8>, stream: StreamNumber, kind: u8, numbers: &[u64]) {
    key.push(STREAM);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.push(kind);
    for number in numbers {
        key.extend_from_slice(&number.to_be_bytes());
    }
}

fn split_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// The key under which a sealed block is stored; its value is [`crate::block::Block::bytes`].
pub fn block_part_key(block: BlockKey) -> Bytes {
    PartKey::Block(block).encode()
}

/// Whether a key is that of a sealed block, which [`crate::State::load`] doesn't want.
pub fn is_block_part(key: &[u8]) -> bool {
    matches!(PartKey::decode(key), Some(PartKey::Block(_)))
}

/// The block that a key is of.
pub fn block_of_part(key: &[u8]) -> Option<BlockKey> {
    match PartKey::decode(key) {
        Some(PartKey::Block(block)) => Some(block),
        _ => None,
    }
}

/// What all parts of a stream begin with.
pub(crate) fn stream_prefix(stream: StreamNumber) -> Bytes {
    let mut prefix = vec![STREAM];
    prefix.extend_from_slice(&stream.0.to_be_bytes());
    Bytes::from(prefix)
}

/// What all parts of a group begin with.
pub(crate) fn group_prefix(stream: StreamNumber, group: GroupNumber) -> Bytes {
    let mut prefix = Vec::with_capacity(18);
    put(&mut prefix, stream, GROUP, &[group.0]);
    Bytes::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_have_the_bytes_that_are_described() {
        let (stream, group) = (StreamNumber(0x0102), GroupNumber(3));
        let block = BlockKey { stream, block: BlockNumber(9) };
        let keys: [(PartKey, &[u8]); 8] = [
            (PartKey::Stream(stream), b"s\0\0\0\0\0\0\x01\x02\x01"),
            (PartKey::IndexChunk(stream, 7), b"s\0\0\0\0\0\0\x01\x02\x02\0\0\0\0\0\0\0\x07"),
            (PartKey::Tail(stream), b"s\0\0\0\0\0\0\x01\x02\x03"),
            (PartKey::Group(stream, group), b"s\0\0\0\0\0\0\x01\x02\x04\0\0\0\0\0\0\0\x03\x01"),
            (
                PartKey::PendingChunk(stream, group, 5),
                b"s\0\0\0\0\0\0\x01\x02\x04\0\0\0\0\0\0\0\x03\x02\0\0\0\0\0\0\0\x05",
            ),
            (PartKey::Block(block), b"s\0\0\0\0\0\0\x01\x02\x05\0\0\0\0\0\0\0\x09"),
            (PartKey::ProducedChunk(stream, 8), b"s\0\0\0\0\0\0\x01\x02\x06\0\0\0\0\0\0\0\x08"),
            (PartKey::Session(NodeId(1)), b"x\0\0\0\0\0\0\0\x01"),
        ];
        for (key, bytes) in keys {
            assert_eq!(&key.encode()[..], bytes);
            assert_eq!(PartKey::decode(bytes), Some(key));
            assert_eq!(PartKey::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert!(is_block_part(&block_part_key(block)));
    }
}
