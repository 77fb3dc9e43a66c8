//! The same state three times: left alone, saved and loaded before every call, and with every
//! sealed block evicted before every call. Each must answer what the model answers.

use streams::command::{Command, Stamp};
use streams::error::Fault;
use streams::query::Query;
use streams::{Blocks, State};

use super::plain::Model;
use super::stored::Stored;

#[derive(Default)]
pub(crate) struct Replicas {
    model: Model,
    alone: State,
    evicted: Stored,
    loaded: Stored,
}

impl Replicas {
    pub(crate) fn apply(&mut self, stamp: Stamp, command: &Command) -> Result<(), String> {
        self.evicted.evict();
        self.loaded.reload();
        let expected = self.model.apply(stamp.now_ms, command);
        let none = Blocks::new();
        let fetch = |_| Ok::<_, Fault>(Blocks::new());
        let applied = self.alone.apply_steps(stamp, command, fetch).unwrap();
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
