//! Watches the groups of a node: builds one anew whose core panicked, moves leaderships that commit
//! nothing, spreads leaders, lets a node whose clock is off lead nothing,
//! carries replacements of nodes out, follows the peers' addresses, tells shards what was chosen. Never decides who leads: it
//! only asks for a transfer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, ShardId};
use openraft::errors::Fatal;
use tokio::time::Instant;

use crate::node::Failure;
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

/// A leader that commits nothing for so long, though something waits, hands the leadership over.
const STALL: Duration = Duration::from_secs(5);

/// A leader whose disk syncs nothing for so long does, too: the others may still be a majority, but
/// each entry then needs both of them. Far above the longest sync that was measured.
const SYNC_STALL: Duration = Duration::from_secs(2);

/// Works until the node stops.
pub(crate) async fn run(node: Arc<Inner>) {
    let mut seen: BTreeMap<ShardId, Option<NodeId>> = BTreeMap::new();
    let mut since = Instant::now();
    let mut stalls = Stalls::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let disk_free = measure_disk(&node);
        let Some(running) = node.running() else { continue };
        let options = &node.options;
        let short = |free| free < options.disk_free_min.saturating_add(options.kept_bytes);
        // Where it can't be asked, it stays as it was.
        if let Some(free) = disk_free {
            running.set_disk_short(short(free));
        }
        node.router.set_pressed(running.is_pressed());
        node.tell_peers();
        if let Err(failure) = rebuild(running).await {
            return node.fail(failure);
        }
        stalls.unstick(&node, running).await;
        let leaders: BTreeMap<_, _> =
            running.groups().iter().map(|group| (group.shard, group.leader())).collect();
        if leaders != seen {
            seen = leaders;
            since = Instant::now();
        }
        if !node.clock.may_lead() {
            give_up_one(&node, running).await;
        } else if since.elapsed() >= REST && balance(&node, running, &seen).await {
            // A leader that hands over takes no writes, so a move that fails costs an election: the
            // next one waits as long, whether this one succeeds or not.
            since = Instant::now();
        }
        crate::settings::follow(running);
        crate::replace::step(&node, running).await;
    }
}

/// A panic inside openraft ends a group, not the node.
async fn rebuild(running: &Running) -> Result<(), Failure> {
    for group in running.groups() {
        match group.ended().await {
            Some(Fatal::Panicked) => {
                tracing::error!(shard = %group.shard, "openraft panicked: the group is built anew");
                running.rebuild(group.shard).await?;
            }
            Some(Fatal::StorageError(error)) => return Err(Failure::Refused(error.to_string())),
            Some(Fatal::Stopped) | None => {}
        }
    }
    Ok(())
}

/// Moves the leaderships of groups that commit nothing, or whose entries this node's disk does not
/// take.
#[derive(Default)]
struct Stalls {
    commits: Progress,
    syncs: Progress,
}

impl Stalls {
    async fn unstick(&mut self, node: &Arc<Inner>, running: &Running) {
        for group in running.groups() {
            let status = group.status(false);
            let is_stuck = |of: &mut Progress, at: u64, patience| {
                of.is_stuck(group.shard, at, group.leads() && status.last_index > at, patience)
            };
            let commits = is_stuck(&mut self.commits, status.committed_index, STALL);
            let syncs = is_stuck(&mut self.syncs, status.synced_index, SYNC_STALL);
            if !commits && !syncs {
                continue;
            }
            let why = if commits { "commits stall" } else { "this node's disk is too slow" };
            if let Some(to) = furthest(node, &group) {
                tracing::warn!(shard = %group.shard, %to, "{why}: the leadership moves");
                drop(group.raft.trigger().transfer_leader(to.0).await);
            }
        }
    }
}

/// How far something had come in each group, and since when it is there.
#[derive(Default)]
struct Progress(BTreeMap<ShardId, (u64, Instant)>);

impl Progress {
    /// Whether it has been at the same place for so long, though something waits. Said once in that
    /// time.
    fn is_stuck(&mut self, shard: ShardId, at: u64, waits: bool, patience: Duration) -> bool {
        let now = Instant::now();
        let entry = self.0.entry(shard).or_insert((at, now));
        let moves = !waits || entry.0 != at;
        let stuck = !moves && now - entry.1 >= patience;
        if moves || stuck {
            *entry = (at, now);
        }
        stuck
    }
}

