//! MULTI, EXEC, DISCARD, WATCH and UNWATCH of one connection: what is queued, what is watched, and
//! the replies of what was executed. The keys of a transaction are of one slot, since it is one
//! command of one shard; a command about several shards is taken only when it is alone.
//!
//! What the connection answers by itself is answered when EXEC comes, and told in its place; where
//! a watched key had changed, that is told to nobody, but it was done.

use std::borrow::Cow;
use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use resp::{Protocol, Writer};
use streams::command::{Command, Step, Transaction};
use streams::reply::{Entry, Reply};
use topology::{SlotId, slot_of};

use super::error::SyntaxError;
use super::limits;
use super::reply::{self, Nothing};
use super::table::Spec;

/// Keys with their numbers, as far as the shards have told them.
pub(crate) type Watched = Arc<Mutex<Numbered>>;

/// Watched keys with the numbers that the shards told: the first of each key.
#[derive(Debug, Default)]
pub(crate) struct Numbered {
    numbers: BTreeMap<Bytes, Option<u64>>,
    bytes: usize,
}

impl Numbered {
    /// A shard told the number of a key. One that is watched already stays so from then on.
    pub(crate) fn note(&mut self, key: Bytes, number: Option<u64>) {
        if let Place::Vacant(place) = self.numbers.entry(key) {
            self.bytes += place.key().len() + limits::WATCHED_OVERHEAD_BYTES;
            place.insert(number);
        }
    }
}

/// The same as a transaction has them.
type Watching = Vec<(Bytes, Option<u64>)>;

/// What a connection has queued and watches.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    items: Option<Vec<Item>>,
    bytes: usize,
    /// A request could not be queued.
    broken: bool,
    watched: Watched,
    /// The same keys, each once.
    watched_keys: BTreeSet<Bytes>,
    watched_slot: Option<SlotId>,
}

/// One request between MULTI and EXEC.
#[derive(Debug)]
pub(super) enum Item {
    /// For the shards, and what nothing looks like in its answer.
    Step(Step, Nothing),
    /// For the connection.
    Here(&'static Spec, Vec<Bytes>),
    /// Its answer is known already.
    Written(BytesMut),
}

impl Queued {
    /// Whether requests are queued.
    pub(super) fn is_open(&self) -> bool {
        self.items.is_some()
    }

    /// How many requests wait for EXEC, since MULTI, and how many keys are watched: as the client's
    /// line tells it.
    pub(super) fn counts(&self) -> (Option<usize>, usize) {
        (self.items.as_ref().map(Vec::len), self.watched_keys.len())
    }

    pub(super) fn open(&mut self) -> Result<(), SyntaxError> {
        if self.is_open() {
            return Err(SyntaxError::MultiNested);
        }
        self.items = Some(Vec::new());
        Ok(())
    }

    /// Takes one request of so many bytes.
    pub(super) fn push(&mut self, item: Item, bytes: usize) -> Result<(), SyntaxError> {
        self.bytes += bytes;
        let items = self.items.get_or_insert_default();
        let fits = self.bytes <= limits::TRANSACTION_BYTES_MAX
            && items.len() < limits::TRANSACTION_REQUESTS_MAX;
        match fits {
            true => items.push(item),
            false => return Err(SyntaxError::TransactionTooBig),
        }
        Ok(())
    }

    /// A request could not be queued: then nothing is executed.
    pub(super) fn break_off(&mut self) {
        if self.is_open() {
            self.broken = true;
            self.items = Some(Vec::new());
        }
    }

    pub(super) fn discard(&mut self) -> Result<(), SyntaxError> {
        match std::mem::take(self).is_open() {
            true => Ok(()),
            false => Err(SyntaxError::DiscardWithoutMulti),
        }
    }

    /// Watches keys, whose numbers are to be put where this says.
    pub(super) fn watch(&mut self, keys: &[Bytes]) -> Result<Watched, SyntaxError> {
        if self.is_open() {
            return Err(SyntaxError::WatchInMulti);
        }
        let bytes: usize = keys.iter().map(Bytes::len).sum();
        if lock(&self.watched).bytes + bytes > limits::WATCHED_BYTES_MAX {
            return Err(SyntaxError::WatchedTooMuch);
        }
        self.watched_slot = common_slot(keys.iter(), self.watched_slot)?;
        self.watched_keys.extend(keys.iter().cloned());
        Ok(self.watched.clone())
    }

