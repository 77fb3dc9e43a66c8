//! COPY: a stream with its groups and everything pending, under another key. All its blocks are
//! looked into at once, so a stream that is too big for that is refused.

use std::sync::Arc;

use bytes::Bytes;

use super::{Call, Outcome};
use crate::block::{Block, Blocks};
use crate::error::{Fault, Refusal};
use crate::event::Event;
use crate::group::Group;
use crate::id::{BlockKey, BlockNumber, EntryId, StreamNumber};
use crate::limits::COPY_BYTES_MAX;
use crate::reply::Reply;
use crate::stream::{Changed, Resident, Stream};

impl Call<'_> {
    pub(super) fn copy(&mut self, key: &Bytes, to: &Bytes, replace: bool) -> Outcome {
        let Some(stream) = self.state.stream(key) else { return Ok(Reply::Count(0)) };
        if !replace && self.state.stream(to).is_some() {
            return Ok(Reply::Count(0));
        }
        let Some(bytes) = fitting_bytes(stream) else { return Err(Refusal::TooBigToCopy.into()) };
        let copy = stream.copy(self.blocks)?;
        self.state.drop_stream(to);
        self.state.put_stream(to, copy);
        self.state.dirty.bytes += bytes;
        self.events.push(Event::Copied { key: to.clone() });
        Ok(Reply::Count(1))
    }
}

pub(super) fn needs(stream: &Stream) -> Vec<BlockKey> {
    match fitting_bytes(stream) {
        Some(_) => {
            let spans = stream.spans_from(EntryId::MIN);
            spans.filter_map(|span| stream.is_absent(&span)).collect()
        }
        None => Vec::new(),
    }
}

/// The bytes of all blocks, where they may be in memory at once.
fn fitting_bytes(stream: &Stream) -> Option<usize> {
    let mut bytes = 0;
    for span in stream.spans_from(EntryId::MIN) {
        bytes += span.bytes;
        if bytes > COPY_BYTES_MAX {
            return None;
        }
    }
    usize::try_from(bytes).ok()
}

impl Stream {
    /// The same stream as nobody stored it yet, without number and key.
    fn copy(&self, blocks: &Blocks) -> Result<Self, Fault> {
        let numbers = self.index.iter().map(|(_, meta)| meta.number);
        let block = |number| Ok((number, Arc::clone(self.block(blocks, number)?)));
        let held: Vec<(BlockNumber, Arc<Block>)> =
            numbers.map(block).collect::<Result<_, Fault>>()?;
        let changed = Changed {
            meta: true,
            tail: true,
            expiry: true,
            groups: self.groups.keys().cloned().collect(),
            sealed: held.iter().map(|(number, _)| *number).collect(),
            ..Changed::default()
        };
        let resident = |(number, block)| (number, Resident { block, stored: false });
        let group = |(name, group): (&Bytes, &Group)| (name.clone(), group.copy());
        Ok(Self {
            number: StreamNumber::default(),
            key: Bytes::new(),
            index: self.index.copy(),
            resident: held.into_iter().map(resident).collect(),
            groups: self.groups.iter().map(group).collect(),
            watched: None,
            idempotence: self.idempotence.copy(),
            changed,
            ..self.clone()
        })
    }
}

impl Group {
    fn copy(&self) -> Self {
        let pending = self.pending.copy();
        Self { pending, changed: true, listed: true, stored: false, ..self.clone() }
    }
}
