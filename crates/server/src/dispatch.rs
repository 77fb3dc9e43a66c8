//! Which shards a command or a query is about, and one answer made of theirs. Both doors enter
//! here. Never a protocol, never what a shard decides.
//!
//! Each shard answers for its own keys atomically; several shards don't act together. An answer
//! about several shards is an error when one of them has none.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::ShardId;
use bytes::Bytes;
use raft::{Outcome, Pending, ProposeError, Shards};
use streams::PLACE_BITS;
use streams::command::{Command, Most, ReadFrom, ReadGroup};
use streams::query::Query;
use streams::reply::{Delivery, Entry, Reply};
use tokio::time::Instant;

use crate::resp::Watched;

mod holding;
mod slot;
mod waiting;

use holding::Holding;
use slot::InSlot;
pub(crate) use slot::SlotQuestion;
use waiting::Waiting;
pub(crate) use waiting::{Ending, Reading};

/// An answer that is on its way, from one shard or many. Dropping it takes nothing back.
pub(crate) enum Call {
    One(Pending),
    Many(Many),
    Look(Look),
    Wait(Box<Waiting>),
    Scan(Scan),
    Hold(Holding),
    InSlot(InSlot),
    Watch(Pending, Vec<Bytes>, Watched),
    Choose(Pending),
}

impl Call {
    /// Asks behind a read barrier of each shard concerned.
    pub(crate) fn read(shards: &Arc<dyn Shards>, query: Query) -> Self {
        let ask = |shard, query| shards.read(shard, query);
        match query {
            Query::Read { count, most, streams } => {
                let (parts, merge) = split_streams(&**shards, streams, most);
                let query = |streams| Query::Read { count, most, streams };
                Self::of(parts, merge, false, |shard, streams| ask(shard, query(streams)))
            }
            Query::Exists { keys } => {
                let parts = split(&**shards, keys, |key| key);
                Self::of(parts, Merge::Sum, false, |shard, keys| ask(shard, Query::Exists { keys }))
            }
            Query::KeysCount => Self::ask_all(shards, Merge::Sum, &query),
            Query::Keys { .. } => Self::ask_all(shards, Merge::Keys, &query),
            Query::KeyAt { place } => Self::ask_all(shards, Merge::Any(place), &query),
            Query::Scan { place, count, pattern } => {
                Self::Scan(Scan::start(shards, place, count, pattern))
            }
            query => {
                let shard = shard_of(shards.as_ref(), query.keys());
                Self::One(ask(shard, query))
            }
        }
    }

    /// Asks every shard the same.
    fn ask_all(shards: &Arc<dyn Shards>, merge: Merge, query: &Query) -> Self {
        let parts = shards.shards().into_iter().map(|shard| (shard, ())).collect();
        Self::of(parts, merge, false, |shard, ()| shards.read(shard, query.clone()))
    }

    /// Asks about the keys of one slot.
    pub(crate) fn in_slot(shards: &Arc<dyn Shards>, question: SlotQuestion) -> Self {
        Self::InSlot(InSlot::ask(&**shards, question))
    }

    /// Proposes to each shard concerned.
    pub(crate) fn write(shards: &Arc<dyn Shards>, command: Command) -> Self {
        match command {
            Command::Remove { keys } => {
                let parts = split(&**shards, keys, |key| key);
                Self::of(parts, Merge::Sum, true, |shard, keys| {
                    shards.write(shard, Command::Remove { keys })
                })
            }
            Command::Flush => {
                let parts = shards.shards().into_iter().map(|shard| (shard, ())).collect();
                Self::of(parts, Merge::Done, true, |shard, ()| shards.write(shard, Command::Flush))
            }
            command => {
                let shard = shard_of(shards.as_ref(), command.keys());
                Self::One(shards.write(shard, command))
            }
        }
    }

    /// Watches keys of one shard: their numbers go where a transaction finds them.
    pub(crate) fn watch(shards: &Arc<dyn Shards>, keys: Vec<Bytes>, watched: Watched) -> Self {
        let shard = shard_of(shards.as_ref(), keys.iter());
        let pending = shards.write(shard, Command::Watch { keys: keys.clone() });
        Self::Watch(pending, keys, watched)
    }

