//! The machine of a data shard: `streams` behind the trait, with the blocks that it asks for out of
//! cache and store, and each gateway's commands applied exactly once. Never decides what a command
//! does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::planted::{Bug, is};
use base::{Clock, ShardId};
use bytes::Bytes;
use store::Store;
use streams::block::{Block, Blocks};
use streams::command::{Command, ReadGroup, Stamp};
use streams::error::Refusal;
use streams::event::Event;
use streams::id::{BlockKey, BlockNumber};
use streams::query::Query;
use streams::reply::{Entry, EntryRef, Reply};
use streams::{Admit, Batch, Loader, NotAdmitted, Origin, Run, State};
use tokio::sync::mpsc;

use super::{Broken, Contents, Dirty, Machine, Parts};
use crate::cache::Cache;
use crate::types::Outcomes;

/// Blocks of all shards of a node, kept in memory.
pub type BlockCache = Cache<BlockKey, Arc<Block>>;

/// A data shard's streams.
pub struct Data {
    state: State,
    blocks: Fetch,
    listeners: Vec<Listening>,
    /// Asked for the time in place of the log by a planted defect alone.
    own_clock: Option<Arc<dyn Clock>>,
}

/// Where what happens is told, while somebody wants to know.
struct Listening {
    wanted: Arc<AtomicBool>,
    events: mpsc::UnboundedSender<Vec<Event>>,
}

/// Hears what happens to a shard, in order, while it wants to. What it doesn't take grows: it is to
/// take all, or to want none.
pub struct Listener {
    wanted: Arc<AtomicBool>,
    events: mpsc::UnboundedReceiver<Vec<Event>>,
}

impl Listener {
    /// From now on it hears what happens, or not.
    pub fn listen(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::SeqCst);
    }

    /// What happened by some entries; none when the shard's machine is gone.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        self.events.recv().await
    }
}

/// Where sealed blocks come from that the state doesn't hold.
struct Fetch {
    shard: ShardId,
    store: Arc<dyn Store>,
    cache: Arc<BlockCache>,
}

impl Data {
    /// An empty shard whose blocks lie in `store`.
    pub fn new(shard: ShardId, store: Arc<dyn Store>, cache: Arc<BlockCache>) -> Self {
        let blocks = Fetch { shard, store, cache };
        Self { state: State::new(), blocks, listeners: Vec::new(), own_clock: None }
    }

    /// Goes by this node's own clock, where that defect is planted.
    pub(crate) fn with_clock(mut self, clock: &Arc<dyn Clock>) -> Self {
        self.own_clock = is(Bug::IdFromLocalClock).then(|| clock.clone());
        self
    }

    /// Somebody who hears what happens from now on, once it wants to.
    pub fn listen(&mut self) -> Listener {
        self.listen_while(Arc::default())
    }

    /// The same, while `wanted` is set.
    pub fn listen_while(&mut self, wanted: Arc<AtomicBool>) -> Listener {
        let (events, heard) = mpsc::unbounded_channel();
        self.listeners.push(Listening { wanted: wanted.clone(), events });
        Listener { wanted, events: heard }
    }

    /// The streams, as of the entries applied so far.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    fn tell(&self, events: &[Event]) {
        let listening = |one: &&Listening| one.wanted.load(Ordering::SeqCst);
        for one in self.listeners.iter().filter(listening).filter(|_| !events.is_empty()) {
            drop(one.events.send(events.to_vec()));
        }
    }

    /// Answers a question as of the entries applied so far.
    pub fn answer(&self, query: &Query, stamp: Stamp) -> Result<Reply<Entry>, Broken> {
        let blocks = self.blocks.fetch(self.state.needs_query(query))?;
        let reply = self.state.answer(&blocks, stamp, query)?;
        self.resolve(reply)
    }

    /// Notes that a consumer asked and nothing was proposed for it: the leader alone knows.
    pub fn note_seen(&mut self, read: &ReadGroup, stamp: Stamp) {
        self.state.note_seen(read, stamp);
    }

    /// The greatest stamp applied.
    pub fn clock(&self) -> Stamp {
        self.state.clock()
    }

    /// Whether the time of a key has passed. The clock is asked only where a key has one.
    pub(crate) fn is_due(&self, stamp: impl FnOnce() -> Stamp) -> bool {
        self.state.has_expiring() && self.state.is_due(stamp())
    }

    /// How many keys there are.
    pub fn keys_count(&self) -> u64 {
        self.state.keys_count()
    }

    /// How many of them expire.
    pub(crate) fn expiring_count(&self) -> u64 {
        self.state.expiring_count()
    }

    /// The last sequence number of a gateway's life that was applied.
    pub fn mark(&self, origin: &Origin) -> Option<u64> {
        self.state.mark(origin)
    }

    fn apply_run(
        &mut self,
        run: &Run,
        stamp: Stamp,
        outcomes: &mut Outcomes,
        answer: bool,
    ) -> Result<(), Broken> {
        let mut replies = Vec::with_capacity(if answer { run.commands.len() } else { 0 });
        for (sequence, command) in (run.first..).zip(&run.commands) {
            let reply = match self.state.admit(&run.origin, sequence, run.lowest_unanswered) {
                Admit::Apply => self.apply_new(run, sequence, stamp, command, outcomes)?,
                Admit::Kept(reply) => reply,
                Admit::Refused(refused) => Reply::Refused(refusal(refused)),
            };
            if answer {
                replies.push(self.resolve(reply)?);
            }
        }
        outcomes.runs.push(replies);
        Ok(())
    }

    fn apply_new(
        &mut self,
        run: &Run,
        sequence: u64,
        stamp: Stamp,
        command: &Command,
        outcomes: &mut Outcomes,
    ) -> Result<Reply<EntryRef>, Broken> {
        let Self { state, blocks, .. } = self;
        let fetch = |keys| blocks.fetch(keys);
        let applied = state.apply_steps::<Broken>(stamp, command, fetch)?;
        self.state.keep(&run.origin, sequence, &applied.reply);
        outcomes.events.extend(applied.events);
        Ok(applied.reply)
    }

    /// Makes room at once for what is about to be proposed. Only a planted defect does.
    pub(crate) fn trim_early(&mut self, batch: &Batch) {
        let Self { state, blocks, .. } = self;
        for command in batch.runs.iter().flat_map(|run| &run.commands) {
            if matches!(command, Command::Trim { .. }) {
                drop(state.apply_steps::<Broken>(batch.stamp, command, |keys| blocks.fetch(keys)));
            }
        }
    }

    fn resolve(&self, reply: Reply<EntryRef>) -> Result<Reply<Entry>, Broken> {
        let blocks = self.blocks.fetch(self.state.needs_reply(&reply))?;
        Ok(self.state.resolve(&blocks, reply)?)
    }
}

