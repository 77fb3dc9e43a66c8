//! What of the state goes to the store when, and back. Incremental: a checkpoint has what changed
//! since the one before, and costs as much.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::planted::{Bug, is};
use bytes::Bytes;

use crate::block::Block;
use crate::command::Stamp;
use crate::error::Fault;
use crate::id::{BlockKey, StreamNumber};
use crate::parts::PartKey;
use crate::state::{Dirty, State};
use crate::stored::{self, Header};
use crate::stream::{Marks, Stream};

/// Everything that changed since the last checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointParts {
    /// Belongs to the state as a whole; small.
    pub header: Bytes,
    pub put: Vec<(Bytes, Bytes)>,
    /// Keys of earlier checkpoints that are gone; none of them is in `put`.
    pub removed: Vec<Bytes>,
    /// Everything whose key begins so is gone.
    pub dropped_prefixes: Vec<Bytes>,
}

impl State {
    /// How much the next checkpoint would write; estimates.
    pub fn dirty(&self) -> Dirty {
        self.dirty
    }

    /// Takes what changed since the last call. Sealed blocks that are part of it stay readable here
    /// until [`State::release`].
    pub fn checkpoint(&mut self) -> CheckpointParts {
        let State { stream_next, settings, .. } = *self;
        let header = Header { clock_ms: self.clock.now_ms, stream_next, settings };
        let mut parts = CheckpointParts {
            header: stored::put_header(&header),
            dropped_prefixes: std::mem::take(&mut self.dropped_prefixes),
            ..CheckpointParts::default()
        };
        for number in std::mem::take(&mut self.changed) {
            if let Some(stream) = self.streams.get_mut(&number)
                && std::mem::take(&mut stream.changed.listed)
            {
                stream.checkpoint(&mut parts, &mut self.awaiting_release);
            }
        }
        for node in std::mem::take(&mut self.sessions.changed) {
            if let Some(session) = self.sessions.by_node.get_mut(&node)
                && std::mem::take(&mut session.changed)
            {
                parts.put.push((PartKey::Session(node).encode(), stored::put_session(session)));
            }
        }
        self.dirty = Dirty::default();
        parts
    }

    /// The store is at the last checkpoint: gives the sealed blocks that were kept only because it
    /// wasn't, for a cache. They have to be handed in from now on.
    pub fn release(&mut self) -> Vec<(BlockKey, Arc<Block>)> {
        let mut released = Vec::new();
        for key in std::mem::take(&mut self.awaiting_release) {
            let stream = self.streams.get_mut(&key.stream);
            if let Some(resident) = stream.and_then(|stream| stream.resident.remove(&key.block)) {
                released.push((key, resident.block));
            }
        }
        released
    }

    /// The state that a checkpoint describes: its header, and its parts in any order; blocks among
    /// them are passed over ([`crate::is_block_part`] tells). A [`Fault`] where it isn't whole.
    pub fn load(
        header: &[u8],
        parts: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Self, Fault> {
        let mut loader = Loader::new(header)?;
        let sorted: BTreeMap<Bytes, Bytes> = parts.into_iter().collect();
        for (key, value) in &sorted {
            loader.part(key, value)?;
        }
        loader.finish()
    }
}

impl Stream {
    fn checkpoint(&mut self, parts: &mut CheckpointParts, awaiting: &mut Vec<BlockKey>) {
        let number = self.number;
        if std::mem::take(&mut self.changed.meta) {
            parts.put.push((PartKey::Stream(number).encode(), stored::put_stream(self)));
        }
        self.checkpoint_index(parts);
        self.checkpoint_tail(parts);
        self.checkpoint_numbers(parts);
        self.checkpoint_producers(parts);
        for name in std::mem::take(&mut self.changed.groups) {
            self.checkpoint_group(&name, parts);
        }
        for block in std::mem::take(&mut self.changed.sealed) {
            let key = BlockKey { stream: number, block };
            if let Some(resident) = self.resident.get_mut(&block) {
                resident.stored = true;
                awaiting.push(key);
                parts.put.push((PartKey::Block(key).encode(), resident.block.bytes().clone()));
            }
        }
        parts.removed.append(&mut self.changed.removed);
        parts.dropped_prefixes.append(&mut self.changed.dropped_prefixes);
        self.changed.stored = true;
    }

