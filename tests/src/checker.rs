//! Whether a history could be that of streams that never lose, double, reorder or bring back.
//!
//! The checks have the numbers of the list that they follow: 1 agreement, 2 order, 3 no loss, 4 no
//! phantom, 5 no duplicate, 6 reads, 9 at least once, 10 no double delivery, 11 acknowledged stays
//! acknowledged, 12 groups never go back. An unknown outcome is never taken for either.

mod groups;
mod streams;
#[cfg(test)]
mod tests;

use crate::history::{Final, Op};

/// A rule that the history breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check.
    pub check: u8,
    pub text: String,
}

/// Every violation; at most [`SHOWN_MAX`] of each check are told apart.
pub fn check(ops: &[Op], end: &Final) -> Vec<Violation> {
    let mut found = Found::default();
    let streams = end.entries.first().map_or(0, Vec::len);
    found.agreement(end);
    for stream in 0..streams {
        let ops: Vec<&Op> = ops.iter().filter(|op| op.stream == stream).collect();
        let last: &[_] = &end.entries[0][stream];
        streams::check(stream, &ops, last, &mut found);
        groups::check(stream, &ops, last, &end.pending[stream], &mut found);
    }
    found.violations
}

/// More of one kind says nothing new.
pub const SHOWN_MAX: usize = 20;

/// Violations as they are found.
#[derive(Debug, Default)]
struct Found {
    violations: Vec<Violation>,
    counts: std::collections::BTreeMap<u8, usize>,
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
