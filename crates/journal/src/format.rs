//! The bytes of a segment file. Pure: never touches a file.
//!
//! ```text
//! segment:  header | batch | batch | ... | zeros, or what an earlier life of the file left
//! header:   magic 8 | crc 4 | version 4 | length 4 | shards 4 | number 8 | salt 8
//!           | previous end 8 | oldest 8 | shard states
//! state:    shard 2 | flags 1 | 0 1 | vote length 4 | committed term 8, index 8
//!           | purged term 8, index 8 | vote, padded to 8
//! batch:    magic 4 | header crc 4 | length 4 | records 4 | mark segment 8 | mark offset 8
//!           | records crc 4 | version 4 | records
//! record:   crc 4 | length 4 | shard 2 | kind 1 | entry kind 1 | 0 4 | term 8 | index 8
//!           | payload, padded to 8
//! ```
//!
//! All numbers are little endian. Everything starts at a multiple of 8, so that a reader who lost
//! the thread finds the next batch. A batch's two checksums are seeded with the segment's number
//! and salt and with the batch's offset: what an earlier life left in a recycled file never looks
//! valid, and no payload can pass for a batch.

use std::collections::BTreeMap;

use base::ShardId;
use base::sum::{crc32c, crc32c_append};
use bytes::Bytes;

use crate::types::{LogId, Position};

/// What the files are written as. A reader refuses what is above.
pub(crate) const VERSION: u32 = 1;
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"WEIRJRNL";
pub(crate) const BATCH_MAGIC: [u8; 4] = *b"WJBA";
/// The fixed part of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 56;
pub(crate) const BATCH_HEADER_BYTES: usize = 40;
pub(crate) const RECORD_HEADER_BYTES: usize = 32;
/// The fixed part of a shard's state in a segment's header.
const STATE_BYTES: usize = 40;
/// Where everything begins at a multiple of.
pub(crate) const ALIGN: usize = 8;

const HAS_VOTE: u8 = 1;
const HAS_COMMITTED: u8 = 2;
const HAS_PURGED: u8 = 4;

/// What a record says. The numbers are on disk: never used for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A Raft entry.
    Entry = 1,
    /// A vote; term and index are 0.
    Vote = 2,
    /// Entries at `index` and above are gone.
    Truncate = 3,
    /// Entries up to and with `index` are gone; `term` is that entry's.
    Purge = 4,
    /// The commit position.
    Committed = 5,
}

impl Kind {
    fn from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Entry,
            2 => Self::Vote,
            3 => Self::Truncate,
            4 => Self::Purge,
            5 => Self::Committed,
            _ => return None,
        })
    }
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) shard: ShardId,
    pub(crate) kind: Kind,
    /// Raft's own kind of an entry; 0 otherwise.
    pub(crate) entry_kind: u8,
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// What a segment's header keeps of a shard, so that older segments can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardState {
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
}

/// The states of all shards.
pub(crate) type ShardStates = BTreeMap<ShardId, ShardState>;

/// A segment's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Its place in the order of segments, from 1. The file's name says the same.
    pub(crate) number: u64,
    /// Bits drawn for this life of the file.
    pub(crate) salt: u64,
    /// Where the segment before ends: all of it below is synced, nothing above counts.
    pub(crate) previous_end: u64,
    /// The oldest segment that was still needed.
    pub(crate) oldest: u64,
    /// The shards as of the end of the segment before.
    pub(crate) shards: ShardStates,
}

/// A batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// Bytes of records.
    pub(crate) length: u32,
    pub(crate) records: u32,
    /// Known to be synced before this batch was written.
    pub(crate) mark: Position,
    pub(crate) records_crc: u32,
}

/// Why bytes aren't what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("{0}")]
    Bytes(&'static str),
    #[error("format version {0} is newer than this program")]
    Newer(u32),
}

const fn bad(what: &'static str) -> Bad {
    Bad::Bytes(what)
}

/// `bytes` rounded up to where the next thing begins.
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

/// What the checksums of a segment's batches start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(number: u64, salt: u64) -> Self {
        Self(crc32c_append(crc32c(&number.to_le_bytes()), &salt.to_le_bytes()))
    }

    fn at(self, offset: u64) -> u32 {
        crc32c_append(self.0, &offset.to_le_bytes())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("limits keep everything in a segment below 4 GiB")
}

