//! Bytes that are written for clients and that they have yet to take: of each connection, and of all
//! together. Never what to do about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of all connections of a node.
#[derive(Debug, Default)]
pub(crate) struct All(AtomicU64);

impl All {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection's part of it, as long as there is the connection.
pub(super) struct Unread {
    all: Arc<All>,
    counted: u64,
}

impl Unread {
    pub(super) fn of(all: &Arc<All>) -> Self {
        Self { all: Arc::clone(all), counted: 0 }
    }

    /// The connection has so many now.
    pub(super) fn note(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.counted, bytes as u64);
        self.all.0.fetch_add(self.counted, Ordering::Relaxed);
        self.all.0.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.note(0);
    }
}
