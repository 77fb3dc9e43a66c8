//! Sending appends: a session over the link, many under way at once, answers in order. Ends with an
//! error when the connection goes down, when nothing is answered for too long, or when the peer is
//! too far behind to be fed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::{NodeId, ShardId};
use futures::Stream;
use openraft::errors::{NetworkError, RPCError, Unreachable};
use openraft::raft::StreamAppendError;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::link::{Lane, Message};
use crate::network::router::{Router, kind};
use crate::network::wire::{Append, Appended, encode_append};
use crate::state::Replica;
use crate::types::TypeConfig;

/// Bytes of a shard's entries that may be under way to a follower and not answered: bounds what a
/// slow follower holds in memory. Enough for a gigabit link with 30 ms to a synced answer.
pub(crate) const WINDOW_BYTES: usize = 4 << 20;

/// Requests under way: openraft's receiver takes 64 before it waits.
const WINDOW_REQUESTS: usize = 64;

type Item = Result<Appended, RPCError<TypeConfig>>;

/// Where a session goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) router: Arc<Router>,
    pub(crate) peer: NodeId,
    pub(crate) shard: ShardId,
    /// Heartbeats must not stand behind entries.
    pub(crate) lane: Lane,
    /// How long a request may go unanswered while others wait behind it.
    pub(crate) patience: Duration,
    /// Whose entries are sent.
    pub(crate) replica: Arc<Replica>,
}

/// The answers to the requests of `input`.
pub(crate) struct AppendStream<S> {
    target: Target,
    session: Option<Session>,
    input: Option<S>,
    under_way: VecDeque<usize>,
    under_way_bytes: usize,
    number: u64,
    deadline: Pin<Box<Sleep>>,
    ended: bool,
}

struct Session {
    number: u64,
    answers: mpsc::UnboundedReceiver<Appended>,
}

impl<S> AppendStream<S>
where
    S: Stream<Item = Append> + Unpin,
{
    /// The session is opened with the first request: it is there that openraft waits after an
    /// error, so failing before it is asked for would make it try again at once, for ever.
    pub(crate) fn new(target: Target, input: S) -> Self {
        let deadline = Box::pin(tokio::time::sleep(target.patience));
        Self {
            target,
            session: None,
            input: Some(input),
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            number: 0,
            deadline,
            ended: false,
        }
    }

    fn session(&mut self) -> Result<u64, RPCError<TypeConfig>> {
        if let Some(session) = &self.session {
            return Ok(session.number);
        }
        let opened = self.target.router.open_session(self.target.peer, self.target.shard);
        let (number, answers) =
            opened.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))?;
        self.session = Some(Session { number, answers });
        Ok(number)
    }

    fn has_room(&self) -> bool {
        self.under_way_bytes < WINDOW_BYTES && self.under_way.len() < WINDOW_REQUESTS
    }

    fn send(&mut self, append: &Append) -> Result<(), RPCError<TypeConfig>> {
        let (head, body) = encode_append(append);
        let message = Message {
            shard: self.target.shard,
            kind: kind::APPEND,
            session: self.session()?,
            number: self.number,
            head,
            body,
        };
        let bytes = message.bytes();
        let sent = self.target.router.link.send(self.target.peer, self.target.lane, message);
        sent.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))?;
        if self.under_way.is_empty() {
            self.deadline.as_mut().reset(Instant::now() + self.target.patience);
        }
        self.number += 1;
        self.under_way.push_back(bytes);
        self.under_way_bytes += bytes;
        Ok(())
    }

    fn answered(&mut self) {
        self.under_way_bytes -= self.under_way.pop_front().unwrap_or(0);
        self.deadline.as_mut().reset(Instant::now() + self.target.patience);
    }

    /// Whether the peer lacks entries that are to go. While it streams, openraft keeps whatever it
    /// has not acknowledged, so a slow peer would keep the journal from shrinking for ever; when
    /// its session ends the entries go, and it gets a snapshot.
    fn is_too_far_behind(&self, appended: &Appended) -> bool {
        let (Lane::Log, Ok(matched)) = (self.target.lane, appended) else { return false };
        let matched = matched.map_or(0, |matched| matched.index);
        self.target.replica.holds.streams(self.target.peer, matched);
        matched < self.target.replica.purge_wanted()
    }

    /// A heartbeat names the last entry that the peer has acknowledged: one that conflicts with it
    /// has lost it.
    fn note_lost(&self, appended: &Appended) {
        let Target { lane, peer, shard, .. } = &self.target;
        if let (Lane::Urgent, Err(StreamAppendError::Conflict(at))) = (lane, appended) {
            tracing::error!(
                %peer, %shard, acknowledged = at.index,
                "a follower lost entries that it had acknowledged, and is sent them again: its disk \
                 does not keep what it syncs, or files were changed"
            );
        }
    }

    fn end(&mut self, item: Item) -> Poll<Option<Item>> {
        self.ended = true;
        Poll::Ready(Some(item))
    }

    /// Sends what there is and may be sent. An error ends the session.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Result<(), RPCError<TypeConfig>> {
        while self.has_room() {
            let Some(input) = self.input.as_mut() else { break };
            match Pin::new(input).poll_next(context) {
                Poll::Ready(Some(append)) => self.send(&append)?,
                Poll::Ready(None) => self.input = None,
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

impl<S> Stream for AppendStream<S>
where
    S: Stream<Item = Append> + Unpin,
{
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // Answers first: they make room.
        let answer = match &mut this.session {
            Some(session) => session.answers.poll_recv(context),
            None => Poll::Pending,
        };
        if let Poll::Ready(Some(appended)) = answer {
            this.answered();
            if appended.is_err() {
                this.note_lost(&appended);
                return this.end(Ok(appended));
            }
            if this.is_too_far_behind(&appended) {
                let error = NetworkError::from_string("the peer is too far behind");
                return this.end(Err(RPCError::Network(error)));
            }
            if let Err(error) = this.poll_input(context) {
                tracing::debug!(peer = %this.target.peer, %error, "a session of appends ends");
                this.input = None;
            }
            return Poll::Ready(Some(Ok(appended)));
        }
        if answer.is_ready() {
            let error = NetworkError::from_string("the connection or the peer's group went down");
            return this.end(Err(RPCError::Network(error)));
        }
        let opened = this.session.is_some();
        if let Err(error) = this.poll_input(context) {
            return this.end(Err(error));
        }
        if !opened && this.session.is_some() {
            // Its answers were not listened to yet.
            context.waker().wake_by_ref();
        }
        if this.under_way.is_empty() {
            if this.input.is_none() {
                this.ended = true;
                return Poll::Ready(None);
            }
        } else if this.deadline.as_mut().poll(context).is_ready() {
            let error = NetworkError::from_string("an append was not answered in time");
            return this.end(Err(RPCError::Network(error)));
        }
        Poll::Pending
    }
}

impl<S> Drop for AppendStream<S> {
    fn drop(&mut self) {
        let Some(session) = &self.session else { return };
        self.target.router.close_session(session.number);
        let end = Message {
            shard: self.target.shard,
            kind: kind::APPEND_END,
            session: session.number,
            ..Message::default()
        };
        drop(self.target.router.link.send(self.target.peer, self.target.lane, end));
    }
}
