//! A whole cluster in one process on simulated time, disks and network, from one seed: faults, and
//! after each of them equal states, nothing acknowledged missing, nothing doubled.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

mod idempotence;
mod pressure;
mod settings;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Disk, Entropy, NodeId, SeededEntropy, ShardId, SimDisk};
use bytes::Bytes;
use raft::link::sim::{SimClock, SimNet};
use raft::{Driver, Member, Node, NodeStatus, Options, ProposeError, Shards, World};
use store::Memory;
use streams::command::{Add, AddId, Command};
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::Reply;
use tokio::time::{Instant, sleep, timeout};

const SHARDS: u16 = 2;
const KEYS: u64 = 4;

/// So that a log grows.
const PADDING_NAME: Bytes = Bytes::from_static(b"padding");

/// Between a client's writes: a simulated second must not cost a real one.
const PAUSE: Duration = Duration::from_millis(30);

struct Machine {
    disk: SimDisk,
    store: Memory,
    clock: Arc<SimClock>,
    node: Option<Arc<Node>>,
}

struct Sim {
    seed: u64,
    entropy: Arc<SeededEntropy>,
    net: SimNet,
    members: BTreeMap<NodeId, Member>,
    machines: BTreeMap<NodeId, Machine>,
    kept_bytes: u64,
    memory_bytes: u64,
    padding: usize,
}

/// What a client was told.
#[derive(Default)]
struct Told {
    /// Values whose entry was acknowledged, by key.
    added: BTreeMap<(u64, u64), EntryId>,
    /// Values that may be there, or not.
    unknown: BTreeSet<(u64, u64)>,
    /// Values that surely are not there.
    refused: BTreeSet<(u64, u64)>,
    longest: Duration,
}

fn run<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(Sim) -> F) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    let runtime = builder.build().unwrap();
    runtime.block_on(async move {
        let entropy = Arc::new(SeededEntropy::new(seed));
        raft::runtime::seed(&*entropy);
        let delay = (Duration::from_micros(100), Duration::from_millis(3));
        let net = SimNet::new(entropy.clone(), delay);
        let members: BTreeMap<NodeId, Member> = (1..=3)
            .map(|id| (NodeId(id), Member { peer: format!("n{id}"), ..Member::default() }))
            .collect();
        let mut sim = Sim {
            seed,
            entropy,
            net,
            members: members.clone(),
            machines: BTreeMap::new(),
            kept_bytes: 256 << 20,
            memory_bytes: 1 << 30,
            padding: 500,
        };
        for id in members.keys() {
            sim.add_machine(*id);
        }
        test(sim).await;
    });
}

impl Sim {
    fn add_machine(&mut self, id: NodeId) {
        let machine = Machine {
            disk: SimDisk::new(self.entropy.next_u64()),
            store: Memory::new(),
            clock: Arc::new(SimClock::at(1_700_000_000_000 + self.entropy.below(200))),
            node: None,
        };
        self.machines.insert(id, machine);
    }

    async fn start(&mut self, id: NodeId) {
        let link = self.net.link(id);
        let machine = self.machines.get_mut(&id).unwrap();
        let store = machine.store.clone();
        let options = Options {
            node: id,
            data_dir: "/data".into(),
            members: self.members.clone(),
            shards: SHARDS,
            disk_free_min: 0,
            segment_bytes: 64 << 10,
            ballast_bytes: 0,
            kept_bytes: self.kept_bytes,
            memory_bytes: self.memory_bytes,
            checkpoint_dirty_bytes: 16 << 10,
            ..Options::default()
        };
        let world = World {
            disk: Arc::new(machine.disk.clone()),
            clock: machine.clock.clone(),
            entropy: self.entropy.clone(),
            link,
            stores: Arc::new(store),
            driver: Driver::task(),
        };
        machine.node = Some(Node::start(options, world).await.unwrap());
    }

    async fn formed(&mut self) {
        for id in self.members.clone().into_keys() {
            self.start(id).await;
        }
        self.ready().await;
    }

