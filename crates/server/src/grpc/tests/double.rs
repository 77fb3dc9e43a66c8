//! Shards that answer from a script: what the door does with an answer is what is tested here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use base::{NodeId, ShardId};
use bytes::Bytes;
use futures::future::BoxFuture;
use raft::{Member, NodeStatus, Outcome, PeerStatus, Pending, ShardStatus, Shards, Watch};
use streams::command::{Add, Command};
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::{Entry, Reply};
use tokio::sync::{oneshot, watch};

use super::super::Roster;

/// The shard of every stream here.
pub(super) const SHARD: ShardId = ShardId(3);

#[derive(Default)]
struct Inner {
    /// Answered first, in turn, whatever was asked.
    script: VecDeque<Outcome>,
    /// Writes wait for their answer.
    holding: bool,
    held: VecDeque<(oneshot::Sender<Outcome>, Outcome)>,
    entries: BTreeMap<Bytes, Vec<Entry>>,
    counts: Vec<u64>,
    status: NodeStatus,
    begun: Vec<(NodeId, Member)>,
}

/// See the file's head.
pub(super) struct Double {
    inner: Mutex<Inner>,
    writes: watch::Sender<usize>,
}

impl Double {
    /// Node 1 of three, ready; node 2 leads the one shard.
    pub(super) fn new() -> Arc<Self> {
        let peer = |id: u64| PeerStatus {
            node: NodeId(id),
            grpc: format!("10.0.0.{id}:6381"),
            connected: true,
            ..PeerStatus::default()
        };
        let shard = ShardStatus {
            shard: SHARD,
            leader: Some(NodeId(2)),
            voters: vec![NodeId(1), NodeId(2), NodeId(3)],
            lag: vec![(NodeId(3), 9)],
            state_hash: 77,
            ..ShardStatus::default()
        };
        let status = NodeStatus {
            node: NodeId(1),
            ready: true,
            peers: (1..=3).map(peer).collect(),
            shards: vec![shard],
            node_id_next: 4,
            ..NodeStatus::default()
        };
        let inner = Inner { status, ..Inner::default() };
        Arc::new(Self { inner: Mutex::new(inner), writes: watch::Sender::new(0) })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().unwrap())
    }

    pub(super) fn next_answer(&self, outcome: Outcome) {
        self.with(|inner| inner.script.push_back(outcome));
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.with(|inner| inner.status.ready = ready);
    }

    pub(super) fn change_status(&self, change: impl FnOnce(&mut NodeStatus)) {
        self.with(|inner| change(&mut inner.status));
    }

    pub(super) fn hold(&self) {
        self.with(|inner| inner.holding = true);
    }

    /// Answers the oldest write that is held.
    pub(super) fn release_one(&self) {
        let held = self.with(|inner| inner.held.pop_front());
        let (sender, outcome) = held.expect("one is held");
        drop(sender.send(outcome));
    }

    /// Answers all writes from now on, and those that are held, the newest first.
    pub(super) fn release(&self) {
        let held = self.with(|inner| {
            inner.holding = false;
            std::mem::take(&mut inner.held)
        });
        for (sender, outcome) in held.into_iter().rev() {
            drop(sender.send(outcome));
        }
    }

    /// Waits until so many writes have come.
    pub(super) async fn writes(&self, count: usize) {
        self.writes.subscribe().wait_for(|writes| *writes >= count).await.unwrap();
    }

    pub(super) fn writes_now(&self) -> usize {
        *self.writes.borrow()
    }

    pub(super) fn entries(&self, stream: &'static str) -> Vec<Entry> {
        self.with(|inner| inner.entries.get(stream.as_bytes()).cloned().unwrap_or_default())
    }

    pub(super) fn fill(&self, stream: &'static str, entries: Vec<Entry>) {
        self.with(|inner| inner.entries.insert(stream.into(), entries));
    }

    /// How many entries each query of a range asked for.
    pub(super) fn counts(&self) -> Vec<u64> {
        self.with(|inner| inner.counts.clone())
    }

    pub(super) fn begun(&self) -> Vec<(NodeId, Member)> {
        self.with(|inner| inner.begun.clone())
    }
}

impl Inner {
    fn add(&mut self, add: Add) -> Outcome {
        let entries = self.entries.entry(add.key).or_default();
        let id = EntryId::new(1, entries.len() as u64 + 1);
        entries.push(Entry { id, fields: Some(add.fields) });
        Ok(Reply::Added(id))
    }

    fn answer(&mut self, query: Query) -> Outcome {
        if let Some(outcome) = self.script.pop_front() {
            return outcome;
        }
        let Query::Range { key, start, end, count, reverse } = query else {
            panic!("not in the script: {query:?}")
        };
        self.counts.push(count.unwrap());
        let entries = self.entries.get(&key).cloned().unwrap_or_default();
        let mut found: Vec<Entry> =
            entries.into_iter().filter(|of| start <= of.id && of.id <= end).collect();
        if reverse {
            found.reverse();
        }
        found.truncate(usize::try_from(count.unwrap()).unwrap());
        Ok(Reply::Entries(found))
    }
}

impl Shards for Double {
    fn write(&self, shard: ShardId, command: Command) -> Pending {
        assert_eq!(shard, SHARD);
        let pending = self.with(|inner| {
            let outcome = match (inner.script.pop_front(), command) {
                (Some(outcome), _) => outcome,
                (None, Command::Add(add)) => inner.add(add),
                (None, command) => panic!("not in the script: {command:?}"),
            };
            if inner.holding {
                let (sender, pending) = Pending::new();
                inner.held.push_back((sender, outcome));
                return pending;
            }
            Pending::ready(outcome)
        });
        self.writes.send_modify(|writes| *writes += 1);
        pending
    }

    fn read(&self, shard: ShardId, query: Query) -> Pending {
        assert_eq!(shard, SHARD);
        Pending::ready(self.with(|inner| inner.answer(query)))
    }

    fn watch(&self, _: ShardId, query: Query) -> Watch {
        panic!("nobody waits here: {query:?}")
    }

    fn settings(&self) -> raft::settings::Settings {
        raft::settings::Settings::default()
    }

    fn choose(&self, _: BTreeMap<String, u64>) -> Pending {
        Pending::ready(Err(raft::ProposeError::Stopped))
    }

    fn shard_of(&self, _: &[u8]) -> ShardId {
        SHARD
    }

    fn shards(&self) -> Vec<ShardId> {
        vec![SHARD]
    }

    fn status(&self) -> NodeStatus {
        self.with(|inner| inner.status.clone())
    }
}

impl Roster for Double {
    /// The shard follows at once.
    fn begin(&self, old: NodeId, member: Member) -> BoxFuture<'_, Result<NodeId, String>> {
        self.with(|inner| {
            inner.begun.push((old, member));
            let new = NodeId(inner.status.node_id_next);
            inner.status.node_id_next += 1;
            let there = PeerStatus { node: new, connected: true, ..PeerStatus::default() };
            inner.status.peers.push(there);
            inner.status.shards[0].voters = vec![NodeId(1), NodeId(2), new];
            Box::pin(async move { Ok(new) })
        })
    }
}
