//! The same state three times: left alone, saved and loaded before every call, and with every
//! sealed block evicted before every call. Each must answer what the model answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use streams::command::{Command, Stamp};
use streams::id::BlockKey;
use streams::query::Query;
use streams::reply::{Entry, EntryRef, Reply};
use streams::{Block, Blocks, CheckpointParts, State};

use super::plain::Model;

#[derive(Default)]
pub(crate) struct Replicas {
    model: Model,
    alone: State,
    evicted: Stored,
    loaded: Stored,
}

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

    fn store(&mut self, parts: CheckpointParts) {
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
        let blocks = self.fetch(self.state.needs(command));
        let applied = self.state.apply(&blocks, stamp, command).unwrap();
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

    fn blocks_count(&self) -> usize {
        self.parts.keys().filter(|key| streams::is_block_part(key)).count()
    }
}

impl Replicas {
    pub(crate) fn apply(&mut self, stamp: Stamp, command: &Command) -> Result<(), String> {
        self.evicted.evict();
        self.loaded.reload();
        let expected = self.model.apply(stamp.now_ms, command);
        let none = Blocks::new();
        let applied = self.alone.apply(&none, stamp, command).unwrap();
        let alone = self.alone.resolve(&none, applied.reply).unwrap();
        compare("left alone", &expected, &alone)?;
        compare("evicted", &expected, &self.evicted.apply(stamp, command))?;
        compare("loaded", &expected, &self.loaded.apply(stamp, command))?;
        let hashes = [self.alone.hash(), self.evicted.state.hash(), self.loaded.state.hash()];
        compare("hashes", &[hashes[0]; 3], &hashes)
    }

    pub(crate) fn answer(&mut self, stamp: Stamp, query: &Query) -> Result<(), String> {
        self.evicted.evict();
        self.loaded.reload();
        let expected = self.model.answer(stamp.now_ms, query);
        let none = Blocks::new();
        let answer = self.alone.answer(&none, stamp, query).unwrap();
        compare("left alone", &expected, &self.alone.resolve(&none, answer).unwrap())?;
        compare("evicted", &expected, &self.evicted.answer(stamp, query))?;
        compare("loaded", &expected, &self.loaded.answer(stamp, query))?;
        let nodes: usize = self.model.keys.values().map(|stream| stream.nodes.len()).sum();
        let stored = [self.evicted.blocks_count(), self.loaded.blocks_count()];
        if stored[0] != stored[1] || stored[0] > nodes {
            return Err(format!("{stored:?} blocks stored of {nodes} nodes"));
        }
        Ok(())
    }
}

fn compare<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    expected: &T,
    got: &T,
) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    Err(format!("{what}\n expected {expected:?}\n got      {got:?}"))
}
