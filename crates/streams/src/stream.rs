//! One stream: its counters, its index of sealed blocks, the open block at its end, its groups.
//! Knows nothing of commands.
//!
//! ```text
//! head                                                    tail
//! [sealed 3][sealed 4: two deleted][sealed 7]...[sealed 9][open 10]
//!  index: base id -> number, last id, live, entries, bytes, checksum
//!  edges: number -> bitmap of deleted entries, first and last live id
//! ```
//! A block has at least one live entry: one that loses its last goes. Bases ascend, and live ids
//! ascend over blocks. Two things differ from Redis, seen only in XINFO and `~`: when the open block
//! goes because all of it was deleted, the one before stays sealed, however small; and a block that
//! an exact MINID empties goes at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::block::{Block, Blocks, OpenBlock, RawEntry};
use crate::chunks::ChunkMap;
use crate::error::Fault;
use crate::group::{Group, GroupNumber};
use crate::id::{BlockKey, BlockNumber, EntryId, StreamNumber};
use crate::idempotence::Idempotence;
use crate::limits::BLOCK_ENTRIES_MAX;
use crate::settings::Settings;
use crate::{listpack, parts};

/// Sealed blocks in a chunk of the index.
pub(crate) const INDEX_CHUNK_ITEMS: usize = 64;

const _: () = assert!(BLOCK_ENTRIES_MAX <= 128, "a bitmap of deleted entries is a u128");

/// What the index knows of a sealed block; its key there is the block's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) number: BlockNumber,
    /// The last id it ever had.
    pub(crate) last: EntryId,
    pub(crate) checksum: u64,
    /// Of the block as it is stored.
    pub(crate) bytes: u32,
    pub(crate) entries: u16,
    pub(crate) live: u16,
}

/// What was deleted from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Bit n: the entry at position n is deleted.
    pub(crate) bits: u128,
    /// The first and the last that are left.
    pub(crate) first: EntryId,
    pub(crate) last: EntryId,
}

impl Marks {
    pub(crate) fn has(&self, position: u16) -> bool {
        self.bits & (1 << position) != 0
    }
}

/// A sealed block in memory because the store doesn't have it yet.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    pub(crate) block: Arc<Block>,
    /// Whether it was part of a checkpoint.
    pub(crate) stored: bool,
}

/// The open block.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) number: BlockNumber,
    pub(crate) open: OpenBlock,
    pub(crate) live: u16,
    pub(crate) marks: Option<Marks>,
    /// What Redis would have here.
    pub(crate) listpack_bytes: u32,
}

/// What a checkpoint has to know of a stream besides its chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    /// Whether the stream is in the state's list of changed ones.
    pub(crate) listed: bool,
    pub(crate) meta: bool,
    pub(crate) tail: bool,
    /// Groups in which anything changed; may name one that is gone.
    pub(crate) groups: Vec<Bytes>,
    /// Sealed since the last checkpoint.
    pub(crate) sealed: Vec<BlockNumber>,
    /// Parts of earlier checkpoints that are gone.
    pub(crate) removed: Vec<Bytes>,
    pub(crate) dropped_prefixes: Vec<Bytes>,
    /// Whether a checkpoint has the stream, and a tail of it.
    pub(crate) stored: bool,
    pub(crate) tail_stored: bool,
    /// Whether its time to expire changed, and whether a checkpoint has one.
    pub(crate) expiry: bool,
    pub(crate) expiry_stored: bool,
    /// The same of its number for WATCH.
    pub(crate) watch: bool,
    pub(crate) watch_stored: bool,
}

/// A stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) number: StreamNumber,
    pub(crate) key: Bytes,
    pub(crate) length: u64,
    pub(crate) last_id: EntryId,
    pub(crate) max_deleted_id: EntryId,
    pub(crate) entries_added: u64,
    /// Whether XSETID ever moved `last_id` back. Where it didn't, an id that once was in the stream
    /// and lies in a block without deletions is still there.
    pub(crate) rewound: bool,
    pub(crate) index: ChunkMap<EntryId, Meta, INDEX_CHUNK_ITEMS>,
    pub(crate) marks: BTreeMap<BlockNumber, Marks>,
    pub(crate) resident: BTreeMap<BlockNumber, Resident>,
    pub(crate) tail: Option<Tail>,
    pub(crate) block_next: u64,
    pub(crate) groups: BTreeMap<Bytes, Group>,
    pub(crate) group_next: u64,
    /// The last millisecond at which it is there.
    pub(crate) expires_ms: Option<u64>,
    /// The number that WATCH told of it, if nothing has changed since.
    pub(crate) watched: Option<u64>,
    pub(crate) idempotence: Idempotence,
    pub(crate) changed: Changed,
}

