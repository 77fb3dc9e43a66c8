//! What is done about a shard whose store isn't whole: putting a peer's checkpoint in place before
//! Raft starts. Never where the peer's checkpoint comes from, never a vote.

use std::io;
use std::sync::Arc;

use base::ShardId;
use journal::guard::DamagedPart;
use journal::{Journal, Marks};
use store::Store;

use crate::log::{synced, to_journal, truncated};
use crate::machine::Broken;
use crate::snapshot::{NotWhole, SnapshotWriter, Staged};
use crate::state::RootMeta;

/// What is to be noted in the data directory (`journal::guard::note_damaged`) before the process
/// ends: the shard's store isn't whole. None where it isn't the store that can't be trusted.
pub fn damaged_part(shard: ShardId, broken: &Broken) -> Option<DamagedPart> {
    let key = match broken {
        Broken::Store(store::Error::Damaged { key, .. }) => key.clone(),
        Broken::Store(store::Error::Unreadable(_)) => WHOLE_STORE.to_owned(),
        Broken::Fault(fault) => fault.to_string(),
        Broken::Store(
            store::Error::Io(_) | store::Error::Misuse(_) | store::Error::Newer { .. },
        )
        | Broken::Decode(_)
        | Broken::Journal(_) => return None,
    };
    Some(DamagedPart { shard, key: key.into() })
}

/// What is noted where sled itself can't read: a page of any shard, or of one that was forgotten.
const WHOLE_STORE: &str = "the whole store";

/// Whether a note says that no shard's refill helps: the store has to go.
pub fn is_whole_store(part: &DamagedPart) -> bool {
    part.key == WHOLE_STORE
}

/// Why a shard can't be started from what its store has; none where it can. Then Raft isn't
/// started for it, so that it neither votes nor acknowledges, until a peer's checkpoint is in place.
/// `noted` and `marks` are what the data directory says: notes of damage, and the witness.
///
/// # Errors
/// The machine refuses: nothing is known of the store.
pub fn damage(
    store: &dyn Store,
    journal: &Journal,
    shard: ShardId,
    noted: &[DamagedPart],
    marks: &Marks,
) -> Result<Option<String>, Broken> {
    if let Some(part) = noted.iter().find(|part| part.shard == shard) {
        return Ok(Some(format!("a value was found damaged: {:?}", part.key)));
    }
    let root = match store.root(shard) {
        Ok(root) => root,
        Err(error @ (store::Error::Damaged { .. } | store::Error::Unreadable(_))) => {
            return Ok(Some(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let witnessed = marks.checkpoints.get(&shard).copied();
    Ok(falls_short(root.as_ref(), witnessed, journal.log_state(shard).purged))
}

/// Why a shard's checkpoint isn't the one that it ought to be, though every byte of it may be
/// whole: sled takes a damaged tail for one that was never written, and gives what was before.
/// `witnessed` is the last checkpoint that the witness saw, `purged` where the shard's log begins.
pub fn falls_short(
    root: Option<&store::Root>,
    witnessed: Option<journal::LogId>,
    purged: Option<journal::LogId>,
) -> Option<String> {
    let meta = match root.map(|root| RootMeta::decode(&root.meta)).transpose() {
        Ok(meta) => meta,
        Err(error) => return Some(error.to_string()),
    };
    let at = meta.and_then(|meta| meta.snapshot.last_log_id).map(to_journal);
    let index = |id: Option<journal::LogId>| id.map(|id| id.index);
    let said = |id: Option<journal::LogId>| {
        id.map_or_else(|| "none".to_owned(), |id| format!("{} of term {}", id.index, id.term))
    };
    (index(at) < index(witnessed).max(index(purged))).then(|| {
        format!(
            "the store was at a checkpoint and lost it: there is {}, the witness saw {}, the log begins after {}",
            said(at), said(witnessed), said(purged),
        )
    })
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
    /// The peer has none, or the way to it is broken.
    #[error("{0}")]
    Peer(String),
    /// What came isn't whole.
    #[error(transparent)]
    NotWhole(NotWhole),
    /// This node can't go on.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The journal failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<NotWhole> for RepairError {
    fn from(error: NotWhole) -> Self {
        match error {
            NotWhole::Broken(broken) => Self::Broken(broken),
            error => Self::NotWhole(error),
        }
    }
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

#[cfg(test)]
mod tests;
