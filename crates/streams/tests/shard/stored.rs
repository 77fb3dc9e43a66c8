//! A state with a store beside it that is a map: what a shell does, as simply as it can be done.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use streams::command::{Command, Stamp};
use streams::error::Fault;
use streams::id::BlockKey;
use streams::query::Query;
use streams::reply::{Entry, EntryRef, Reply};
use streams::{Block, Blocks, CheckpointParts, State};

/// A state with the store that its checkpoints go to.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) state: State,
    pub(crate) parts: BTreeMap<Bytes, Bytes>,
}

impl Stored {
    /// Checkpoints, and keeps no block.
    pub(crate) fn evict(&mut self) {
        let parts = self.state.checkpoint();
        self.store(parts);
        for (key, block) in self.state.release() {
            assert_eq!(self.parts.get(&streams::block_part_key(key)), Some(block.bytes()));
        }
        assert_eq!(self.state.dirty(), streams::Dirty::default());
    }

    /// Starts again from the store.
    pub(crate) fn reload(&mut self) {
        let parts = self.state.checkpoint();
        let header = parts.header.clone();
        self.store(parts);
        let parts = self.parts.iter().map(|(key, value)| (key.clone(), value.clone()));
        self.state = State::load(&header, parts).unwrap();
    }

    pub(crate) fn store(&mut self, parts: CheckpointParts) {
        for key in &parts.removed {
            assert!(self.parts.remove(key).is_some(), "removed, but never stored: {key:?}");
        }
        for prefix in &parts.dropped_prefixes {
            self.parts.retain(|key, _| !key.starts_with(prefix));
        }
        for (key, value) in parts.put {
            assert!(!parts.removed.contains(&key), "put and removed: {key:?}");
            self.parts.insert(key, value);
        }
    }

    fn fetch(&self, needs: Vec<BlockKey>) -> Blocks {
        let fetch = |key| {
            let bytes = self.parts.get(&streams::block_part_key(key)).expect("a live block");
            (key, Arc::new(Block::decode(bytes).unwrap()))
        };
        needs.into_iter().map(fetch).collect()
    }

    pub(crate) fn apply(&mut self, stamp: Stamp, command: &Command) -> Reply<Entry> {
        let mut state = std::mem::take(&mut self.state);
        let fetch = |needs| Ok::<_, Fault>(self.fetch(needs));
        let applied = state.apply_steps(stamp, command, fetch).unwrap();
        self.state = state;
        self.resolve(applied.reply)
    }

    pub(crate) fn answer(&self, stamp: Stamp, query: &Query) -> Reply<Entry> {
        let blocks = self.fetch(self.state.needs_query(query));
        self.resolve(self.state.answer(&blocks, stamp, query).unwrap())
    }

    fn resolve(&self, reply: Reply<EntryRef>) -> Reply<Entry> {
        let blocks = self.fetch(self.state.needs_reply(&reply));
        self.state.resolve(&blocks, reply).unwrap()
    }

    pub(crate) fn blocks_count(&self) -> usize {
        self.parts.keys().filter(|key| streams::is_block_part(key)).count()
    }
}
