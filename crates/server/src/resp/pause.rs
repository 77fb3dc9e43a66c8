//! `CLIENT PAUSE`: for a while requests wait, all of them or those that change something. Concerns
//! the connections of one node. Never holds what has started.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::table::{Run, Spec};

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Paused {
    /// What changes something, or reaches other clients.
    Writes,
    All,
}

/// The pause of a node, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// So that a request need not ask further where there is none.
    is_set: AtomicBool,
    now: Mutex<Option<(Instant, Paused)>>,
}

impl Pause {
    /// Pauses for so long from now. A pause that is there already never becomes shorter or weaker.
    pub(crate) fn set(&self, length: Duration, what: Paused) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + length;
        let before = now.filter(|(until, _)| *until > Instant::now());
        *now =
            Some(before.map_or((until, what), |(end, paused)| (end.max(until), paused.max(what))));
        self.is_set.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.is_set.store(false, Ordering::Relaxed);
    }

    /// Until when a request has to wait, if it has to.
    pub(super) fn holds(&self, spec: &Spec) -> Option<Instant> {
        if !self.is_set.load(Ordering::Relaxed) {
            return None;
        }
        let (until, what) = (*self.now.lock().unwrap_or_else(PoisonError::into_inner))?;
        let concerned = match what {
            Paused::All => spec.name != "UNPAUSE",
            Paused::Writes => changes(spec),
        };
        if until <= Instant::now() {
            self.end();
            return None;
        }
        concerned.then_some(until)
    }
}

fn changes(spec: &Spec) -> bool {
    matches!(spec.run, Run::Write(_) | Run::ReadGroup(_)) || spec.name.ends_with("PUBLISH")
}
