//! Three nodes in one process over real sockets and files: they form, answer for any key on any
//! node, survive the loss of a leader, and go on where they were after a restart.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, OsEntropy, RealDisk, ShardId, SystemClock};
use bytes::Bytes;
use raft::network::grpc::GrpcLink;
use raft::{Driver, Member, Node, Options, Outcome, Shards, World};
use store::Memory;
use streams::command::{Add, AddId, Command, ExpireOnly, GroupStart, ReadFrom, ReadGroup, When};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::Reply;

const SHARDS: u16 = 3;

struct Cluster {
    dir: tempfile::TempDir,
    members: BTreeMap<NodeId, Member>,
    stores: BTreeMap<NodeId, Memory>,
    nodes: BTreeMap<NodeId, Arc<Node>>,
}

impl Cluster {
    async fn new() -> Self {
        let mut members = BTreeMap::new();
        let mut links = BTreeMap::new();
        for id in 1..=3 {
            let link = GrpcLink::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let peer = link.address().to_string();
            members.insert(NodeId(id), Member { peer, ..Member::default() });
            links.insert(NodeId(id), link);
        }
        let stores = members.keys().map(|id| (*id, Memory::new())).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { dir, members, stores, nodes: BTreeMap::new() };
        for (id, link) in links {
            cluster.start_with(id, link).await;
        }
        cluster
    }

