//! The handle that shards and readers hold. Cheap to clone; from any thread; never waits for the
//! disk except to read old entries.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::planted::{Bug, is};
use base::{Disk, ShardId};
use bytes::Bytes;

use crate::committer::{Committer, CommitterParts};
use crate::error::{OpenError, ReadError};
use crate::format::{Kind, RecordHead};
use crate::handover::{Change, Filling};
use crate::index::ShardLog;
use crate::limits::SEGMENT_BYTES_MIN;
use crate::marks::Marks;
use crate::options::Options;
use crate::read::Reading;
use crate::recovery::recover;
use crate::shared::{Hook, NO_PANIC, Shared};
use crate::types::{Done, Failed, LogId, LogState, Pin, Position, Record, Usage};

/// Opens the journal in `dir`, or makes it where `marks` know of none. When it returns, everything
/// that can be read is durable.
///
/// # Errors
/// Damage, a newer format, or a machine that refuses: then nothing may be served from this
/// journal, and nothing of it was changed, a file without a name aside.
pub fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    marks: &Marks,
) -> Result<(Journal, Committer), OpenError> {
    let segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN);
    let options = Options { segment_bytes, ..options };
    let recovered = recover(&*disk, dir, &options, marks)?;
    let synced = recovered.active.position();
    let (parts, replay, segments) = CommitterParts::split(recovered);
    let shared = Arc::new(Shared::new(options, replay.logs, segments, synced));
    shared.checkpoints.lock().expect(NO_PANIC).clone_from(&marks.checkpoints);
    let committer = Committer::new(Arc::clone(&shared), disk, dir.to_owned(), parts);
    Ok((Journal(Arc::new(Handle(shared))), committer))
}

/// The journal, as its users see it. When the last clone is gone, [`Committer::run`] ends.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.handover.close();
    }
}

/// What became of something handed in, to be acted on outside of the locks.
enum HandedIn {
    /// It waits, or the committer is told already.
    Waits,
    /// The committer must be told.
    First,
    Failed(Failed, Option<Done>),
    Broken(String),
}