    /// Chooses for the whole cluster.
    pub(crate) fn choose(shards: &Arc<dyn Shards>, numbers: BTreeMap<String, u64>) -> Self {
        Self::Choose(shards.choose(numbers))
    }

    /// Reads as a member of a group: looks first, and proposes to those shards only that have
    /// something to deliver. A refusal of one shard is seen before anything is delivered. MAXCOUNT
    /// and MAXSIZE are shared out between the shards, so that never more is delivered than asked.
    pub(crate) fn read_group(shards: &Arc<dyn Shards>, read: ReadGroup) -> Self {
        let (parts, merge) = split_streams(&**shards, read.streams, Most::default());
        let shares = parts.len() as u64;
        let read = ReadGroup { streams: Vec::new(), ..read };
        let share = |(at, (shard, streams))| {
            (shard, ReadGroup { streams, most: read.most.share(at, shares), ..read.clone() })
        };
        let reads: Vec<(ShardId, ReadGroup)> = (0..).zip(parts).map(share).collect();
        let look = |(shard, read): &(ShardId, ReadGroup)| {
            Part::Waiting(shards.read(*shard, Query::WouldDeliver(read.clone())))
        };
        let answers = reads.iter().map(look).collect();
        Self::Look(Look { shards: Arc::clone(shards), reads, answers, merge })
    }

    /// Reads, and waits until there is something to read, or until `deadline` (none: for ever).
    pub(crate) fn wait(
        shards: &Arc<dyn Shards>,
        reading: Reading,
        deadline: Option<Instant>,
    ) -> Self {
        Self::Wait(Box::new(Waiting::new(shards, reading, deadline)))
    }

    /// Waits until so many replicas beside the leader hold what was acknowledged by these shards, or
    /// until `deadline` (none: for ever); the answer is how many do.
    pub(crate) fn hold(
        shards: &Arc<dyn Shards>,
        written: &[ShardId],
        wanted: usize,
        deadline: Option<Instant>,
    ) -> Self {
        Self::Hold(Holding::new(shards, written, wanted, deadline))
    }

    /// Whether nothing that the client sent behind this is started before it is answered: it may
    /// take as long as the client said, or changes what the next one means.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Wait(_) | Self::Hold(_) | Self::Choose(_))
    }

    /// What it found nothing of, and waits for.
    pub(crate) fn blocked_on(&self) -> Option<&Reading> {
        match self {
            Self::Wait(waiting) if waiting.is_blocked() => Some(waiting.reading()),
            _ => None,
        }
    }

    /// Ends a wait, where this is one.
    pub(crate) fn end(&mut self, ending: Ending) {
        match self {
            Self::Wait(waiting) => waiting.end(ending),
            Self::Hold(holding) => holding.end(),
            Self::One(_) | Self::Many(_) | Self::Look(_) => {}
            Self::Scan(_) | Self::InSlot(_) | Self::Watch(..) | Self::Choose(_) => {}
        }
    }

    /// Whether this was a wait that [`Ending::Unblocked`] ended.
    pub(crate) fn was_unblocked(&self) -> bool {
        matches!(self, Self::Wait(waiting) if waiting.was_unblocked())
    }

    /// Whether what this call will propose is still open.
    pub(crate) fn is_looking(&self) -> bool {
        matches!(self, Self::Look(_))
    }

    fn of<T>(
        mut parts: Vec<(ShardId, T)>,
        merge: Merge,
        changes: bool,
        ask: impl Fn(ShardId, T) -> Pending,
    ) -> Self {
        if parts.len() == 1
            && let Some((shard, part)) = parts.pop()
        {
            return Self::One(ask(shard, part));
        }
        let parts = parts.into_iter().map(|(shard, part)| Part::Waiting(ask(shard, part)));
        Self::Many(Many { parts: parts.collect(), merge, changes })
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            match &mut *self {
                Self::One(pending) | Self::Choose(pending) => {
                    return Pin::new(pending).poll(context);
                }
                Self::Many(many) => return many.poll(context),
                Self::Wait(waiting) => return waiting.poll(context),
                Self::Watch(pending, keys, watched) => {
                    let outcome = std::task::ready!(Pin::new(pending).poll(context));
                    return Poll::Ready(outcome.map(|reply| noted(reply, keys, watched)));
                }
                Self::Scan(scan) => return scan.poll(context),
                Self::Hold(holding) => return holding.poll(context),
                Self::InSlot(in_slot) => return in_slot.poll(context),
                Self::Look(look) => match std::task::ready!(look.poll(context)) {
                    Ok(many) => *self = Self::Many(many),
                    Err(outcome) => return Poll::Ready(outcome),
                },
            }
        }
    }
}

