//! What was acknowledged, as lines of text. Never more than that.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use base::ShardId;

/// What a child tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// From now on it may be cut.
    Ready,
    /// The entry is durable.
    Entry { shard: ShardId, index: u64, term: u64 },
    /// The entries after `index` are about to be taken back: nobody counts on them.
    Cancelled { shard: ShardId, index: u64 },
    /// The entries after `index` are gone durably; later ones have at least this term.
    Truncated { shard: ShardId, index: u64, term: u64 },
    /// The store is at this checkpoint durably.
    Checkpoint { shard: ShardId, number: u64, applied: u64 },
    /// The vote is durable.
    Vote { shard: ShardId, term: u64 },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Line::Ready => write!(f, "ready 0 0 0"),
            Line::Entry { shard, index, term } => write!(f, "entry {} {index} {term}", shard.0),
            Line::Cancelled { shard, index } => write!(f, "cancelled {} {index} 0", shard.0),
            Line::Truncated { shard, index, term } => {
                write!(f, "truncated {} {index} {term}", shard.0)
            }
            Line::Checkpoint { shard, number, applied } => {
                write!(f, "checkpoint {} {number} {applied}", shard.0)
            }
            Line::Vote { shard, term } => write!(f, "vote {} {term} 0", shard.0),
        }
    }
}

impl FromStr for Line {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [name, shard, a, b] = fields[..] else { bail!("a line of four fields: {text}") };
        let (shard, a, b) = (ShardId(shard.parse()?), a.parse()?, b.parse()?);
        Ok(match name {
            "ready" => Line::Ready,
            "entry" => Line::Entry { shard, index: a, term: b },
            "cancelled" => Line::Cancelled { shard, index: a },
            "truncated" => Line::Truncated { shard, index: a, term: b },
            "checkpoint" => Line::Checkpoint { shard, number: a, applied: b },
            "vote" => Line::Vote { shard, term: a },
            _ => bail!("an unknown line: {text}"),
        })
    }
}

/// Takes every line that a child tells, until its pipe ends. A line without an end was cut off and so
/// not told, even where what there is of it reads as one.
pub(crate) fn take_lines(mut pipe: impl BufRead, mut take: impl FnMut(Line)) -> Result<()> {
    let mut text = String::new();
    while pipe.read_line(&mut text)? > 0 {
        let Some(line) = text.strip_suffix('\n') else { return Ok(()) };
        take(line.parse().with_context(|| format!("a child told {line:?}"))?);
        text.clear();
    }
    Ok(())
}

/// What must be there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectation {
    pub(crate) shards: BTreeMap<ShardId, Expected>,
}

/// What must be there of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// Index to term, above the checkpoint.
    pub(crate) entries: BTreeMap<u64, u64>,
    /// Entries after the index have at least the term.
    pub(crate) truncated: Option<(u64, u64)>,
    /// Number and applied position.
    pub(crate) checkpoint: Option<(u64, u64)>,
    pub(crate) vote: u64,
}

impl Expectation {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut expectation = Self::default();
        for line in text.lines() {
            expectation.take(line.parse().with_context(|| format!("in {line:?}"))?);
        }
        Ok(expectation)
    }

    pub(crate) fn take(&mut self, line: Line) {
        match line {
            Line::Ready => {}
            Line::Entry { shard, index, term } => {
                self.of(shard).entries.insert(index, term);
            }
            Line::Cancelled { shard, index } => {
                self.of(shard).entries.split_off(&(index + 1));
            }
            Line::Truncated { shard, index, term } => {
                self.of(shard).truncated = Some((index, term));
            }
            Line::Checkpoint { shard, number, applied } => {
                let expected = self.of(shard);
                expected.checkpoint = Some((number, applied));
                expected.entries = expected.entries.split_off(&(applied + 1));
            }
            Line::Vote { shard, term } => {
                let expected = self.of(shard);
                expected.vote = expected.vote.max(term);
            }
        }
    }

    fn of(&mut self, shard: ShardId) -> &mut Expected {
        self.shards.entry(shard).or_default()
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (&shard, expected) in &self.shards {
            for (&index, &term) in &expected.entries {
                writeln!(f, "{}", Line::Entry { shard, index, term })?;
            }
            if let Some((index, term)) = expected.truncated {
                writeln!(f, "{}", Line::Truncated { shard, index, term })?;
            }
            if let Some((number, applied)) = expected.checkpoint {
                writeln!(f, "{}", Line::Checkpoint { shard, number, applied })?;
            }
            writeln!(f, "{}", Line::Vote { shard, term: expected.vote })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_was_not_told_and_any_other_must_be_one() {
        let mut told = Vec::new();
        take_lines(&b"vote 1 7 0\nentry 2 57 1\nentry 2 58 1"[..], |line| told.push(line)).unwrap();
        let (shard, index, term) = (ShardId(2), 57, 1);
        let entry = Line::Entry { shard, index, term };
        assert_eq!(told, [Line::Vote { shard: ShardId(1), term: 7 }, entry]);

        let wrong = take_lines(&b"vote 1 7 0\nnonsense\nentry 2 57 1\n"[..], |_| {}).unwrap_err();
        assert!(format!("{wrong:#}").contains("nonsense"), "{wrong:#}");
    }
}
