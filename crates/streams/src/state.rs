//! The state of one shard, and the way in: what a call needs, what it does, what it answers. Which
//! command does what stands in `commands`, one file a family.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::block::Blocks;
use crate::command::{Command, ReadGroup, Stamp};
use crate::commands::{self, Call};
use crate::error::{Fault, Stop};
use crate::event::Event;
use crate::id::{BlockKey, StreamNumber};
use crate::parts;
use crate::places::Places;
use crate::queries;
use crate::query::Query;
use crate::reply::{Entry, EntryRef, Reply};
use crate::resolve;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::stream::{Changed, Stream};

/// One shard's streams, groups and sessions.
///
/// * The same calls of [`State::apply`], [`State::admit`] and [`State::keep`] give the same replies,
///   events and [`State::hash`] everywhere, whatever was saved, loaded or evicted between them.
/// * The clock and every stream's last id never go back, except by XSETID.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) clock: Stamp,
    pub(crate) names: BTreeMap<Bytes, StreamNumber>,
    /// The same by place, for going through all keys.
    pub(crate) places: Places,
    /// Boxed: nodes of the map stay small, and a new stream moves none of the others.
    pub(crate) streams: BTreeMap<StreamNumber, Box<Stream>>,
    /// Streams that expire, by the last millisecond of each.
    pub(crate) expiring: BTreeSet<(u64, StreamNumber)>,
    pub(crate) stream_next: u64,
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    /// Streams that changed since the last checkpoint; may name one that is gone.
    pub(crate) changed: Vec<StreamNumber>,
    pub(crate) dropped_prefixes: Vec<Bytes>,
    pub(crate) dirty: Dirty,
    /// Streams whose numbers for WATCH the command that is applied took from them.
    pub(crate) unwatched: Vec<(StreamNumber, u64)>,
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
    /// a reply, and has changed nothing but the clock (and what had expired is gone). After a
    /// [`Fault`] the state is good for nothing any more. Of a transaction only the beginning: see
    /// [`State::apply_steps`].
    pub fn apply(
        &mut self,
        blocks: &Blocks,
        stamp: Stamp,
        command: &Command,
    ) -> Result<Applied, Fault> {
        self.clock = self.clock.max(stamp);
        let now_ms = self.clock.now_ms;
        let mut call = Call { state: self, blocks, now_ms, events: Vec::new() };
        call.expire_named(command);
        let reply = match call.run(command) {
            Ok(reply) => reply,
            Err(Stop::Refused(refusal)) => Reply::Refused(refusal),
            Err(Stop::Fault(fault)) => return Err(fault),
        };
        let applied = Applied { reply, events: call.events };
        self.settle_watched(&applied);
        Ok(applied)
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
        match queries::answer(self.at(now_ms), blocks, query) {
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
        commands::claimable_ms(self.at(self.clock.now_ms), read)
    }

    /// The greatest stamp applied.
    pub fn clock(&self) -> Stamp {
        self.clock
    }

    /// What was chosen of how it behaves.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Whether any key has a time at which it expires.
    pub fn has_expiring(&self) -> bool {
        !self.expiring.is_empty()
    }

    /// Whether a key's time has passed by the greater of the shard clock and `stamp`: then
    /// [`Command::ExpireDue`] has something to do.
    pub fn is_due(&self, stamp: Stamp) -> bool {
        self.due(self.clock.max(stamp).now_ms).next().is_some()
    }

    /// How many keys there are.
    pub fn keys_count(&self) -> u64 {
        self.names.len() as u64
    }

    /// How many of them expire.
    pub fn expiring_count(&self) -> u64 {
        self.expiring.len() as u64
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
        if let Some(watched) = stream.watched.take() {
            stream.changed.watch = true;
            self.unwatched.push((*number, watched));
        }
        Some(stream)
    }

    /// Removes a key with everything in it: at once here, in the background in the store. Whether it
    /// was there.
    pub(crate) fn drop_stream(&mut self, key: &[u8]) -> bool {
        let Some(number) = self.remove_name(key) else { return false };
        if let Some(stream) = self.streams.remove(&number) {
            if let Some(last_ms) = stream.expires_ms {
                self.expiring.remove(&(last_ms, number));
            }
            if stream.changed.stored {
                self.dropped_prefixes.push(parts::stream_prefix(number));
            }
        }
        self.dirty.parts += 1;
        self.dirty.bytes += 16;
        true
    }

    /// Removes all keys with everything in them: one record in the store, whatever there was. Gives
    /// the keys.
    pub(crate) fn drop_all(&mut self) -> Vec<Bytes> {
        let names = std::mem::take(&mut self.names);
        self.places = Places::default();
        self.expiring.clear();
        self.streams.clear();
        self.changed.clear();
        self.dropped_prefixes = vec![parts::streams_prefix()];
        self.dirty.parts += 1;
        self.dirty.bytes += 16;
        names.into_keys().collect()
    }

    /// Moves a stream to a name that is free.
    pub(crate) fn rename_stream(&mut self, key: &[u8], to: &[u8]) {
        // A copy: the bytes at hand are a slice of a whole batch.
        let to = Bytes::copy_from_slice(to);
        let Some(stream) = self.stream_mut(key) else { return };
        stream.key = to.clone();
        stream.changed.meta = true;
        let number = stream.number;
        self.remove_name(key);
        self.insert_name(to, number);
        self.dirty.bytes += 16;
    }

    /// Puts a new stream under a name that is free.
    pub(crate) fn put_stream(&mut self, key: &[u8], stream: Stream) {
        let number = self.add_stream(key).number;
        let Some(place) = self.streams.get_mut(&number) else { return };
        let key = std::mem::take(&mut place.key);
        let changed = Changed { listed: true, ..stream.changed };
        if let Some(expires_ms) = stream.expires_ms {
            self.expiring.insert((expires_ms, number));
        }
        **place = Stream { number, key, changed, ..stream };
    }

    /// Gives a key a last millisecond, or none.
    pub(crate) fn set_expiry(&mut self, key: &[u8], expires_ms: Option<u64>) {
        let Some(stream) = self.stream_mut(key) else { return };
        let (number, before_ms) = (stream.number, stream.expires_ms);
        stream.expires_ms = expires_ms;
        stream.changed.expiry = true;
        if let Some(before_ms) = before_ms {
            self.expiring.remove(&(before_ms, number));
        }
        if let Some(expires_ms) = expires_ms {
            self.expiring.insert((expires_ms, number));
        }
        self.dirty.bytes += 16;
    }

    /// Streams that are past their time, the first to expire first.
    pub(crate) fn due(&self, now_ms: u64) -> impl Iterator<Item = &Stream> {
        let passed = self.expiring.range(..(now_ms, StreamNumber(0)));
        passed.filter_map(|(_, number)| self.streams.get(number)).map(Box::as_ref)
    }

    /// Names a stream. Whether the name was free.
    pub(crate) fn insert_name(&mut self, key: Bytes, number: StreamNumber) -> bool {
        self.places.insert(&key, number);
        self.names.insert(key, number).is_none()
    }

    /// Takes a name from its stream.
    pub(crate) fn remove_name(&mut self, key: &[u8]) -> Option<StreamNumber> {
        let number = self.names.remove(key)?;
        self.places.remove(key, number);
        Some(number)
    }

    pub(crate) fn add_stream(&mut self, key: &[u8]) -> &mut Stream {
        let number = StreamNumber(self.stream_next);
        self.stream_next += 1;
        // A copy: the bytes at hand are a slice of a whole batch.
        let key = Bytes::copy_from_slice(key);
        self.insert_name(key.clone(), number);
        let mut stream = Stream { number, key, ..Stream::default() };
        stream.changed.listed = true;
        stream.changed.meta = true;
        self.changed.push(number);
        self.dirty.parts += 2;
        self.streams.entry(number).or_insert(Box::new(stream))
    }
}
