//! Blocks: the unit in which entries are stored, cached, trimmed with `~` and counted by XINFO.
//! What a block holds never changes once it is sealed; what was deleted from it stands elsewhere.
//!
//! ```text
//! block:  version 1 u8 | entries u16 | base ms u64 | base seq u64 | last ms u64 | last seq u64
//!         | entry ...                                               (fixed numbers little-endian)
//! entry:  length of the rest | ms − base's | seq (− base's where ms is base's) | texts count
//!         | length, bytes of each text: name, value, name, value    (numbers LEB128)
//! ```
//! `base` is the id of the first entry that the block ever had.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::code::{Put, number_len, read_number};
use crate::error::Fault;
use crate::id::{BlockKey, EntryId};
use crate::{wire, work};

/// Sealed blocks handed in for one call.
pub type Blocks = BTreeMap<BlockKey, Arc<Block>>;

const VERSION: u8 = 1;

/// Bytes before the first entry.
pub(crate) const HEADER_BYTES: usize = 35;

/// A sealed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    bytes: Bytes,
    entries: u16,
    base: EntryId,
    last: EntryId,
}

impl Block {
    /// Takes what [`Block::bytes`] gave. Everything is checked, nothing is copied. A [`Fault`] for
    /// bytes that no block has.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        let damaged = |detail: &str| Fault::Damaged { what: "block", detail: detail.to_owned() };
        let header = bytes.get(..HEADER_BYTES).ok_or_else(|| damaged("too short"))?;
        if header[0] != VERSION {
            return Err(damaged("unknown version"));
        }
        let block = Self {
            bytes: bytes.clone(),
            entries: u16::from_le_bytes([header[1], header[2]]),
            base: EntryId { ms: u64_at(header, 3), seq: u64_at(header, 11) },
            last: EntryId { ms: u64_at(header, 19), seq: u64_at(header, 27) },
        };
        block.check().map_err(damaged)?;
        Ok(block)
    }

    /// Whether the entries are as many as the header says, whole, and in order.
    fn check(&self) -> Result<(), &'static str> {
        if self.entries == 0 || usize::from(self.entries) > crate::limits::BLOCK_ENTRIES_MAX {
            return Err("count of entries");
        }
        let mut entries = self.entries();
        let mut previous = None;
        for entry in entries.by_ref() {
            if previous.is_some_and(|previous| entry.id <= previous) {
                return Err("ids out of order");
            }
            if previous.is_none() && entry.id != self.base {
                return Err("first id");
            }
            if !texts_are_whole(entry.texts, entry.texts_count) {
                return Err("texts");
            }
            previous = Some(entry.id);
        }
        let whole = entries.at == self.bytes.len() && entries.position == self.entries;
        if whole && previous == Some(self.last) { Ok(()) } else { Err("entries") }
    }

    /// Its encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Entries, those deleted since included.
    pub fn entries_count(&self) -> usize {
        usize::from(self.entries)
    }

    /// A checksum of what it holds.
    pub(crate) fn checksum(&self) -> u64 {
        xxh3_64(&self.bytes)
    }

    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries { bytes: &self.bytes, at: HEADER_BYTES, base: self.base, position: 0 }
    }

    /// The texts of one of its entries, as slices of the block.
    pub(crate) fn texts(&self, entry: &RawEntry<'_>) -> Vec<Bytes> {
        texts_of(entry.texts, entry.texts_count, |text| self.bytes.slice_ref(text))
    }
}

/// An entry inside a block, not taken apart yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEntry<'a> {
    pub(crate) id: EntryId,
    /// Its place in the block, from 0, deleted ones counted.
    pub(crate) position: u16,
    texts_count: usize,
    texts: &'a [u8],
}

impl RawEntry<'_> {
    /// What it takes in a reply.
    pub(crate) fn wire_bytes(&self) -> u64 {
        let lengths = texts(self.texts).map(|text| text.len() as u64);
        wire::entry(self.id, self.texts_count as u64, lengths)
    }
}