// --- records ---

/// Appends a record to `to` and returns where its header begins.
pub(crate) fn put_record(to: &mut Vec<u8>, head: RecordHead, payload: &[u8]) -> usize {
    let start = to.len();
    let mut fixed = [0u8; RECORD_HEADER_BYTES];
    fixed[4..8].copy_from_slice(&length_u32(payload.len()).to_le_bytes());
    fixed[8..10].copy_from_slice(&head.shard.0.to_le_bytes());
    fixed[10] = head.kind as u8;
    fixed[11] = head.entry_kind;
    fixed[16..24].copy_from_slice(&head.term.to_le_bytes());
    fixed[24..32].copy_from_slice(&head.index.to_le_bytes());
    to.reserve(RECORD_HEADER_BYTES + padded(payload.len()));
    to.extend_from_slice(&fixed);
    to.extend_from_slice(payload);
    let crc = crc32c(&to[start + 4..]);
    to[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    to.resize(start + RECORD_HEADER_BYTES + padded(payload.len()), 0);
    start
}

/// Reads the record at the start of `bytes`: its head and the length of its payload, which
/// follows the header. The checksum has been verified.
pub(crate) fn get_record(bytes: &[u8]) -> Result<(RecordHead, usize), Bad> {
    let fixed = bytes.get(..RECORD_HEADER_BYTES).ok_or(bad("a record is cut"))?;
    let length = u32_at(fixed, 4) as usize;
    let whole = bytes.get(..RECORD_HEADER_BYTES + length).ok_or(bad("a record is cut"))?;
    if u32_at(fixed, 0) != crc32c(&whole[4..]) {
        return Err(bad("a record's checksum is wrong"));
    }
    let head = RecordHead {
        shard: ShardId(u16::from_le_bytes([fixed[8], fixed[9]])),
        kind: Kind::from_u8(fixed[10]).ok_or(bad("a record of an unknown kind"))?,
        entry_kind: fixed[11],
        term: u64_at(fixed, 16),
        index: u64_at(fixed, 24),
    };
    Ok((head, length))
}

// --- batches ---

/// Writes the header of the batch `buffer` (whose first bytes are kept free for it).
pub(crate) fn seal_batch(buffer: &mut [u8], records: u32, mark: Position, seed: Seed, offset: u64) {
    let (head, body) = buffer.split_at_mut(BATCH_HEADER_BYTES);
    let seed = seed.at(offset);
    head[0..4].copy_from_slice(&BATCH_MAGIC);
    head[8..12].copy_from_slice(&length_u32(body.len()).to_le_bytes());
    head[12..16].copy_from_slice(&records.to_le_bytes());
    head[16..24].copy_from_slice(&mark.segment.to_le_bytes());
    head[24..32].copy_from_slice(&mark.offset.to_le_bytes());
    head[32..36].copy_from_slice(&crc32c_append(seed, body).to_le_bytes());
    head[36..40].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32c_append(seed, &head[8..]);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the batch header at the start of `bytes`; none where there is no valid one.
pub(crate) fn get_batch_head(bytes: &[u8], seed: Seed, offset: u64) -> Option<BatchHead> {
    let head = bytes.get(..BATCH_HEADER_BYTES)?;
    if head[0..4] != BATCH_MAGIC || u32_at(head, 4) != crc32c_append(seed.at(offset), &head[8..]) {
        return None;
    }
    Some(BatchHead {
        length: u32_at(head, 8),
        records: u32_at(head, 12),
        mark: Position { segment: u64_at(head, 16), offset: u64_at(head, 24) },
        records_crc: u32_at(head, 32),
    })
}

/// The records of the batch at the start of `bytes`, whose header is `head`; none where they
/// aren't what was written.
pub(crate) fn get_batch_body(
    bytes: &[u8],
    head: BatchHead,
    seed: Seed,
    offset: u64,
) -> Option<&[u8]> {
    let body = bytes.get(BATCH_HEADER_BYTES..)?.get(..head.length as usize)?;
    (crc32c_append(seed.at(offset), body) == head.records_crc).then_some(body)
}

// --- segment headers ---

fn put_log_id(to: &mut Vec<u8>, id: Option<LogId>) {
    let id = id.unwrap_or_default();
    to.extend_from_slice(&id.term.to_le_bytes());
    to.extend_from_slice(&id.index.to_le_bytes());
}

fn put_state(to: &mut Vec<u8>, shard: ShardId, state: &ShardState) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let vote = state.vote.as_deref().unwrap_or_default();
    to.extend_from_slice(&shard.0.to_le_bytes());
    to.push(
        flag(state.vote.is_some(), HAS_VOTE)
            | flag(state.committed.is_some(), HAS_COMMITTED)
            | flag(state.purged.is_some(), HAS_PURGED),
    );
    to.push(0);
    to.extend_from_slice(&length_u32(vote.len()).to_le_bytes());
    put_log_id(to, state.committed);
    put_log_id(to, state.purged);
    to.extend_from_slice(vote);
    to.resize(padded(to.len()), 0);
}

/// The bytes of a segment's header. The first batch follows.
pub(crate) fn put_segment_head(head: &SegmentHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES + head.shards.len() * 64);
    bytes.extend_from_slice(&SEGMENT_MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&length_u32(head.shards.len()).to_le_bytes());
    for number in [head.number, head.salt, head.previous_end, head.oldest] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for (shard, state) in &head.shards {
        put_state(&mut bytes, *shard, state);
    }
    let length = length_u32(bytes.len());
    bytes[16..20].copy_from_slice(&length.to_le_bytes());
    let crc = crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// How long the header says it is, where so much of it is there: not verified.
pub(crate) fn segment_head_length(bytes: &[u8]) -> u64 {
    let fixed = bytes.get(..SEGMENT_HEADER_BYTES);
    fixed.map_or(0, |fixed| u64::from(u32_at(fixed, 16))).max(SEGMENT_HEADER_BYTES as u64)
}

/// Reads a segment's header and says where the first batch begins.
pub(crate) fn get_segment_head(bytes: &[u8]) -> Result<(SegmentHead, u64), Bad> {
    let fixed = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(bad("the segment's header is cut"))?;
    if fixed[..8] != SEGMENT_MAGIC {
        return Err(bad("not a segment of a journal"));
    }
    let length = u32_at(fixed, 16) as usize;
    let all = bytes.get(..length).filter(|all| all.len() >= SEGMENT_HEADER_BYTES);
    let all = all.ok_or(bad("the segment's header is cut"))?;
    if u32_at(fixed, 8) != crc32c(&all[12..]) {
        return Err(bad("the checksum of the segment's header is wrong"));
    }
    if u32_at(fixed, 12) > VERSION {
        return Err(Bad::Newer(u32_at(fixed, 12)));
    }
    let shards = get_states(&all[SEGMENT_HEADER_BYTES..], u32_at(fixed, 20))?;
    let head = SegmentHead {
        number: u64_at(fixed, 24),
        salt: u64_at(fixed, 32),
        previous_end: u64_at(fixed, 40),
        oldest: u64_at(fixed, 48),
        shards,
    };
    Ok((head, length as u64))
}

fn get_states(mut bytes: &[u8], count: u32) -> Result<ShardStates, Bad> {
    let mut shards = ShardStates::new();
    for _ in 0..count {
        let fixed = bytes.get(..STATE_BYTES).ok_or(bad("a shard's state is cut"))?;
        let flags = fixed[2];
        let vote_length = u32_at(fixed, 4) as usize;
        let vote = bytes[STATE_BYTES..].get(..vote_length).ok_or(bad("a shard's state is cut"))?;
        let id = |at: usize| LogId { term: u64_at(fixed, at), index: u64_at(fixed, at + 8) };
        let state = ShardState {
            vote: (flags & HAS_VOTE != 0).then(|| Bytes::copy_from_slice(vote)),
            committed: (flags & HAS_COMMITTED != 0).then(|| id(8)),
            purged: (flags & HAS_PURGED != 0).then(|| id(24)),
        };
        shards.insert(ShardId(u16::from_le_bytes([fixed[0], fixed[1]])), state);
        let used = STATE_BYTES + padded(vote_length);
        bytes = bytes.get(used..).ok_or(bad("a shard's state is cut"))?;
    }
    Ok(shards)
}

#[cfg(test)]
mod tests;
