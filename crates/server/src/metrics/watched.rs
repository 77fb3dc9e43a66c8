//! The shards as the doors see them, with every write counted. Never an answer of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{NodeId, ShardId};
use raft::bus::Bus;
use raft::settings::Settings;
use raft::{Held, NodeStatus, Pending, Shards, Watch};
use streams::command::Command;
use streams::query::Query;
use tokio::time::Instant;

use super::{Groups, observe_write};

/// Shards, observed: both doors are counted alike, and neither has to think of it.
pub struct Watched {
    shards: Arc<dyn Shards>,
    groups: Arc<Groups>,
}

impl Watched {
    pub(crate) fn new(shards: Arc<dyn Shards>, groups: Arc<Groups>) -> Self {
        Self { shards, groups }
    }
}

impl Shards for Watched {
    fn write(&self, shard: ShardId, command: Command) -> Pending {
        observe_write(self.shards.write(shard, command))
    }

    fn read(&self, shard: ShardId, query: Query) -> Pending {
        if let Query::WouldDeliver(read) = &query {
            for (key, _) in &read.streams {
                self.groups.note(key, &read.group);
            }
        }
        self.shards.read(shard, query)
    }

    fn read_here(&self, shard: ShardId, query: Query) -> Pending {
        self.shards.read_here(shard, query)
    }

    fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.shards.leader(shard)
    }

    fn watch(&self, shard: ShardId, query: Query) -> Watch {
        self.shards.watch(shard, query)
    }

    fn held(&self, shard: ShardId, wanted: usize, deadline: Option<Instant>) -> Held {
        self.shards.held(shard, wanted, deadline)
    }

    fn settings(&self) -> Settings {
        self.shards.settings()
    }

    fn choose(&self, numbers: BTreeMap<String, u64>) -> Pending {
        self.shards.choose(numbers)
    }

    fn bus(&self) -> Option<&Bus> {
        self.shards.bus()
    }

    fn shard_of(&self, key: &[u8]) -> ShardId {
        self.shards.shard_of(key)
    }

    fn shards(&self) -> Vec<ShardId> {
        self.shards.shards()
    }

    fn status(&self) -> NodeStatus {
        self.shards.status()
    }

    fn outline(&self) -> NodeStatus {
        self.shards.outline()
    }
}
