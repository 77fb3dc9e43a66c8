//! A shard's whole state on its way to another node: a pinned checkpoint read in chunks, and
//! chunks written under a number of their own until the whole is verified and switched to. Never
//! in memory whole, never a socket.
//!
//! ```text
//! chunk   1, tag, body, crc32c of all before
//! tag 1   parts: count u32, each: key length u16, key, value length u32, value
//! tag 2   end: parts in all u64, crc32c over all keys and values u32, the checkpoint's root
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::planted::{Bug, is};
use base::sum::{crc32c, crc32c_append};
use base::{NodeId, ShardId};
use bytes::{BufMut, Bytes, BytesMut};
use openraft::storage::RaftSnapshotBuilder;
use store::{CheckpointNumber, PUT_PARTS_MAX, Part, Pin, Store};

use crate::machine::Broken;
use crate::state::{Replica, RootMeta};
use crate::types::{CommittedLeaderId, DecodeError, Reader, SnapshotMeta, TypeConfig};

/// A chunk is closed above this: small enough that other shards' frames don't wait long behind
/// one, large enough that the parts of a chunk outweigh its frame. One large part may exceed it.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// A chunk that is longer is refused: the largest part (an entry of 64 MiB, which is the most that can be
/// configured, with what goes along) has room in it behind others.
pub const CHUNK_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Keys that are asked of a pinned checkpoint at once.
const READ_KEYS: usize = 256;

const TAG_PARTS: u8 = 1;
const TAG_END: u8 = 2;

/// A snapshot as openraft hands it about.
pub type Snapshot = openraft::storage::Snapshot<CommittedLeaderId, u64, (), SnapshotData>;

/// A state to send, or one that has come.
pub enum SnapshotData {
    /// This node's checkpoint, held until it is dropped.
    Pinned(Pinned),
    /// What a peer sent, verified.
    Staged(Staged),
    /// That of a replica that never applied anything: openraft may ask, nobody is sent it.
    Nothing,
}

/// A checkpoint that is held: nothing that it refers to goes, and no entry after it is purged.
pub struct Pinned {
    pin: Box<dyn Pin>,
    hold: Hold,
    /// Whom a damaged part breaks.
    replica: Option<Arc<Replica>>,
}

/// A state that was received whole, under a number of its own. Dropping it forgets it.
pub struct Staged {
    open: Open,
    meta: Bytes,
}

/// Which positions are needed by followers: nothing after them is purged.
#[derive(Clone, Default)]
pub(crate) struct Holds(Arc<Mutex<HoldsInner>>);

#[derive(Default)]
struct HoldsInner {
    next: u64,
    indices: BTreeMap<u64, u64>,
    /// What is held until a peer streams again that has the snapshot.
    installed: BTreeMap<NodeId, u64>,
}

/// Keeps entries after an index from being purged until it is dropped.
pub struct Hold {
    holds: Holds,
    id: u64,
}

impl Holds {
    pub(crate) fn hold(&self, index: u64) -> Hold {
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        inner.indices.insert(id, index);
        Hold { holds: self.clone(), id }
    }

    /// The least index after which entries are needed.
    pub(crate) fn least(&self) -> Option<u64> {
        self.lock().indices.values().min().copied()
    }

