//! One shard's Raft group on this node: how openraft is set up, and who leads. Never what the
//! commands mean.

use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, ShardId};
use futures::FutureExt;
use journal::Journal;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal as Ended;
use openraft::{Config, ServerState, SnapshotPolicy};
use tokio::time::Instant;
use topology::ShardMap;

use crate::log::LogStore;
use crate::machine::Fatal;
use crate::machine::data::Data;
use crate::network::{Feed, Network, Router};
use crate::shards::ShardStatus;
use crate::slots::Slots;
use crate::state::{Replica, StateMachine};
use crate::types::TypeConfig;

pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;

/// Times of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) heartbeat: Duration,
    pub(crate) election: (Duration, Duration),
}

impl Times {
    /// How long a node that starts with data neither campaigns nor votes: longer than any lease
    /// that was granted before.
    pub(crate) fn quiet(&self) -> Duration {
        self.election.1 + self.election.1 / 10
    }

    /// How long a leader that a majority answered may read without asking again. Those who answered
    /// vote for nobody else for a fifth longer by their own clocks: so much may the clocks of two
    /// nodes differ in speed.
    fn lease(&self) -> Duration {
        self.election.1 * 4 / 5
    }
}

/// A group that runs here.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) shard: ShardId,
    pub(crate) raft: Raft,
    pub(crate) replica: Arc<Replica>,
    /// Until then no vote is given.
    pub(crate) quiet_until: Instant,
    /// See [`Times::lease`].
    pub(crate) lease: Duration,
    pub(crate) feed: Feed,
    /// What the shard answers for.
    pub(crate) slots: Slots,
}

/// What a group is made of.
pub(crate) struct GroupSetup {
    pub(crate) node: NodeId,
    pub(crate) map: ShardMap,
    pub(crate) replica: Arc<Replica>,
    pub(crate) journal: Journal,
    pub(crate) router: Arc<Router>,
    pub(crate) times: Times,
    pub(crate) fatal: Fatal,
    /// It has been part of the group before: no vote until old leases are over.
    pub(crate) quiet: bool,
}

fn config(shard: ShardId, times: Times, quiet: bool) -> Config {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: shard.to_string(),
        heartbeat_interval: ms(times.heartbeat),
        election_timeout_min: ms(times.election.0),
        election_timeout_max: ms(times.election.1),
        // Snapshots follow our checkpoints, and what of the log may go is for us to say.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 1000,
        enable_elect: !quiet,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        // A follower that lost what it had acknowledged (its disk lied, or its files were damaged) is
        // sent it again. Otherwise it would stay behind for as long as this leader leads.
        allow_log_reversion: Some(true),
        // An entry holds a whole batch of commands already: bounded in bytes by the log reader.
        max_payload_entries: 64,
        max_append_entries: Some(64),
        install_snapshot_timeout: 600_000,
        ..Config::default()
    }
}

impl Group {
    /// Starts the group.
    pub(crate) async fn start(setup: GroupSetup) -> Result<Self, String> {
        let GroupSetup { node, map, replica, journal, router, times, fatal, quiet } = setup;
        let shard = replica.shard();
        let config = config(shard, times, quiet).validate().map_err(|error| error.to_string())?;
        let network = Network { router, replica: replica.clone() };
        let log = LogStore::new(journal, node, shard, fatal);
        let machine = StateMachine(replica.clone());
        let raft = Raft::new(node.0, Arc::new(config), network, log, machine).await;
        let raft = raft.map_err(|error| error.to_string())?;
        let mut quiet_until = Instant::now();
        if quiet {
            quiet_until += times.quiet();
            let raft = raft.clone();
            crate::runtime::spawn(async move {
                tokio::time::sleep_until(quiet_until).await;
                raft.runtime_config().elect(true);
            });
        }
        let slots = Slots { shard, map };
        let (lease, feed) = (times.lease(), Feed::default());
        Ok(Self { shard, raft, replica, quiet_until, lease, feed, slots })
    }

    /// Everything openraft says of the group, copied: its borrow would hold the core up.
    pub(crate) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Who leads, as far as this replica knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let server = self.raft.server_metrics();
        let leader = server.borrow_watched().current_leader;
        leader.map(NodeId)
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.server_metrics().borrow_watched().state == ServerState::Leader
    }

    /// Why the group has ended, if it has. A panic leaves no other trace than this.
    pub(crate) async fn ended(&self) -> Option<Ended<TypeConfig>> {
        let mut metrics = self.raft.metrics();
        drop(metrics.borrow_and_update());
        let ended = matches!(metrics.changed().now_or_never(), Some(Err(_)));
        if ended { self.raft.with_raft_state(|_| ()).await.err() } else { None }
    }

    /// The voters of the membership in effect.
    pub(crate) fn voters(&self) -> Vec<NodeId> {
        self.raft.voter_ids().map(NodeId).collect()
    }

    /// For `weir status`, with the state's hash; without it for whoever asks often.
    pub(crate) fn status(&self, hashed: bool) -> ShardStatus {
        let metrics = self.metrics();
        let last_index = metrics.last_log_index.unwrap_or(0);
        let index = |id: Option<crate::types::LogId>| id.map_or(0, |id| id.index);
        let (applied, state_hash) =
            if hashed { self.replica.hash() } else { (self.replica.applied(), 0) };
        let lag = metrics.replication.as_ref().map(|followers| {
            let lag = |(node, matched): (&u64, &Option<_>)| {
                (NodeId(*node), last_index.saturating_sub(index(*matched)))
            };
            followers.iter().filter(|(node, _)| **node != metrics.id).map(lag).collect()
        });
        let synced = self.raft.watch_log_progress().get().and_then(|point| point.last_log_id);
        let voted = self.raft.watch_vote_progress().get();
        let checkpoint = self.replica.checkpoint();
        let (keys, expiring_keys) = match self.shard.is_meta() {
            true => (0, 0),
            false => self.replica.with(|it: &mut Data| (it.keys_count(), it.expiring_count())),
        };
        ShardStatus {
            keys,
            expiring_keys,
            shard: self.shard,
            leader: metrics.current_leader.map(NodeId),
            term: metrics.current_term,
            last_index,
            committed_index: index(metrics.cluster_committed),
            applied_index: index(applied),
            synced_index: index(synced),
            synced_term: synced.map_or(0, |id| id.leader_id.term),
            voted_term: voted.map_or(0, |vote| vote.leader_id.term),
            voted_for: voted.map(|vote| NodeId(vote.leader_id.voted_for)),
            checkpoint_index: checkpoint.map_or(0, |checkpoint| index(checkpoint.meta.last_log_id)),
            voters: metrics.membership_config.voter_ids().map(NodeId).collect(),
            lag: lag.unwrap_or_default(),
            state_hash,
        }
    }
}