    /// What is on its way is watched no more, either.
    pub(super) fn unwatch(&mut self) {
        self.watched = Watched::default();
        self.watched_keys.clear();
        self.watched_slot = None;
    }

    /// What is to be executed. Nothing is queued or watched any more, whatever comes of it.
    pub(super) fn take(&mut self) -> Result<(Vec<Item>, Watching), SyntaxError> {
        let queued = std::mem::take(self);
        let items = queued.items.ok_or(SyntaxError::ExecWithoutMulti)?;
        if queued.broken {
            return Err(SyntaxError::ExecAbort);
        }
        let watched = std::mem::take(&mut *lock(&queued.watched));
        Ok((items, watched.numbers.into_iter().collect()))
    }
}

pub(crate) fn lock(watched: &Watched) -> std::sync::MutexGuard<'_, Numbered> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is asked of the shards for a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Nothing,
    /// One command of one shard.
    Together(Transaction),
    /// It is about several shards, and alone.
    Alone(Step),
}

/// How these steps are taken.
pub(super) fn plan(watched: Watching, mut steps: Vec<Step>) -> Result<Plan, SyntaxError> {
    let alone = steps.len() == 1 && watched.is_empty();
    let keys = || watched.iter().map(|(key, _)| key).chain(steps.iter().flat_map(Step::keys));
    let slot = common_slot(keys(), None);
    let keyless = steps.iter().any(|step| step.keys().is_empty());
    if alone && (keyless || slot.is_err()) {
        return Ok(steps.pop().map_or(Plan::Nothing, Plan::Alone));
    }
    slot?;
    match keys().next() {
        _ if keyless => Err(SyntaxError::NotAlone),
        None => Ok(Plan::Nothing),
        Some(_) => Ok(Plan::Together(Transaction { watched, steps })),
    }
}

fn common_slot<'a>(
    keys: impl Iterator<Item = &'a Bytes>,
    before: Option<SlotId>,
) -> Result<Option<SlotId>, SyntaxError> {
    let mut slot = before;
    for key in keys {
        let this = slot_of(key);
        if slot.is_some_and(|slot| slot != this) {
            return Err(SyntaxError::SlotsApart);
        }
        slot = Some(this);
    }
    Ok(slot)
}

/// What each request of a transaction is told.
#[derive(Debug)]
pub(super) enum Told {
    /// The next answer of the shards.
    Step(Nothing),
    /// What was written already.
    Written(BytesMut),
}

/// The replies of a transaction.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) told: Vec<Told>,
    /// The shards answer as they do without a transaction.
    pub(super) alone: bool,
}

impl Executed {
    /// Writes the answer to EXEC; gives its text if it is an error.
    pub(super) fn write(
        &self,
        out: &mut Writer<'_>,
        reply: &Reply<Entry>,
    ) -> Option<Cow<'static, str>> {
        let answers = match reply {
            Reply::Transaction(answers) => answers.as_slice(),
            reply if self.alone => std::slice::from_ref(reply),
            // A watched key had changed, or there is no answer.
            reply => return reply::write(out, reply, Nothing::Array),
        };
        let mut answers = answers.iter();
        out.array(self.told.len());
        for told in &self.told {
            match (told, told_by(told, &mut answers)) {
                (Told::Written(written), _) => out.written(written),
                (Told::Step(nothing), Some(answer)) => drop(reply::write(out, answer, *nothing)),
                (Told::Step(_), None) => out.null(),
            }
        }
        None
    }
}

fn told_by<'a>(
    told: &Told,
    answers: &mut impl Iterator<Item = &'a Reply<Entry>>,
) -> Option<&'a Reply<Entry>> {
    match told {
        Told::Step(_) => answers.next(),
        Told::Written(_) => None,
    }
}

/// An error as it is told in its place.
pub(super) fn written_error(error: &SyntaxError, protocol: Protocol) -> BytesMut {
    let mut written = BytesMut::new();
    Writer::new(&mut written, protocol).error(&error.to_string());
    written
}

/// Whether an answer to this is nothing in the shape of an array.
pub(super) fn nothing_of(command: &Command) -> Nothing {
    match command {
        Command::ReadGroup(_) => Nothing::Array,
        _ => Nothing::String,
    }
}
