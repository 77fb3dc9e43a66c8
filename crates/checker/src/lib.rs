//! Whether a history could be that of streams that never lose, double, reorder or bring back. Knows
//! nothing of how the history came about: clients of real processes and simulated ones are judged
//! alike.
//!
//! ```text
//! 1 agreement              5 no duplicate           9 at least once
//! 2 order                  6 reads                 10 no double delivery
//! 3 no loss                7 linearizability       11 acknowledged stays, pending stays
//! 4 no phantom             8 readers that wait     12 groups never go back
//! ```
//!
//! An unknown outcome is never taken for either.

mod follow;
mod groups;
pub mod history;
pub mod ledger;
mod linear;
mod removals;
pub mod replies;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use history::{Final, Op};
pub use linear::Windows;
use removals::Removals;

/// A rule that the history breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check.
    pub check: u8,
    pub text: String,
}

/// What a history was found to be.
#[derive(Debug, Default)]
pub struct Verdict {
    /// At most [`SHOWN_MAX`] of each check are told apart.
    pub violations: Vec<Violation>,
    /// How many there are of each check, all told.
    pub counts: BTreeMap<u8, usize>,
    /// How much of it was searched for an order that explains it.
    pub windows: Windows,
}

/// Judges a history.
pub fn check(ops: &[Op], end: &Final) -> Verdict {
    let mut found = Found::default();
    let mut windows = Windows::default();
    let streams = end.entries.first().map_or(0, Vec::len);
    found.agreement(end);
    for stream in 0..streams {
        let ops: Vec<&Op> = ops.iter().filter(|op| op.stream == stream).collect();
        let last: &[_] = &end.entries[0][stream];
        let removals = Removals::of(&ops);
        streams::check(stream, &ops, last, &removals, &mut found);
        windows.add(linear::check(stream, &ops, last, &mut found));
        follow::check(stream, &ops, last, &removals, &mut found);
        if let Some(pending) = &end.pending[stream] {
            groups::check(stream, &ops, last, pending, &removals, &mut found);
        }
    }
    Verdict { violations: found.violations, counts: found.counts, windows }
}

/// More of one kind says nothing new.
pub const SHOWN_MAX: usize = 20;

/// Violations as they are found.
#[derive(Debug, Default)]
struct Found {
    violations: Vec<Violation>,
    counts: BTreeMap<u8, usize>,
}

impl Found {
    fn add(&mut self, check: u8, text: impl FnOnce() -> String) {
        let count = self.counts.entry(check).or_default();
        *count += 1;
        if *count <= SHOWN_MAX {
            self.violations.push(Violation { check, text: text() });
        }
    }

    /// Every node answers the same, and every replica has the same hash.
    fn agreement(&mut self, end: &Final) {
        for (node, streams) in end.entries.iter().enumerate().skip(1) {
            for (stream, entries) in streams.iter().enumerate() {
                if *entries != end.entries[0][stream] {
                    self.add(1, || format!("stream {stream}: node {node} answers other entries"));
                }
            }
        }
        for (shard, hashes) in &end.hashes {
            if hashes.iter().any(|hash| *hash != hashes[0]) {
                self.add(1, || format!("shard {shard}: replicas differ: {hashes:?}"));
            }
        }
    }
}