    /// A cluster that lets a fourth node, yet to be started, take the place of its lost third.
    async fn formed_with_a_new_node(&mut self) -> NodeId {
        self.formed().await;
        let (lost, new) = (NodeId(3), NodeId(4));
        self.crash(lost);
        let member = Member { peer: "n4".into(), ..Member::default() };
        assert_eq!(self.node(NodeId(1)).replace(lost, member.clone()).await.unwrap(), new);
        self.members.insert(new, member);
        self.add_machine(new);
        new
    }

    /// The power of a machine goes.
    fn crash(&mut self, id: NodeId) {
        let machine = self.machines.get_mut(&id).unwrap();
        machine.node.take().unwrap().kill();
        machine.disk.crash();
        machine.store.crash();
    }

    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.machines.values().filter_map(|machine| machine.node.as_ref())
    }

    fn node(&self, id: NodeId) -> Arc<Node> {
        self.machines[&id].node.clone().unwrap()
    }

    fn statuses(&self) -> Vec<NodeStatus> {
        self.nodes().map(|node| node.status()).collect()
    }

    /// All nodes lose their power, and then start.
    async fn crash_and_start_all(&mut self) {
        self.all().into_iter().for_each(|id| self.crash(id));
        for id in self.all() {
            self.start(id).await;
        }
    }

    fn all(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    fn all_but(&self, one: NodeId) -> Vec<NodeId> {
        self.members.keys().copied().filter(|id| *id != one).collect()
    }

    fn leader(&self, shard: ShardId) -> NodeId {
        let of = |status: &NodeStatus| {
            let shard = status.shards.iter().find(|one| one.shard == shard)?;
            shard.leader.filter(|leader| *leader == status.node)
        };
        self.statuses().iter().find_map(of).unwrap()
    }

    fn other(&self, than: NodeId) -> NodeId {
        self.nodes().map(|node| node.status().node).find(|id| *id != than).unwrap()
    }

    async fn until(&self, what: &str, within: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + within;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "seed {}: not {what}: {:#?}",
                self.seed,
                self.statuses()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ready(&self) {
        let ready = |sim: &Self| sim.nodes().all(|node| node.status().ready);
        self.until("ready", Duration::from_secs(30), ready).await;
    }

    /// Every replica that runs has applied as much, and has the same state.
    async fn agree(&self) {
        let same = |sim: &Self| {
            let statuses = sim.statuses();
            (0..statuses[0].shards.len()).all(|at| {
                let of = |status: &NodeStatus| {
                    let shard = &status.shards[at];
                    (shard.shard, shard.applied_index, shard.state_hash)
                };
                statuses.iter().all(|one| of(one) == of(&statuses[0]))
            })
        };
        self.until("equal by hash", Duration::from_secs(60), same).await;
    }

    /// Clients on the given nodes, each writing one value after another until `until`.
    fn load(&self, on: &[NodeId], until: Instant, told: &Arc<Mutex<Told>>) -> Vec<Client> {
        let mut clients = Vec::new();
        for (number, id) in on.iter().flat_map(|id| [*id, *id]).enumerate() {
            let (node, told) = (self.node(id), told.clone());
            let first = number as u64 * 1_000_000;
            let padding = Bytes::from(vec![b'x'; self.padding]);
            clients.push(tokio::spawn(async move {
                let mut value = first;
                while Instant::now() < until {
                    value += 1;
                    write(&node, value, padding.clone(), &told).await;
                    sleep(PAUSE).await;
                }
            }));
        }
        clients
    }

    /// Load for a while, and nothing else.
    async fn loaded(&self, on: &[NodeId], seconds: u64) -> Told {
        let told = Arc::default();
        ended(self.load(on, Instant::now() + Duration::from_secs(seconds), &told)).await;
        std::mem::take(&mut told.lock().unwrap())
    }

    /// A follower of the first shard that has checkpoints of all shards after some load, with the
    /// beginning of its log purged; the other nodes; and what was written.
    async fn checkpointed(&self) -> (NodeId, Vec<NodeId>, Told) {
        let node = self.other(self.leader(ShardId(0)));
        let others = self.all_but(node);
        let told = self.loaded(&others, 6).await;
        let all = |sim: &Self| {
            let status = sim.node(node).status();
            status.shards.iter().all(|shard| shard.checkpoint_index > 0)
        };
        self.until("checkpointed", Duration::from_secs(40), all).await;
        self.agree().await;
        (node, others, told)
    }

    /// Everything is as it was promised, once the cluster has come to rest.
    async fn settle(&self, told: &Told) {
        self.ready().await;
        self.agree().await;
        self.check(told).await;
    }

    /// Reads everything back and compares.
    async fn check(&self, told: &Told) {
        let node = self.nodes().next().unwrap();
        for number in 0..KEYS {
            let key = key(number);
            let range = whole(key.clone());
            let Ok(Reply::Entries(entries)) = node.read(node.shard_of(&key), range).await else {
                panic!("seed {}: {key:?} can't be read", self.seed);
            };
            let mut found: BTreeMap<u64, EntryId> = BTreeMap::new();
            for entry in entries {
                let value = &entry.fields.unwrap()[1];
                let value = std::str::from_utf8(value).unwrap().parse().unwrap();
                let twice = found.insert(value, entry.id);
                assert_eq!(twice, None, "seed {}: {value} is there twice", self.seed);
                assert!(!told.refused.contains(&(number, value)), "{value} was refused");
            }
            for ((of, value), id) in told.added.iter().filter(|((of, _), _)| *of == number) {
                assert_eq!(found.remove(value), Some(*id), "seed {}: {of}/{value}", self.seed);
            }
            for value in found.keys() {
                assert!(told.unknown.contains(&(number, *value)), "{value} from nowhere");
            }
        }
    }
}

type Client = tokio::task::JoinHandle<()>;

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key-{number}"))
}

