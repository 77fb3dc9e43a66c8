//! `weir status`: nodes and shards, each replica as its own node sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Client, NodeStatus, Shard};
use serde::Serialize;

use super::cluster;
use crate::cli;
use crate::commands::block_on;
use crate::failed::Failed;
use crate::out;

/// A node that doesn't answer within this is shown as silent.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &cli::Status) -> Result<(), Failed> {
    let view = block_on(async {
        let client = cluster::connect(&args.cluster).await?;
        let first =
            client.status().await.map_err(|error| cluster::failed(&args.cluster, &error))?;
        Ok(View::new(&first, &others(&client, &first).await))
    })?;
    if args.json {
        let line = serde_json::to_string(&view).expect("strings and numbers can be written");
        out::say(line);
    } else {
        view.print();
    }
    Ok(())
}

/// What every other node says, where it says something.
async fn others(client: &Client, first: &NodeStatus) -> Vec<NodeStatus> {
    let asked = first.nodes.iter().filter(|node| node.id != first.node_id).map(async |node| {
        let client = client.only(node.grpc.clone()).ok()?;
        tokio::time::timeout(ANSWER_WAIT, client.status()).await.ok()?.ok()
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// What is shown.
#[derive(Debug, Serialize)]
struct View {
    cluster: String,
    ready: bool,
    nodes: Vec<NodeView>,
    shards: Vec<ShardView>,
    /// What a new node would be called.
    node_id_next: u64,
}

#[derive(Debug, Serialize)]
struct NodeView {
    id: u64,
    resp: String,
    resp_cluster: String,
    grpc: String,
    peer: String,
    answered: bool,
    ready: bool,
    leads: usize,
    version: Option<String>,
    /// Against the node that was asked first.
    clock_offset_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
struct ShardView {
    shard: String,
    leader: Option<u64>,
    term: u64,
    voters: Vec<u64>,
    replicas: Vec<ReplicaView>,
    /// Replicas that applied as much differ: please report it.
    differ: bool,
}

#[derive(Debug, Serialize)]
struct ReplicaView {
    node: u64,
    term: u64,
    last: u64,
    committed: u64,
    applied: u64,
    synced: u64,
    checkpoint: u64,
    /// Entries that this replica lacks, as far as its leader or another replica knows.
    behind: u64,
    state_hash: String,
}

impl View {
    fn new(first: &NodeStatus, others: &[NodeStatus]) -> Self {
        let answers: BTreeMap<u64, &NodeStatus> =
            others.iter().chain([first]).map(|status| (status.node_id, status)).collect();
        let mut replicas: BTreeMap<(bool, u32), Vec<(u64, &Shard)>> = BTreeMap::new();
        for (node, status) in &answers {
            for shard in &status.shards {
                replicas.entry((!shard.meta, shard.id)).or_default().push((*node, shard));
            }
        }
        let shards: Vec<ShardView> = replicas.values().map(|of| ShardView::new(of)).collect();
        let nodes: Vec<NodeView> = first
            .nodes
            .iter()
            .map(|node| {
                let answer = answers.get(&node.id);
                NodeView {
                    id: node.id,
                    resp: node.resp.clone(),
                    resp_cluster: node.resp_cluster.clone(),
                    grpc: node.grpc.clone(),
                    peer: node.peer.clone(),
                    answered: answer.is_some(),
                    ready: answer.is_some_and(|answer| answer.ready),
                    leads: shards.iter().filter(|shard| shard.leader == Some(node.id)).count(),
                    version: answer.map(|answer| answer.version.clone()),
                    clock_offset_ms: node.clock_offset_ms,
                }
            })
            .collect();
        Self {
            cluster: first.cluster_id.clone(),
            ready: !nodes.is_empty() && nodes.iter().all(|node| node.ready),
            nodes,
            shards,
            node_id_next: first.node_id_next,
        }
    }

    fn print(&self) {
        let silent = self.nodes.iter().filter(|node| !node.ready).count();
        let state = match silent {
            0 if self.ready => "ready".to_owned(),
            _ => format!("{silent} of {} nodes not ready", self.nodes.len()),
        };
        out::say(format!(
            "cluster {}: {state}; the next node is {}\n",
            self.cluster, self.node_id_next
        ));
        let rows: Vec<Vec<String>> = self.nodes.iter().map(NodeView::row).collect();
        let head = ["node", "resp", "grpc", "peer", "state", "leads", "clock", "version"];
        out::say(format!("{}\n", out::table(&head, &rows)));
        let rows: Vec<Vec<String>> = self.shards.iter().flat_map(ShardView::rows).collect();
        let head = ["shard", "leader", "term", "node", "applied", "synced", "behind", "state hash"];
        out::say(out::table(&head, &rows));
        for shard in self.shards.iter().filter(|shard| shard.differ) {
            out::complain(&format!(
                "the replicas of shard {} differ: please report this",
                shard.shard
            ));
        }
    }
}

impl NodeView {
    fn row(&self) -> Vec<String> {
        let state = match (self.answered, self.ready) {
            (false, _) => "no answer",
            (true, false) => "not ready",
            (true, true) => "ready",
        };
        let clock = self.clock_offset_ms.map_or("-".to_owned(), |ms| format!("{ms:+} ms"));
        let version = self.version.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.to_string(),
            self.resp.clone(),
            self.grpc.clone(),
            self.peer.clone(),
            state.to_owned(),
            self.leads.to_string(),
            clock,
            version,
        ]
    }
}

impl ShardView {
    /// Who leads is what the newest term says.
    fn new(replicas: &[(u64, &Shard)]) -> Self {
        let newest = replicas.iter().max_by_key(|(_, shard)| (shard.term, shard.leader.is_some()));
        let shard = newest.map(|(_, shard)| *shard).cloned().unwrap_or_default();
        let leader = replicas.iter().find(|(node, _)| Some(*node) == shard.leader);
        let last = leader.map(|(_, shard)| shard.last_index);
        let last = last.or_else(|| replicas.iter().map(|(_, shard)| shard.last_index).max());
        let lags = leader.map_or(&[] as &[_], |(_, shard)| shard.lags.as_slice());
        let behind = |node: u64, of: &Shard| {
            let said = lags.iter().find(|lag| lag.node_id == node).map(|lag| lag.entries);
            said.unwrap_or_else(|| last.unwrap_or_default().saturating_sub(of.last_index))
        };
        Self {
            shard: if shard.meta { "meta".to_owned() } else { shard.id.to_string() },
            leader: shard.leader,
            term: shard.term,
            voters: shard.voters,
            differ: differ(replicas),
            replicas: replicas
                .iter()
                .map(|(node, of)| ReplicaView {
                    node: *node,
                    term: of.term,
                    last: of.last_index,
                    committed: of.committed_index,
                    applied: of.applied_index,
                    synced: of.synced_index,
                    checkpoint: of.checkpoint_index,
                    behind: behind(*node, of),
                    state_hash: format!("{:016x}", of.state_hash),
                })
                .collect(),
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let leader = self.leader.map_or("none".to_owned(), |leader| leader.to_string());
        let row = |(index, replica): (usize, &ReplicaView)| {
            let head = [self.shard.clone(), leader.clone(), self.term.to_string()];
            let head = if index == 0 { head } else { Default::default() };
            let numbers = [replica.node, replica.applied, replica.synced, replica.behind];
            let numbers = numbers.map(|number| number.to_string());
            head.into_iter().chain(numbers).chain([replica.state_hash.clone()]).collect()
        };
        self.replicas.iter().enumerate().map(row).collect()
    }
}

fn differ(replicas: &[(u64, &Shard)]) -> bool {
    replicas.iter().any(|(_, one)| {
        replicas.iter().any(|(_, other)| {
            one.applied_index == other.applied_index && one.state_hash != other.state_hash
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(term: u64, leader: Option<u64>, last: u64, hash: u64) -> Shard {
        let positions = Shard { last_index: last, applied_index: last, ..Shard::default() };
        Shard { id: 3, term, leader, state_hash: hash, ..positions }
    }

    #[test]
    fn the_newest_term_says_who_leads_and_what_others_lack() {
        let (old, new) = (replica(4, Some(1), 90, 7), replica(5, Some(2), 100, 8));
        let view = ShardView::new(&[(1, &old), (2, &new)]);
        assert_eq!((view.leader, view.term, view.differ), (Some(2), 5, false));
        assert_eq!(view.replicas.iter().map(|of| of.behind).collect::<Vec<_>>(), [10, 0]);
        assert_eq!(view.rows()[1][..3], ["", "", ""]);
    }

    #[test]
    fn replicas_that_applied_as_much_must_be_equal() {
        let (one, other) = (replica(5, Some(1), 90, 7), replica(5, Some(1), 90, 8));
        assert!(ShardView::new(&[(1, &one), (2, &other)]).differ);
    }
}
