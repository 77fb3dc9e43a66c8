//! Requests that took long, the newest, for SLOWLOG. Bounded in count, and each in bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    pub(crate) id: u64,
    /// The wall clock when it was answered.
    pub(crate) at_ms: u64,
    pub(crate) took: Duration,
    pub(crate) args: Vec<Bytes>,
    pub(crate) address: String,
    pub(crate) name: String,
}

/// A port's.
#[derive(Debug, Default)]
pub(crate) struct SlowLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    id_next: u64,
    /// The newest first.
    slow: VecDeque<Slow>,
}

impl SlowLog {
    /// Adds one, whose id is given here; of all, so many stay.
    pub(super) fn push(&self, slow: Slow, count_max: u64) {
        let mut kept = self.lock();
        let id = kept.id_next;
        kept.id_next += 1;
        kept.slow.push_front(Slow { id, ..slow });
        kept.slow.truncate(usize::try_from(count_max).unwrap_or(usize::MAX));
    }

    /// The newest, so many.
    pub(crate) fn newest(&self, count: usize) -> Vec<Slow> {
        self.lock().slow.iter().take(count).cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().slow.len()
    }

    /// Forgets all. Ids go on.
    pub(crate) fn clear(&self) {
        self.lock().slow.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
