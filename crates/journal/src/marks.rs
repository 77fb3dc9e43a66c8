//! What is known about the journal from outside it. Never more than was synced.

use std::collections::BTreeMap;
use std::path::Path;

use base::ShardId;
use bytes::Bytes;

use crate::error::Damage;
use crate::replay::Replay;
use crate::types::{LogId, Position};

/// What the witness says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The journal was synced up to here.
    pub synced: Option<Position>,
    /// Each shard's vote as of `synced`.
    pub votes: BTreeMap<ShardId, Bytes>,
    /// Each shard's last checkpoint. The journal only keeps them.
    pub checkpoints: BTreeMap<ShardId, LogId>,
}

impl Marks {
    /// Compares the votes when the replay has come to `at`.
    pub(crate) fn check(&self, replay: &Replay, at: Position, file: &Path) -> Result<(), Damage> {
        if self.synced != Some(at) {
            return Ok(());
        }
        for (shard, vote) in &self.votes {
            let found = replay.logs.get(shard).and_then(|log| log.state.vote.as_ref());
            if found != Some(vote) {
                let what = format!("the vote of shard {shard} isn't the one that the witness has");
                return Err(Damage::new(file, at.offset, what));
            }
        }
        Ok(())
    }
}
