//! What others have for a connection: messages that nobody asked for, the order to end, and word that
//! something changed. Bounded in bytes; never waits for the connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use resp::Writer;
use tokio::sync::Notify;

use super::clients::Unblock;
use super::limits;

/// One connection's.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    held: Mutex<Held>,
    /// Whether there is anything: looked at in every turn of the connection.
    has_any: AtomicBool,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Held {
    order: Option<Order>,
    unblock: Option<Unblock>,
    mail: VecDeque<Mail>,
    bytes: usize,
}

/// What a connection must do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Somebody wants it to end.
    End,
    /// Its client took too little of its mail.
    Overflow,
}

/// A message that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// What another client asked, for one that monitors.
    Line(Arc<str>),
    /// What was published.
    Message(Message),
}

/// Something published, for one who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// To a channel of the SSUBSCRIBE family.
    pub(crate) sharded: bool,
    /// The pattern that covers the channel, where the client listens to one.
    pub(crate) pattern: Option<Bytes>,
    pub(crate) channel: Bytes,
    pub(crate) payload: Bytes,
}

/// What a message costs beside its bytes, roughly.
const MAIL_OVERHEAD_BYTES: usize = 64;

impl Mail {
    fn bytes(&self) -> usize {
        MAIL_OVERHEAD_BYTES
            + match self {
                Self::Line(line) => line.len(),
                Self::Message(Message { pattern, channel, payload, .. }) => {
                    pattern.as_ref().map_or(0, Bytes::len) + channel.len() + payload.len()
                }
            }
    }

    /// Writes it as its client speaks.
    pub(super) fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Line(line) => out.simple(line),
            Self::Message(message) => message.write(out),
        }
    }
}

impl Message {
    fn write(&self, out: &mut Writer<'_>) {
        match &self.pattern {
            Some(pattern) => {
                out.push(4);
                out.bulk("pmessage");
                out.bulk(pattern);
            }
            None => {
                out.push(3);
                out.bulk(if self.sharded { "smessage" } else { "message" });
            }
        }
        out.bulk(&self.channel);
        out.bulk(&self.payload);
    }
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
        self.has_any.store(true, Ordering::Release);
        self.ring();
    }

    /// The same, as there is too much for its client.
    pub(super) fn overflow(&self) {
        self.lock().order.get_or_insert(Order::Overflow);
        self.has_any.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn order(&self) -> Option<Order> {
        self.has_any.load(Ordering::Acquire).then(|| self.lock().order).flatten()
    }

    /// Leaves a message. For a client that takes too little there is no room: it is ended, since it
    /// could not know what it missed.
    pub(crate) fn put(&self, mail: Mail) {
        let mut held = self.lock();
        if held.bytes + mail.bytes() > limits::MAIL_BYTES_MAX {
            held.order.get_or_insert(Order::Overflow);
            held.mail.clear();
        } else if held.order.is_none() {
            held.bytes += mail.bytes();
            held.mail.push_back(mail);
        }
        self.has_any.store(true, Ordering::Release);
        self.ring();
    }

    /// The oldest message.
    pub(super) fn take(&self) -> Option<Mail> {
        if !self.has_any.load(Ordering::Acquire) {
            return None;
        }
        let mut held = self.lock();
        let mail = held.mail.pop_front();
        held.bytes -= mail.as_ref().map_or(0, Mail::bytes);
        self.has_any.store(!held.mail.is_empty() || held.order.is_some(), Ordering::Release);
        mail
    }

    /// Forgets what was left, as the client no longer wants it.
    pub(crate) fn clear(&self) {
        let mut held = self.lock();
        held.mail.clear();
        held.bytes = 0;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_bounded_and_too_much_of_it_ends_the_connection() {
        let (inbox, mail) = (Inbox::default(), Mail::Line("x".repeat(1000).into()));
        let room = limits::MAIL_BYTES_MAX / mail.bytes();
        (0..room).for_each(|_| inbox.put(mail.clone()));
        assert_eq!(inbox.order(), None);
        assert_eq!(inbox.take(), Some(mail.clone()));
        inbox.put(mail.clone());
        assert_eq!(inbox.order(), None);
        inbox.put(mail.clone());
        assert_eq!((inbox.order(), inbox.take()), (Some(Order::Overflow), None));
    }
}
