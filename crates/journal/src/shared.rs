//! What shards, readers and the committer share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use base::ShardId;

use crate::handover::Handover;
use crate::index::ShardLog;
use crate::logs::Logs;
use crate::options::Options;
use crate::segment::Segments;
use crate::types::Position;
use crate::witness::Checkpoints;

/// Called when something happened; must neither block nor hand anything in.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) handover: Handover,
    logs: Logs,
    cache_share: AtomicUsize,
    pub(crate) segments: RwLock<Segments>,
    /// Batches below this are in segments (not necessarily synced).
    pub(crate) written: AtomicU64,
    /// Bytes taken by the committer and not synced yet.
    pub(crate) in_flight: AtomicU64,
    pub(crate) synced: Mutex<Position>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) on_work: RwLock<Option<Hook>>,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        logs: BTreeMap<ShardId, ShardLog>,
        segments: Segments,
        synced: Position,
    ) -> Self {
        let first = segments.next_batch();
        let cache_share = options.cache_bytes / logs.len().max(1);
        Self {
            handover: Handover::new(options.batch_bytes, first),
            options,
            logs: Logs::new(logs),
            cache_share: AtomicUsize::new(cache_share),
            segments: RwLock::new(segments),
            written: AtomicU64::new(first),
            in_flight: AtomicU64::new(0),
            synced: Mutex::new(synced),
            checkpoints: Checkpoints::default(),
            on_work: RwLock::new(None),
        }
    }

    /// Does something with a shard's log, locked; an empty one where the shard is new. It must not
    /// ask for a log itself.
    pub(crate) fn with_log<R>(
        &self,
        shard: ShardId,
        with: impl FnOnce(MutexGuard<'_, ShardLog>) -> R,
    ) -> R {
        with(lock(self.logs.get_or_add(shard, |count| {
            self.cache_share.store(self.options.cache_bytes / count.max(1), Ordering::Relaxed);
        })))
    }

    /// Asks all shards' logs, one after the other.
    pub(crate) fn map_logs<R>(&self, ask: impl Fn(ShardId, &ShardLog) -> R) -> Vec<R> {
        let all = self.logs.all();
        all.into_iter().map(|(shard, log)| ask(shard, &lock(log))).collect()
    }

    /// What one shard may keep of the memory for recent entries.
    pub(crate) fn cache_share(&self) -> usize {
        self.cache_share.load(Ordering::Relaxed)
    }

    pub(crate) fn synced(&self) -> Position {
        *self.synced.lock().expect(NO_PANIC)
    }

    /// Bytes handed in and not synced.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.handover.bytes() + self.in_flight.load(Ordering::Relaxed)
    }

    /// Tells whoever drives the committer that work waits.
    pub(crate) fn call_waker(&self) {
        let hook = self.on_work.read().expect(NO_PANIC).clone();
        if let Some(hook) = hook {
            hook();
        }
    }
}

/// Why a lock is never poisoned.
pub(crate) const NO_PANIC: &str = "no holder of the journal's locks panics";

fn lock(log: &Mutex<ShardLog>) -> MutexGuard<'_, ShardLog> {
    log.lock().expect(NO_PANIC)
}
