//! When requests took longer than `latency-monitor-threshold`, for LATENCY. Bounded; nothing is noted
//! while the threshold is 0.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::limits;

/// What may be slow: a command that is fast by its flags, or another.
const EVENTS: [&str; 2] = ["command", "fast-command"];

/// One second in which something took long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at_s: u64,
    /// The longest of that second.
    pub(crate) ms: u64,
}

/// What is known of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) ms_max: u64,
    /// The oldest first.
    pub(crate) samples: VecDeque<Sample>,
}

/// A port's.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<BTreeMap<&'static str, History>>);

impl Latency {
    pub(super) fn note(&self, is_fast: bool, at_s: u64, ms: u64) {
        let mut events = self.lock();
        let history = events.entry(EVENTS[usize::from(is_fast)]).or_default();
        history.ms_max = history.ms_max.max(ms);
        match history.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.ms = last.ms.max(ms),
            _ => history.samples.push_back(Sample { at_s, ms }),
        }
        if history.samples.len() > limits::LATENCY_SAMPLES_MAX {
            history.samples.pop_front();
        }
    }

    /// Every event that was noted.
    pub(crate) fn events(&self) -> BTreeMap<&'static str, History> {
        self.lock().clone()
    }

    /// Forgets the events that are named, or all; tells how many those were.
    pub(crate) fn reset(&self, named: impl Fn(&str) -> bool) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|event, _| !named(event));
        before - events.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, History>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_one_sample_and_samples_are_bounded() {
        let latency = Latency::default();
        latency.note(true, 5, 10);
        latency.note(true, 5, 30);
        latency.note(true, 5, 20);
        let expected = vec![Sample { at_s: 5, ms: 30 }];
        assert_eq!(latency.events()["fast-command"].samples, expected);
        (0..1000).for_each(|at_s| latency.note(false, at_s, 1));
        assert_eq!(latency.events()["command"].samples.len(), limits::LATENCY_SAMPLES_MAX);
        assert_eq!(latency.reset(|event| event == "command"), 1);
        assert_eq!(latency.reset(|_| true), 1);
    }
}