/// The connected voter that has most, of those that take entries: another one could not become
/// leader, and the attempt would only cost an election.
fn furthest(node: &Inner, group: &Group) -> Option<NodeId> {
    let metrics = group.metrics();
    let replication = metrics.replication.as_ref()?;
    let others = group.voters().into_iter().filter(|voter| takes_entries(node, *voter));
    others.max_by_key(|voter| replication.get(&voter.0).copied().flatten().map(|id| id.index))
}

fn takes_entries(node: &Inner, peer: NodeId) -> bool {
    stays(node, peer) && !node.router.peer(peer).pressed
}

/// Whether a peer is connected, and not about to stop.
fn stays(node: &Inner, peer: NodeId) -> bool {
    let peer = node.router.peer(peer);
    peer.connected && !peer.leaving
}

fn measure_disk(node: &Inner) -> Option<u64> {
    let free = node.world.disk.free_bytes(&node.options.data_dir).ok()?;
    node.router.set_disk_free(free);
    Some(free)
}

/// Moves one leadership from here to the connected node that leads fewest, when it leads at least
/// two fewer. True when one was asked to move.
async fn balance(
    node: &Arc<Inner>,
    running: &Running,
    leaders: &BTreeMap<ShardId, Option<NodeId>>,
) -> bool {
    let me = node.options.node;
    let led = |who: NodeId| leaders.values().filter(|leader| **leader == Some(who)).count();
    let mine = led(me);
    for group in running.groups().iter().filter(|group| group.leads()) {
        let followers = caught_up(node, group).into_iter();
        let followers = followers.filter(|follower| takes_entries(node, *follower));
        let least = followers.min_by_key(|follower| (led(*follower), *follower));
        if let Some(to) = least.filter(|to| led(*to) + 2 <= mine) {
            tracing::info!(shard = %group.shard, %to, "a leadership moves, for balance");
            drop(group.raft.trigger().transfer_leader(to.0).await);
            return true;
        }
    }
    false
}

async fn give_up_one(node: &Arc<Inner>, running: &Running) {
    for group in running.groups().iter().filter(|group| group.leads()) {
        if let Some(to) = node.clock.nearest(&caught_up(node, group)) {
            tracing::warn!(
                shard = %group.shard,
                %to,
                offset_ms = node.clock.median_offset_ms(),
                "a leadership moves: this node's clock is too far from the others'"
            );
            drop(group.raft.trigger().transfer_leader(to.0).await);
            return;
        }
    }
}

/// Voters that are connected, stay and have almost everything.
fn caught_up(node: &Inner, group: &Group) -> Vec<NodeId> {
    let metrics = group.metrics();
    let last = metrics.last_log_index.unwrap_or(0);
    let Some(replication) = &metrics.replication else { return Vec::new() };
    let voters = group.voters();
    let near = |follower: &NodeId| {
        let matched = replication.get(&follower.0).copied().flatten();
        matched.is_some_and(|matched| last.saturating_sub(matched.index) <= BEHIND_MAX)
    };
    voters.into_iter().filter(|voter| stays(node, *voter)).filter(near).collect()
}

/// Hands one shard's leadership over, if it can, without waiting for it.
pub(crate) async fn step_down(node: &Inner, shard: ShardId) {
    let group = node.running().and_then(|running| running.group(shard));
    if let Some(group) = group.filter(Group::leads)
        && let Some(to) = caught_up(node, &group).first()
    {
        drop(group.raft.trigger().transfer_leader(to.0).await);
    }
}

/// Hands every leadership over and waits, bounded, until others lead. Peers that are about to stop too
/// are told, so that none is handed back.
pub(crate) async fn hand_over(node: &Arc<Inner>) {
    node.router.leave();
    let Some(running) = node.running() else { return };
    let all = async {
        loop {
            let mut led = running.groups();
            led.retain(Group::leads);
            if led.is_empty() {
                return;
            }
            for (turn, group) in led.iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId(3);
    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn only_what_waits_and_does_not_move_is_stuck() {
        let mut progress = Progress::default();
        let mut look = async |at, waits| {
            tokio::time::advance(Duration::from_secs(2)).await;
            progress.is_stuck(SHARD, at, waits, PATIENCE)
        };
        // Slow, but it goes on.
        for at in 1..10 {
            assert!(!look(at, true).await);
        }
        // Nothing waits.
        for _ in 0..10 {
            assert!(!look(9, false).await);
        }
        let said = [look(9, true).await, look(9, true).await, look(9, true).await];
        assert_eq!(said, [false, false, true]);
        assert!(!look(9, true).await, "a hand-over takes time: it is not asked for each round");
    }
}