    fn checkpoint_index(&mut self, parts: &mut CheckpointParts) {
        if !self.index.is_changed() {
            return;
        }
        let mut index = std::mem::take(&mut self.index);
        let changes = index.take_changes();
        let key = |chunk| PartKey::IndexChunk(self.number, chunk).encode();
        for (chunk, items) in changes.put {
            parts.put.push((key(chunk), stored::put_index_chunk(self, items)));
        }
        parts.removed.extend(changes.removed.into_iter().map(key));
        self.index = index;
    }

    fn checkpoint_tail(&mut self, parts: &mut CheckpointParts) {
        if !std::mem::take(&mut self.changed.tail) {
            return;
        }
        let key = PartKey::Tail(self.number).encode();
        match &mut self.tail {
            Some(tail) => parts.put.push((key, stored::put_tail(tail))),
            None if self.changed.tail_stored => parts.removed.push(key),
            None => {}
        }
        self.changed.tail_stored = self.tail.is_some();
    }

    fn checkpoint_numbers(&mut self, parts: &mut CheckpointParts) {
        let changed = &mut self.changed;
        let expiry = (&mut changed.expiry, &mut changed.expiry_stored);
        let watch = (&mut changed.watch, &mut changed.watch_stored);
        for ((changed, stored), key, number) in [
            (expiry, PartKey::Expiry(self.number), self.expires_ms),
            (watch, PartKey::Watch(self.number), self.watched),
        ] {
            if !std::mem::take(changed) {
                continue;
            }
            match number {
                Some(number) => parts.put.push((key.encode(), stored::put_lone_number(number))),
                None if *stored => parts.removed.push(key.encode()),
                None => {}
            }
            *stored = number.is_some();
        }
    }

    fn checkpoint_producers(&mut self, parts: &mut CheckpointParts) {
        let stream = self.number;
        let key = |chunk| PartKey::ProducedChunk(stream, chunk).encode();
        let changes = self.idempotence.list.take_changes();
        for (chunk, items) in changes.put {
            parts.put.push((key(chunk), stored::put_produced_chunk(items)));
        }
        parts.removed.extend(changes.removed.into_iter().map(key));
    }

    fn checkpoint_group(&mut self, name: &Bytes, parts: &mut CheckpointParts) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if !std::mem::take(&mut group.listed) {
            return;
        }
        if std::mem::take(&mut group.changed) {
            let key = PartKey::Group(self.number, group.number).encode();
            parts.put.push((key, stored::put_group(name, group)));
        }
        group.stored = true;
        if is(Bug::CheckpointWithoutPending) {
            return;
        }
        let (stream, number) = (self.number, group.number);
        let key = |chunk| PartKey::PendingChunk(stream, number, chunk).encode();
        let changes = group.pending.take_changes();
        for (chunk, items) in changes.put {
            parts.put.push((key(chunk), stored::put_pending_chunk(items)));
        }
        parts.removed.extend(changes.removed.into_iter().map(key));
    }
}

/// Builds a state from the parts of a checkpoint, one by one in the order of their keys.
#[derive(Debug)]
pub struct Loader {
    state: State,
    /// The stream whose parts are coming.
    open: Option<Stream>,
}

impl Loader {
    /// Begins with a checkpoint's header. A [`Fault`] if it is damaged.
    pub fn new(header: &[u8]) -> Result<Self, Fault> {
        let header = stored::read_header(&Bytes::copy_from_slice(header))?;
        let state = State {
            clock: Stamp { now_ms: header.clock_ms },
            stream_next: header.stream_next,
            settings: header.settings,
            ..State::default()
        };
        Ok(Self { state, open: None })
    }

