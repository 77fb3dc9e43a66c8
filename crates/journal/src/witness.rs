//! When the committer tells the witness: before a vote is answered, and otherwise at most every
//! 100 ms, after the replies.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Disk, ShardId};

use crate::error::Refused;
use crate::format::ShardStates;
use crate::guard::save_witness;
use crate::marks::Marks;
use crate::shared::NO_PANIC;
use crate::types::{LogId, Position};

/// How far the witness may lag.
pub(crate) const WITNESS_EVERY: Duration = Duration::from_millis(100);

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
    at: Duration,
}

impl WitnessKeeper {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        checkpoints: Checkpoints,
    ) -> Self {
        let at = clock.monotonic();
        Self { disk, dir, clock, checkpoints, said: Marks::default(), at }
    }

    /// Tells what is synced now.
    pub(crate) fn tell(&mut self, synced: Position, states: &ShardStates) -> Result<(), Refused> {
        let vote = |(shard, state): (&ShardId, &crate::format::ShardState)| {
            Some((*shard, state.vote.clone()?))
        };
        let checkpoints = self.checkpoints.lock().expect(NO_PANIC).clone();
        let votes = states.iter().filter_map(vote).collect();
        let marks = Marks { synced: Some(synced), votes, checkpoints };
        save_witness(&*self.disk, &self.dir, &marks)?;
        self.said = marks;
        self.at = self.clock.monotonic();
        Ok(())
    }

    /// Tells it when enough time has passed. A full disk is no reason to stop: what the file says
    /// stays true.
    pub(crate) fn tell_in_time(
        &mut self,
        synced: Position,
        states: &ShardStates,
    ) -> Result<(), Refused> {
        if !self.lags(synced) || self.clock.monotonic() < self.at + WITNESS_EVERY {
            return Ok(());
        }
        match self.tell(synced, states) {
            Err(refused) if refused.source.kind() == ErrorKind::StorageFull => {
                tracing::warn!(error = %refused, "the witness lags");
                self.at = self.clock.monotonic();
                Ok(())
            }
            told => told,
        }
    }

    /// Whether there is something to tell.
    pub(crate) fn lags(&self, synced: Position) -> bool {
        self.said.synced != Some(synced)
    }
}
