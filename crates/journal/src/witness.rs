//! When the committer tells the witness: before a vote is answered, and otherwise at most every
//! 100 ms, after the replies, and on a slow disk so seldom that it takes no more than a fiftieth of
//! the committer's time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Disk, ShardId};

use crate::error::Refused;
use crate::format::ShardStates;
use crate::guard::save_witness;
use crate::limits::{WITNESS_EVERY, WITNESS_REST};
use crate::marks::Marks;
use crate::shared::NO_PANIC;
use crate::types::{LogId, Position};

/// Checkpoints, as the owner reports them.
pub(crate) type Checkpoints = Arc<Mutex<BTreeMap<ShardId, LogId>>>;

/// Keeps the witness file.
pub(crate) struct WitnessKeeper {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) checkpoints: Checkpoints,
    /// What the file says.
    said: Marks,
    /// Not before this is it told again, votes aside.
    next: Duration,
}

impl WitnessKeeper {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        checkpoints: Checkpoints,
    ) -> Self {
        let next = clock.monotonic();
        Self { disk, dir, clock, checkpoints, said: Marks::default(), next }
    }

    /// Tells what is synced now.
    pub(crate) fn tell(&mut self, synced: Position, states: &ShardStates) -> Result<(), Refused> {
        let vote = |(shard, state): (&ShardId, &crate::format::ShardState)| {
            Some((*shard, state.vote.clone()?))
        };
        let checkpoints = self.checkpoints.lock().expect(NO_PANIC).clone();
        let votes = states.iter().filter_map(vote).collect();
        let marks = Marks { synced: Some(synced), votes, checkpoints };
        let start = self.clock.monotonic();
        save_witness(&*self.disk, &self.dir, &marks)?;
        self.said = marks;
        let end = self.clock.monotonic();
        self.next = end + WITNESS_EVERY.max((end - start) * WITNESS_REST);
        Ok(())
    }

    /// Tells it when enough time has passed. A full disk is no reason to stop: what the file says
    /// stays true.
    pub(crate) fn tell_in_time(
        &mut self,
        synced: Position,
        states: &ShardStates,
    ) -> Result<(), Refused> {
        if !self.lags(synced) || self.clock.monotonic() < self.next {
            return Ok(());
        }
        match self.tell(synced, states) {
            Err(refused) if refused.is_full() => {
                tracing::warn!(error = %refused, "the witness lags");
                self.next = self.clock.monotonic() + WITNESS_EVERY;
                Ok(())
            }
            told => told,
        }
    }

    /// Whether there is something to tell.
    pub(crate) fn lags(&self, synced: Position) -> bool {
        self.said.synced != Some(synced)
            || self.said.checkpoints != *self.checkpoints.lock().expect(NO_PANIC)
    }
}
