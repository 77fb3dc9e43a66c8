//! What happened in a life, a line each with the simulated time: equal to the byte for equal seeds.
//! Never anything of the machine that it runs on.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// A life's trace. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Shared>);

struct Shared {
    began: Instant,
    shown: bool,
    state: Mutex<State>,
}

struct State {
    hash: Xxh3,
    lines: u64,
    faults: u64,
}

impl Trace {
    /// A trace that begins now; `shown` prints each line. To be called inside the runtime.
    pub(crate) fn new(shown: bool) -> Self {
        let state = State { hash: Xxh3::new(), lines: 0, faults: 0 };
        Self(Arc::new(Shared { began: Instant::now(), shown, state: Mutex::new(state) }))
    }

    /// Simulated time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Writes a line down.
    pub(crate) fn note(&self, what: impl Display) {
        let line = format!("{:>9.3} {what}", self.now().as_secs_f64());
        let mut state = self.state();
        state.hash.update(line.as_bytes());
        state.lines += 1;
        drop(state);
        if self.0.shown {
            print_line(&line);
        }
    }

    /// Writes a fault down, and counts it.
    pub(crate) fn fault(&self, what: impl Display) {
        self.state().faults += 1;
        self.note(format!("!! {what}"));
    }

    /// Faults so far.
    pub(crate) fn faults(&self) -> u64 {
        self.state().faults
    }

    /// A sum over every line so far, and how many there are.
    pub(crate) fn sum(&self) -> (u64, u64) {
        let state = self.state();
        (state.hash.digest(), state.lines)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::print_stdout, reason = "a trace that is asked for is what the program gives")]
fn print_line(line: &str) {
    println!("{line}");
}
