//! Watches the groups of a node: spreads leaders, lets a node whose clock is off lead nothing,
//! carries replacements of nodes out, follows the peers' addresses. Never decides who leads: it
//! only asks for a transfer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use tokio::time::Instant;

use crate::node::inner::{Inner, Running};
use crate::shard::Group;

/// Between rounds.
const EVERY: Duration = Duration::from_millis(500);

/// How long leaders must have stayed where they are before one is moved: after a failure the
/// cluster first comes to rest.
const REST: Duration = Duration::from_secs(10);

/// How long a hand-over may take in all.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// A follower this few entries behind may be handed the leadership.
const BEHIND_MAX: u64 = 16;

/// Works until the node stops.
pub(crate) async fn run(node: Arc<Inner>) {
    let mut seen: BTreeMap<base::ShardId, Option<NodeId>> = BTreeMap::new();
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        measure_disk(&node);
        let Some(running) = node.running() else { continue };
        node.tell_peers();
        let leaders: BTreeMap<_, _> =
            running.groups().map(|group| (group.shard, group.leader())).collect();
        if leaders != seen {
            seen = leaders;
            since = Instant::now();
        }
        if !node.clock.may_lead() {
            tracing::warn!(
                offset_ms = node.clock.median_offset_ms(),
                "this node's clock is too far from the others' to lead"
            );
            give_up_one(&node, running).await;
        } else if since.elapsed() >= REST {
            balance(&node, running, &seen).await;
        }
        crate::replace::step(&node, running).await;
    }
}

fn measure_disk(node: &Inner) {
    if let Ok(free) = node.world.disk.free_bytes(&node.options.data_dir) {
        node.router.set_disk_free(free);
    }
}

/// Moves one leadership from here to the connected node that leads fewest, when it leads at least
/// two fewer.
async fn balance(
    node: &Arc<Inner>,
    running: &Running,
    leaders: &BTreeMap<base::ShardId, Option<NodeId>>,
) {
    let me = node.options.node;
    let led = |who: NodeId| leaders.values().filter(|leader| **leader == Some(who)).count();
    let mine = led(me);
    for group in running.groups().filter(|group| group.leads()) {
        let followers = caught_up(node, group);
        let least = followers.into_iter().min_by_key(|follower| (led(*follower), *follower));
        if let Some(to) = least.filter(|to| led(*to) + 2 <= mine) {
            tracing::info!(shard = %group.shard, %to, "a leadership moves, for balance");
            drop(group.raft.trigger().transfer_leader(to.0).await);
            return;
        }
    }
}

async fn give_up_one(node: &Arc<Inner>, running: &Running) {
    for group in running.groups().filter(|group| group.leads()) {
        if let Some(to) = caught_up(node, group).first() {
            drop(group.raft.trigger().transfer_leader(to.0).await);
            return;
        }
    }
}

/// Voters that are connected and have almost everything.
fn caught_up(node: &Inner, group: &Group) -> Vec<NodeId> {
    let metrics = group.metrics();
    let last = metrics.last_log_index.unwrap_or(0);
    let Some(replication) = &metrics.replication else { return Vec::new() };
    let voters = group.voters();
    let near = |follower: &NodeId| {
        let matched = replication.get(&follower.0).copied().flatten();
        matched.is_some_and(|matched| last.saturating_sub(matched.index) <= BEHIND_MAX)
    };
    let connected = voters.into_iter().filter(|voter| node.router.is_connected(*voter));
    connected.filter(near).collect()
}

/// Hands every leadership over and waits, bounded, until others lead.
pub(crate) async fn hand_over(node: &Arc<Inner>) {
    let Some(running) = node.running() else { return };
    let all = async {
        loop {
            let mut led = running.groups().filter(|group| group.leads()).peekable();
            if led.peek().is_none() {
                return;
            }
            for (turn, group) in led.enumerate() {
                group.raft.runtime_config().elect(false);
                let to = caught_up(node, group);
                if let Some(to) = to.get(turn % to.len().max(1)) {
                    drop(group.raft.trigger().transfer_leader(to.0).await);
                }
            }
            tokio::time::sleep(EVERY / 5).await;
        }
    };
    if tokio::time::timeout(HAND_OVER_PATIENCE, all).await.is_err() {
        tracing::warn!("some leaderships could not be handed over");
    }
}
