//! Chunks of any bytes as a peer's snapshot: whole or refused, nothing panics, and what is taken can be
//! named. Checksums are mostly made right first. Never an install: that is `tests.rs`.

use ::fuzz::feed_varied;
use store::Memory;

use super::*;
use crate::types::log_id;

const SHARD: ShardId = ShardId(3);
/// Between chunks.
const BETWEEN: &[u8] = b"\xfe\xff|";
/// As an input's first byte: checksums are made right.
const MENDED: u8 = 1;

fn pieces(input: &[u8]) -> Vec<Vec<u8>> {
    let (mut pieces, mut rest) = (Vec::new(), input);
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        pieces.push(rest[..at].to_vec());
        rest = &rest[at + BETWEEN.len()..];
    }
    pieces.push(rest.to_vec());
    pieces
}

/// The checksum of the last chunk over all parts, and each chunk's own.
fn mend(chunks: &mut [Vec<u8>]) {
    let (mut count, mut sum) = (0u64, 0);
    for chunk in chunks {
        match chunk.get(..2) {
            Some([1, TAG_PARTS]) => {
                let mut reader = Reader { what: "chunk", rest: &chunk[2..] };
                for _ in 0..reader.u32().unwrap_or(0) {
                    let mut next = || -> Result<(), DecodeError> {
                        let bytes = reader.u16()?;
                        sum = crc32c_append(sum, reader.take(bytes.into())?);
                        let bytes = reader.u32()?;
                        sum = crc32c_append(sum, reader.take(bytes as usize)?);
                        Ok(())
                    };
                    if next().is_err() {
                        break;
                    }
                    count += 1;
                }
            }
            Some([1, TAG_END]) if chunk.len() >= 14 => {
                chunk[2..10].copy_from_slice(&count.to_le_bytes());
                chunk[10..14].copy_from_slice(&sum.to_le_bytes());
            }
            _ => {}
        }
        let crc = crc32c(chunk);
        chunk.put_u32_le(crc);
    }
}

/// Whether the chunks are a snapshot.
fn takes(input: &[u8]) -> bool {
    let Some((kind, input)) = input.split_first() else { return false };
    let mut chunks = pieces(input);
    if kind & MENDED != 0 {
        mend(&mut chunks);
    }
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let mut writer = SnapshotWriter::without_replica(store, SHARD);
    for chunk in chunks {
        if writer.accept(&Bytes::from(chunk)).is_err() {
            return false;
        }
    }
    let Ok(staged) = writer.finish() else { return false };
    staged.position().expect("a root that was taken decodes");
    true
}

fn corpus() -> Vec<Vec<u8>> {
    let part = |key: &[u8], value: &[u8]| {
        let mut part = (key.len() as u16).to_le_bytes().to_vec();
        part.extend_from_slice(key);
        part.extend_from_slice(&(value.len() as u32).to_le_bytes());
        part.extend_from_slice(value);
        part
    };
    let parts = |parts: &[Vec<u8>]| {
        let count = (parts.len() as u32).to_le_bytes();
        [&[1, TAG_PARTS], &count[..], &parts.concat()].concat()
    };
    let meta = SnapshotMeta { last_log_id: Some(log_id(2, 9)), ..SnapshotMeta::default() };
    let root = RootMeta::encode(&meta, b"header");
    let end = [&[1, TAG_END], &[0; 12][..], &root].concat();
    let first = parts(&[part(b"a", b"one"), part(b"b", &[7; 700])]);
    let second = parts(&[part(b"c", b"")]);
    let with = |chunks: &[&[u8]]| [&[MENDED][..], &chunks.join(BETWEEN)].concat();
    vec![with(&[&first, &second, &end]), with(&[&first, &end]), with(&[&end])]
}

#[test]
fn fuzz_snapshots() {
    feed_varied("snapshots", 100_000, &corpus(), takes);
}
