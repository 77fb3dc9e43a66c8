//! The configuration in the words of the shards. Never a default of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft::link::Link;
use raft::{Driver, Member, Options, Reads};

use super::World;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::metrics::TimedDisk;

/// Of the memory, what the store may keep of its pages: the blocks that are read have a cache of
/// their own, so this only has to hold what checkpoints touch.
const STORE_CACHE_SHARE: u64 = 32;

/// What the shards are told.
pub(super) fn of(config: &Config) -> Options {
    let node = &config.node;
    let mut members: BTreeMap<_, _> =
        config.cluster.members.iter().map(|it| (it.id, member(it))).collect();
    members.entry(node.id).or_insert_with(|| member(&config.advertised()));
    Options {
        node: node.id,
        data_dir: node.data_dir.clone(),
        members,
        shards: config.cluster.shards,
        settings: config.cluster.checksum(),
        heartbeat: config.cluster.heartbeat,
        election: config.cluster.election,
        request_timeout: node.limits.request_timeout,
        memory_bytes: node.limits.memory,
        disk_free_min: node.limits.disk_free_min,
        segment_bytes: node.journal.segment_bytes,
        ballast_bytes: node.journal.ballast_bytes,
        kept_bytes: node.journal.kept_bytes,
        checkpoint_dirty_bytes: node.checkpoint_dirty_bytes,
        reads: match node.reads {
            config::Reads::Quorum => Reads::Quorum,
            config::Reads::Lease => Reads::Lease,
        },
    }
}

fn member(of: &config::Member) -> Member {
    Member {
        peer: of.peer.clone(),
        resp: of.resp.clone(),
        resp_cluster: of.resp_cluster.clone(),
        grpc: of.grpc.clone(),
    }
}

/// The world as the shards are handed it.
pub(super) fn world(world: &World, link: Arc<dyn Link>, memory_bytes: u64) -> raft::World {
    let options = store::Options { cache_bytes: memory_bytes / STORE_CACHE_SHARE };
    raft::World {
        disk: Arc::new(TimedDisk::new(Arc::clone(&world.disk), Arc::clone(&world.clock))),
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy),
        link,
        stores: Arc::new(store::OnDisk(options)),
        driver: Driver::Thread,
    }
}

impl From<raft::Failure> for Failure {
    fn from(failure: raft::Failure) -> Self {
        match failure {
            raft::Failure::Config(text) => Self::Config(text),
            raft::Failure::Untrusted(text) => Self::Data(text),
            raft::Failure::Refused(text) => Self::Machine(text),
        }
    }
}