/// Puts the numbers of watched keys in their place.
fn noted(reply: Reply<Entry>, keys: &mut Vec<Bytes>, watched: &Watched) -> Reply<Entry> {
    let Reply::Watched(numbers) = reply else { return reply };
    let mut watched = crate::resp::lock(watched);
    for (key, number) in std::mem::take(keys).into_iter().zip(numbers) {
        watched.note(key, number);
    }
    Reply::Ok
}

/// What one shard answers.
enum Part {
    Waiting(Pending),
    Done(Outcome),
}

impl Part {
    fn is_done(&mut self, context: &mut Context<'_>) -> bool {
        if let Self::Waiting(pending) = self
            && let Poll::Ready(outcome) = Pin::new(pending).poll(context)
        {
            *self = Self::Done(outcome);
        }
        matches!(self, Self::Done(_))
    }
}

/// The outcomes of all parts, when there are all.
fn poll_all(parts: &mut Vec<Part>, context: &mut Context<'_>) -> Poll<Vec<Outcome>> {
    // Every part is polled, so that each one wakes the task.
    let done = parts.iter_mut().filter_map(|part| part.is_done(context).then_some(())).count();
    if done < parts.len() {
        return Poll::Pending;
    }
    let outcome = |part| match part {
        Part::Done(outcome) => outcome,
        Part::Waiting(_) => Err(ProposeError::Stopped),
    };
    Poll::Ready(std::mem::take(parts).into_iter().map(outcome).collect())
}

/// The same asked of several shards.
pub(crate) struct Many {
    parts: Vec<Part>,
    merge: Merge,
    /// Whether it changes anything: then an error of one shard leaves the whole unknown.
    changes: bool,
}

impl Many {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let outcomes = std::task::ready!(poll_all(&mut self.parts, context));
        let asked = outcomes.len();
        let mut replies = Vec::with_capacity(asked);
        let mut errors = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(Reply::Refused(refusal)) => return Poll::Ready(Ok(Reply::Refused(refusal))),
                Ok(reply) => replies.push(reply),
                Err(error) => errors.push(error),
            }
        }
        let surely_nothing = errors.len() == asked && !errors.iter().any(may_have_happened);
        Poll::Ready(match errors.into_iter().next() {
            None => Ok(self.merge.merge(replies)),
            Some(_) if self.changes && !surely_nothing => Err(ProposeError::Unknown),
            Some(error) => Err(error),
        })
    }
}

fn may_have_happened(error: &ProposeError) -> bool {
    match error {
        ProposeError::Unknown | ProposeError::Stopped => true,
        ProposeError::NotLeader { .. }
        | ProposeError::Overloaded(_)
        | ProposeError::DiskFull(_)
        | ProposeError::Expired => false,
    }
}

/// A group read that is finding out which shards have something to deliver.
pub(crate) struct Look {
    shards: Arc<dyn Shards>,
    reads: Vec<(ShardId, ReadGroup)>,
    answers: Vec<Part>,
    merge: Merge,
}

