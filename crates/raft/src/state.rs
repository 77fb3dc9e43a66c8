//! One replica's applied state: the machine, how far it has applied, and the checkpoint that it is
//! at. Fed by openraft through [`StateMachine`]; read by the shard; taken to the store by the
//! checkpointer. Never decides when a checkpoint is made, never talks to a peer.
//!
//! The lock of the inner state is held for one entry, one query or the fixing of a checkpoint, and
//! never across an `await`. The lock of the store (`writing`) is taken first where both are.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ShardId;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use journal::Journal;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use store::{CheckpointNumber, Store};
use tokio::sync::watch;

use crate::log::to_journal;
use crate::machine::{Broken, Contents, Dirty, Fatal, Machine};
use crate::snapshot::{Holds, SnapshotBuilder, SnapshotData};
use crate::types::{
    Applied, Entry, LogId, Reader, SnapshotMeta, StoredMembership, TypeConfig, encode_log_id,
    encode_stored_membership,
};

/// Entries that are applied before other tasks of the thread get their turn.
const APPLY_ENTRIES_MAX: usize = 64;

/// A snapshot is staged under a number this far above the current one, so that checkpoints go on
/// below it meanwhile.
const STAGING_GAP: u64 = 1 << 32;

/// Parts that are asked of the store at once while loading.
const LOAD_KEYS: usize = 1024;

/// What a replica is made of.
pub struct Setup {
    pub shard: ShardId,
    pub journal: Journal,
    pub store: Arc<dyn Store>,
    pub machine: Box<dyn Machine>,
    /// Ends the process.
    pub fatal: Fatal,
    /// Told how much this replica holds that isn't in the store: the accounts of the node.
    pub dirty: Box<dyn Fn(usize) + Send + Sync>,
}

/// One replica's applied state.
pub struct Replica {
    pub(crate) shard: ShardId,
    pub(crate) journal: Journal,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) holds: Holds,
    /// Held around everything that changes the shard's state in the store.
    pub(crate) writing: Mutex<()>,
    inner: Mutex<Inner>,
    fatal: Fatal,
    broken: AtomicBool,
    dirty: Box<dyn Fn(usize) + Send + Sync>,
    marks: watch::Sender<Marks>,
}

struct Inner {
    machine: Box<dyn Machine>,
    applied: Option<LogId>,
    membership: StoredMembership,
    checkpoint: Option<Checkpoint>,
    /// The number of the checkpoint that is being written.
    running: Option<CheckpointNumber>,
    /// What the one that is being written holds.
    running_bytes: usize,
    number_next: u64,
    staging_last: u64,
    closed: bool,
}

/// The checkpoint that a replica is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub number: CheckpointNumber,
    pub meta: SnapshotMeta,
}

/// What openraft is to be told of checkpoints: see [`crate::checkpoint::follow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The position of the last checkpoint.
    pub checkpoint: Option<LogId>,
    /// Entries up to and with this one may go.
    pub purge: Option<u64>,
}

/// A checkpoint whose contents are fixed and not yet in the store.
pub(crate) struct Fixed {
    pub(crate) number: CheckpointNumber,
    pub(crate) meta: Bytes,
    pub(crate) applied: LogId,
    pub(crate) contents: Contents,
}

/// What the store keeps beside a checkpoint's parts.
///
/// ```text
/// 1, log id, stored membership, the machine's header
/// ```
pub(crate) struct RootMeta {
    pub(crate) snapshot: SnapshotMeta,
    pub(crate) header: Bytes,
}

impl RootMeta {
    pub(crate) fn encode(snapshot: &SnapshotMeta, header: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(1);
        encode_log_id(snapshot.last_log_id.as_ref(), &mut out);
        encode_stored_membership(&snapshot.last_membership, &mut out);
        out.put_slice(header);
        out.freeze()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Broken> {
        let mut reader = Reader { what: "checkpoint", rest: bytes };
        reader.version()?;
        let last_log_id = reader.log_id()?;
        let last_membership = reader.stored_membership()?;
        let header = bytes.slice_ref(reader.rest);
        Ok(Self { snapshot: SnapshotMeta { last_log_id, last_membership }, header })
    }
}

impl Replica {
    /// Loads the shard's last checkpoint. A store that isn't whole is an error: see
    /// [`crate::repair`].
    pub fn open(setup: Setup) -> Result<Arc<Self>, Broken> {
        let inner = Inner {
            machine: setup.machine,
            applied: None,
            membership: StoredMembership::default(),
            checkpoint: None,
            running: None,
            running_bytes: 0,
            number_next: 1,
            staging_last: 0,
            closed: false,
        };
        let replica = Self {
            shard: setup.shard,
            journal: setup.journal,
            store: setup.store,
            holds: Holds::default(),
            writing: Mutex::new(()),
            inner: Mutex::new(inner),
            fatal: setup.fatal,
            broken: AtomicBool::new(false),
            dirty: setup.dirty,
            marks: watch::Sender::new(Marks::default()),
        };
        replica.load()?;
        Ok(Arc::new(replica))
    }