    /// A peer has entries up to and with this one, and is sent more: what was held until it asks
    /// for what follows its snapshot may go.
    pub(crate) fn streams(&self, peer: NodeId, index: u64) {
        let mut inner = self.lock();
        let Some(id) = inner.installed.get(&peer).copied() else { return };
        if inner.indices.get(&id).is_none_or(|held| *held <= index) {
            inner.indices.remove(&id);
            inner.installed.remove(&peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HoldsInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// The peer has the snapshot: the entries after it stay until it streams again
    /// ([`Holds::streams`]), or this is dropped.
    pub(crate) fn until_streams(&self, peer: NodeId) {
        self.holds.lock().installed.insert(peer, self.id);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.holds.lock();
        inner.indices.remove(&self.id);
        inner.installed.retain(|_, id| *id != self.id);
    }
}

/// The shard's checkpoint, held; none before the first.
pub(crate) fn current(replica: &Arc<Replica>) -> Result<Option<Snapshot>, Broken> {
    // The hold comes first: a purge that has not heard of it stops at an older checkpoint.
    let hold = replica.holds.hold(0);
    let Some(pin) = replica.store.pin(replica.shard)? else { return Ok(None) };
    let meta = RootMeta::decode(&pin.root().meta)?.snapshot;
    let index = meta.last_log_id.map_or(0, |log_id| log_id.index);
    let hold_at = replica.holds.hold(index);
    let pinned = Pinned { pin, hold: hold_at, replica: Some(replica.clone()) };
    drop(hold);
    Ok(Some(Snapshot { meta, snapshot: SnapshotData::Pinned(pinned) }))
}

/// Records the position of the checkpoint that is there already; makes one only when told to.
pub struct SnapshotBuilder {
    replica: Arc<Replica>,
    anew: bool,
}

impl SnapshotBuilder {
    pub(crate) fn new(replica: Arc<Replica>, anew: bool) -> Self {
        Self { replica, anew }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let replica = &self.replica;
        if self.anew {
            let made = crate::checkpoint::make(replica).await;
            made.map_err(|broken| replica.break_with(&broken))?;
        }
        let current = current(replica).map_err(|broken| replica.break_with(&broken))?;
        let nothing =
            || Snapshot { meta: SnapshotMeta::default(), snapshot: SnapshotData::Nothing };
        Ok(current.unwrap_or_else(nothing))
    }
}

impl SnapshotData {
    /// What is to be sent, as chunks. Only a checkpoint of this node is sent.
    pub fn reader(self) -> Result<SnapshotReader, NotWhole> {
        match self {
            Self::Pinned(pinned) => Ok(SnapshotReader::new(pinned)),
            Self::Staged(_) => Err(NotWhole::Rules("a snapshot on its way in is sent on")),
            Self::Nothing => Err(NotWhole::Rules("a snapshot of nothing is sent")),
        }
    }

    pub(crate) async fn install(
        self,
        replica: &Arc<Replica>,
        meta: &SnapshotMeta,
    ) -> Result<(), Broken> {
        let staged = match self {
            Self::Staged(staged) => staged,
            Self::Pinned(pinned) => copy(pinned, replica)?,
            Self::Nothing => return Ok(()),
        };
        if staged.position()? != *meta {
            return Err(
                DecodeError { what: "snapshot", detail: "it is of another position" }.into()
            );
        }
        // Whatever the log says of entries that the snapshot replaces is durable before the switch.
        crate::log::synced(&replica.journal).await?;
        replica.replace(staged.open.number, staged.meta.clone())?;
        staged.open.close();
        Ok(())
    }
}

/// Within one process a checkpoint is copied from store to store.
fn copy(pinned: Pinned, replica: &Arc<Replica>) -> Result<Staged, Broken> {
    let mut reader = SnapshotReader::new(pinned);
    let mut writer = SnapshotWriter::new(replica);
    while let Some(chunk) = reader.next_chunk()? {
        match writer.accept(&chunk) {
            Ok(()) => {}
            Err(NotWhole::Broken(broken)) => return Err(broken),
            Err(_) => unreachable!("a chunk of this process is whole"),
        }
    }
    match writer.finish() {
        Ok(staged) => Ok(staged),
        Err(NotWhole::Broken(broken)) => Err(broken),
        Err(_) => unreachable!("all chunks were written"),
    }
}

impl Staged {
    /// The position that the state stands for.
    pub fn position(&self) -> Result<SnapshotMeta, Broken> {
        Ok(RootMeta::decode(&self.meta)?.snapshot)
    }

    /// Where it lies; from here on whoever asked sees to it.
    pub(crate) fn into_parts(self) -> (CheckpointNumber, Bytes) {
        let number = self.open.number;
        self.open.close();
        (number, self.meta)
    }
}

/// Gives a checkpoint chunk by chunk. Dropping it releases the checkpoint.
pub struct SnapshotReader {
    pinned: Pinned,
    keys: std::vec::IntoIter<Bytes>,
    after: Option<Bytes>,
    listed: bool,
    ended: bool,
    count: u64,
    sum: u32,
}

impl SnapshotReader {
    fn new(pinned: Pinned) -> Self {
        let keys = Vec::new().into_iter();
        Self { pinned, keys, after: None, listed: false, ended: false, count: 0, sum: 0 }
    }

    /// The position that the checkpoint stands for.
    pub fn position(&self) -> Result<SnapshotMeta, Broken> {
        Ok(RootMeta::decode(&self.pinned.pin.root().meta)?.snapshot)
    }

    /// Keeps the entries after the checkpoint from being purged when the transfer is over: until
    /// the follower streams again.
    pub fn into_hold(self) -> Hold {
        self.pinned.hold
    }

    /// The next chunk; none after the one that ends the checkpoint. An error breaks the replica:
    /// its hook was called.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        let chunk = self.read_chunk();
        if let (Err(broken), Some(replica)) = (&chunk, &self.pinned.replica) {
            replica.break_with(broken);
        }
        chunk
    }

    fn read_chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.ended {
            return Ok(None);
        }
        let mut body = BytesMut::with_capacity(CHUNK_BYTES + 1024);
        body.put_slice(&[1, TAG_PARTS, 0, 0, 0, 0]);
        let mut count = 0u32;
        while body.len() < CHUNK_BYTES {
            let Some(key) = self.next_key()? else { break };
            self.put_part(&key, &mut body)?;
            count += 1;
        }
        if count == 0 {
            self.ended = true;
            return Ok(Some(self.end()));
        }
        body[2..6].copy_from_slice(&count.to_le_bytes());
        Ok(Some(seal(body)))
    }

    fn put_part(&mut self, key: &Bytes, body: &mut BytesMut) -> Result<(), Broken> {
        let pin = &self.pinned.pin;
        let late = self.pinned.replica.as_ref().filter(|_| is(Bug::ChunkEncodedLate));
        let late = late.map(|it| it.store.get(it.shard, key)).transpose()?.flatten();
        let value = late
            .or(pin.get(key)?)
            .ok_or(DecodeError { what: "checkpoint", detail: "lacks a part" })?;
        body.put_u16_le(u16::try_from(key.len()).expect("keys are short"));
        body.put_slice(key);
        body.put_u32_le(u32::try_from(value.len()).expect("parts are far below 4 GiB"));
        body.put_slice(&value);
        self.count += 1;
        self.sum = crc32c_append(crc32c_append(self.sum, key), &value);
        Ok(())
    }

    fn next_key(&mut self) -> Result<Option<Bytes>, Broken> {
        if let Some(key) = self.keys.next() {
            return Ok(Some(key));
        }
        if self.listed {
            return Ok(None);
        }
        let keys = self.pinned.pin.keys(self.after.as_deref(), READ_KEYS)?;
        self.listed = keys.len() < READ_KEYS;
        self.after = keys.last().cloned();
        self.keys = keys.into_iter();
        Ok(self.keys.next())
    }

    fn end(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_slice(&[1, TAG_END]);
        body.put_u64_le(self.count);
        body.put_u32_le(self.sum);
        body.put_slice(&self.pinned.pin.root().meta);
        seal(body)
    }
}

fn seal(mut body: BytesMut) -> Bytes {
    let sum = crc32c(&body);
    body.put_u32_le(sum);
    body.freeze()
}

/// Why what a peer sent isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum NotWhole {
    /// A chunk that is damaged, or not one.
    #[error(transparent)]
    Chunk(#[from] DecodeError),
    /// Chunks in an order that makes no sense.
    #[error("{0}")]
    Rules(&'static str),
    /// It is this node that can't go on.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl From<store::Error> for NotWhole {
    fn from(error: store::Error) -> Self {
        match error {
            // A part that came twice, or isn't one: the peer's doing.
            store::Error::Misuse(rule) => Self::Rules(rule),
            error => Self::Broken(error.into()),
        }
    }
}

/// Parts under a number of their own, forgotten when this is dropped before it is closed.
struct Open {
    store: Arc<dyn Store>,
    replica: Option<Arc<Replica>>,
    shard: ShardId,
    number: CheckpointNumber,
    closed: bool,
}

impl Open {
    fn close(mut self) {
        self.closed = true;
    }

    fn put(&self, parts: &[Part]) -> Result<(), store::Error> {
        let _writing = self.replica.as_ref().map(|replica| replica.writing());
        self.store.put(self.shard, self.number, parts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let _writing = self.replica.as_ref().map(|replica| replica.writing());
        if let Err(error) = self.store.abandon(self.shard, self.number) {
            tracing::warn!(shard = %self.shard, error = %error, "a failed transfer was not tidied up");
        }
    }
}

/// Takes a peer's checkpoint chunk by chunk. Dropping it forgets what came.
pub struct SnapshotWriter {
    open: Open,
    waiting: Vec<Part>,
    count: u64,
    sum: u32,
    meta: Option<Bytes>,
}

impl SnapshotWriter {
    /// For a replica that runs; its own checkpoints go on meanwhile.
    pub fn new(replica: &Arc<Replica>) -> Self {
        let number = replica.staging_number();
        let store = replica.store.clone();
        Self::under(store, Some(replica.clone()), replica.shard, number)
    }

    /// For a shard that has no state in the store: see [`crate::repair`].
    pub(crate) fn without_replica(store: Arc<dyn Store>, shard: ShardId) -> Self {
        Self::under(store, None, shard, CheckpointNumber(1))
    }

    fn under(
        store: Arc<dyn Store>,
        replica: Option<Arc<Replica>>,
        shard: ShardId,
        number: CheckpointNumber,
    ) -> Self {
        let open = Open { store, replica, shard, number, closed: false };
        Self { open, waiting: Vec::new(), count: 0, sum: 0, meta: None }
    }

    /// Writes what a chunk holds. [`NotWhole::Broken`] breaks the replica: its hook was called.
    pub fn accept(&mut self, chunk: &Bytes) -> Result<(), NotWhole> {
        let accepted = self.write_chunk(chunk);
        if let (Err(NotWhole::Broken(broken)), Some(replica)) = (&accepted, &self.open.replica) {
            replica.break_with(broken);
        }
        accepted
    }

    fn write_chunk(&mut self, chunk: &Bytes) -> Result<(), NotWhole> {
        if self.meta.is_some() {
            return Err(NotWhole::Rules("a chunk after the last"));
        }
        let body = checked(chunk)?;
        let mut reader = Reader { what: "chunk", rest: body };
        reader.version()?;
        match reader.u8()? {
            TAG_PARTS => self.accept_parts(chunk, &mut reader),
            TAG_END => self.accept_end(chunk, &mut reader),
            _ => Err(reader.error("unknown tag").into()),
        }
    }

    /// All chunks have come, and are whole.
    pub fn finish(mut self) -> Result<Staged, NotWhole> {
        let meta = self.meta.take().ok_or(NotWhole::Rules("the last chunk has not come"))?;
        Ok(Staged { open: self.open, meta })
    }

    fn accept_parts(&mut self, chunk: &Bytes, reader: &mut Reader<'_>) -> Result<(), NotWhole> {
        let count = reader.u32()?;
        for _ in 0..count {
            let key_bytes = reader.u16()?;
            let key = chunk.slice_ref(reader.take(usize::from(key_bytes))?);
            let value_bytes = usize::try_from(reader.u32()?).expect("u32 is a usize");
            let value = chunk.slice_ref(reader.take(value_bytes)?);
            self.count += 1;
            self.sum = crc32c_append(crc32c_append(self.sum, &key), &value);
            self.waiting.push(Part { key, value });
            if self.waiting.len() == PUT_PARTS_MAX {
                self.write()?;
            }
        }
        reader.end()?;
        self.write()
    }

    fn accept_end(&mut self, chunk: &Bytes, reader: &mut Reader<'_>) -> Result<(), NotWhole> {
        if (reader.u64()?, reader.u32()?) != (self.count, self.sum) {
            return Err(reader.error("parts are missing").into());
        }
        let meta = chunk.slice_ref(reader.rest);
        match RootMeta::decode(&meta) {
            Ok(_) => self.meta = Some(meta),
            Err(_) => return Err(reader.error("its root does not decode").into()),
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), NotWhole> {
        if !self.waiting.is_empty() {
            self.open.put(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

/// The chunk without its checksum, which must be right.
fn checked(chunk: &Bytes) -> Result<&[u8], DecodeError> {
    let error = |detail| DecodeError { what: "chunk", detail };
    if chunk.len() > CHUNK_BYTES_MAX {
        return Err(error("it is too long"));
    }
    let body = chunk.len().checked_sub(4).ok_or_else(|| error("it is cut short"))?;
    let (body, sum) = chunk.split_at(body);
    if sum != crc32c(body).to_le_bytes() {
        return Err(error("its checksum is wrong"));
    }
    Ok(body)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
