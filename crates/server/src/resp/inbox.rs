//! What others have for a connection: the order to end, and word that something changed. Never
//! waits for the connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::clients::Unblock;

/// One connection's.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    held: Mutex<Held>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Held {
    order: Option<Order>,
    unblock: Option<Unblock>,
}

/// What a connection must do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Somebody wants it to end.
    End,
}

impl Inbox {
    /// The connection looks around soon.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until something is to be looked at.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The connection ends, answered or not.
    pub(crate) fn end(&self) {
        self.lock().order.get_or_insert(Order::End);
        self.ring();
    }

    pub(super) fn order(&self) -> Option<Order> {
        self.lock().order
    }

    /// The wait of the connection ends.
    pub(super) fn unblock(&self, how: Unblock) {
        self.lock().unblock = Some(how);
        self.ring();
    }

    pub(super) fn take_unblock(&self) -> Option<Unblock> {
        self.lock().unblock.take()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