    /// Which shard this is of.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The last entry applied.
    pub fn applied(&self) -> Option<LogId> {
        self.lock().applied
    }

    /// The checkpoint that the shard is at.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.lock().checkpoint.clone()
    }

    /// Of the state as applied, with the entry up to which it is: equal on every replica that
    /// applied as much. Costs a walk over the state's metadata.
    pub fn hash(&self) -> (Option<LogId>, u64) {
        let inner = self.lock();
        (inner.applied, inner.machine.hash())
    }

    /// What isn't in the store yet, with what is on its way there.
    pub fn dirty(&self) -> Dirty {
        let inner = self.lock();
        let dirty = inner.machine.dirty();
        Dirty { bytes: dirty.bytes + inner.running_bytes, ..dirty }
    }

    /// See [`Machine::is_filling`].
    pub(crate) fn is_filling(&self) -> bool {
        self.lock().machine.is_filling()
    }

    /// See [`Machine::is_pressed`].
    pub(crate) fn is_pressed(&self) -> bool {
        self.lock().machine.is_pressed()
    }

    /// Whether anything was applied since the last checkpoint, and none is being written.
    pub(crate) fn has_changes(&self) -> bool {
        self.lock().may_fix()
    }

    /// Takes nothing to the store any more, a checkpoint on its way included, so that another
    /// replica of the shard may be opened in this process.
    ///
    /// # Errors
    /// The store can't be trusted.
    pub fn close(&self) -> Result<(), Broken> {
        let _writing = self.writing();
        let mut inner = self.lock();
        inner.closed = true;
        if let Some(number) = inner.running.take() {
            self.store.abandon(self.shard, number)?;
        }
        Ok(())
    }

    /// Reads the machine, which is of type `M`, between two entries.
    ///
    /// # Panics
    ///
    /// When the machine is of another type: the shard was set up with it.
    pub fn with<M: Machine, T>(&self, read: impl FnOnce(&mut M) -> T) -> T {
        let mut inner = self.lock();
        let machine: &mut dyn Any = &mut *inner.machine;
        read(machine.downcast_mut().expect("the shard was set up with this machine"))
    }

    /// Checkpoints and purges as they happen.
    pub fn marks(&self) -> watch::Receiver<Marks> {
        self.marks.subscribe()
    }

    /// Reports what makes this node untrustworthy; the process ends. Gives the error on, for the
    /// case that a test goes on.
    pub fn break_with(&self, broken: &Broken) -> io::Error {
        if !self.broken.swap(true, Ordering::SeqCst) {
            tracing::error!(shard = %self.shard, error = %broken, "this node can't be trusted");
            (self.fatal)(self.shard, broken);
        }
        io::Error::other(broken.to_string())
    }

    /// Entries up to and with this one are to go.
    pub(crate) fn purge_wanted(&self) -> u64 {
        self.marks.borrow().purge.unwrap_or(0)
    }

    pub(crate) fn set_purge(&self, purge: Option<u64>) {
        self.marks.send_if_modified(|marks| {
            let further = purge > marks.purge;
            marks.purge = marks.purge.max(purge);
            further
        });
    }

    /// Applies one entry.
    fn apply(&self, entry: Entry, answer: bool) -> Result<Applied, Broken> {
        let mut inner = self.lock();
        let applied = match entry.payload {
            EntryPayload::Blank => Applied::default(),
            EntryPayload::Membership(membership) => {
                inner.membership = StoredMembership::new(Some(entry.log_id), membership);
                Applied::default()
            }
            EntryPayload::Normal(proposal) => {
                Applied(Arc::new(inner.machine.apply(&proposal.0, answer)?))
            }
        };
        inner.applied = Some(entry.log_id);
        let dirty = inner.machine.dirty().bytes + inner.running_bytes;
        drop(inner);
        (self.dirty)(dirty);
        Ok(applied)
    }

    /// Fixes the contents of a checkpoint, between two entries. None when nothing was applied
    /// since the last, or one is being written.
    pub(crate) fn fix(&self) -> Option<Fixed> {
        let mut inner = self.lock();
        let applied = inner.applied.filter(|_| inner.may_fix())?;
        let number = CheckpointNumber(inner.number_next);
        inner.number_next += 1;
        inner.running = Some(number);
        inner.running_bytes = inner.machine.dirty().bytes;
        let contents = inner.machine.checkpoint();
        let meta = RootMeta::encode(&inner.snapshot_meta(), &contents.header);
        Some(Fixed { number, meta, applied, contents })
    }

    /// Whether a fixed checkpoint may still be switched to: an install may have overtaken it.
    pub(crate) fn is_running(&self, number: CheckpointNumber) -> bool {
        self.lock().running == Some(number)
    }

