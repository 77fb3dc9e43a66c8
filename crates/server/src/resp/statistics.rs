//! What each command cost at this port, and which errors were told: for INFO and LATENCY. Counts
//! only; fixed places, so that memory never grows with traffic.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::table::{Spec, rows};

/// Buckets of a histogram: the last holds what took 2^30 us, 18 minutes, or longer.
const BUCKETS_COUNT: usize = 32;

/// Codes of errors that are told apart; they are ours, and fewer.
const CODES_MAX: usize = 128;

/// One command's figures.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    calls: AtomicU64,
    us: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    /// How many calls took up to 2^n us.
    buckets: [AtomicU64; BUCKETS_COUNT],
}

/// The same at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    pub(crate) us: u64,
    /// Refused before anything was done: a wrong number of arguments, or a stranger.
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    buckets: [u64; BUCKETS_COUNT],
}

impl Figures {
    /// A call ended.
    pub(crate) fn note(&self, took: Duration, failed: bool) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.us.fetch_add(us, Ordering::Relaxed);
        self.failed.fetch_add(failed.into(), Ordering::Relaxed);
        // The smallest n with us <= 2^n.
        let bucket = (u64::BITS - us.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS_COUNT - 1)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn seen(&self) -> Seen {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen {
            calls: read(&self.calls),
            us: read(&self.us),
            rejected: read(&self.rejected),
            failed: read(&self.failed),
            buckets: self.buckets.each_ref().map(read),
        }
    }

    fn reset(&self) {
        [&self.calls, &self.us, &self.rejected, &self.failed]
            .into_iter()
            .chain(&self.buckets)
            .for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

impl Seen {
    /// Microseconds, and how many calls took at most so many; only where that changes.
    pub(crate) fn histogram(&self) -> Vec<(u64, u64)> {
        let mut sum = 0;
        let mut steps = Vec::new();
        for (at, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            sum += count;
            steps.push((1 << at, sum));
        }
        steps
    }

    /// Microseconds that so many of a thousand calls took at most, as exact as the buckets are.
    pub(crate) fn percentile(&self, per_mille: u64) -> u64 {
        let steps = self.histogram();
        let all = steps.last().map_or(0, |(_, sum)| *sum);
        let wanted = (all * per_mille).div_ceil(1000);
        steps.iter().find(|(_, sum)| *sum >= wanted).map_or(0, |(us, _)| *us)
    }
}

/// All figures of a port.
#[derive(Debug)]
pub(crate) struct Statistics {
    /// By the row's place in the table, which is fixed.
    figures: BTreeMap<usize, (&'static Spec, Figures)>,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Statistics {
    pub(crate) fn new() -> Self {
        let figures = rows().map(|spec| (place(spec), (spec, Figures::default()))).collect();
        Self { figures, errors: Mutex::default() }
    }

    /// A command's, if it is one of the table.
    pub(crate) fn of(&self, spec: &'static Spec) -> Option<&Figures> {
        self.figures.get(&place(spec)).map(|(_, figures)| figures)
    }

    /// What was asked at all, by name.
    pub(crate) fn seen(&self) -> BTreeMap<String, Seen> {
        let seen = self.figures.values().map(|(spec, figures)| (spec, figures.seen()));
        let asked = seen.filter(|(_, seen)| seen.calls > 0 || seen.rejected > 0);
        asked.map(|(spec, seen)| (spec.path(), seen)).collect()
    }

    /// An error was told; its first word says which.
    pub(crate) fn note_error(&self, text: &str) {
        let code = text.split(' ').next().unwrap_or_default();
        let mut errors = self.errors();
        if errors.contains_key(code) || errors.len() < CODES_MAX {
            *errors.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// How often each kind of error was told.
    pub(crate) fn errors_seen(&self) -> BTreeMap<String, u64> {
        self.errors().clone()
    }

    pub(crate) fn reset(&self) {
        self.figures.values().for_each(|(_, figures)| figures.reset());
        self.errors().clear();
    }

    fn errors(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(spec: &'static Spec) -> usize {
    std::ptr::from_ref(spec).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_falls_into_the_bucket_that_holds_it() {
        let figures = Figures::default();
        for us in [0, 1, 2, 3, 4, 5, 1000, 1024, 1025] {
            figures.note(Duration::from_micros(us), us == 3);
        }
        figures.note(Duration::MAX, false);
        let seen = figures.seen();
        assert_eq!((seen.calls, seen.failed), (10, 1));
        let expected = vec![(1, 2), (2, 3), (4, 5), (8, 6), (1024, 8), (2048, 9), (1 << 31, 10)];
        assert_eq!(seen.histogram(), expected);
        assert_eq!((seen.percentile(500), seen.percentile(900)), (4, 2048));
        figures.reset();
        assert_eq!(figures.seen(), Seen::default());
        assert_eq!(figures.seen().percentile(990), 0);
    }

    #[test]
    fn errors_are_told_apart_by_their_first_word() {
        let statistics = Statistics::new();
        for text in ["ERR syntax error", "NOGROUP No such key", "ERR other"] {
            statistics.note_error(text);
        }
        let expected = BTreeMap::from([("ERR".to_owned(), 2), ("NOGROUP".to_owned(), 1)]);
        assert_eq!(statistics.errors_seen(), expected);
        (0..10_000).for_each(|code| statistics.note_error(&format!("CODE{code} x")));
        assert_eq!(statistics.errors_seen().len(), CODES_MAX);
    }
}
