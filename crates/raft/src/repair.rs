//! What is done about a shard whose store isn't whole: notes of damage that outlive the process,
//! and putting a peer's checkpoint in place before Raft starts. Never where the peer's checkpoint
//! comes from, never a vote.
//!
//! `data/damaged` is text, a line for each value: the shard, a space, the key as the store names
//! it. A line of another form means every shard.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Access, Disk, ShardId};
use journal::Journal;
use store::Store;

use crate::log::{synced, truncated};
use crate::machine::Broken;
use crate::snapshot::{NotWhole, SnapshotWriter, Staged};

/// Notes of values that failed their checksums while the node ran. The next start takes these
/// shards' stores as damaged.
#[derive(Clone)]
pub struct Damaged {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// The shards that are noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Noted {
    /// None is.
    #[default]
    None,
    /// These are.
    Shards(BTreeSet<ShardId>),
    /// A note can't be read: all are taken as damaged.
    All,
}

impl Noted {
    /// Whether the store of `shard` is taken as damaged.
    pub fn holds(&self, shard: ShardId) -> bool {
        match self {
            Self::None => false,
            Self::Shards(shards) => shards.contains(&shard),
            Self::All => true,
        }
    }
}

impl Damaged {
    /// The notes in the data directory `dir`.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("damaged")
    }

    /// Notes what broke a replica, where it is a damaged value or block; durable on return.
    pub fn note(&self, shard: ShardId, broken: &Broken) -> io::Result<()> {
        let key = match broken {
            Broken::Store(store::Error::Damaged { key, .. }) => key.clone(),
            Broken::Store(store::Error::Unreadable(detail)) => detail.clone(),
            Broken::Fault(fault) => fault.to_string(),
            Broken::Decode(error) => error.to_string(),
            Broken::Store(store::Error::Io(_) | store::Error::Misuse(_)) | Broken::Journal(_) => {
                return Ok(());
            }
        };
        let line = format!("{} {}\n", shard.0, key.replace('\n', " "));
        let file = self.disk.open(&self.path(), Access::Create)?;
        file.write_at(line.as_bytes(), file.len()?)?;
        file.sync()?;
        self.disk.sync_dir(&self.dir)
    }

    /// What is noted.
    pub fn read(&self) -> io::Result<Noted> {
        if !self.disk.exists(&self.path()) {
            return Ok(Noted::None);
        }
        let file = self.disk.open(&self.path(), Access::Read)?;
        let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        let text = String::from_utf8_lossy(&bytes);
        let shard = |line: &str| Some(ShardId(line.split(' ').next()?.parse().ok()?));
        let shards: Option<BTreeSet<ShardId>> = text.lines().map(shard).collect();
        Ok(match shards {
            Some(shards) if shards.is_empty() => Noted::None,
            Some(shards) => Noted::Shards(shards),
            None => Noted::All,
        })
    }

    /// Every shard that was noted has its replacement.
    pub fn clear(&self) -> io::Result<()> {
        if self.disk.exists(&self.path()) {
            self.disk.remove(&self.path())?;
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }
}

/// Gives up what the store has of a shard and takes a peer's checkpoint in its place, chunk by
/// chunk. Until [`install`] the shard has no state, and Raft must not be started for it.
pub fn begin(store: Arc<dyn Store>, shard: ShardId) -> Result<SnapshotWriter, Broken> {
    store.forget(shard)?;
    Ok(SnapshotWriter::without_replica(store, shard))
}

/// Why a peer's checkpoint is of no use here.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It is older than what this node's log begins with: ask again, or another peer.
    #[error("the peer's checkpoint is at {theirs:?}, our log begins after {purged}")]
    TooOld { theirs: Option<u64>, purged: u64 },
    /// What came isn't whole.
    #[error(transparent)]
    NotWhole(#[from] NotWhole),
    /// This node can't go on.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The journal failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Puts a peer's checkpoint in place, before Raft starts. A tail of our log that doesn't hold its
/// position is truncated first, durably; the vote stays.
pub async fn install(
    store: &Arc<dyn Store>,
    journal: &Journal,
    shard: ShardId,
    staged: Staged,
) -> Result<(), RepairError> {
    let position = staged.position()?.last_log_id;
    let state = journal.log_state(shard);
    let theirs = position.map(|log_id| log_id.index);
    if let Some(purged) = state.purged
        && theirs < Some(purged.index)
    {
        return Err(RepairError::TooOld { theirs, purged: purged.index });
    }
    if let Some(position) = position
        && !holds(journal, shard, position.leader_id.term, position.index)?
    {
        truncated(journal, shard, state.purged.map(|purged| purged.index)).await?;
    }
    synced(journal).await?;
    let (number, meta) = staged.into_parts();
    store.replace(shard, number, meta).map_err(Broken::from)?;
    Ok(())
}

/// Whether our log goes through this position.
fn holds(journal: &Journal, shard: ShardId, term: u64, index: u64) -> Result<bool, Broken> {
    let state = journal.log_state(shard);
    if state.purged.is_some_and(|purged| (purged.term, purged.index) == (term, index)) {
        return Ok(true);
    }
    let read = journal.read(shard, index..index + 1, 1);
    let records = read.map_err(|error| Broken::Journal(error.to_string()))?;
    Ok(records.first().is_some_and(|record| (record.term, record.index) == (term, index)))
}
