//! MULTI, EXEC and WATCH. A transaction is one command, so it is in the log whole or not at all; its
//! steps are applied one after the other, and each is handed the blocks that it needs once those
//! before it were applied.
//!
//! WATCH gives a key's stream a number, which any later change takes from it again (what was refused or
//! came to nothing gives it back): where the number is still there, nothing has changed since. Numbers come from the counter that numbers
//! streams, are never used twice, and are part of the state: so a new leader or a restart knows no
//! less. A stream that nobody watches pays nothing.

use bytes::Bytes;

use crate::block::Blocks;
use crate::command::{Command, Stamp, Step, Transaction};
use crate::commands::{Call, Outcome};
use crate::error::{Fault, Refusal};
use crate::event::Event;
use crate::id::BlockKey;
use crate::limits::TRANSACTION_TOLD_BYTES_MAX;
use crate::query::Query;
use crate::reply::{Deleted, EntryRef, Reply};
use crate::state::{Applied, State};
use crate::{told, work};

impl Call<'_> {
    pub(crate) fn watch(&mut self, keys: &[Bytes]) -> Outcome {
        let numbers = keys.iter().map(|key| self.state.watch(key)).collect();
        Ok(Reply::Watched(numbers))
    }
}

impl State {
    /// [`State::needs`], then [`State::apply`]; for a transaction, for each of its steps. What
    /// `fetch` fails with ends it, and then the state is good for nothing any more.
    pub fn apply_steps<E: From<Fault>>(
        &mut self,
        stamp: Stamp,
        command: &Command,
        mut fetch: impl FnMut(Vec<BlockKey>) -> Result<Blocks, E>,
    ) -> Result<Applied, E> {
        match command {
            Command::Transaction(transaction) => {
                // Moves the clock, and removes what has expired of the keys that are named.
                let Applied { events, .. } = self.apply(&Blocks::new(), stamp, command)?;
                self.transact(stamp, transaction, events, &mut fetch)
            }
            command => {
                let blocks = fetch(self.needs(stamp, command))?;
                Ok(self.apply(&blocks, stamp, command)?)
            }
        }
    }

    fn transact<E: From<Fault>>(
        &mut self,
        stamp: Stamp,
        transaction: &Transaction,
        mut events: Vec<Event>,
        fetch: &mut impl FnMut(Vec<BlockKey>) -> Result<Blocks, E>,
    ) -> Result<Applied, E> {
        if !self.is_unchanged(&transaction.watched) {
            return Ok(Applied { reply: Reply::Nil, events });
        }
        let last_removal = transaction.steps.iter().rposition(removes_entries);
        let mut replies = Vec::with_capacity(transaction.steps.len());
        let mut told_bytes = 0;
        for (at, step) in transaction.steps.iter().enumerate() {
            let reply = match step {
                step if told_bytes >= TRANSACTION_TOLD_BYTES_MAX && reads(step) => {
                    Reply::Refused(Refusal::TransactionReadsTooMuch)
                }
                Step::Command(command) => {
                    let blocks = fetch(self.needs(stamp, command))?;
                    let applied = self.apply(&blocks, stamp, command)?;
                    events.extend(applied.events);
                    applied.reply
                }
                Step::Query(query) => {
                    let blocks = fetch(self.needs_query(query))?;
                    self.answer(&blocks, stamp, query)?
                }
            };
            told_bytes += told::bytes(self, &reply);
            let removed_later = last_removal.is_some_and(|removal| removal > at);
            replies.push(match names_entries(&reply) && removed_later {
                true => {
                    let blocks = fetch(self.needs_reply(&reply))?;
                    Reply::Held(Box::new(self.resolve(&blocks, reply)?))
                }
                false => reply,
            });
        }
        Ok(Applied { reply: Reply::Transaction(replies), events })
    }

    /// Gives streams their numbers for WATCH back, where a command that might have changed them
    /// didn't.
    pub(crate) fn settle_watched(&mut self, applied: &Applied) {
        if self.unwatched.is_empty() {
            return;
        }
        let unwatched = std::mem::take(&mut self.unwatched);
        if !applied.is_without_effect() {
            return;
        }
        for (number, watched) in unwatched {
            if let Some(stream) = self.streams.get_mut(&number) {
                stream.watched = Some(watched);
            }
        }
    }

    fn is_unchanged(&self, watched: &[(Bytes, Option<u64>)]) -> bool {
        let number = |key| self.stream(key).map(|stream| stream.watched);
        watched.iter().all(|(key, expected)| number(key) == expected.map(Some))
    }

    /// The number under which a key's stream is unchanged from now on.
    fn watch(&mut self, key: &Bytes) -> Option<u64> {
        let stream = self.stream(key)?;
        if stream.watched.is_some() {
            return stream.watched;
        }
        let number = self.stream_next;
        self.stream_next += 1;
        let stream = self.stream_mut(key)?;
        stream.watched = Some(number);
        stream.changed.watch = true;
        self.dirty.bytes += 16;
        Some(number)
    }
}

impl Applied {
    /// Whether it is sure that nothing changed.
    fn is_without_effect(&self) -> bool {
        let says_nothing = match &self.reply {
            // An id that was given before has no event. A group read that found nothing is not
            // among these: it changes when its consumer was seen.
            Reply::Refused(_) | Reply::Count(0) | Reply::Added(_) => true,
            Reply::Deleted(all) => all.iter().all(|one| *one == Deleted::Missing),
            _ => false,
        };
        says_nothing && self.events.is_empty()
    }
}

fn names_entries(reply: &Reply<EntryRef>) -> bool {
    matches!(
        reply,
        Reply::Entries(_)
            | Reply::Streams(_)
            | Reply::Deliveries(_)
            | Reply::AutoClaimed { .. }
            | Reply::Stream(_)
            | Reply::StreamFull(_)
    )
}

/// Whether what a step tells may be long.
fn reads(step: &Step) -> bool {
    match step {
        Step::Command(command) => {
            matches!(command, Command::ReadGroup(_) | Command::Claim(_) | Command::AutoClaim(_))
        }
        Step::Query(query) => !matches!(
            query,
            Query::Length { .. }
                | Query::Exists { .. }
                | Query::Type { .. }
                | Query::Lifetime { .. }
        ),
    }
}

/// Whether a step may remove entries that an earlier reply names.
fn removes_entries(step: &Step) -> bool {
    work::step();
    match step {
        Step::Query(_) => false,
        Step::Command(Command::Add(add)) => add.trim.is_some(),
        Step::Command(command) => !matches!(
            command,
            Command::GroupCreate { .. }
                | Command::GroupSetId { .. }
                | Command::GroupDestroy { .. }
                | Command::ConsumerCreate { .. }
                | Command::ConsumerDelete { .. }
                | Command::ReadGroup(_)
                | Command::Ack { .. }
                | Command::Claim(_)
                | Command::AutoClaim(_)
                | Command::Persist { .. }
        ),
    }
}
