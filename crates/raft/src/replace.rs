//! A new node takes the place of a lost one, as the meta group has it: in each shard, by whoever
//! leads it, the new one becomes a learner, catches up, and one joint change puts it in and the
//! lost one out. A step at a time; a crash or a change of leaders anywhere is taken up again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, ShardId};
use topology::MetaCommand;

use crate::node::inner::{Inner, Running};
use crate::shard::Group;

/// A learner this few entries behind has caught up: the change itself waits for the rest.
const BEHIND_MAX: u64 = 64;

/// For a change to be committed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries the replacements a little further.
pub(crate) async fn step(node: &Arc<Inner>, running: &Running) {
    let Some(meta) = running.meta() else { return };
    for (lost, new) in meta.replacements() {
        for group in running.groups().iter().filter(|group| group.leads()) {
            if let Err(why) = step_group(group, lost, new).await {
                tracing::info!(shard = %group.shard, %lost, %new, why, "a replacement waits");
            }
        }
        finish(node, running, lost, new).await;
    }
}

async fn step_group(group: &Group, lost: NodeId, new: NodeId) -> Result<(), String> {
    let metrics = group.metrics();
    let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
    let known: BTreeSet<u64> = metrics.membership_config.nodes().map(|(id, ())| *id).collect();
    if voters.contains(&new.0) && !known.contains(&lost.0) {
        return Ok(());
    }
    if !known.contains(&new.0) {
        let added = group.raft.add_learner(new.0, (), false);
        let added = tokio::time::timeout(PATIENCE, added).await.map_err(|_| "no commit in time")?;
        added.map_err(|error| error.to_string())?;
        return Ok(());
    }
    let matched = metrics.replication.as_ref().and_then(|all| all.get(&new.0).copied().flatten());
    let behind =
        metrics.last_log_index.unwrap_or(0).saturating_sub(matched.map_or(0, |id| id.index));
    if matched.is_none() || behind > BEHIND_MAX {
        return Err(format!("the new node is {behind} entries behind"));
    }
    let mut wanted = voters;
    wanted.remove(&lost.0);
    wanted.insert(new.0);
    let changed = group.raft.change_membership(wanted, false);
    let changed = tokio::time::timeout(PATIENCE, changed).await.map_err(|_| "no commit in time")?;
    changed.map(|_| ()).map_err(|error| error.to_string())
}

/// At the meta group's leader: once no group has the lost node any more, the meta group says so.
async fn finish(node: &Arc<Inner>, running: &Running, lost: NodeId, new: NodeId) {
    let Some(meta) = running.group(ShardId::META).filter(Group::leads) else { return };
    let replaced = running.groups().iter().all(|group| {
        let metrics = group.metrics();
        let committed = &metrics.committed_membership_config;
        committed.voter_ids().any(|voter| voter == new.0)
            && committed.nodes().all(|(id, ())| *id != lost.0)
    });
    if replaced && running.is_whole() {
        let command = MetaCommand::Replaced { lost };
        match crate::meta::propose(&node.router, &meta, &command, PATIENCE).await {
            Ok(_) => tracing::info!(%lost, %new, "a node is replaced"),
            Err(why) => tracing::info!(%lost, why, "a replacement is not noted yet"),
        }
    }
}
