//! XTRIM, and the trimming that XADD does. Whole blocks go without being looked into.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::block::Blocks;
use crate::command::{Keep, References, Trim};
use crate::error::Fault;
use crate::event::Event;
use crate::id::{BlockKey, BlockNumber, EntryId};
use crate::reading::Looked;
use crate::reply::Reply;
use crate::stream::{Span, Stream};

impl Call<'_> {
    pub(super) fn trim(&mut self, key: &Bytes, trim: &Trim) -> Outcome {
        let trim = self.state.settings.limited(trim);
        let Some(stream) = self.state.stream_mut(key) else { return Ok(Reply::Count(0)) };
        let trimmed = stream.trim(self.blocks, &trim)?;
        if trimmed > 0 {
            self.events.push(Event::Trimmed { key: key.clone() });
            self.state.dirty.bytes += 64;
        }
        Ok(Reply::Count(trimmed))
    }
}

/// What to do with the block at the head.
enum Head {
    Stay,
    Remove,
    CutInside,
}

impl Trim {
    fn limit(&self) -> u64 {
        match self.limit {
            Some(limit) if self.approximate && limit > 0 => limit,
            _ => u64::MAX,
        }
    }

    /// Whether an entry stays when `length` are left, itself and those after it included.
    fn stops_at(&self, id: EntryId, length: u64) -> bool {
        match self.keep {
            Keep::Newest(newest) => length <= newest,
            Keep::From(from) => id >= from,
        }
    }

    /// `length` entries are left, `removed` went before.
    fn decide(&self, head: &Span<'_>, length: u64, removed: u64) -> Head {
        let live = u64::from(head.live);
        let (done, whole) = match self.keep {
            Keep::Newest(newest) => (length <= newest, length - live >= newest),
            Keep::From(id) => (false, head.last_ever < id),
        };
        if done || removed + live > self.limit() {
            return Head::Stay;
        }
        match (whole, self.approximate) {
            (true, _) => Head::Remove,
            (false, true) => Head::Stay,
            (false, false) => Head::CutInside,
        }
    }
}

/// The one block that an exact trim cuts inside, if it isn't in the state. `coming` entries will
/// have been added before it trims.
pub(super) fn needs(stream: &Stream, trim: &Trim, coming: u64) -> Vec<BlockKey> {
    match trim.references {
        References::Keep if trim.approximate => return Vec::new(),
        References::Keep => {}
        References::Delete | References::Acked => return needs_by_entry(stream, trim, coming),
    }
    let mut length = stream.length + coming;
    for span in stream.spans_from(EntryId::MIN) {
        match trim.decide(&span, length, 0) {
            Head::Stay => break,
            Head::Remove => length -= u64::from(span.live),
            Head::CutInside => return stream.is_absent(&span).into_iter().collect(),
        }
    }
    Vec::new()
}

/// The same for a trim that heeds references: at least the blocks that it cuts inside, for all that
/// can be known before any is looked into.
fn needs_by_entry(stream: &Stream, trim: &Trim, coming: u64) -> Vec<BlockKey> {
    let rule = Rule::new(stream, trim);
    let before = stream.length + coming;
    // What is left at most and at least, since nobody knows yet what goes out of a block.
    let (mut most, mut least) = (before, before);
    let mut looked = Looked::default();
    let mut needs = Vec::new();
    for span in stream.spans_from(EntryId::MIN) {
        let live = u64::from(span.live);
        match rule.plan(stream, &span, most, before - most) {
            Plan::Stay => break,
            Plan::Drop(_) => {
                let surely = matches!(trim.decide(&span, least, 0), Head::Remove);
                needs.extend(stream.is_absent(&span).filter(|_| !surely));
                most -= live;
            }
            Plan::ByEntry if looked.admits(&span) => needs.extend(stream.is_absent(&span)),
            Plan::ByEntry => break,
        }
        least = least.saturating_sub(live);
    }
    needs
}

/// How a trim heeds references.
struct Rule<'a> {
    trim: &'a Trim,
    /// The first id that a group may hold, and the last one that none has yet to read.
    held_from: EntryId,
    read: EntryId,
}

/// What it does with a block.
enum Plan {
    Stay,
    /// All of it goes, and with it what of these is pending.
    Drop(Vec<EntryId>),
    ByEntry,
}

impl<'a> Rule<'a> {
    fn new(stream: &Stream, trim: &'a Trim) -> Self {
        let (held_from, read) = stream.held_from();
        Self { trim, held_from, read }
    }