impl Look {
    /// What to wait for next, or the whole answer where nothing may be proposed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Many, Outcome>> {
        let outcomes = std::task::ready!(poll_all(&mut self.answers, context));
        let mut worth = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Ok(Reply::Count(count)) => worth.push(count > 0),
                Ok(refused) => return Poll::Ready(Err(Ok(refused))),
                // Nothing was proposed yet, whatever became of the question.
                Err(error) if may_have_happened(&error) => {
                    return Poll::Ready(Err(Err(ProposeError::Expired)));
                }
                Err(error) => return Poll::Ready(Err(Err(error))),
            }
        }
        let reads = std::mem::take(&mut self.reads).into_iter().zip(worth);
        let part = |((shard, read), worth): ((ShardId, ReadGroup), bool)| match worth {
            true => propose(&*self.shards, shard, read),
            // Nothing is left for this shard, its histories included.
            false if read.most.entries == Some(0) => Part::Done(Ok(Reply::Nil)),
            false => Part::Done(Ok(nothing_to_deliver(read))),
        };
        let parts = reads.map(part).collect();
        let merge = std::mem::replace(&mut self.merge, Merge::Sum);
        Poll::Ready(Ok(Many { parts, merge, changes: true }))
    }
}

/// Proposes a group read to one shard, unless its share of what the read may give is nothing.
fn propose(shards: &dyn Shards, shard: ShardId, read: ReadGroup) -> Part {
    match read.most.entries {
        Some(0) => Part::Done(Ok(Reply::Nil)),
        _ => Part::Waiting(shards.write(shard, Command::ReadGroup(read))),
    }
}

/// The answer of a shard that was not asked: streams read from the consumer's history are named.
fn nothing_to_deliver(read: ReadGroup) -> Reply<Entry> {
    let history = |(_, from): &(Bytes, ReadFrom)| matches!(from, ReadFrom::History(_));
    let named = read.streams.into_iter().filter(history).map(|(key, _)| (key, Vec::new()));
    Reply::Streams(named.collect())
}

/// One step through the keys of one shard. A cursor is its place among the shards, and behind that
/// the place in it.
pub(crate) struct Scan {
    pending: Pending,
    shard_at: u64,
    shards_count: u64,
}

impl Scan {
    fn start(shards: &Arc<dyn Shards>, cursor: u64, count: u64, pattern: Option<Bytes>) -> Self {
        let all = shards.shards();
        let shard_at = cursor >> PLACE_BITS;
        let place = cursor & ((1 << PLACE_BITS) - 1);
        let shard = usize::try_from(shard_at).ok().and_then(|at| all.get(at));
        let pending = match shard {
            Some(shard) => shards.read(*shard, Query::Scan { place, count, pattern }),
            None => Pending::ready(Ok(Reply::Scanned { next: 0, keys: Vec::new() })),
        };
        Self { pending, shard_at, shards_count: all.len() as u64 }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = std::task::ready!(Pin::new(&mut self.pending).poll(context));
        Poll::Ready(outcome.map(|reply| match reply {
            Reply::Scanned { next, keys } => Reply::Scanned { next: self.cursor(next), keys },
            other => other,
        }))
    }

    /// Where to go on, when the shard says where in itself.
    fn cursor(&self, next: u64) -> u64 {
        match next {
            0 if self.shard_at + 1 < self.shards_count => (self.shard_at + 1) << PLACE_BITS,
            0 => 0,
            place => self.shard_at << PLACE_BITS | place,
        }
    }
}

/// How the answers of several shards become one.
enum Merge {
    /// Counts are added up.
    Sum,
    /// Nothing more to say than that all have done it.
    Done,
    /// Keys are put together.
    Keys,
    /// The answer of one that has any, beginning with a shard that the number chooses.
    Any(u64),
    /// Entries by stream, in the order in which the caller named the streams (and which part each
    /// belongs to), up to what one read may give.
    Streams(Vec<(usize, Bytes)>, Most),
}