/// A sealed block or the tail, as a place to look into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    /// `None` is the tail.
    pub(crate) sealed: Option<BlockNumber>,
    pub(crate) base: EntryId,
    /// The last id it ever had.
    pub(crate) last_ever: EntryId,
    pub(crate) live: u16,
    pub(crate) bytes: u64,
    pub(crate) marks: Option<&'a Marks>,
}

impl Span<'_> {
    /// Its first live id.
    pub(crate) fn first(&self) -> EntryId {
        self.marks.map_or(self.base, |marks| marks.first)
    }

    /// Its last live id.
    pub(crate) fn last(&self) -> EntryId {
        self.marks.map_or(self.last_ever, |marks| marks.last)
    }

    /// Whether an id lies between them: then it is nowhere else.
    pub(crate) fn has(&self, id: EntryId) -> bool {
        self.first() <= id && id <= self.last()
    }

    pub(crate) fn is_deleted(&self, position: u16) -> bool {
        self.marks.is_some_and(|marks| marks.has(position))
    }
}

impl Stream {
    /// Whether it is gone at a time.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|last_ms| now_ms > last_ms)
    }

    pub(crate) fn block_key(&self, block: BlockNumber) -> BlockKey {
        BlockKey { stream: self.number, block }
    }

    /// The first live id; 0-0 where there is none.
    pub(crate) fn first_id(&self) -> EntryId {
        self.spans_from(EntryId::MIN).next().map_or(EntryId::MIN, |span| span.first())
    }

    /// The last live id; 0-0 where there is none.
    pub(crate) fn last_live_id(&self) -> EntryId {
        self.spans_back_from(EntryId::MAX).next().map_or(EntryId::MIN, |span| span.last())
    }

    fn span<'a>(&'a self, base: &EntryId, meta: &Meta) -> Span<'a> {
        Span {
            sealed: Some(meta.number),
            base: *base,
            last_ever: meta.last,
            live: meta.live,
            bytes: u64::from(meta.bytes),
            marks: self.marks.get(&meta.number),
        }
    }

    pub(crate) fn tail_span(&self) -> Option<Span<'_>> {
        let tail = self.tail.as_ref()?;
        Some(Span {
            sealed: None,
            base: tail.open.base(),
            last_ever: tail.open.last(),
            live: tail.live,
            bytes: tail.open.bytes_count() as u64,
            marks: tail.marks.as_ref(),
        })
    }

    /// Blocks in order, from the one in which `from` would be.
    pub(crate) fn spans_from(&self, from: EntryId) -> impl Iterator<Item = Span<'_>> {
        let start = self.index.at_or_before(&from).map_or(EntryId::MIN, |(base, _)| *base);
        self.index.from(start).map(|(base, meta)| self.span(base, meta)).chain(self.tail_span())
    }

    /// Blocks from the one in which `from` would be, last first.
    pub(crate) fn spans_back_from(&self, from: EntryId) -> impl Iterator<Item = Span<'_>> {
        let tail = self.tail_span().filter(|tail| tail.base <= from);
        let sealed = self.index.back_from(from).map(|(base, meta)| self.span(base, meta));
        tail.into_iter().chain(sealed)
    }

    /// The block in which the id is, if it is anywhere.
    pub(crate) fn locate(&self, id: EntryId) -> Option<Span<'_>> {
        let span = self.spans_back_from(id).next()?;
        span.has(id).then_some(span)
    }

    /// Whether the shell has to fetch the block of a span.
    pub(crate) fn is_absent(&self, span: &Span<'_>) -> Option<BlockKey> {
        let number = span.sealed?;
        (!self.resident.contains_key(&number)).then(|| self.block_key(number))
    }

    pub(crate) fn block<'a>(
        &'a self,
        blocks: &'a Blocks,
        number: BlockNumber,
    ) -> Result<&'a Arc<Block>, Fault> {
        if let Some(resident) = self.resident.get(&number) {
            return Ok(&resident.block);
        }
        let key = self.block_key(number);
        blocks.get(&key).ok_or(Fault::BlockMissing(key))
    }

    /// Lets `visit` see the live entries of a span until it answers false.
    pub(crate) fn visit(
        &self,
        blocks: &Blocks,
        span: &Span<'_>,
        reverse: bool,
        mut visit: impl FnMut(&RawEntry<'_>) -> bool,
    ) -> Result<(), Fault> {
        let entries = match (span.sealed, &self.tail) {
            (Some(number), _) => self.block(blocks, number)?.entries(),
            (None, Some(tail)) => tail.open.entries(),
            (None, None) => return Ok(()),
        };
        let mut live = entries.filter(|entry| !span.is_deleted(entry.position));
        if reverse {
            let live: Vec<RawEntry<'_>> = live.collect();
            let _ = live.iter().rev().all(visit);
        } else {
            let _ = live.all(|entry| visit(&entry));
        }
        Ok(())
    }

    /// What an entry takes in a reply; `None` where it is gone.
    pub(crate) fn wire_bytes(&self, blocks: &Blocks, id: EntryId) -> Result<Option<u64>, Fault> {
        let Some(span) = self.locate(id) else { return Ok(None) };
        let mut found = None;
        self.visit(blocks, &span, false, |live| {
            if live.id == id {
                found = Some(live.wire_bytes());
            }
            live.id < id
        })?;
        Ok(found)
    }

    /// The position of a live id in its span.
    pub(crate) fn position(
        &self,
        blocks: &Blocks,
        span: &Span<'_>,
        id: EntryId,
    ) -> Result<Option<u16>, Fault> {
        let mut found = None;
        self.visit(blocks, span, false, |live| {
            if live.id == id {
                found = Some(live.position);
            }
            live.id < id
        })?;
        Ok(found)
    }

    /// Whether an id that once was in the stream still is. The span is returned where its block
    /// must be looked into to know.
    pub(crate) fn once_there(&self, id: EntryId) -> Once<'_> {
        match self.locate(id) {
            None => Once::Gone,
            Some(span) if span.marks.is_none() && !self.rewound => Once::There,
            Some(span) => Once::LookInto(span),
        }
    }

    /// The same, looking into the block where that is needed.
    pub(crate) fn is_there(&self, blocks: &Blocks, id: EntryId) -> Result<bool, Fault> {
        match self.once_there(id) {
            Once::Gone => Ok(false),
            Once::There => Ok(true),
            Once::LookInto(span) => Ok(self.position(blocks, &span, id)?.is_some()),
        }
    }

    /// Appends an entry, whose id is above the last. Returns whether a block was sealed.
    pub(crate) fn append(&mut self, id: EntryId, fields: &[Bytes], settings: &Settings) -> bool {
        let sealed = match &self.tail {
            Some(tail) if tail.is_full_for(id, fields, settings) => self.seal(),
            _ => false,
        };
        match &mut self.tail {
            Some(tail) => tail.push(id, fields),
            None => {
                let number = BlockNumber(self.block_next);
                self.block_next += 1;
                self.tail = Some(Tail::with_first(number, id, fields));
            }
        }
        self.length += 1;
        self.entries_added = self.entries_added.saturating_add(1);
        self.last_id = id;
        self.changed.tail = true;
        self.changed.meta = true;
        sealed
    }

    fn seal(&mut self) -> bool {
        let Some(tail) = self.tail.take() else { return false };
        let (base, last, entries) = (tail.open.base(), tail.open.last(), tail.open.entries_count());
        let block = Arc::new(tail.open.seal());
        let meta = Meta {
            number: tail.number,
            last,
            checksum: block.checksum(),
            bytes: u32::try_from(block.bytes().len()).unwrap_or(u32::MAX),
            entries,
            live: tail.live,
        };
        if let Some(marks) = tail.marks {
            self.marks.insert(tail.number, marks);
        }
        self.index.insert(base, meta);
        self.resident.insert(tail.number, Resident { block, stored: false });
        self.changed.sealed.push(tail.number);
        self.changed.tail = true;
        true
    }

    /// Removes a whole block.
    pub(crate) fn drop_span(&mut self, sealed: Option<BlockNumber>, base: EntryId) {
        self.changed.meta = true;
        match sealed {
            None => {
                if let Some(tail) = self.tail.take() {
                    self.length -= u64::from(tail.live);
                }
                self.changed.tail = true;
            }
            Some(number) => {
                if let Some(meta) = self.index.remove(&base) {
                    self.length -= u64::from(meta.live);
                }
                self.marks.remove(&number);
                let resident = self.resident.remove(&number);
                if resident.is_none_or(|resident| resident.stored) {
                    self.changed.removed.push(parts::block_part_key(self.block_key(number)));
                }
            }
        }
    }

    /// Deletes entries at these positions of a span, of which `left` are the live ids that remain
    /// at its edges; without any, the block goes.
    pub(crate) fn mark(
        &mut self,
        sealed: Option<BlockNumber>,
        base: EntryId,
        positions: u128,
        left: Option<(EntryId, EntryId)>,
    ) {
        let Some((first, last)) = left else { return self.drop_span(sealed, base) };
        let count = positions.count_ones();
        self.length -= u64::from(count);
        self.changed.meta = true;
        let fresh = Marks { bits: 0, first, last };
        let (marks, live) = match sealed {
            None => {
                self.changed.tail = true;
                let Some(tail) = &mut self.tail else { return };
                (tail.marks.get_or_insert(fresh), &mut tail.live)
            }
            Some(number) => {
                let Some(meta) = self.index.get_mut(&base) else { return };
                (self.marks.entry(number).or_insert(fresh), &mut meta.live)
            }
        };
        *marks = Marks { bits: marks.bits | positions, first, last };
        *live -= u16::try_from(count).expect("a block has at most 128 entries");
    }

    /// The group of a name, which counts as changed from here on.
    pub(crate) fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        let (name, group) = self.groups.range_mut::<[u8], _>((bound(name), bound(name))).next()?;
        if !group.listed {
            group.listed = true;
            self.changed.groups.push(name.clone());
        }
        Some(group)
    }

    /// Takes a group out, to change it while looking into the stream; it counts as changed. To be
    /// put back by [`Stream::put_group`].
    pub(crate) fn take_group(&mut self, name: &[u8]) -> Option<Group> {
        self.group_mut(name).map(std::mem::take)
    }

    pub(crate) fn put_group(&mut self, name: &[u8], group: Group) {
        if let Some(place) = self.groups.get_mut(name) {
            *place = group;
        }
    }

    pub(crate) fn add_group(&mut self, name: &[u8], last_id: EntryId, entries_read: Option<u64>) {
        let name = Bytes::copy_from_slice(name);
        let number = GroupNumber(self.group_next);
        self.group_next += 1;
        let group = Group {
            number,
            last_id,
            entries_read,
            changed: true,
            listed: true,
            ..Group::default()
        };
        self.changed.groups.push(name.clone());
        self.changed.meta = true;
        self.groups.insert(name, group);
    }

    pub(crate) fn drop_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else { return false };
        if group.stored {
            self.changed.dropped_prefixes.push(parts::group_prefix(self.number, group.number));
        }
        self.changed.meta = true;
        true
    }

    /// Ids that once were may come back from here on.
    pub(crate) fn rewind(&mut self) {
        self.rewound = true;
        let some_gone = self.groups.iter().filter(|(_, group)| group.has_gone());
        let names: Vec<Bytes> = some_gone.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(group) = self.group_mut(&name) {
                group.unmark_gone();
            }
        }
    }

    /// Whether an entry was deleted by id at or after `from`.
    pub(crate) fn has_tombstone_from(&self, from: EntryId) -> bool {
        self.length > 0 && self.max_deleted_id != EntryId::MIN && from <= self.max_deleted_id
    }

    /// How many entries were ever added up to an id, where that can be told.
    pub(crate) fn added_up_to(&self, id: EntryId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.length == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != EntryId::MIN && id < self.max_deleted_id || id > self.last_id {
            return None;
        }
        if id == self.last_id {
            return Some(self.entries_added);
        }
        let first = self.first_id();
        let whole = self.max_deleted_id == EntryId::MIN || self.max_deleted_id < first;
        let before_first = self.entries_added.saturating_sub(self.length);
        match id.cmp(&first) {
            std::cmp::Ordering::Less if whole => Some(before_first),
            std::cmp::Ordering::Equal if whole => Some(before_first.saturating_add(1)),
            _ => None,
        }
    }

    /// How many entries a group has not read, where that can be told.
    pub(crate) fn lag(&self, group: &Group) -> Option<u64> {
        if self.entries_added == 0 || self.length == 0 {
            return Some(0);
        }
        let first = self.first_id();
        if group.last_id < first && self.max_deleted_id < first {
            return Some(self.length);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_tombstone_from(group.last_id) => read,
            _ => self.added_up_to(group.last_id)?,
        };
        Some(self.entries_added.saturating_sub(read))
    }
}