    /// `length` entries are left, `removed` went before.
    fn plan(&self, stream: &Stream, span: &Span<'_>, length: u64, removed: u64) -> Plan {
        let whole = match self.trim.decide(span, length, removed) {
            Head::Stay => return Plan::Stay,
            Head::Remove => true,
            Head::CutInside => false,
        };
        if self.trim.references == References::Acked {
            return match span.last() < self.held_from {
                _ if span.first() > self.read => Plan::Stay,
                true if whole => Plan::Drop(Vec::new()),
                _ => Plan::ByEntry,
            };
        }
        let pending = stream.pending_between(span.first(), span.last());
        // What is pending and lies in a block without deletions is there.
        let there = pending.is_empty() || span.marks.is_none() && !stream.rewound;
        if whole && there { Plan::Drop(pending) } else { Plan::ByEntry }
    }
}

impl Stream {
    /// Trims block after block, past those that keep something. How many entries went.
    fn trim_by_entry(&mut self, blocks: &Blocks, trim: &Trim) -> Result<u64, Fault> {
        let rule = Rule::new(self, trim);
        let before = self.length;
        let mut looked = Looked::default();
        let mut from = Some(EntryId::MIN);
        while let Some(start) = from {
            let Some(span) = self.spans_from(start).find(|span| span.last_ever >= start) else {
                break;
            };
            from = span.last_ever.next();
            let (sealed, base) = (span.sealed, span.base);
            match rule.plan(self, &span, self.length, before - self.length) {
                Plan::Stay => break,
                Plan::Drop(pending) => {
                    self.drop_span(sealed, base);
                    self.drop_references(&pending);
                }
                Plan::ByEntry if looked.admits(&span) => {
                    self.cut_entries(blocks, trim, sealed, base)?;
                }
                Plan::ByEntry => break,
            }
        }
        Ok(before - self.length)
    }

    /// Cuts what may go out of one block.
    fn cut_entries(
        &mut self,
        blocks: &Blocks,
        trim: &Trim,
        sealed: Option<BlockNumber>,
        base: EntryId,
    ) -> Result<(), Fault> {
        let span = self.spans_from(base).find(|span| span.sealed == sealed);
        let Some(span) = span else { return Ok(()) };
        let (mut length, mut cut, mut gone, mut left) = (self.length, 0u128, Vec::new(), None);
        self.visit(blocks, &span, false, |entry| {
            let held = trim.references == References::Acked && self.is_held(entry.id);
            if held || trim.stops_at(entry.id, length) {
                let first = left.map_or(entry.id, |(first, _)| first);
                left = Some((first, entry.id));
            } else {
                cut |= 1 << entry.position;
                gone.push(entry.id);
                length -= 1;
            }
            true
        })?;
        if cut != 0 {
            self.mark(sealed, base, cut, left);
        }
        if trim.references == References::Delete {
            self.drop_references(&gone);
        }
        Ok(())
    }

    /// How many entries went.
    pub(super) fn trim(&mut self, blocks: &Blocks, trim: &Trim) -> Result<u64, Fault> {
        if trim.references != References::Keep {
            return self.trim_by_entry(blocks, trim);
        }
        let before = self.length;
        loop {
            let Some(head) = self.spans_from(EntryId::MIN).next() else { break };
            match trim.decide(&head, self.length, before - self.length) {
                Head::Stay => break,
                Head::Remove => {
                    let (sealed, base) = (head.sealed, head.base);
                    self.drop_span(sealed, base);
                }
                Head::CutInside => {
                    self.cut_inside_head(blocks, trim)?;
                    break;
                }
            }
        }
        Ok(before - self.length)
    }

    fn cut_inside_head(&mut self, blocks: &Blocks, trim: &Trim) -> Result<(), Fault> {
        let Some(head) = self.spans_from(EntryId::MIN).next() else { return Ok(()) };
        let (sealed, base, last) = (head.sealed, head.base, head.last());
        let (mut length, mut cut, mut first_left) = (self.length, 0u128, None);
        self.visit(blocks, &head, false, |entry| {
            if trim.stops_at(entry.id, length) {
                first_left = Some(entry.id);
                return false;
            }
            cut |= 1 << entry.position;
            length -= 1;
            true
        })?;
        if cut != 0 {
            self.mark(sealed, base, cut, first_left.map(|first| (first, last)));
        }
        Ok(())
    }
}
