//! A connection and its lanes' outgoing streams, each drained from a queue.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use base::NodeId;
use futures::Stream;
use rpc::peer::Frame as WireFrame;
use tokio::sync::watch;

use super::frames;
use crate::link::queue::Queue;
use crate::link::{Lane, Party};

pub(super) struct Connection {
    pub(super) peer: NodeId,
    pub(super) id: u64,
    queues: [Queue; 3],
    lanes_open: AtomicUsize,
    closed: watch::Sender<bool>,
}

impl Connection {
    pub(super) fn new(peer: NodeId, id: u64) -> Self {
        Self {
            peer,
            id,
            queues: Lane::ALL.map(Queue::new),
            lanes_open: AtomicUsize::new(0),
            closed: watch::Sender::new(false),
        }
    }

    pub(super) fn queue(&self, lane: Lane) -> &Queue {
        &self.queues[lane.number()]
    }

    /// Counts a lane that opened; returns how many are.
    pub(super) fn lane_opened(&self) -> usize {
        self.lanes_open.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn close(&self) {
        self.queues.iter().for_each(Queue::close);
        self.closed.send_replace(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) async fn closed(&self) {
        let mut watch = self.closed.subscribe();
        // The sender lives as long as `self`.
        drop(watch.wait_for(|closed| *closed).await);
    }
}

/// The frames of one lane: a greeting, then whatever is queued, several messages together.
pub(super) struct Outgoing {
    connection: Arc<Connection>,
    lane: Lane,
    party: Arc<dyn Party>,
    greeting: Option<WireFrame>,
}

impl Outgoing {
    pub(super) fn new(
        connection: Arc<Connection>,
        lane: Lane,
        party: Arc<dyn Party>,
        greeting: WireFrame,
    ) -> Self {
        Self { connection, lane, party, greeting: Some(greeting) }
    }
}

impl Stream for Outgoing {
    type Item = WireFrame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WireFrame>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        self.connection.queue(self.lane).poll_take(context).map(|messages| {
            let messages = messages?;
            Some(frames::write(&self.party.envelope(self.connection.peer), messages))
        })
    }
}
