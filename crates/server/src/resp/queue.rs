//! What a connection owes its client, in order: answers that are on their way, and replies that
//! are written but have to wait for those before them. Never a socket.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use raft::{Outcome, ProposeError};
use resp::{Protocol, Writer};
use streams::reply::{Entry, Reply};

use super::clients::Client;
use super::door::{Done, Door};
use super::error::{Asked, propose_error_text};
use super::limits;
use super::reply::{self, Nothing};
use super::table::{Control, Run, Spec};
use super::transaction::Executed;
use crate::dispatch::{Call, Ending, Reading};

/// An answer that is on its way, and how to tell it.
pub(super) struct Question {
    pub(super) spec: &'static Spec,
    pub(super) call: Call,
    pub(super) asked: Asked,
    pub(super) nothing: Nothing,
    /// How to tell what a transaction came to.
    pub(super) executed: Option<Executed>,
    /// Whether an answer tells that something changed: not that of a consumer's history.
    pub(super) changes: bool,
    /// The client wants no reply.
    pub(super) silent: bool,
    /// As the client spoke when it asked.
    pub(super) protocol: Protocol,
    /// Of the request.
    pub(super) bytes: usize,
    pub(super) args: Vec<Bytes>,
    /// By the door's clock.
    pub(super) asked_at: Duration,
    pub(super) outcome: Option<Outcome>,
}

/// What a client is told whose wait another one ended so.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

enum Owed {
    Answer(Box<Question>),
    Written(BytesMut),
}

impl Owed {
    /// Of an answer, whether what it will propose is still open.
    fn is_looking(&self) -> Option<bool> {
        match self {
            Self::Answer(question) => Some(question.call.is_looking()),
            Self::Written(_) => None,
        }
    }
}

/// Everything owed, oldest first.
#[derive(Default)]
pub(super) struct Queue {
    owed: VecDeque<Owed>,
    bytes: usize,
    reads: usize,
    writes: usize,
    /// Answers that may take as long as the client said.
    waits: usize,
}