fn bound(name: &[u8]) -> std::ops::Bound<&[u8]> {
    std::ops::Bound::Included(name)
}

impl Tail {
    fn with_first(number: BlockNumber, id: EntryId, fields: &[Bytes]) -> Self {
        let mut open = OpenBlock::new(id);
        open.push(id, fields);
        Self { number, open, live: 1, marks: None, listpack_bytes: listpack::node_bytes(fields) }
    }

    /// Whether the next entry begins a block of its own: as in Redis, and where its id would not
    /// ascend inside this one (after XSETID moved the stream back over deleted ids).
    fn is_full_for(&self, id: EntryId, fields: &[Bytes], settings: &Settings) -> bool {
        let texts: usize = fields.iter().map(Bytes::len).sum();
        u64::from(self.listpack_bytes) + texts as u64 >= settings.block_bytes()
            || usize::from(self.open.entries_count()) >= settings.block_entries()
            || id <= self.open.last()
    }

    fn push(&mut self, id: EntryId, fields: &[Bytes]) {
        let same = self.open.has_names(fields);
        let bytes = listpack::entry_bytes(fields, same, self.open.base(), id);
        self.listpack_bytes = self.listpack_bytes.saturating_add(bytes);
        self.open.push(id, fields);
        self.live += 1;
        if let Some(marks) = &mut self.marks {
            marks.last = id;
        }
    }
}

/// What is known of an id that once was in the stream, without looking into its block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Once<'a> {
    Gone,
    There,
    LookInto(Span<'a>),
}
