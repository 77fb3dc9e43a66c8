//! XTRIM, and the trimming that XADD does. Whole blocks go without being looked into.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::block::Blocks;
use crate::command::{Keep, Trim};
use crate::error::Fault;
use crate::event::Event;
use crate::id::{BlockKey, EntryId};
use crate::limits::TRIM_ENTRIES_MAX_DEFAULT;
use crate::reply::Reply;
use crate::stream::{Span, Stream};

impl Call<'_> {
    pub(super) fn trim(&mut self, key: &Bytes, trim: &Trim) -> Outcome {
        let Some(stream) = self.state.stream_mut(key) else { return Ok(Reply::Count(0)) };
        let trimmed = stream.trim(self.blocks, trim)?;
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
            _ if !self.approximate => u64::MAX,
            None => TRIM_ENTRIES_MAX_DEFAULT,
            Some(0) => u64::MAX,
            Some(limit) => limit,
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
    if trim.approximate {
        return Vec::new();
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

impl Stream {
    /// How many entries went.
    pub(super) fn trim(&mut self, blocks: &Blocks, trim: &Trim) -> Result<u64, Fault> {
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
            let stays = match trim.keep {
                Keep::Newest(newest) => length <= newest,
                Keep::From(from) => entry.id >= from,
            };
            if stays {
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
