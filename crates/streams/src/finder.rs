//! Entries found one after the other, as a reply names them: what was gone through of a block for
//! one is there for the next, in whatever direction they are named. Changes nothing.

use crate::block::{Block, Blocks, Entries, OpenBlock, RawEntry};
use crate::error::Fault;
use crate::id::{EntryId, StreamNumber};
use crate::reply::{Entry, EntryRef};
use crate::state::State;
use crate::stream::Span;

/// Finds entries of any streams.
pub(crate) struct Finder<'a> {
    state: &'a State,
    blocks: &'a Blocks,
    /// Where the last one was.
    at: Option<Place<'a>>,
}

/// A block, and how far it was gone through.
struct Place<'a> {
    stream: StreamNumber,
    span: Span<'a>,
    source: Source<'a>,
    seen: Vec<RawEntry<'a>>,
    rest: Entries<'a>,
}

enum Source<'a> {
    Sealed(&'a Block),
    Open(&'a OpenBlock),
}

impl<'a> Finder<'a> {
    pub(crate) fn new(state: &'a State, blocks: &'a Blocks) -> Self {
        Self { state, blocks, at: None }
    }

    /// The entry with its texts; without any where it is gone.
    pub(crate) fn entry(&mut self, entry: EntryRef) -> Result<Entry, Fault> {
        let EntryRef { stream, id } = entry;
        if !self.at.as_ref().is_some_and(|place| place.covers(stream, id)) {
            self.at = self.place(stream, id)?;
        }
        let Some(place) = &mut self.at else { return Ok(Entry { id, fields: None }) };
        let found = place.find(id).filter(|found| !place.span.is_deleted(found.position));
        let fields = found.map(|found| match place.source {
            Source::Sealed(block) => block.texts(&found),
            Source::Open(open) => open.texts(&found),
        });
        Ok(Entry { id, fields })
    }

    /// The block in which an id is, if it is anywhere.
    fn place(&self, number: StreamNumber, id: EntryId) -> Result<Option<Place<'a>>, Fault> {
        let Some(stream) = self.state.streams.get(&number) else { return Ok(None) };
        let Some(span) = stream.locate(id) else { return Ok(None) };
        let (source, rest) = match (span.sealed, &stream.tail) {
            (Some(sealed), _) => {
                let block = &**stream.block(self.blocks, sealed)?;
                (Source::Sealed(block), block.entries())
            }
            (None, Some(tail)) => (Source::Open(&tail.open), tail.open.entries()),
            (None, None) => return Ok(None),
        };
        Ok(Some(Place { stream: number, span, source, seen: Vec::new(), rest }))
    }
}

impl<'a> Place<'a> {
    fn covers(&self, stream: StreamNumber, id: EntryId) -> bool {
        self.stream == stream && self.span.has(id)
    }

    fn find(&mut self, id: EntryId) -> Option<RawEntry<'a>> {
        if self.seen.last().is_none_or(|last| last.id < id) {
            for entry in self.rest.by_ref() {
                self.seen.push(entry);
                if entry.id >= id {
                    break;
                }
            }
        }
        let at = self.seen.binary_search_by(|entry| entry.id.cmp(&id)).ok()?;
        self.seen.get(at).copied()
    }
}