/// Asks for all entries of a stream.
fn whole(key: Bytes) -> Query {
    let (start, end) = (EntryId::MIN, EntryId::MAX);
    Query::Range { key, start, end, count: None, reverse: false }
}

async fn write(node: &Node, value: u64, padding: Bytes, told: &Mutex<Told>) {
    let number = value % KEYS;
    let key = key(number);
    let fields =
        vec![Bytes::from_static(b"value"), Bytes::from(value.to_string()), PADDING_NAME, padding];
    let add = Add {
        key: key.clone(),
        id: AddId::Auto,
        fields,
        must_exist: false,
        trim: None,
        once: None,
    };
    let began = Instant::now();
    let outcome = node.write(node.shard_of(&key), Command::Add(add)).await;
    let mut told = told.lock().unwrap();
    match outcome {
        Ok(Reply::Added(id)) => {
            told.longest = told.longest.max(began.elapsed());
            assert_eq!(told.added.insert((number, value), id), None);
        }
        Err(ProposeError::Unknown | ProposeError::Stopped) => {
            told.unknown.insert((number, value));
        }
        Err(ProposeError::Expired) => {
            told.refused.insert((number, value));
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for clients to end: each has its deadline.
async fn ended(clients: Vec<Client>) {
    for client in clients {
        timeout(Duration::from_secs(60), client).await.unwrap().unwrap();
    }
}

/// Load on the unhurt nodes through a fault; then everything must be as it was promised.
async fn through(sim: &mut Sim, on: &[NodeId], fault: impl AsyncFnOnce(&mut Sim)) -> Told {
    let told = Arc::default();
    let clients = sim.load(on, Instant::now() + Duration::from_secs(8), &told);
    sleep(Duration::from_secs(1)).await;
    fault(sim).await;
    ended(clients).await;
    let told = std::mem::take(&mut *told.lock().unwrap());
    sim.settle(&told).await;
    told
}

/// A cluster that has formed, for each seed that is asked for.
fn scenario(test: impl AsyncFn(&mut Sim)) {
    scenario_keeping(256 << 20, test);
}

/// The same, with so many bytes of journal kept for followers that are away.
fn scenario_keeping(kept_bytes: u64, test: impl AsyncFn(&mut Sim)) {
    scenario_of(|sim| sim.kept_bytes = kept_bytes, test);
}

/// The same, with what is set before the nodes are started.
fn scenario_of(set: impl Fn(&mut Sim), test: impl AsyncFn(&mut Sim)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first: u64 = number("WEIR_TEST_SEED").unwrap_or(1);
    for seed in first..first + number("WEIR_TEST_SEEDS").unwrap_or(1) {
        run(seed, async |mut sim| {
            set(&mut sim);
            sim.formed().await;
            test(&mut sim).await;
        });
    }
}

impl Told {
    fn without_errors(&self, sim: &Sim) {
        assert!(self.unknown.is_empty(), "seed {}: clients saw an error", sim.seed);
    }
}

#[test]
fn a_lost_leader_is_only_latency_to_clients_of_others() {
    scenario(async |sim| {
        let leader = sim.leader(ShardId(0));
        let told = through(sim, &sim.all_but(leader), async |sim| {
            sim.crash(leader);
            sleep(Duration::from_secs(5)).await;
            sim.start(leader).await;
        })
        .await;
        told.without_errors(sim);
        assert!(told.longest < Duration::from_secs(6), "{:?}", told.longest);
    });
}

#[test]
fn a_lost_follower_is_hardly_noticed() {
    scenario(async |sim| {
        let follower = sim.other(sim.leader(ShardId(0)));
        let told = through(sim, &sim.all_but(follower), async |sim| {
            sim.crash(follower);
            sleep(Duration::from_secs(5)).await;
            sim.start(follower).await;
        })
        .await;
        told.without_errors(sim);
    });
}

#[test]
fn all_power_lost_at_once_loses_nothing_acknowledged() {
    scenario(async |sim| {
        let all = sim.all();
        let told = Arc::default();
        let clients = sim.load(&all, Instant::now() + Duration::from_secs(4), &told);
        sleep(Duration::from_secs(3)).await;
        all.iter().for_each(|id| sim.crash(*id));
        ended(clients).await;
        for id in all {
            sim.start(id).await;
        }
        let told = std::mem::take(&mut *told.lock().unwrap());
        assert!(told.added.len() > 50, "{}", told.added.len());
        sim.settle(&told).await;
    });
}

#[test]
fn a_leader_that_is_parted_from_the_others_answers_nothing_wrong() {
    scenario(async |sim| {
        let leader = sim.leader(ShardId(0));
        through(sim, &sim.all(), async |sim| {
            sim.net.isolate(leader);
            sleep(Duration::from_secs(5)).await;
            sim.net.heal();
        })
        .await;
    });
}

#[test]
fn a_leader_that_is_heard_and_hears_nothing_is_replaced() {
    scenario(async |sim| {
        let leader = sim.leader(ShardId(0));
        through(sim, &sim.all(), async |sim| {
            sim.all_but(leader).into_iter().for_each(|other| sim.net.block(other, leader));
            sleep(Duration::from_secs(5)).await;
            sim.net.heal();
        })
        .await;
    });
}

#[test]
fn a_follower_that_was_away_too_long_gets_a_snapshot() {
    scenario_keeping(128 << 10, async |sim| {
        let follower = sim.other(sim.leader(ShardId(0)));
        sim.crash(follower);
        let told = sim.loaded(&sim.all_but(follower), 10).await;
        sim.start(follower).await;
        sim.settle(&told).await;
        let status = sim.node(follower).status();
        let first = |shard: &raft::ShardStatus| shard.checkpoint_index;
        assert!(status.shards.iter().any(|shard| first(shard) > 0), "{status:#?}");
    });
}

#[test]
fn a_lost_node_is_replaced_under_a_new_id_while_writes_go_on() {
    scenario(async |sim| {
        let lost = NodeId(1 + sim.entropy.below(3));
        let on = sim.all_but(lost);
        let told = through(sim, &on, async |sim| {
            sim.crash(lost);
            let member = Member { peer: "n4".into(), ..Member::default() };
            let new = sim.node(on[0]).replace(lost, member.clone()).await.unwrap();
            assert_eq!(new, NodeId(4));
            sim.members.insert(new, member);
            sim.add_machine(new);
            sim.start(new).await;
            let replaced = |sim: &Sim| {
                sim.statuses().iter().all(|status| {
                    let settled = |shard: &raft::ShardStatus| {
                        shard.voters.len() == 3
                            && shard.voters.contains(&new)
                            && !shard.voters.contains(&lost)
                    };
                    status.shards.len() == usize::from(SHARDS) + 1
                        && status.shards.iter().all(settled)
                        && status.peers.iter().all(|peer| peer.node != lost)
                        && status.node_id_next == 5
                })
            };
            sim.until("replaced", Duration::from_secs(60), replaced).await;
        })
        .await;
        told.without_errors(sim);
    });
}

/// It led a shard that still counted on it, and as its own meta group had left it behind it never heard that it was
/// lost: its place was never taken.
#[test]
fn a_lost_node_that_comes_back_leads_nothing_and_its_place_is_taken() {
    let lost = NodeId(3);
    let counts_on_it = |sim: &Sim, meta: bool| {
        let shards = sim.node(NodeId(1)).status().shards;
        let mut shards = shards.into_iter().filter(|shard| shard.shard.is_meta() == meta);
        shards.any(|shard| shard.voters.contains(&lost))
    };
    let came_back = std::cell::Cell::new(0);
    for seed in 1..=6 {
        run(seed, async |mut sim| {
            let new = sim.formed_with_a_new_node().await;
            // Whoever doesn't lead the meta group can't bring the new one up to date.
            let leads = sim.leader(ShardId::META);
            let other = NodeId(3 - leads.0);
            sim.net.block(other, new);
            sim.net.block(new, other);
            sim.start(new).await;
            let left = |sim: &Sim| !counts_on_it(sim, true);
            sim.until("left by the meta group", Duration::from_secs(30), left).await;
            sim.net.heal();
            if !counts_on_it(&sim, false) {
                return;
            }
            came_back.set(came_back.get() + 1);
            for id in [NodeId(1), NodeId(2)] {
                sim.crash(id);
            }
            for id in [lost, NodeId(1), NodeId(2)] {
                sim.start(id).await;
            }
            let is_taken = |sim: &Sim| {
                [NodeId(1), NodeId(2), new].into_iter().all(|id| {
                    sim.node(id).status().shards.iter().all(|shard| {
                        let led = shard.leader.is_some_and(|leader| leader != lost);
                        led && shard.voters.contains(&new) && !shard.voters.contains(&lost)
                    })
                })
            };
            sim.until("in its place", Duration::from_secs(30), is_taken).await;
            let peers = sim.node(lost).status().peers;
            let heard = peers.iter().any(|peer| peer.connected && peer.node != lost);
            assert!(!heard, "seed {}: somebody listens to it: {peers:?}", sim.seed);
        });
    }
    assert!(came_back.get() > 0, "it always came too late");
}

/// A new node whose disk was emptied when every shard counted its votes, but before the meta group
/// had noted that, joined again under its id, with nothing of what it had promised.
#[test]
fn a_new_node_that_is_emptied_once_it_votes_never_votes_again() {
    for seed in 1..=6 {
        run(seed, async |mut sim| {
            let new = sim.formed_with_a_new_node().await;
            sim.start(new).await;
            let votes = |sim: &Sim| {
                sim.statuses()
                    .iter()
                    .flat_map(|status| &status.shards)
                    .all(|shard| shard.voters.contains(&new))
            };
            sim.until("a voter", Duration::from_secs(60), votes).await;
            sim.crash(new);
            sim.add_machine(new);
            sim.start(new).await;
            let failed = timeout(Duration::from_secs(10), sim.node(new).failed()).await;
            assert_eq!(failed.expect("it refuses").exit_code(), 2);
        });
    }
}

/// A new node that lost its power between its identity and its first witness refused to start, as if
/// a witness had been lost.
#[test]
fn a_new_node_that_loses_its_power_while_it_joins_joins_all_the_same() {
    for steps in 1..=24 {
        run(steps, async |mut sim| {
            let new = sim.formed_with_a_new_node().await;
            let disk = sim.machines[&new].disk.clone();
            sim.start(new).await;
            disk.power_off_after(steps);
            let off = |_: &Sim| disk.is_off();
            sim.until("off", Duration::from_secs(20), off).await;
            sim.crash(new);
            sim.start(new).await;
            let joined = |sim: &Sim| {
                let status = sim.node(new).status();
                status.ready && status.shards.iter().all(|shard| shard.voters.contains(&new))
            };
            sim.until("a member", Duration::from_secs(60), joined).await;
        });
    }
}

#[test]
fn a_group_whose_core_panics_is_built_anew() {
    scenario(async |sim| {
        let told = through(sim, &sim.all(), async |sim| {
            let leader = sim.leader(ShardId(0));
            sim.node(leader).panic_core(ShardId(0)).await;
            sleep(Duration::from_secs(3)).await;
            let follower = sim.other(sim.leader(ShardId(1)));
            sim.node(follower).panic_core(ShardId(1)).await;
        })
        .await;
        told.without_errors(sim);
    });
}

#[test]
fn a_node_whose_data_is_gone_never_votes_under_its_old_id() {
    scenario(async |sim| {
        let emptied = NodeId(2);
        sim.crash(emptied);
        sim.add_machine(emptied);
        sim.start(emptied).await;
        let failure = timeout(Duration::from_secs(10), sim.node(emptied).failed()).await.unwrap();
        assert_eq!(failure.exit_code(), 2, "{failure}");
        assert!(failure.to_string().contains("weir node replace 2"), "{failure}");
    });
}

#[test]
fn a_node_with_a_damaged_shard_is_refilled_by_a_peer_and_its_other_shards_go_on() {
    scenario_keeping(128 << 10, async |sim| {
        let (node, _, told) = sim.checkpointed().await;
        sim.crash(node);
        sim.machines[&node].store.damage_shard(ShardId(0));
        sim.start(node).await;
        let status = sim.node(node).status();
        let shards: Vec<_> = status.shards.iter().map(|one| one.shard).collect();
        assert!(!shards.contains(&ShardId(0)), "it must not vote before it is refilled");
        assert!(shards.contains(&ShardId(1)), "the others go on");
        assert!(!status.ready);
        sim.settle(&told).await;

        // The replacement is its own from here on.
        sim.crash(node);
        sim.start(node).await;
        assert_eq!(sim.node(node).status().shards.len(), shards.len() + 1);
        sim.settle(&told).await;
    });
}

/// A node that met damage while it ran ended without a word of what to do.
#[test]
fn a_node_that_meets_damage_says_to_start_it_again_and_is_then_refilled() {
    scenario_keeping(128 << 10, async |sim| {
        let (_, _, told) = sim.checkpointed().await;
        // Nobody has a block in memory any more.
        sim.crash_and_start_all().await;
        sim.ready().await;
        let shard = ShardId(0);
        let leader = sim.leader(shard);
        let node = sim.node(leader);
        (0..1_000).for_each(|at| sim.machines[&leader].store.damage_some(shard, at));
        let reading = node.clone();
        let read = tokio::spawn(async move {
            for key in (0..KEYS).map(key).filter(|key| reading.shard_of(key) == shard) {
                drop(reading.read(shard, whole(key)).await);
            }
        });
        let failure = timeout(Duration::from_secs(10), node.failed()).await.expect("it ends");
        read.abort();
        assert_eq!(failure.exit_code(), 2, "{failure}");
        assert!(failure.to_string().contains("start again: "), "{failure}");
        sim.crash(leader);
        sim.start(leader).await;
        sim.settle(&told).await;
    });
}

/// A page that only sweeping looked at, of what a shard had before it was refilled, ended the node at each start.
#[test]
fn a_store_with_a_page_that_can_not_be_read_is_set_aside_at_the_next_start() {
    scenario_keeping(128 << 10, async |sim| {
        let (node, others, told) = sim.checkpointed().await;
        let store = sim.machines[&node].store.clone();
        store.damage_unseen();
        let told = Mutex::new(told);
        for value in (u64::MAX - 2 * KEYS)..(u64::MAX - KEYS) {
            write(&sim.node(others[0]), value, Bytes::new(), &told).await;
        }
        let failure = timeout(Duration::from_secs(60), sim.node(node).failed()).await;
        let failure = failure.expect("it ends");
        assert_eq!(failure.exit_code(), 2, "{failure}");
        assert!(failure.to_string().contains("start again: "), "{failure}");
        sim.crash(node);
        sim.start(node).await;
        assert_eq!(store.aside_count(), 1, "kept until there is a replacement of every shard");
        sim.settle(&told.into_inner().unwrap()).await;
        let removed = |_: &Sim| store.aside_count() == 0;
        sim.until("rid of the damaged store", Duration::from_secs(10), removed).await;
    });
}

#[test]
fn a_store_that_does_not_open_is_set_aside_and_refilled_before_its_node_votes() {
    scenario_keeping(128 << 10, async |sim| {
        let (node, others, told) = sim.checkpointed().await;
        let store = sim.machines[&node].store.clone();
        sim.crash(node);
        sim.crash(others[0]);
        store.make_unreadable();
        sim.start(node).await;
        let status = sim.node(node).status();
        assert!(status.shards.is_empty(), "it must not vote before it is refilled: {status:#?}");
        assert!(!status.ready);
        assert_eq!(store.aside_count(), 1, "kept until there is a replacement of every shard");
        // One other is a majority with it, once it has its vote back.
        sim.settle(&told).await;
        let removed = |_: &Sim| store.aside_count() == 0;
        sim.until("rid of the damaged store", Duration::from_secs(10), removed).await;
        sim.start(others[0]).await;
        sim.settle(&told).await;

        // The replacement is its own from here on.
        sim.crash(node);
        sim.start(node).await;
        assert_eq!(sim.node(node).status().shards.len(), usize::from(SHARDS) + 1);
        sim.settle(&told).await;
    });
}

/// What a follower had acknowledged less than 100 ms before, so that its witness doesn't know of it yet, is cut off its
/// journal as if it had been torn.
#[test]
fn a_follower_that_lost_what_it_had_just_acknowledged_gets_it_again() {
    scenario(async |sim| {
        let shard = ShardId(0);
        let leader = sim.leader(shard);
        let node = sim.other(leader);
        let told = Mutex::default();
        let is_mine = |value: &u64| sim.node(leader).shard_of(&key(value % KEYS)) == shard;
        for value in (0..40 * KEYS).filter(is_mine) {
            write(&sim.node(leader), value, Bytes::new(), &told).await;
        }
        let of = |sim: &Sim, at: NodeId| {
            let shards = sim.node(at).status().shards;
            shards.into_iter().find(|one| one.shard == shard).unwrap()
        };
        let level = |sim: &Sim| {
            let lag = of(sim, leader).lag;
            lag.iter().filter(|(of, _)| *of == node).all(|(_, behind)| *behind == 0)
        };
        sim.until("everything is acknowledged", Duration::from_secs(1), level).await;
        let before = of(sim, leader);
        sim.crash(node);
        cut_newest(&sim.machines[&node].disk);
        sim.start(node).await;
        let lacks = |sim: &Sim| {
            let last = of(sim, node).last_index;
            (1..before.last_index).contains(&last)
        };
        sim.until("found to lack something", Duration::from_secs(1), lacks).await;
        sim.settle(&told.into_inner().unwrap()).await;
        assert_eq!(of(sim, leader).term, before.term, "nobody had to be elected for that");
    });
}

/// Takes the last bytes away from a journal, as if they had never been written.
fn cut_newest(disk: &SimDisk) {
    let dir = Path::new("/data/journal");
    let names = disk.list(dir).unwrap();
    let newest = names.iter().rfind(|name| name.starts_with("segment-")).unwrap();
    let cut = |bytes: &mut Vec<u8>| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[end - 300..=end].fill(0);
    };
    disk.tamper(&dir.join(newest), cut).unwrap();
}

#[test]
fn a_store_that_held_no_checkpoint_yet_is_made_anew_from_the_journal() {
    scenario(async |sim| {
        let node = sim.other(sim.leader(ShardId(0)));
        let told = Mutex::default();
        for value in 0..2 * KEYS {
            write(&sim.node(node), value, Bytes::new(), &told).await;
        }
        let told = told.into_inner().unwrap();
        let status = sim.node(node).status();
        assert!(status.shards.iter().all(|shard| shard.checkpoint_index == 0), "{status:#?}");
        let store = sim.machines[&node].store.clone();
        sim.crash(node);
        store.make_unreadable();
        sim.start(node).await;
        assert_eq!(sim.node(node).status().shards.len(), usize::from(SHARDS) + 1);
        let removed = |_: &Sim| store.aside_count() == 0;
        sim.until("rid of the damaged store", Duration::from_secs(10), removed).await;
        sim.settle(&told).await;
    });
}