impl Journal {
    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Runs `change` on a shard's log and hands its record in, both in one step, so that a shard's
    /// log and the journal agree on the order. Without `done` nobody is woken. What `change` refuses,
    /// having changed nothing, is a panic outside of the locks: they stay good for others.
    fn hand_in(
        &self,
        shard: ShardId,
        done: Option<Done>,
        change: impl FnOnce(&mut ShardLog, &mut Filling<'_>) -> Result<(), String>,
    ) {
        let shared = self.shared();
        let handed_in = shared.with_log(shard, |mut log| {
            let mut filling = match shared.handover.fill() {
                Ok(filling) => filling,
                Err(failed) => return HandedIn::Failed(failed, done),
            };
            if let Err(broken) = change(&mut log, &mut filling) {
                return HandedIn::Broken(broken);
            }
            let Some(done) = done else { return HandedIn::Waits };
            let first = filling.finish(done);
            let share = shared.cache_share();
            log.shrink_recent(share, shared.written.load(Ordering::Acquire));
            if first { HandedIn::First } else { HandedIn::Waits }
        });
        match handed_in {
            HandedIn::Waits => {}
            HandedIn::First => shared.call_waker(),
            HandedIn::Failed(failed, Some(done)) => done(Err(failed)),
            HandedIn::Failed(_, None) => {}
            HandedIn::Broken(broken) => panic!("{broken}"),
        }
    }

    /// What a shard's log holds.
    pub fn log_state(&self, shard: ShardId) -> LogState {
        self.shared().with_log(shard, |log| log.log_state())
    }

    /// The shards that anything is known of, sorted.
    pub fn shards(&self) -> Vec<ShardId> {
        self.shared().map_logs(|shard, _| shard)
    }

    /// Appends entries, which can be read at once; `done` is called when they are durable. Dones
    /// are called in the order in which things were handed in.
    ///
    /// # Panics
    /// When an entry doesn't follow the one before: its index must be the next one, or anything
    /// above what was purged where there are no entries. Nothing was changed then.
    pub fn append<R>(&self, shard: ShardId, records: R, done: Done)
    where
        R: AsRef<[Record]> + IntoIterator<Item = Record>,
    {
        self.hand_in(shard, Some(done), |log, filling| {
            let all = records.as_ref();
            let first = all.first().map_or(0, |first| first.index);
            let whole = (first..).zip(all).all(|(index, record)| record.index == index);
            if !(whole && (all.is_empty() || log.accepts(first))) {
                return Err(format!("shard {shard}: entry {first} after {:?}", log.last()));
            }
            for record in records {
                let head = RecordHead {
                    shard,
                    kind: Kind::Entry,
                    entry_kind: record.kind,
                    term: record.term,
                    index: record.index,
                };
                let at = filling.record(head, &record.payload);
                log.push_recent(record, at);
            }
            Ok(())
        });
    }

    /// Saves a vote; `done` is called when it is durable.
    pub fn save_vote(&self, shard: ShardId, vote: Bytes, done: Done) {
        self.hand_in(shard, Some(done), |log, filling| {
            filling.record(mark(shard, Kind::Vote, LogId::default()), &vote);
            filling.change(shard, Change::Vote(vote.clone()));
            log.state.vote = Some(vote);
            Ok(())
        });
    }

    /// Saves the commit position, with the next sync that something else needs.
    pub fn save_committed(&self, shard: ShardId, committed: LogId) {
        self.hand_in(shard, None, |log, filling| {
            filling.record(mark(shard, Kind::Committed, committed), &[]);
            filling.change(shard, Change::Committed(committed));
            log.state.committed = Some(committed);
            Ok(())
        });
    }

    /// Takes away the entries after `index`, all of them where it is none; `done` is called when
    /// that is durable.
    pub fn truncate_after(&self, shard: ShardId, index: Option<u64>, done: Done) {
        let from = LogId { term: 0, index: index.map_or(0, |index| index.saturating_add(1)) };
        self.hand_in(shard, Some(done), |log, filling| {
            if !is(Bug::TruncationForgotten) {
                filling.record(mark(shard, Kind::Truncate, from), &[]);
            }
            log.truncate(from.index);
            Ok(())
        });
    }

    /// Takes away the entries up to and with `upto`, durably with the next sync that something
    /// else needs. Going back is nothing. Segments that nobody needs any longer are freed when the
    /// next segment is begun.
    pub fn purge(&self, shard: ShardId, upto: LogId) {
        self.hand_in(shard, None, |log, filling| {
            if log.state.purged.is_some_and(|purged| purged.index >= upto.index) {
                return Ok(());
            }
            filling.record(mark(shard, Kind::Purge, upto), &[]);
            filling.change(shard, Change::Purged(upto));
            log.purge(upto);
            Ok(())
        });
    }

    /// Reads the entries of `range` that are present, from its start without a hole, up to
    /// `bytes_max` of payload, but at least one where there is one.
    ///
    /// # Errors
    /// Entries that went away meanwhile, or a fault.
    pub fn read(
        &self,
        shard: ShardId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        Reading::begin(self.shared(), shard, range, bytes_max).finish()
    }

    /// The first entry of each term that is present, then the last entry.
    pub fn term_starts(&self, shard: ShardId) -> Vec<LogId> {
        self.shared().with_log(shard, |log| log.term_starts())
    }

    /// The term of a shard's entry, where it is present.
    pub fn term_of(&self, shard: ShardId, index: u64) -> Option<u64> {
        self.shared().with_log(shard, |log| {
            let (first, _) = log.first()?;
            (first..log.end()).contains(&index).then(|| log.term(index))
        })
    }

    /// Calls `done` when everything handed in before is durable.
    pub fn sync(&self, done: Done) {
        let shared = self.shared();
        match shared.handover.fill() {
            Ok(filling) => {
                if filling.finish(done) {
                    shared.call_waker();
                }
            }
            Err(failed) => done(Err(failed)),
        }
    }

    /// Everything below is durable.
    pub fn synced_position(&self) -> Position {
        self.shared().synced()
    }

    /// Whether a shard's entry is durable. One that was purged is; one after the last is not.
    pub fn is_synced(&self, shard: ShardId, index: u64) -> bool {
        let shared = self.shared();
        let synced = shared.synced();
        shared.with_log(shard, |log| {
            let Some((first, _)) = log.first() else { return true };
            if !(first..log.end()).contains(&index) {
                return index < first;
            }
            let segments = shared.segments.read().expect(NO_PANIC);
            // A batch is synced whole.
            segments.try_place(log.slot(index).at().batch).is_some_and(|place| place < synced)
        })
    }

    /// Notes a shard's last checkpoint for the witness.
    pub fn note_checkpoint(&self, shard: ShardId, id: LogId) {
        self.shared().checkpoints.lock().expect(NO_PANIC).insert(shard, id);
    }

    /// `hook` is called when work begins to wait that somebody waits for: then
    /// [`Committer::step`] must be called. [`Committer::run`] needs no hook.
    pub fn set_waker(&self, hook: Hook) {
        *self.shared().on_work.write().expect(NO_PANIC) = Some(hook);
    }

    /// What the journal occupies and who keeps old segments.
    pub fn usage(&self) -> Usage {
        let shared = self.shared();
        let unsynced_bytes = shared.unsynced_bytes();
        let firsts = shared.map_logs(|shard, log| Some((shard, log.first()?.1.at().batch)));
        let segments = shared.segments.read().expect(NO_PANIC);
        let newest = segments.live.keys().next_back().copied().unwrap_or_default();
        let mut pins: Vec<Pin> = firsts
            .into_iter()
            .flatten()
            .map(|(shard, batch)| {
                let segment = segments.try_place(batch).map_or(newest, |place| place.segment);
                Pin { shard, segment, bytes: segments.bytes_from(segment) }
            })
            .collect();
        pins.sort_by_key(|pin| (pin.segment, pin.shard));
        Usage {
            bytes: segments.bytes_from(0) + segments.spare_bytes,
            segments: segments.live.len() as u64,
            unsynced_bytes,
            pins,
        }
    }

    /// The first entry of a shard within the newest [`Options::kept_bytes`] of the journal: what
    /// comes before it may be purged as far as followers that were away briefly are concerned.
    /// None where the shard has no entry there.
    pub fn kept_from(&self, shard: ShardId) -> Option<u64> {
        let shared = self.shared();
        shared.with_log(shard, |log| {
            let (first, _) = log.first()?;
            let segments = shared.segments.read().expect(NO_PANIC);
            let kept = segments.newest_within(shared.options.kept_bytes);
            let in_kept = |index: u64| {
                let place = segments.try_place(log.slot(index).at().batch);
                place.is_none_or(|place| place.segment >= kept)
            };
            let (mut low, mut high) = (first, log.end());
            while low < high {
                let middle = low + (high - low) / 2;
                if in_kept(middle) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            (low < log.end()).then_some(low)
        })
    }
}

fn mark(shard: ShardId, kind: Kind, id: LogId) -> RecordHead {
    RecordHead { shard, kind, entry_kind: 0, term: id.term, index: id.index }
}
