//! Opens what a cut left over, compares it with what was acknowledged, and tells what there is.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use base::ShardId;
use journal::Journal;
use store::{Sled, Store};

use crate::expect::{Expectation, Expected, Line};
use crate::{model, place};

/// Recovers. The lines are what the next cycle must still find.
pub(crate) fn recover(dir: &Path, expected: &Expectation) -> Result<Vec<Line>> {
    let (journal, _committer, store) = place::open(dir, false)?;
    let mut lines = Vec::new();
    for shard in model::SHARDS {
        let expected = expected.shards.get(&shard).cloned().unwrap_or_default();
        let found = compare_store(&store, shard, &expected)
            .and_then(|applied| compare_journal(&journal, shard, applied, &expected));
        lines.extend(found.with_context(|| format!("shard {shard}"))?);
        while store.sweep(shard)? {}
        let orphans = store.orphans_count(shard)?;
        ensure!(orphans == 0, "shard {shard}: {orphans} chunks that nothing refers to");
        if let Some(root) = store.root(shard)? {
            let (number, applied) = (root.number.0, applied(&root.meta)?);
            lines.push(Line::Checkpoint { shard, number, applied });
        }
    }
    Ok(lines)
}

/// The applied position that a checkpoint's meta tells.
pub(crate) fn applied(meta: &[u8]) -> Result<u64> {
    Ok(u64::from_le_bytes(meta.try_into().context("meta of eight bytes")?))
}

/// Compares every part; returns the applied position.
fn compare_store(store: &Sled, shard: ShardId, expected: &Expected) -> Result<u64> {
    let root = store.root(shard)?;
    let (number, applied) = match &root {
        Some(root) => (root.number.0, applied(&root.meta)?),
        None => (0, 0),
    };
    let (number_told, applied_told) = expected.checkpoint.unwrap_or_default();
    ensure!(
        number >= number_told && applied >= applied_told,
        "checkpoint {number} at {applied}, but {number_told} at {applied_told} was acknowledged"
    );
    let state = model::state(shard, applied);
    let keys = store.keys(shard, b"", None, usize::MAX)?;
    ensure!(keys.iter().eq(state.keys()), "the checkpoint at {applied} has other parts: {keys:?}");
    for (key, index) in state {
        let value = store.get(shard, &key)?;
        ensure!(value == Some(model::value(shard, index)), "part {key:?} isn't that of {index}");
    }
    Ok(applied)
}

/// Compares every entry, and tells what is there.
fn compare_journal(
    journal: &Journal,
    shard: ShardId,
    applied: u64,
    expected: &Expected,
) -> Result<Vec<Line>> {
    let state = journal.log_state(shard);
    let purged = state.purged.map_or(0, |id| id.index);
    let last = state.last.map_or(0, |id| id.index);
    ensure!(purged <= applied, "purged up to {purged}, but the store is only at {applied}");
    ensure!(applied <= last, "the store is at {applied}, but the journal ends at {last}");
    let vote = vote_term(state.vote.as_deref())?;
    ensure!(vote >= expected.vote, "vote {vote}, but {} was acknowledged", expected.vote);
    let mut lines = vec![Line::Vote { shard, term: vote }];
    let mut next = purged + 1;
    while next <= last {
        let records = journal.read(shard, next..last + 1, 8 << 20)?;
        ensure!(!records.is_empty(), "entry {next} is missing, the last is {last}");
        for record in records {
            let (index, term) = (record.index, record.term);
            ensure!(index == next, "entry {index} where {next} should be");
            let right = model::payload(shard, index, term) == record.payload;
            ensure!(right, "entry {index} of term {term} isn't what was written");
            let stale = expected.truncated.is_some_and(|(t, least)| index > t && term < least);
            ensure!(!stale, "entry {index} of term {term} was truncated away");
            lines.push(Line::Entry { shard, index, term });
            next += 1;
        }
    }
    for (&index, &term) in expected.entries.range(purged + 1..) {
        let found = lines.contains(&Line::Entry { shard, index, term });
        ensure!(found, "entry {index} of term {term} was acknowledged and is gone (last {last})");
    }
    Ok(lines)
}

/// The term of a vote; 0 where there is none.
pub(crate) fn vote_term(vote: Option<&[u8]>) -> Result<u64> {
    match vote {
        Some(vote) => Ok(u64::from_le_bytes(vote.try_into().context("vote of eight bytes")?)),
        None => Ok(0),
    }
}