    /// Takes a part, whose key is above those before; blocks are passed over. A [`Fault`] if it is
    /// damaged or out of order.
    pub fn part(&mut self, key: &Bytes, value: &Bytes) -> Result<(), Fault> {
        let part = PartKey::decode(key).ok_or_else(|| damaged("unknown key"))?;
        match part {
            PartKey::Block(_) => {}
            PartKey::Session(node) => {
                let session = stored::read_session(value)?;
                self.state.sessions.by_node.insert(node, session);
            }
            PartKey::Stream(number) => {
                self.close()?;
                self.open = Some(stored::read_stream(number, value)?);
            }
            PartKey::IndexChunk(number, chunk) => self.stream(number)?.load_index(chunk, value)?,
            PartKey::ProducedChunk(number, chunk) => {
                let items = stored::read_produced_chunk(value)?;
                if !self.stream(number)?.idempotence.load(chunk, items) {
                    return Err(damaged("produced chunk out of order"));
                }
            }
            PartKey::Tail(number) => {
                let stream = self.stream(number)?;
                stream.tail = Some(stored::read_tail(value)?);
                stream.changed.tail_stored = true;
            }
            PartKey::Expiry(number) => {
                let expires_ms = stored::read_lone_number(value, "expiry")?;
                let stream = self.stream(number)?;
                stream.expires_ms = Some(expires_ms);
                stream.changed.expiry_stored = true;
                self.state.expiring.insert((expires_ms, number));
            }
            PartKey::Watch(number) => {
                let stream = self.stream(number)?;
                stream.watched = Some(stored::read_lone_number(value, "watch")?);
                stream.changed.watch_stored = true;
            }
            PartKey::Group(number, group) => {
                let (name, group) = stored::read_group(group, value)?;
                if self.stream(number)?.groups.insert(name, group).is_some() {
                    return Err(damaged("group twice"));
                }
            }
            PartKey::PendingChunk(number, group, chunk) => {
                let stream = self.stream(number)?;
                let group = stream.groups.values_mut().find(|other| other.number == group);
                let group = group.ok_or_else(|| damaged("pending entries without their group"))?;
                let items = stored::read_pending_chunk(value)?;
                if !group.load_pending(chunk, items) {
                    return Err(damaged("pending chunk out of order or without its consumer"));
                }
            }
        }
        Ok(())
    }

    /// The state, once all parts were given. A [`Fault`] where they don't fit together.
    pub fn finish(mut self) -> Result<State, Fault> {
        self.close()?;
        Ok(self.state)
    }

    fn stream(&mut self, number: StreamNumber) -> Result<&mut Stream, Fault> {
        let open = self.open.as_mut().filter(|stream| stream.number == number);
        open.ok_or_else(|| damaged("part without its stream"))
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(stream) = self.open.take() else { return Ok(()) };
        let live: u64 = stream.spans_from(crate::id::EntryId::MIN).map(|s| u64::from(s.live)).sum();
        if live != stream.length {
            return Err(damaged("length of a stream"));
        }
        let number = stream.number;
        let key_is_new = self.state.insert_name(stream.key.clone(), number);
        let number_is_new = self.state.streams.insert(number, Box::new(stream)).is_none();
        if key_is_new && number_is_new && number.0 < self.state.stream_next {
            Ok(())
        } else {
            Err(damaged("stream twice"))
        }
    }
}

impl Stream {
    fn load_index(&mut self, chunk: u64, value: &Bytes) -> Result<(), Fault> {
        let items = stored::read_index_chunk(value)?;
        let marks = items.iter().filter_map(|(_, meta, marks)| Some((meta.number, (*marks)?)));
        self.marks.extend(marks.collect::<Vec<(_, Marks)>>());
        let items = items.into_iter().map(|(base, meta, _)| (base, meta)).collect();
        if self.index.load(chunk, items) { Ok(()) } else { Err(damaged("index out of order")) }
    }
}

fn damaged(detail: &str) -> Fault {
    Fault::Damaged { what: "checkpoint", detail: detail.to_owned() }
}