    /// Notes that the store was switched to the fixed checkpoint.
    pub(crate) fn switched(&self, number: CheckpointNumber, meta: &Bytes) -> Result<(), Broken> {
        let snapshot = RootMeta::decode(meta)?.snapshot;
        let checkpoint = snapshot.last_log_id;
        let mut inner = self.lock();
        inner.running = None;
        inner.running_bytes = 0;
        inner.machine.switched();
        inner.checkpoint = Some(Checkpoint { number, meta: snapshot });
        let dirty = inner.machine.dirty().bytes;
        drop(inner);
        (self.dirty)(dirty);
        self.tell(checkpoint);
        Ok(())
    }

    /// Tells the witness and openraft of the checkpoint that the store is at.
    fn tell(&self, checkpoint: Option<LogId>) {
        if let Some(checkpoint) = checkpoint {
            self.journal.note_checkpoint(self.shard, to_journal(checkpoint));
        }
        self.marks.send_modify(|marks| marks.checkpoint = checkpoint);
    }

    /// A number to stage a snapshot under, that no other transfer has.
    pub(crate) fn staging_number(&self) -> CheckpointNumber {
        let mut inner = self.lock();
        inner.staging_last = inner.staging_last.max(inner.number_next) + STAGING_GAP;
        CheckpointNumber(inner.staging_last)
    }

    /// Replaces the whole state by what was put under `number`.
    pub(crate) fn replace(&self, number: CheckpointNumber, meta: Bytes) -> Result<(), Broken> {
        let _writing = self.writing();
        self.lock().running = None;
        self.store.replace(self.shard, number, meta)?;
        self.load()
    }

    /// Becomes what the store's checkpoint says.
    fn load(&self) -> Result<(), Broken> {
        let Some(root) = self.store.root(self.shard)? else { return Ok(()) };
        let meta = RootMeta::decode(&root.meta).map_err(|error| self.damaged("root", &error))?;
        let mut inner = self.lock();
        let inner = &mut *inner;
        let keys = wanted_keys(self.store.as_ref(), self.shard, inner.machine.as_ref())?;
        let mut parts = keys.into_iter().map(|key| self.part(key));
        inner.machine.load(&meta.header, &mut parts)?;
        inner.applied = meta.snapshot.last_log_id;
        inner.membership = meta.snapshot.last_membership.clone();
        inner.running = None;
        inner.running_bytes = 0;
        inner.number_next = root.number.0 + 1;
        inner.checkpoint = Some(Checkpoint { number: root.number, meta: meta.snapshot });
        let dirty = inner.machine.dirty().bytes;
        (self.dirty)(dirty);
        self.tell(inner.applied);
        Ok(())
    }

    fn damaged(&self, key: &str, detail: &dyn std::fmt::Display) -> Broken {
        let (key, detail) = (key.to_owned(), detail.to_string());
        store::Error::Damaged { shard: self.shard, key, detail }.into()
    }

    fn part(&self, key: Bytes) -> Result<(Bytes, Bytes), Broken> {
        let value = self.store.get(self.shard, &key)?;
        let missing = || self.damaged(&format!("{key:?}"), &"it is listed and missing");
        Ok((key.clone(), value.ok_or_else(missing)?))
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn may_fix(&self) -> bool {
        let done = self.checkpoint.as_ref().and_then(|checkpoint| checkpoint.meta.last_log_id);
        !self.closed && self.running.is_none() && self.applied > done
    }

    fn snapshot_meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() }
    }
}

/// Keys of a shard's checkpoint that its machine loads, in order. Ranges that it doesn't want are
/// jumped over: most keys of a large shard are those of blocks.
fn wanted_keys(
    store: &dyn Store,
    shard: ShardId,
    machine: &dyn Machine,
) -> Result<Vec<Bytes>, store::Error> {
    let mut wanted = Vec::new();
    let mut after: Option<Bytes> = None;
    loop {
        let keys = store.keys(shard, b"", after.as_deref(), LOAD_KEYS)?;
        let more = keys.len() == LOAD_KEYS;
        for key in keys {
            if after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            after = Some(machine.unwanted(&key).unwrap_or_else(|| {
                wanted.push(key.clone());
                key
            }));
        }
        if !more {
            return Ok(wanted);
        }
    }
}

/// A replica, as openraft drives it.
#[derive(Clone)]
pub struct StateMachine(pub Arc<Replica>);

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let inner = self.0.lock();
        Ok((inner.applied, inner.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut turn = 0;
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let applied = self.0.apply(entry, responder.is_some());
            let applied = applied.map_err(|broken| self.0.break_with(&broken))?;
            if let Some(responder) = responder {
                responder.send(applied);
            }
            turn += 1;
            if turn % APPLY_ENTRIES_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        let may = force || self.0.checkpoint().is_some();
        may.then(|| SnapshotBuilder::new(self.0.clone(), force))
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder::new(self.0.clone(), true)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        data: SnapshotData,
    ) -> io::Result<()> {
        data.install(&self.0, meta).await.map_err(|broken| self.0.break_with(&broken))
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<crate::snapshot::Snapshot>> {
        crate::snapshot::current(&self.0).map_err(|broken| self.0.break_with(&broken))
    }
}

#[cfg(test)]
mod on_disk;
#[cfg(test)]
mod tests;
