//! What CONFIG SET changes of a node while it runs. Never kept: a restart brings back what the
//! node's file says.

use std::sync::atomic::{AtomicU64, Ordering};

use super::door::Options;

/// Redis's own defaults.
const SLOW_US: u64 = 10_000;
const SLOW_COUNT: u64 = 128;

/// One number that may change.
#[derive(Debug)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A node's.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) connections_max: Number,
    /// Unsent bytes of one connection; more closes it.
    pub(crate) output_bytes_max: Number,
    /// Requests that took so many microseconds enter the slow log.
    pub(crate) slow_us: Number,
    /// As many it holds.
    pub(crate) slow_count_max: Number,
    /// Requests that took so many milliseconds are noted by LATENCY; 0: none.
    pub(crate) latency_ms: Number,
}

impl Settings {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            connections_max: Number::new(options.connections_max as u64),
            output_bytes_max: Number::new(options.output_bytes_max as u64),
            slow_us: Number::new(SLOW_US),
            slow_count_max: Number::new(SLOW_COUNT),
            latency_ms: Number::new(0),
        }
    }
}
