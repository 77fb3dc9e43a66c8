//! The state machine held against a naive model, over random sequences of commands: as it is, with
//! every block evicted before every command, and with a save and load between any two commands.
//!
//! `WEIR_TEST_LONG=1` runs 100,000 sequences of each kind (use --release). A failure prints the
//! seed and the shortest prefix of its sequence that still fails; `WEIR_TEST_SEED` runs one seed.

mod model;
mod sequence;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::Model;
use sequence::{Sequence, Step};
use streams::command::Stamp;
use streams::id::BlockKey;
use streams::reply::{Entry, EntryRef, Reply};
use streams::{Block, Blocks, State, block_part_key, is_block_part};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AsItIs,
    Evicting,
    Reloading,
}

#[test]
fn agrees_with_the_model() {
    run_all(Kind::AsItIs, 400);
}

#[test]
fn agrees_with_the_model_when_every_block_is_evicted_before_every_command() {
    run_all(Kind::Evicting, 200);
}

#[test]
fn agrees_with_the_model_when_saved_and_loaded_between_any_two_commands() {
    run_all(Kind::Reloading, 200);
}

fn run_all(kind: Kind, short: u64) {
    let one = std::env::var("WEIR_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = if std::env::var_os("WEIR_TEST_LONG").is_some() { 100_000 } else { short };
    let seeds = one.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let steps = Sequence::new(seed).steps();
        let Err(first) = run(kind, &steps) else { continue };
        let wrong = (1..=steps.len())
            .find_map(|length| run(kind, &steps[..length]).err().map(|wrong| (length, wrong)));
        let (length, wrong) = wrong.unwrap_or((steps.len(), first));
        let listed: Vec<String> = steps[..length].iter().map(|step| format!("{step:?}")).collect();
        panic!("{kind:?}, WEIR_TEST_SEED={seed}: {wrong}\nafter\n{}", listed.join("\n"));
    }
}

fn run(kind: Kind, steps: &[Step]) -> Result<(), String> {
    let mut real = Real::default();
    let mut model = Model::default();
    for step in steps {
        let (got, want) = match step {
            Step::Change(now_ms, command) => {
                (real.apply(*now_ms, command), model.apply(*now_ms, command))
            }
            Step::Ask(now_ms, query) => (real.answer(*now_ms, query), model.answer(*now_ms, query)),
        };
        let got = without_tree_nodes(got);
        if got != want {
            return Err(format!("{step:?}\n  state: {got:?}\n  model: {want:?}"));
        }
        real.between(kind)?;
    }
    Ok(())
}

/// How many nodes Redis's tree would have is no business of the model.
fn without_tree_nodes(mut reply: Reply<Entry>) -> Reply<Entry> {
    match &mut reply {
        Reply::Stream(info) => info.summary.tree_nodes_count = 0,
        Reply::StreamFull(info) => info.summary.tree_nodes_count = 0,
        _ => {}
    }
    reply
}

/// The state machine with a store beside it that is a map.
#[derive(Default)]
struct Real {
    state: State,
    header: Bytes,
    parts: BTreeMap<Bytes, Bytes>,
}

impl Real {
    fn apply(&mut self, now_ms: u64, command: &streams::command::Command) -> Reply<Entry> {
        let blocks = self.fetch(&self.state.needs(command));
        let applied = self.state.apply(&blocks, Stamp { now_ms }, command).expect("no fault");
        self.resolve(applied.reply)
    }

    fn answer(&self, now_ms: u64, query: &streams::query::Query) -> Reply<Entry> {
        let blocks = self.fetch(&self.state.needs_query(query));
        let reply = self.state.answer(&blocks, Stamp { now_ms }, query).expect("no fault");
        self.resolve(reply)
    }

    fn resolve(&self, reply: Reply<EntryRef>) -> Reply<Entry> {
        let blocks = self.fetch(&self.state.needs_reply(&reply));
        self.state.resolve(&blocks, reply).expect("no fault")
    }

    fn fetch(&self, keys: &[BlockKey]) -> Blocks {
        let fetch = |key: &BlockKey| {
            let bytes = self.parts.get(&block_part_key(*key)).expect("the block was stored");
            (*key, Arc::new(Block::decode(bytes).expect("a whole block")))
        };
        keys.iter().map(fetch).collect()
    }

    fn between(&mut self, kind: Kind) -> Result<(), String> {
        if kind == Kind::AsItIs {
            return Ok(());
        }
        let checkpoint = self.state.checkpoint();
        self.header = checkpoint.header;
        for prefix in &checkpoint.dropped_prefixes {
            self.parts.retain(|key, _| !key.starts_with(prefix));
        }
        for key in &checkpoint.removed {
            self.parts.remove(key).ok_or(format!("removed {key:?}, which is not there"))?;
        }
        self.parts.extend(checkpoint.put);
        self.state.release();
        if kind == Kind::Evicting {
            return Ok(());
        }
        let parts = self.parts.iter().filter(|(key, _)| !is_block_part(key));
        let loaded =
            State::load(&self.header, parts.map(|(key, value)| (key.clone(), value.clone())))
                .map_err(|fault| fault.to_string())?;
        if loaded.hash() != self.state.hash() {
            return Err("the hash differs after a save and load".to_owned());
        }
        self.state = loaded;
        Ok(())
    }
}