impl Merge {
    fn merge(&self, replies: Vec<Reply<Entry>>) -> Reply<Entry> {
        match self {
            Self::Sum => Reply::Count(replies.iter().fold(0, |sum, reply| match reply {
                Reply::Count(count) => sum + count,
                _ => sum,
            })),
            Self::Done => Reply::Ok,
            Self::Keys => {
                let keys = replies.into_iter().filter_map(|reply| match reply {
                    Reply::Keys(keys) => Some(keys),
                    _ => None,
                });
                Reply::Keys(keys.flatten().collect())
            }
            Self::Any(from) => {
                let from = usize::try_from(from % replies.len().max(1) as u64).unwrap_or(0);
                let mut around = replies.iter().cycle().skip(from).take(replies.len());
                around.find(|reply| **reply != Reply::NoKey).cloned().unwrap_or(Reply::NoKey)
            }
            Self::Streams(order, _) if replies.iter().any(is_claim) => {
                let streams = in_order(order, replies.into_iter().map(deliveries));
                Reply::Deliveries(streams)
            }
            Self::Streams(order, most) => {
                let found = |reply| match reply {
                    Reply::Streams(streams) => streams,
                    _ => Vec::new(),
                };
                let mut streams = in_order(order, replies.into_iter().map(found));
                if *most != Most::default() {
                    most.cut(&mut streams);
                }
                if streams.is_empty() { Reply::Nil } else { Reply::Streams(streams) }
            }
        }
    }
}

fn is_claim(reply: &Reply<Entry>) -> bool {
    matches!(reply, Reply::Deliveries(_))
}

fn deliveries(reply: Reply<Entry>) -> Vec<(Bytes, Vec<Delivery<Entry>>)> {
    match reply {
        Reply::Deliveries(streams) => streams,
        // Of a shard that wasn't asked: histories without entries.
        Reply::Streams(streams) => streams.into_iter().map(|(key, _)| (key, Vec::new())).collect(),
        _ => Vec::new(),
    }
}

/// What the parts found, in the order of the caller.
fn in_order<T>(
    order: &[(usize, Bytes)],
    parts: impl Iterator<Item = Vec<(Bytes, Vec<T>)>>,
) -> Vec<(Bytes, Vec<T>)> {
    let mut parts: Vec<_> = parts.map(|found| found.into_iter().peekable()).collect();
    let next =
        |(part, key): &(usize, Bytes)| parts.get_mut(*part)?.next_if(|(found, _)| found == key);
    order.iter().filter_map(next).collect()
}

/// Items by the shard of their key, shards in the order in which they are first named.
fn split<T>(
    shards: &dyn Shards,
    items: Vec<T>,
    key: impl Fn(&T) -> &Bytes,
) -> Vec<(ShardId, Vec<T>)> {
    let mut parts: Vec<(ShardId, Vec<T>)> = Vec::new();
    for item in items {
        let shard = shards.shard_of(key(&item));
        match parts.iter_mut().find(|(other, _)| *other == shard) {
            Some((_, part)) => part.push(item),
            None => parts.push((shard, vec![item])),
        }
    }
    parts
}

/// Streams to read by shard.
type StreamParts<F> = Vec<(ShardId, Vec<(Bytes, F)>)>;

/// The same for streams to read, and how to put the answers together again.
fn split_streams<F>(
    shards: &dyn Shards,
    streams: Vec<(Bytes, F)>,
    most: Most,
) -> (StreamParts<F>, Merge) {
    let keys: Vec<Bytes> = streams.iter().map(|(key, _)| key.clone()).collect();
    let parts = split(shards, streams, |(key, _)| key);
    let part_of = |key: &Bytes| {
        let shard = shards.shard_of(key);
        parts.iter().position(|(other, _)| *other == shard).unwrap_or(0)
    };
    let order = keys.into_iter().map(|key| (part_of(&key), key)).collect();
    (parts, Merge::Streams(order, most))
}

/// The shard of the first key. What names no key, or keys of several shards, isn't asked here.
fn shard_of<'a>(shards: &dyn Shards, mut keys: impl Iterator<Item = &'a Bytes>) -> ShardId {
    shards.shard_of(keys.next().map_or(&[], |key| key))
}

#[cfg(test)]
mod tests;
