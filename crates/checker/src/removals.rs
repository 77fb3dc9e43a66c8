//! What was deleted or trimmed: which entries may be gone by when, and which surely are.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{Id, Op, Outcome, What};

/// One removal, from when it was asked for to when it was answered.
#[derive(Clone, Copy, Debug)]
struct Removal {
    call: Duration,
    /// None where it may not have happened.
    done: Option<Duration>,
}

impl Removal {
    /// Of an operation that may have removed something.
    fn of(op: &Op, outcome: &Outcome<u64>) -> Option<Self> {
        let done = outcome.is_done().then_some(op.ret);
        outcome.is_possible().then_some(Self { call: op.call, done })
    }
}

/// Everything that removed entries of one stream, or may have.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    trims: Vec<(Id, Removal)>,
    deletes: BTreeMap<Id, Vec<Removal>>,
}

impl Removals {
    pub(crate) fn of(ops: &[&Op]) -> Self {
        let mut removals = Self::default();
        for op in ops {
            match &op.what {
                What::Trim { before, outcome } => {
                    removals.trims.extend(Removal::of(op, outcome).map(|it| (*before, it)));
                }
                What::Delete { ids, outcome } => {
                    let Some(removal) = Removal::of(op, outcome) else { continue };
                    for id in ids {
                        removals.deletes.entry(*id).or_default().push(removal);
                    }
                }
                _ => {}
            }
        }
        removals
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.trims.is_empty() && self.deletes.is_empty()
    }

    fn covering(&self, id: Id) -> impl Iterator<Item = &Removal> {
        let trims = self.trims.iter().filter(move |(before, _)| id < *before);
        trims.map(|(_, removal)| removal).chain(self.deletes.get(&id).into_iter().flatten())
    }

    /// Whether something that was asked for before a moment may have removed an entry.
    pub(crate) fn may_be_gone(&self, id: Id, by: Duration) -> bool {
        self.covering(id).any(|removal| removal.call < by)
    }

    /// Whether something that was answered before a moment has removed an entry.
    pub(crate) fn is_gone(&self, id: Id, by: Duration) -> bool {
        self.covering(id).any(|removal| removal.done.is_some_and(|done| done < by))
    }
}
