//! A read that waits: it asks, and where there is nothing it waits at the shards concerned and asks
//! again when one of them has something, until its time is over. Never holds anything up but its
//! own connection; dropped before it asks again, it is given nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::ShardId;
use bytes::Bytes;
use raft::{Outcome, ProposeError, Shards, Watch};
use streams::command::{Most, ReadGroup};
use streams::id::EntryId;
use streams::query::{After, Query};
use streams::reply::Reply;
use tokio::time::{Instant, Sleep};

use super::{Call, Many, Part, StreamParts, nothing_to_deliver, propose, split, split_streams};

/// A read that may wait.
pub(crate) enum Reading {
    /// XREAD.
    Alone(Query),
    /// XREADGROUP.
    InGroup(ReadGroup),
}

impl Reading {
    /// Every stream that is read.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        let (alone, in_group) = match self {
            Self::Alone(query) => (Some(query.keys()), None),
            Self::InGroup(read) => (None, Some(read.streams.iter().map(|(key, _)| key))),
        };
        alone.into_iter().flatten().chain(in_group.into_iter().flatten())
    }
}

/// How a wait came to its end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As if its time were over.
    Timeout,
    /// Somebody ended it, and the client is to be told.
    Unblocked,
}

/// A read that is waiting, or finding out whether it has to.
pub(crate) struct Waiting {
    shards: Arc<dyn Shards>,
    reading: Reading,
    stage: Stage,
    watches: Vec<(ShardId, Watch)>,
    /// None: for ever.
    deadline: Option<Pin<Box<Sleep>>>,
    ending: Option<Ending>,
}

enum Stage {
    /// What `$` stands for is being asked: of each stream that was named so.
    Freezing(Vec<Frozen>),
    Asking(Box<Call>),
    Waiting,
}

/// Streams of one shard whose last ids are on their way.
struct Frozen {
    keys: Vec<Bytes>,
    ids: Part,
}

impl Waiting {
    /// Asks, and waits until `deadline` where there is nothing.
    pub(super) fn new(
        shards: &Arc<dyn Shards>,
        reading: Reading,
        deadline: Option<Instant>,
    ) -> Self {
        let stage = match &reading {
            Reading::Alone(query) => freezing(&**shards, query),
            Reading::InGroup(read) => {
                Stage::Asking(Box::new(Call::read_group(shards, read.clone())))
            }
        };
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        let (shards, watches) = (Arc::clone(shards), Vec::new());
        Self { shards, reading, stage, watches, deadline, ending: None }
    }