/// The entries of a block in order, deleted ones included. Ends early at damage.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    base: EntryId,
    position: u16,
}

impl<'a> Iterator for Entries<'a> {
    type Item = RawEntry<'a>;

    fn next(&mut self) -> Option<RawEntry<'a>> {
        work::step();
        let (length, used) = read_number(self.bytes.get(self.at..)?)?;
        let start = self.at + used;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let mut rest = self.bytes.get(start..end)?;
        let mut number = || {
            let (value, used) = read_number(rest)?;
            rest = &rest[used..];
            Some(value)
        };
        let (ms, seq, texts_count) = (number()?, number()?, number()?);
        let base_seq = if ms == 0 { self.base.seq } else { 0 };
        let entry = RawEntry {
            id: EntryId { ms: self.base.ms.checked_add(ms)?, seq: base_seq.checked_add(seq)? },
            position: self.position,
            texts_count: usize::try_from(texts_count).ok()?,
            texts: rest,
        };
        self.at = end;
        self.position = self.position.checked_add(1)?;
        Some(entry)
    }
}

/// Each text of an entry. Ends early at damage.
fn texts(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, used) = read_number(rest)?;
        let end = used.checked_add(usize::try_from(length).ok()?)?;
        let text = rest.get(used..end)?;
        rest = &rest[end..];
        Some(text)
    })
}

fn texts_of(raw: &[u8], count: usize, take: impl FnMut(&[u8]) -> Bytes) -> Vec<Bytes> {
    let mut list = Vec::with_capacity(count);
    list.extend(texts(raw).map(take));
    list
}

fn texts_are_whole(raw: &[u8], count: usize) -> bool {
    let (mut found, mut bytes) = (0, 0);
    for text in texts(raw) {
        found += 1;
        bytes += text.len() + number_len(text.len() as u64);
    }
    found == count && bytes == raw.len()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

/// A block that is still being written: room for the header, then entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenBlock {
    buffer: Vec<u8>,
    entries: u16,
    base: EntryId,
    last: EntryId,
}

impl OpenBlock {
    /// A block whose first entry will have the id `base`.
    pub(crate) fn new(base: EntryId) -> Self {
        Self { buffer: vec![0; HEADER_BYTES], entries: 0, base, last: base }
    }

    /// Goes on with a block that was sealed.
    pub(crate) fn reopen(block: &Block) -> Self {
        Self {
            buffer: block.bytes.to_vec(),
            entries: block.entries,
            base: block.base,
            last: block.last,
        }
    }

    /// Appends an entry with an id above its last one.
    pub(crate) fn push(&mut self, id: EntryId, fields: &[Bytes]) {
        debug_assert!(self.entries == 0 || id > self.last, "ids ascend");
        let ms = id.ms - self.base.ms;
        let seq = if ms == 0 { id.seq - self.base.seq } else { id.seq };
        let texts: usize =
            fields.iter().map(|text| number_len(text.len() as u64) + text.len()).sum();
        let numbers = number_len(ms) + number_len(seq) + number_len(fields.len() as u64);
        let length = numbers + texts;
        self.buffer.reserve(length + number_len(length as u64));
        self.buffer.put_size(length);
        self.buffer.put_number(ms);
        self.buffer.put_number(seq);
        self.buffer.put_size(fields.len());
        for text in fields {
            self.buffer.put_bytes(text);
        }
        self.entries += 1;
        self.last = id;
    }

    pub(crate) fn base(&self) -> EntryId {
        self.base
    }

    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    pub(crate) fn entries_count(&self) -> u16 {
        self.entries
    }

    pub(crate) fn bytes_count(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries { bytes: &self.buffer, at: HEADER_BYTES, base: self.base, position: 0 }
    }

    /// What the entries take, for the hash of the state.
    pub(crate) fn content(&self) -> &[u8] {
        &self.buffer[HEADER_BYTES..]
    }

