//! A lane's queue: bounded in bytes, drained as a whole. Never a channel of small capacity: feeding
//! a stream from one costs ten times the CPU (measured).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::link::{Lane, Message, SendError};

/// Bytes that may wait in a lane. More than the followers' window of appends for every shard, so
/// that only a peer that stands still fills it.
pub(crate) fn bytes_max(lane: Lane) -> usize {
    match lane {
        Lane::Urgent => 16 << 20,
        Lane::Log => 128 << 20,
        Lane::Bulk => 16 << 20,
    }
}

/// What one frame takes out of a queue: large enough to be cheap, small enough that other lanes get
/// their turn on the socket.
pub(crate) const FRAME_BYTES: usize = 512 << 10;

#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Message>,
    bytes: usize,
    closed: bool,
    waker: Option<Waker>,
}

impl Queue {
    pub(crate) fn new(lane: Lane) -> Self {
        Self { inner: Mutex::default(), bytes_max: bytes_max(lane) }
    }

    pub(crate) fn push(&self, message: Message) -> Result<(), SendError> {
        let waker = {
            let mut inner = self.inner.lock().expect("no holder panics");
            if inner.closed {
                return Err(SendError::Down);
            }
            if inner.bytes >= self.bytes_max {
                return Err(SendError::Full);
            }
            inner.bytes += message.bytes();
            inner.messages.push_back(message);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Takes a frame's worth of messages; `None` once the queue is closed.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Vec<Message>>> {
        let mut inner = self.inner.lock().expect("no holder panics");
        if inner.closed {
            return Poll::Ready(None);
        }
        if inner.messages.is_empty() {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < FRAME_BYTES {
            let Some(message) = inner.messages.pop_front() else { break };
            bytes += message.bytes();
            taken.push(message);
        }
        inner.bytes -= bytes;
        Poll::Ready(Some(taken))
    }

    /// Drops what waits and refuses more.
    pub(crate) fn close(&self) {
        let waker = {
            let mut inner = self.inner.lock().expect("no holder panics");
            inner.closed = true;
            inner.messages.clear();
            inner.bytes = 0;
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
