//! The state of one shard, and the way in: what a call needs, what it does, what it answers. Which
//! command does what stands in `commands`, one file a family.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::block::Blocks;
use crate::command::{Command, ReadGroup, Stamp};
use crate::commands::{self, Call};
use crate::error::{Fault, Stop};
use crate::event::Event;
use crate::id::{BlockKey, StreamNumber};
use crate::queries;
use crate::query::Query;
use crate::reply::{Entry, EntryRef, Reply};
use crate::resolve;
use crate::sessions::Sessions;
use crate::stream::Stream;

/// One shard's streams, groups and sessions.
///
/// * The same calls of [`State::apply`], [`State::admit`] and [`State::keep`] give the same replies,
///   events and [`State::hash`] everywhere, whatever was saved, loaded or evicted between them.
/// * The clock and every stream's last id never go back, except by XSETID.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) clock: Stamp,
    pub(crate) names: BTreeMap<Bytes, StreamNumber>,
    /// Boxed: nodes of the map stay small, and a new stream moves none of the others.
    pub(crate) streams: BTreeMap<StreamNumber, Box<Stream>>,
    pub(crate) stream_next: u64,
    pub(crate) sessions: Sessions,
    /// Streams that changed since the last checkpoint; may name one that is gone.
    pub(crate) changed: Vec<StreamNumber>,
    pub(crate) dropped_prefixes: Vec<Bytes>,
    pub(crate) dirty: Dirty,
    /// Blocks that the checkpoint under way has.
    pub(crate) awaiting_release: Vec<BlockKey>,
}

/// How much a checkpoint would write now; estimates, good enough to decide when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    pub bytes: usize,
    pub parts: usize,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub reply: Reply<EntryRef>,
    /// In the order in which it happened.
    pub events: Vec<Event>,
}

impl State {
    /// An empty shard, at the beginning of time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sealed blocks that [`State::apply`] of this command will look into and that aren't in the
    /// state, at this stamp. Bounded by [`crate::limits::READ_BYTES_MAX`], or by the ids that the
    /// command names.
    pub fn needs(&self, stamp: Stamp, command: &Command) -> Vec<BlockKey> {
        commands::needs(self, self.clock.max(stamp).now_ms, command)
    }

    /// Does what the command says. `blocks` holds at least what [`State::needs`] named. A refusal is
    /// a reply, and has changed nothing but the clock. After a [`Fault`] the state is good for
    /// nothing any more.
    pub fn apply(
        &mut self,
        blocks: &Blocks,
        stamp: Stamp,
        command: &Command,
    ) -> Result<Applied, Fault> {
        self.clock = self.clock.max(stamp);
        let now_ms = self.clock.now_ms;
        let mut call = Call { state: self, blocks, now_ms, events: Vec::new() };
        match call.run(command) {
            Ok(reply) => Ok(Applied { reply, events: call.events }),
            Err(Stop::Refused(refusal)) => {
                Ok(Applied { reply: Reply::Refused(refusal), events: call.events })
            }
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    /// Like [`State::needs`], for [`State::answer`].
    pub fn needs_query(&self, query: &Query) -> Vec<BlockKey> {
        queries::needs(self, query)
    }

    /// Answers a question. The time is the greater of the shard clock and `stamp`.
    pub fn answer(
        &self,
        blocks: &Blocks,
        stamp: Stamp,
        query: &Query,
    ) -> Result<Reply<EntryRef>, Fault> {
        let now_ms = self.clock.max(stamp).now_ms;
        match queries::answer(self, blocks, now_ms, query) {
            Ok(reply) => Ok(reply),
            Err(Stop::Refused(refusal)) => Ok(Reply::Refused(refusal)),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    /// Like [`State::needs`], for [`State::resolve`].
    pub fn needs_reply(&self, reply: &Reply<EntryRef>) -> Vec<BlockKey> {
        resolve::needs(self, reply)
    }

    /// Puts the entries into a reply that names them. One that is gone by now has no fields in the
    /// reply to XREAD and XREADGROUP, and is left out of all others.
    pub fn resolve(&self, blocks: &Blocks, reply: Reply<EntryRef>) -> Result<Reply<Entry>, Fault> {
        resolve::resolve(self, blocks, reply)
    }

    /// Notes that a consumer asked for something, where no command says so: on the leader alone,
    /// in no hash and no checkpoint.
    pub fn note_seen(&mut self, read: &ReadGroup, stamp: Stamp) {
        let now_ms = self.clock.max(stamp).now_ms;
        for (key, _) in &read.streams {
            let Some(number) = self.names.get(key) else { continue };
            let stream = self.streams.get_mut(number);
            let Some(group) = stream.and_then(|s| s.groups.get_mut(&read.group)) else { continue };
            let Some(consumer) = group.consumer_number(&read.consumer) else { continue };
            if let Some(consumer) = group.consumers.get_mut(&consumer) {
                consumer.seen_here_ms = consumer.seen_here_ms.max(now_ms);
            }
        }
    }

    /// From which shard clock on a group read with CLAIM finds a pending entry to take over, in any
    /// of its streams; `None` where nothing is pending. Where that entry turns out to be gone, the
    /// next one's time comes after the read.
    pub fn claimable_ms(&self, read: &ReadGroup) -> Option<u64> {
        commands::claimable_ms(self, read)
    }

    /// The greatest stamp applied.
    pub fn clock(&self) -> Stamp {
        self.clock
    }

    /// How many keys there are.
    pub fn keys_count(&self) -> u64 {
        self.names.len() as u64
    }

    /// The keys, in order of their bytes, after one.
    pub fn keys_after(&self, after: Option<&[u8]>) -> impl Iterator<Item = &Bytes> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.names.range::<[u8], _>((from, Unbounded)).map(|(key, _)| key)
    }

    pub(crate) fn stream(&self, key: &[u8]) -> Option<&Stream> {
        self.streams.get(self.names.get(key)?).map(Box::as_ref)
    }

    /// The stream of a key, which counts as changed from here on.
    pub(crate) fn stream_mut(&mut self, key: &[u8]) -> Option<&mut Stream> {
        let number = self.names.get(key)?;
        let stream = self.streams.get_mut(number)?;
        if !stream.changed.listed {
            stream.changed.listed = true;
            self.changed.push(*number);
            self.dirty.parts += 2;
        }
        Some(stream)
    }

    pub(crate) fn add_stream(&mut self, key: &[u8]) -> &mut Stream {
        let number = StreamNumber(self.stream_next);
        self.stream_next += 1;
        // A copy: the bytes at hand are a slice of a whole batch.
        let key = Bytes::copy_from_slice(key);
        self.names.insert(key.clone(), number);
        let mut stream = Stream { number, key, ..Stream::default() };
        stream.changed.listed = true;
        stream.changed.meta = true;
        self.changed.push(number);
        self.dirty.parts += 2;
        self.streams.entry(number).or_insert(Box::new(stream))
    }
}