impl Queue {
    /// Whether the client waits: then nothing more of it is started.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits > 0
    }

    /// The read that found nothing and waits.
    pub(super) fn blocked_on(&self) -> Option<&Reading> {
        self.owed.iter().filter(|_| self.waits > 0).find_map(|owed| match owed {
            Owed::Answer(question) => question.call.blocked_on(),
            Owed::Written(_) => None,
        })
    }

    /// Ends whatever waits, unless there is something already.
    pub(super) fn end_waits(&mut self, ending: Ending) {
        for owed in self.owed.iter_mut().filter(|_| self.waits > 0) {
            if let Owed::Answer(question) = owed {
                question.call.end(ending);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Whether a reply is written that has to wait.
    pub(super) fn has_written(&self) -> bool {
        self.owed.iter().any(|owed| matches!(owed, Owed::Written(_)))
    }

    /// Whether another request may be started.
    pub(super) fn has_room(&self) -> bool {
        self.owed.len() < limits::IN_FLIGHT_COUNT_MAX
            && self.bytes < limits::IN_FLIGHT_BYTES_MAX
            && self.reads < limits::READS_IN_FLIGHT_MAX
    }

    /// Whether the order of the connection lets a request start: reads see all earlier writes, and
    /// no later one. A call that looks before it proposes is both.
    pub(super) fn lets_start(&self, run: &Run) -> bool {
        let looking = || self.owed.iter().find_map(Owed::is_looking).unwrap_or(false);
        match run {
            Run::Hold(_) | Run::Choose(_) => self.reads == 0 && self.writes == 0,
            Run::Local(_) | Run::Container(_) => true,
            Run::Read(_) | Run::ReadAlone(_) | Run::InSlot(_) => self.writes == 0,
            Run::Write(_) => self.reads == 0 && !looking(),
            // EXEC has to know what was watched.
            Run::ReadGroup(_) | Run::Transact(Control::Exec) => self.reads == 0 && self.writes == 0,
            Run::Transact(Control::Watch) => self.reads == 0 && !looking(),
            Run::Transact(_) => true,
        }
    }

    pub(super) fn push(&mut self, question: Question) {
        self.bytes += question.bytes;
        match question.asked {
            Asked::Read => self.reads += 1,
            Asked::Write => self.writes += 1,
        }
        self.waits += usize::from(question.call.waits());
        self.owed.push_back(Owed::Answer(Box::new(question)));
    }

    /// Where a reply is to be written that comes after everything owed.
    pub(super) fn end<'a>(&'a mut self, output: &'a mut BytesMut) -> &'a mut BytesMut {
        if self.owed.is_empty() {
            return output;
        }
        if !matches!(self.owed.back(), Some(Owed::Written(_))) {
            self.owed.push_back(Owed::Written(BytesMut::new()));
        }
        match self.owed.back_mut() {
            Some(Owed::Written(written)) => written,
            _ => output,
        }
    }

    /// Moves what is there to the output, up to the first answer that isn't. Says whether that was
    /// anything.
    pub(super) async fn take(
        &mut self,
        output: &mut BytesMut,
        door: &Door,
        client: &Client,
    ) -> bool {
        std::future::poll_fn(|context| Poll::Ready(self.take_now(context, output, door, client)))
            .await
    }

    fn take_now(
        &mut self,
        context: &mut Context<'_>,
        output: &mut BytesMut,
        door: &Door,
        client: &Client,
    ) -> bool {
        let mut took = false;
        while let Some(front) = self.owed.front_mut() {
            if let Owed::Answer(question) = front
                && question.poll(context).is_pending()
            {
                break;
            }
            took = true;
            match self.owed.pop_front() {
                Some(Owed::Written(written)) => output.put(written),
                Some(Owed::Answer(question)) => {
                    self.bytes -= question.bytes;
                    match question.asked {
                        Asked::Read => self.reads -= 1,
                        Asked::Write => self.writes -= 1,
                    }
                    self.waits -= usize::from(question.call.waits());
                    question.tell(output, door, client);
                    // What is unread is counted before the next of such answers.
                    if output.len() >= limits::OUTPUT_BYTES_SOFT_FULL {
                        return true;
                    }
                }
                None => {}
            }
        }
        took
    }

    /// Waits until the oldest thing owed is there, or begins or ends to block.
    pub(super) async fn front_done(&mut self) {
        let before = self.blocked_on().is_some();
        std::future::poll_fn(|context| {
            let done = match self.owed.front_mut() {
                Some(Owed::Answer(question)) => question.poll(context),
                Some(Owed::Written(_)) | None => Poll::Ready(()),
            };
            if self.blocked_on().is_some() == before { done } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Question {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.outcome.is_none() {
            // Without the runtime's budget, which would end a turn in the middle of a batch.
            let mut call = tokio::task::unconstrained(&mut self.call);
            self.outcome = Some(std::task::ready!(Pin::new(&mut call).poll(context)));
        }
        Poll::Ready(())
    }

    /// An answer that the node has no room for.
    fn refuse_where_full(&mut self, door: &Door) {
        let Some(Ok(reply)) = &self.outcome else { return };
        let is_read = self.asked == Asked::Read;
        if is_read && door.is_full() && reply.bytes_about() > limits::ANSWER_BYTES_SMALL {
            self.outcome = Some(Err(ProposeError::Overloaded(
                "too many bytes of answers wait for their readers on this node",
            )));
        }
    }

    /// Writes the answer, if it is wanted.
    fn tell(mut self, output: &mut BytesMut, door: &Door, client: &Client) {
        let before = output.len();
        self.refuse_where_full(door);
        let mut out = Writer::new(output, self.protocol);
        let error = match self.outcome {
            _ if self.call.was_unblocked() => {
                out.error(UNBLOCKED);
                Some(UNBLOCKED.into())
            }
            Some(Ok(reply)) => {
                if self.changes {
                    door.counters.changes.add(changes_count(&reply));
                }
                let reply = door.shaped(&reply);
                match &self.executed {
                    Some(executed) => executed.write(&mut out, &reply),
                    None => reply::write(&mut out, &reply, self.nothing),
                }
            }
            Some(Err(error)) => {
                let text = propose_error_text(&error, self.asked);
                out.error(&text);
                Some(text)
            }
            None => None,
        };
        if let Some(text) = &error {
            door.note_error(text);
        }
        // The time of a wait is the client's own.
        let took = match self.call.waits() {
            true => Duration::ZERO,
            false => door.clock.monotonic() - self.asked_at,
        };
        let (spec, failed, args) = (self.spec, error.is_some(), &self.args);
        door.note_done(&Done { spec, took, failed, args, client });
        if self.silent {
            output.truncate(before);
        }
    }
}

/// What an answer to a write tells of changes, counted as Redis does: a group's read of new entries
/// is one.
fn changes_count(reply: &Reply<Entry>) -> usize {
    match reply {
        Reply::Nil | Reply::Refused(_) => 0,
        Reply::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
        Reply::Entries(entries) => entries.len(),
        Reply::Ids(ids) => ids.len(),
        _ => 1,
    }
}