    /// Whether the names of these fields are those of the first entry, in the same order.
    pub(crate) fn has_names(&self, fields: &[Bytes]) -> bool {
        self.entries().next().is_some_and(|first| {
            first.texts_count == fields.len()
                && texts(first.texts)
                    .step_by(2)
                    .zip(fields.iter().step_by(2))
                    .all(|(mine, other)| mine == other)
        })
    }

    /// The texts of one of its entries, copied.
    pub(crate) fn texts(&self, entry: &RawEntry<'_>) -> Vec<Bytes> {
        let copy = Bytes::copy_from_slice(entry.texts);
        texts_of(&copy, entry.texts_count, |text| copy.slice_ref(text))
    }

    /// Ends it.
    pub(crate) fn seal(mut self) -> Block {
        self.write_header();
        self.buffer.shrink_to_fit();
        let Self { buffer, entries, base, last } = self;
        Block { bytes: Bytes::from(buffer), entries, base, last }
    }

    /// What [`OpenBlock::seal`] would give, while it stays open.
    pub(crate) fn snapshot(&mut self) -> Bytes {
        self.write_header();
        Bytes::copy_from_slice(&self.buffer)
    }

    fn write_header(&mut self) {
        let header = &mut self.buffer[..HEADER_BYTES];
        header[0] = VERSION;
        header[1..3].copy_from_slice(&self.entries.to_le_bytes());
        header[3..11].copy_from_slice(&self.base.ms.to_le_bytes());
        header[11..19].copy_from_slice(&self.base.seq.to_le_bytes());
        header[19..27].copy_from_slice(&self.last.ms.to_le_bytes());
        header[27..35].copy_from_slice(&self.last.seq.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Block {
        let mut open = OpenBlock::new(EntryId::new(5, 1));
        open.push(EntryId::new(5, 1), &[Bytes::from("item"), Bytes::from("7")]);
        open.push(EntryId::new(5, 9), &[Bytes::from("item"), Bytes::from("")]);
        open.push(EntryId::new(700, 2), &[Bytes::from("a"), Bytes::from("b")]);
        open.seal()
    }

    #[test]
    fn a_block_has_the_bytes_that_are_described() {
        let mut expected = vec![1, 3, 0];
        for number in [5u64, 1, 700, 2] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(b"\x0a\x00\x00\x02\x04item\x017");
        expected.extend_from_slice(b"\x09\x00\x08\x02\x04item\x00");
        expected.extend_from_slice(b"\x08\xb7\x05\x02\x02\x01a\x01b");
        assert_eq!(&sample().bytes()[..], &expected[..]);
    }

    #[test]
    fn entries_come_back() {
        let block = Block::decode(sample().bytes()).unwrap();
        assert_eq!(block, sample());
        let ids: Vec<EntryId> = block.entries().map(|entry| entry.id).collect();
        assert_eq!(ids, [EntryId::new(5, 1), EntryId::new(5, 9), EntryId::new(700, 2)]);
        let third = block.entries().nth(2).unwrap();
        assert_eq!(block.texts(&third), [Bytes::from("a"), Bytes::from("b")]);
    }

    #[test]
    fn a_block_cut_or_changed_anywhere_never_panics() {
        let bytes = sample().bytes().to_vec();
        for cut in 0..bytes.len() {
            assert!(Block::decode(&Bytes::copy_from_slice(&bytes[..cut])).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                if let Ok(block) = Block::decode(&Bytes::from(changed)) {
                    block.entries().for_each(|entry| drop(block.texts(&entry)));
                }
            }
        }
    }

    #[test]
    fn names_are_compared_with_the_first_entry() {
        let open = OpenBlock::reopen(&sample());
        assert!(open.has_names(&[Bytes::from("item"), Bytes::from("8")]));
        assert!(!open.has_names(&[Bytes::from("items"), Bytes::from("8")]));
        assert!(!open.has_names(&vec![Bytes::from("item"); 4]));
    }
}