    async fn start(&mut self, id: NodeId) {
        let listen = self.members[&id].peer.parse().unwrap();
        // The listener of the node's last life goes with its task.
        for _ in 0..500 {
            if let Ok(link) = GrpcLink::bind(listen).await {
                return self.start_with(id, link).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the port of node {id} stays taken");
    }

    async fn start_with(&mut self, id: NodeId, link: GrpcLink) {
        let store = self.stores[&id].clone();
        let options = Options {
            node: id,
            data_dir: self.dir.path().join(id.to_string()),
            members: self.members.clone(),
            shards: SHARDS,
            disk_free_min: 0,
            segment_bytes: 1 << 20,
            ballast_bytes: 0,
            ..Options::default()
        };
        let world = World {
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            link: Arc::new(link),
            stores: Arc::new(store),
            driver: Driver::Thread,
        };
        let node = Node::start(options, world).await.unwrap();
        self.nodes.insert(id, node);
    }

    async fn ready(&self) {
        let all = async {
            while !self.nodes.values().all(|node| node.status().ready) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ready = tokio::time::timeout(Duration::from_secs(20), all).await;
        ready.unwrap_or_else(|_| panic!("not ready: {:#?}", self.statuses()));
    }

    fn statuses(&self) -> Vec<raft::NodeStatus> {
        self.nodes.values().map(|node| node.status()).collect()
    }

    async fn stop(&mut self, id: NodeId) {
        let node = self.nodes.remove(&id).unwrap();
        node.stop().await;
    }

    /// Every replica that applied as much has the same state.
    async fn agree(&self) {
        let all = async {
            loop {
                let statuses = self.statuses();
                let same = (0..statuses[0].shards.len()).all(|at| {
                    let of = |status: &raft::NodeStatus| {
                        (status.shards[at].applied_index, status.shards[at].state_hash)
                    };
                    statuses.iter().all(|status| of(status) == of(&statuses[0]))
                });
                if same {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all).await.unwrap_or_else(|_| {
            panic!("replicas differ: {:#?}", self.statuses());
        });
    }
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key-{number}"))
}

fn add(key: Bytes, value: u64) -> Command {
    let fields = vec![Bytes::from_static(b"n"), Bytes::from(value.to_string())];
    Command::Add(Add { key, id: AddId::Auto, fields, must_exist: false, trim: None, once: None })
}

fn write(node: &Node, number: u64, value: u64) -> raft::Pending {
    let key = key(number);
    node.write(node.shard_of(&key), add(key, value))
}

async fn length(node: &Node, number: u64) -> Outcome {
    let key = key(number);
    node.read(node.shard_of(&key), Query::Length { key }).await
}

#[tokio::test]
async fn any_node_answers_and_a_lost_leader_is_only_latency() {
    let mut cluster = Cluster::new().await;
    cluster.ready().await;
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    for id in &ids {
        let node = &cluster.nodes[id];
        let pending: Vec<_> = (0..60).map(|at| write(node, at % 6, at)).collect();
        for one in pending {
            assert!(matches!(one.await, Ok(Reply::Added(_))));
        }
    }
    for id in &ids {
        for number in 0..6 {
            assert_eq!(length(&cluster.nodes[id], number).await, Ok(Reply::Count(30)));
        }
    }
    cluster.agree().await;

    let leader = cluster.nodes[&ids[0]].status().shards[0].leader.unwrap();
    let hurt = cluster.nodes.remove(&leader).unwrap();
    let other = ids.iter().copied().find(|id| *id != leader).unwrap();
    let node = cluster.nodes[&other].clone();
    let pending: Vec<_> = (0..60).map(|at| write(&node, at % 6, at)).collect();
    hurt.stop().await;
    for one in pending {
        assert!(matches!(one.await, Ok(Reply::Added(_))));
    }
    for number in 0..6 {
        assert_eq!(length(&node, number).await, Ok(Reply::Count(40)));
    }
    drop(hurt);
    cluster.start(leader).await;
    cluster.ready().await;
    cluster.agree().await;
    for id in &ids {
        cluster.stop(*id).await;
    }
}

#[tokio::test]
async fn a_call_for_a_slot_of_another_shard_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::new().await;
    cluster.ready().await;
    let misplaced = Ok(Reply::Refused(Refusal::Misplaced));
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    for (turn, id) in (1..).zip(&ids) {
        let node = &cluster.nodes[id];
        let right = node.shard_of(&key(0));
        let other = (1..).find(|other| node.shard_of(&key(*other)) != right).unwrap();
        // Between two that are in their place, so that their numbers follow each other.
        let before = node.write(right, add(key(0), turn));
        let stale = node.write(right, add(key(other), turn));
        let after = node.write(right, add(key(0), turn));
        assert!(matches!(before.await, Ok(Reply::Added(_))));
        assert_eq!(stale.await, misplaced);
        assert!(matches!(after.await, Ok(Reply::Added(_))));
        assert_eq!(node.read(right, Query::Length { key: key(other) }).await, misplaced);
        assert_eq!(node.read(right, Query::KeysCount).await, Ok(Reply::Count(1)));
        assert_eq!(length(node, 0).await, Ok(Reply::Count(2 * turn)));
        assert_eq!(length(node, other).await, Ok(Reply::Count(0)));
    }
    cluster.agree().await;
    for id in &ids {
        cluster.stop(*id).await;
    }
}

#[tokio::test]
async fn a_cluster_that_was_stopped_goes_on_where_it_was() {
    let mut cluster = Cluster::new().await;
    cluster.ready().await;
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    for at in 0..30 {
        assert!(matches!(write(&cluster.nodes[&ids[0]], at % 6, at).await, Ok(Reply::Added(_))));
    }
    let formed = cluster.nodes[&ids[0]].status().cluster;
    for id in &ids {
        cluster.nodes[id].hand_over().await;
        cluster.stop(*id).await;
    }
    for id in &ids {
        cluster.start(*id).await;
    }
    cluster.ready().await;
    let status = cluster.nodes[&ids[2]].status();
    assert_eq!(status.cluster, formed);
    assert_eq!(status.shards.len(), usize::from(SHARDS) + 1);
    assert_eq!(status.shards.last().unwrap().shard, ShardId::META);
    for number in 0..6 {
        assert_eq!(length(&cluster.nodes[&ids[2]], number).await, Ok(Reply::Count(5)));
    }
    cluster.agree().await;
    for id in &ids {
        cluster.stop(*id).await;
    }
}

#[tokio::test]
async fn what_has_expired_goes_though_nobody_asks_for_it() {
    let mut cluster = Cluster::new().await;
    cluster.ready().await;
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    let node = cluster.nodes[&ids[0]].clone();
    let shard = node.shard_of(&key(0));
    for number in 0..6 {
        assert!(matches!(write(&node, number, 1).await, Ok(Reply::Added(_))));
    }
    let expire =
        |ms| Command::Expire { key: key(0), when: When::InMs(ms), only: ExpireOnly::Always };
    assert_eq!(node.write(shard, expire(3_600_000)).await, Ok(Reply::Count(1)));
    let applied = |node: &Node| {
        let status = node.outline();
        status.shards.iter().find(|one| one.shard == shard).unwrap().applied_index
    };
    // Nothing is proposed for a time that is far away, but perhaps by a new leader.
    cluster.agree().await;
    let before = applied(&node);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(applied(&node) < before + 5);

    assert_eq!(node.write(shard, expire(500)).await, Ok(Reply::Count(1)));
    cluster.agree().await;
    let set = applied(&node);
    let gone = async {
        while applied(&node) == set {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("a tick in time");
    assert_eq!(length(&node, 0).await, Ok(Reply::Count(0)));
    cluster.agree().await;
    // One tick, and none after it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(applied(&node) < set + 5);
    for id in &ids {
        cluster.stop(*id).await;
    }
}

/// What a consumer reads of a key as a member of a group.
fn reading(number: u64) -> ReadGroup {
    let streams = vec![(key(number), ReadFrom::New)];
    ReadGroup { group: "g".into(), consumer: "c".into(), streams, ..ReadGroup::default() }
}

#[tokio::test]
async fn a_group_read_that_has_something_is_proposed_without_asking_the_majority_before() {
    let mut cluster = Cluster::new().await;
    cluster.ready().await;
    let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
    let shard = cluster.nodes[&ids[0]].shard_of(&key(0));
    let leader = cluster.nodes[&ids[0]].leader(shard).unwrap();
    let node = cluster.nodes[&leader].clone();
    assert!(matches!(write(&node, 0, 1).await, Ok(Reply::Added(_))));
    let (group, start) = ("g".into(), GroupStart::After(EntryId::MIN));
    let entries_read = None;
    let create =
        Command::GroupCreate { key: key(0), group, start, make_stream: false, entries_read };
    assert_eq!(node.write(shard, create).await, Ok(Reply::Ok));
    let would = || node.read(shard, Query::WouldDeliver(reading(0)));
    assert_eq!(would().await, Ok(Reply::Count(1)));

    for id in ids.iter().filter(|id| **id != leader) {
        cluster.stop(*id).await;
    }
    // Nobody is left to confirm anything.
    assert_eq!(would().await, Ok(Reply::Count(1)));
    assert!(length(&node, 0).await.is_err());
}