fn refusal(refused: NotAdmitted) -> Refusal {
    match refused {
        NotAdmitted::Stale | NotAdmitted::Gap => Refusal::Stale,
        NotAdmitted::TooMany => Refusal::TooManyKept,
    }
}

impl Fetch {
    fn fetch(&self, keys: Vec<BlockKey>) -> Result<Blocks, Broken> {
        keys.into_iter().map(|key| Ok((key, self.block(key)?))).collect()
    }

    fn block(&self, key: BlockKey) -> Result<Arc<Block>, Broken> {
        if let Some(block) = self.cache.get(self.shard, key) {
            return Ok(block);
        }
        let part = streams::block_part_key(key);
        let damaged = |detail: &str| store::Error::Damaged {
            shard: self.shard,
            key: format!("{key:?}"),
            detail: detail.to_owned(),
        };
        let bytes = self.store.get(self.shard, &part)?.ok_or_else(|| damaged("it is missing"))?;
        let block = Block::decode(&bytes).map_err(|fault| damaged(&fault.to_string()))?;
        let block = Arc::new(block);
        self.keep(key, &block);
        Ok(block)
    }

    fn keep(&self, key: BlockKey, block: &Arc<Block>) {
        let bytes = block.bytes().len() + BLOCK_OVERHEAD_BYTES;
        self.cache.insert(self.shard, key, block.clone(), bytes);
    }
}

/// What a block in the cache costs beside its bytes, roughly.
const BLOCK_OVERHEAD_BYTES: usize = 160;

impl Machine for Data {
    fn apply(&mut self, proposal: &Bytes, answer: bool) -> Result<Outcomes, Broken> {
        let mut batch = Batch::decode(proposal)?;
        if let Some(clock) = &self.own_clock {
            batch.stamp.now_ms = clock.wall_ms();
        }
        let mut outcomes = Outcomes::default();
        for run in &batch.runs {
            self.apply_run(run, batch.stamp, &mut outcomes, answer)?;
        }
        self.tell(&outcomes.events);
        Ok(outcomes)
    }

    fn dirty(&self) -> Dirty {
        let streams::Dirty { bytes, parts } = self.state.dirty();
        Dirty { bytes, parts }
    }

    fn is_filling(&self) -> bool {
        self.blocks.cache.is_filling()
    }

    fn is_pressed(&self) -> bool {
        self.blocks.cache.is_pressed()
    }

    fn checkpoint(&mut self) -> Contents {
        let parts = self.state.checkpoint();
        Contents {
            header: parts.header,
            put: parts.put,
            removed: parts.removed,
            dropped_prefixes: parts.dropped_prefixes,
        }
    }

    fn switched(&mut self) {
        for (key, block) in self.state.release() {
            self.blocks.keep(key, &block);
        }
    }

    fn unwanted(&self, key: &[u8]) -> Option<Bytes> {
        let BlockKey { stream, .. } = streams::block_of_part(key)?;
        Some(streams::block_part_key(BlockKey { stream, block: BlockNumber(u64::MAX) }))
    }

    fn load(&mut self, header: &[u8], parts: &mut Parts<'_>) -> Result<(), Broken> {
        self.blocks.cache.forget(self.blocks.shard);
        let mut loader = Loader::new(header)?;
        for part in parts {
            let (key, value) = part?;
            loader.part(&key, &value)?;
        }
        self.state = loader.finish()?;
        Ok(())
    }

    fn hash(&self) -> u64 {
        self.state.hash()
    }
}

#[cfg(test)]
mod tests;