    /// Ends the wait, unless something is on its way already.
    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// What it waits for.
    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Whether it was ended by somebody, whom the client is to be told of.
    pub(super) fn was_unblocked(&self) -> bool {
        self.ending == Some(Ending::Unblocked) && self.is_blocked()
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            match &mut self.stage {
                Stage::Freezing(frozen) => {
                    let ids = std::task::ready!(poll_frozen(frozen, context));
                    match ids {
                        Ok(ids) => self.ask_frozen(&ids),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Stage::Asking(call) => match std::task::ready!(Pin::new(call).poll(context)) {
                    Ok(Reply::Nil) => self.wait(),
                    outcome => return Poll::Ready(outcome),
                },
                Stage::Waiting => {
                    let late = self.deadline.as_mut();
                    let late = late.is_some_and(|sleep| sleep.as_mut().poll(context).is_ready());
                    if late || self.ending.is_some() {
                        return Poll::Ready(Ok(Reply::Nil));
                    }
                    let woken = self.woken(context);
                    if woken.is_empty() {
                        return Poll::Pending;
                    }
                    self.ask_again(&woken);
                }
            }
        }
    }

    /// The shards that have something.
    fn woken(&mut self, context: &mut Context<'_>) -> Vec<ShardId> {
        // Each is polled, so that any of them wakes the task.
        let is_woken = |(shard, watch): &mut (ShardId, Watch)| {
            watch.poll_woken(context).is_ready().then_some(*shard)
        };
        self.watches.iter_mut().filter_map(is_woken).collect()
    }

    /// `$` stands for these ids for as long as this waits.
    fn ask_frozen(&mut self, ids: &[(Bytes, EntryId)]) {
        let Reading::Alone(Query::Read { streams, .. }) = &mut self.reading else { return };
        let ids: BTreeMap<&Bytes, EntryId> = ids.iter().map(|(key, id)| (key, *id)).collect();
        for (key, after) in streams {
            if let (After::Last, Some(id)) = (&after, ids.get(key)) {
                *after = After::Id(*id);
            }
        }
        self.ask_again(&[]);
    }

    /// Asks all shards, or proposes to those that have something for a group.
    fn ask_again(&mut self, woken: &[ShardId]) {
        let call = match &self.reading {
            Reading::Alone(query) => Call::read(&self.shards, query.clone()),
            Reading::InGroup(read) => deliver(&self.shards, read.clone(), woken),
        };
        self.stage = Stage::Asking(Box::new(call));
    }

    /// There is nothing: waits, in the same places if it did before.
    fn wait(&mut self) {
        self.stage = Stage::Waiting;
        if self.watches.is_empty() {
            self.watches = match &mut self.reading {
                Reading::Alone(query) => watch_alone(&*self.shards, query),
                Reading::InGroup(read) => watch_group(&*self.shards, read),
            };
        } else {
            self.watches.iter_mut().for_each(|(_, watch)| watch.again());
        }
    }
}

/// Asks what `$` stands for, where it is named; else asks at once.
fn freezing(shards: &dyn Shards, query: &Query) -> Stage {
    let Query::Read { streams, .. } = query else { return Stage::Freezing(Vec::new()) };
    let last = streams.iter().filter(|(_, after)| *after == After::Last);
    let keys: Vec<Bytes> = last.map(|(key, _)| key.clone()).collect();
    let ask = |(shard, keys): (ShardId, Vec<Bytes>)| {
        let ids = shards.read(shard, Query::LastIds { keys: keys.clone() });
        Frozen { keys, ids: Part::Waiting(ids) }
    };
    Stage::Freezing(split(shards, keys, |key| key).into_iter().map(ask).collect())
}

/// The last ids, when all are there.
fn poll_frozen(
    frozen: &mut [Frozen],
    context: &mut Context<'_>,
) -> Poll<Result<Vec<(Bytes, EntryId)>, ProposeError>> {
    let done = frozen.iter_mut().filter_map(|one| one.ids.is_done(context).then_some(())).count();
    if done < frozen.len() {
        return Poll::Pending;
    }
    let mut all = Vec::new();
    for one in frozen {
        match &one.ids {
            Part::Done(Ok(Reply::Ids(ids))) => {
                all.extend(one.keys.iter().cloned().zip(ids.iter().copied()));
            }
            Part::Done(Err(error)) => return Poll::Ready(Err(error.clone())),
            // A shard says nothing else of these.
            Part::Done(Ok(_)) | Part::Waiting(_) => return Poll::Ready(Err(ProposeError::Expired)),
        }
    }
    Poll::Ready(Ok(all))
}

/// Proposes a group read to the shards that have something for it.
fn deliver(shards: &Arc<dyn Shards>, read: ReadGroup, woken: &[ShardId]) -> Call {
    let (parts, merge) = split_streams(&**shards, read.streams.clone(), Most::default());
    // Those that have nothing take no share of what the read may give.
    let shares = woken.len() as u64;
    let mut share = 0;
    let part = |(shard, streams): (ShardId, Vec<_>)| {
        let read = ReadGroup { streams, ..read.clone() };
        if !woken.contains(&shard) {
            return Part::Done(Ok(nothing_to_deliver(read)));
        }
        let most = read.most.share(share, shares);
        share += 1;
        propose(&**shards, shard, ReadGroup { most, ..read })
    };
    let mut parts: Vec<Part> = parts.into_iter().map(part).collect();
    if parts.len() == 1
        && let Some(Part::Waiting(pending)) = parts.pop_if(|part| matches!(part, Part::Waiting(_)))
    {
        return Call::One(pending);
    }
    Call::Many(Many { parts, merge, changes: true })
}

/// Waits for what comes after the ids. `+` found nothing: anything will do.
fn watch_alone(shards: &dyn Shards, query: &mut Query) -> Vec<(ShardId, Watch)> {
    let Query::Read { streams, .. } = &mut *query else { return Vec::new() };
    for (key, after) in &mut *streams {
        hold(key);
        if *after == After::Newest {
            *after = After::Id(EntryId::MIN);
        }
    }
    let most = Most::default();
    let (parts, _): (StreamParts<After>, _) = split_streams(shards, streams.clone(), most);
    let watch =
        |(shard, streams)| (shard, shards.watch(shard, Query::Read { count: 1, most, streams }));
    parts.into_iter().map(watch).collect()
}

/// A name that is kept for long: as it came it is a slice of all that its connection had read.
fn hold(name: &mut Bytes) {
    *name = Bytes::copy_from_slice(name);
}

fn watch_group(shards: &dyn Shards, read: &mut ReadGroup) -> Vec<(ShardId, Watch)> {
    let keys = read.streams.iter_mut().map(|(key, _)| key);
    keys.chain([&mut read.group, &mut read.consumer]).for_each(hold);
    let (parts, _) = split_streams(shards, read.streams.clone(), Most::default());
    let watch = |(shard, streams)| {
        let read = ReadGroup { streams, ..read.clone() };
        (shard, shards.watch(shard, Query::WouldDeliver(read)))
    };
    parts.into_iter().map(watch).collect()
}
