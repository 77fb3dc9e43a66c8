//! What was deleted or trimmed: which entries may be gone by when, and which surely are.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{Id, Op, What};

/// One removal, from when it was asked for to when it was answered.
#[derive(Clone, Copy, Debug)]
struct Removal {
    call: Duration,
    /// None where it may not have happened.
    done: Option<Duration>,
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
            let (outcome, removal) = match &op.what {
                What::Trim { outcome, .. } | What::Delete { outcome, .. } => {
                    let done = outcome.is_done().then_some(op.ret);
                    (outcome, Removal { call: op.call, done })
                }
                _ => continue,
            };
            if !outcome.is_possible() {
                continue;
            }
            match &op.what {
                What::Trim { before, .. } => removals.trims.push((*before, removal)),
                What::Delete { ids, .. } => {
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
