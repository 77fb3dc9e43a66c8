//! What a run has come to, for whoever watches it: lines on the standard output, the last of which
//! `scripts/fuzz` reads. Never a judgement.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use base::{Clock, SystemClock};

use crate::bounds::Cost;

/// A line each so often.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    name: &'static str,
    all: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    done: u64,
    most: Cost,
    began: Duration,
    told: Duration,
}

impl Progress {
    pub(crate) fn new(name: &'static str, all: u64) -> Self {
        let now = SystemClock.monotonic();
        let inner = Inner { began: now, told: now, ..Inner::default() };
        Self { name, all, inner: Mutex::new(inner) }
    }

    /// So many more inputs, which cost so much at most.
    pub(crate) fn add(&self, inputs: u64, most: Cost) {
        let mut inner = self.inner.lock().expect("no thread panics with it");
        inner.done += inputs;
        inner.most = inner.most.or(most);
        let now = SystemClock.monotonic();
        if now - inner.told >= EVERY {
            inner.told = now;
            let seconds = (now - inner.began).as_secs_f64();
            let (name, all, done) = (self.name, self.all, inner.done);
            say(&format!("{name}: {done} of {all} inputs, {:.0} a second", done as f64 / seconds));
        }
    }

    /// The last line.
    pub(crate) fn end(&self) {
        let inner = self.inner.lock().expect("no thread panics with it");
        let (micros, bytes) = (inner.most.time.as_micros(), inner.most.bytes);
        say(&format!(
            "{}: all {} inputs, at most {micros} us, {bytes} bytes",
            self.name, inner.done
        ));
    }
}

/// Not `println!`, which a test's thread keeps for itself; whoever reads it may be gone.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
