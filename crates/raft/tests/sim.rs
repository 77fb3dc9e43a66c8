//! A whole cluster in one process on simulated time, disks and network, from one seed: faults, and
//! after each of them equal states, nothing acknowledged missing, nothing doubled.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Entropy, NodeId, SeededEntropy, ShardId, SimDisk};
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
const PADDING: Bytes = Bytes::from_static(&[b'x'; 500]);

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
    // Tokio wakes the watchers of a value in an order of its own, which only this makes ours.
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
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
            checkpoint_dirty_bytes: 16 << 10,
            ..Options::default()
        };
        let world = World {
            disk: Arc::new(machine.disk.clone()),
            clock: machine.clock.clone(),
            entropy: self.entropy.clone(),
            link,
            open_store: Arc::new(move |_: &Path| Ok(Arc::new(store.clone()))),
            driver: Driver::Task,
        };
        machine.node = Some(Node::start(options, world).await.unwrap());
    }

    async fn formed(&mut self) {
        for id in self.members.clone().into_keys() {
            self.start(id).await;
        }
        self.ready().await;
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
            clients.push(tokio::spawn(async move {
                let mut value = first;
                while Instant::now() < until {
                    value += 1;
                    write(&node, value, &told).await;
                    sleep(PAUSE).await;
                }
            }));
        }
        clients
    }

    /// Reads everything back and compares.
    async fn check(&self, told: &Told) {
        let node = self.nodes().next().unwrap();
        for number in 0..KEYS {
            let key = key(number);
            let (start, end) = (EntryId::MIN, EntryId::MAX);
            let range = Query::Range { key: key.clone(), start, end, count: None, reverse: false };
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

async fn write(node: &Node, value: u64, told: &Mutex<Told>) {
    let number = value % KEYS;
    let key = key(number);
    let fields =
        vec![Bytes::from_static(b"value"), Bytes::from(value.to_string()), PADDING_NAME, PADDING];
    let add = Add { key: key.clone(), id: AddId::Auto, fields, must_exist: false, trim: None };
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

/// Load on the unhurt nodes through a fault; then everything must be as it was promised.
async fn through(mut sim: Sim, on: Vec<NodeId>, fault: impl AsyncFnOnce(&mut Sim)) -> (Sim, Told) {
    let told = Arc::new(Mutex::new(Told::default()));
    let clients = sim.load(&on, Instant::now() + Duration::from_secs(8), &told);
    sleep(Duration::from_secs(1)).await;
    fault(&mut sim).await;
    for client in clients {
        timeout(Duration::from_secs(60), client).await.unwrap().unwrap();
    }
    sim.ready().await;
    sim.agree().await;
    let told = std::mem::take(&mut *told.lock().unwrap());
    sim.check(&told).await;
    (sim, told)
}

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("WEIR_TEST_SEEDS").ok().and_then(|count| count.parse().ok());
    let first = std::env::var("WEIR_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = first.unwrap_or(1);
    first..first + count.unwrap_or(1)
}

#[test]
fn a_lost_leader_is_only_latency_to_clients_of_others() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let leader = sim.leader(ShardId(0));
            let on: Vec<_> = sim.members.keys().copied().filter(|id| *id != leader).collect();
            let (_, told) = through(sim, on, async |sim| {
                sim.crash(leader);
                sleep(Duration::from_secs(5)).await;
                sim.start(leader).await;
            })
            .await;
            assert!(told.unknown.is_empty(), "seed {seed}: clients saw an error");
            assert!(told.longest < Duration::from_secs(6), "{:?}", told.longest);
        });
    }
}

#[test]
fn a_lost_follower_is_hardly_noticed() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let leader = sim.leader(ShardId(0));
            let follower = sim.other(leader);
            let on: Vec<_> = sim.members.keys().copied().filter(|id| *id != follower).collect();
            let (_, told) = through(sim, on, async |sim| {
                sim.crash(follower);
                sleep(Duration::from_secs(5)).await;
                sim.start(follower).await;
            })
            .await;
            assert!(told.unknown.is_empty(), "seed {seed}: clients saw an error");
        });
    }
}

#[test]
fn all_power_lost_at_once_loses_nothing_acknowledged() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let told = Arc::new(Mutex::new(Told::default()));
            let on: Vec<_> = sim.members.keys().copied().collect();
            let clients = sim.load(&on, Instant::now() + Duration::from_secs(4), &told);
            sleep(Duration::from_secs(3)).await;
            on.iter().for_each(|id| sim.crash(*id));
            for client in clients {
                timeout(Duration::from_secs(60), client).await.unwrap().unwrap();
            }
            for id in &on {
                sim.start(*id).await;
            }
            sim.ready().await;
            sim.agree().await;
            let told = std::mem::take(&mut *told.lock().unwrap());
            assert!(told.added.len() > 50, "{}", told.added.len());
            sim.check(&told).await;
        });
    }
}

#[test]
fn a_leader_that_is_parted_from_the_others_answers_nothing_wrong() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let leader = sim.leader(ShardId(0));
            let on: Vec<_> = sim.members.keys().copied().collect();
            through(sim, on, async |sim| {
                sim.net.isolate(leader);
                sleep(Duration::from_secs(5)).await;
                sim.net.heal();
            })
            .await;
        });
    }
}

#[test]
fn a_leader_that_is_heard_and_hears_nothing_is_replaced() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let leader = sim.leader(ShardId(0));
            let on: Vec<_> = sim.members.keys().copied().collect();
            through(sim, on, async |sim| {
                let others = sim.members.keys().copied().filter(|id| *id != leader);
                others.for_each(|other| sim.net.block(other, leader));
                sleep(Duration::from_secs(5)).await;
                sim.net.heal();
            })
            .await;
        });
    }
}

#[test]
fn a_follower_that_was_away_too_long_gets_a_snapshot() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.kept_bytes = 128 << 10;
            sim.formed().await;
            let follower = sim.other(sim.leader(ShardId(0)));
            let on: Vec<_> = sim.members.keys().copied().filter(|id| *id != follower).collect();
            sim.crash(follower);
            let told = Arc::new(Mutex::new(Told::default()));
            let clients = sim.load(&on, Instant::now() + Duration::from_secs(10), &told);
            for client in clients {
                timeout(Duration::from_secs(120), client).await.unwrap().unwrap();
            }
            sim.start(follower).await;
            sim.ready().await;
            sim.agree().await;
            let told = std::mem::take(&mut *told.lock().unwrap());
            sim.check(&told).await;
            let status = sim.node(follower).status();
            let first = |shard: &raft::ShardStatus| shard.checkpoint_index;
            assert!(status.shards.iter().any(|shard| first(shard) > 0), "{status:#?}");
        });
    }
}

#[test]
fn a_lost_node_is_replaced_under_a_new_id_while_writes_go_on() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let lost = NodeId(1 + sim.entropy.below(3));
            let on: Vec<_> = sim.members.keys().copied().filter(|id| *id != lost).collect();
            let (_, told) = through(sim, on.clone(), async |sim| {
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
            assert!(told.unknown.is_empty(), "seed {seed}: clients saw an error");
        });
    }
}

#[test]
fn a_group_whose_core_panics_is_built_anew() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.formed().await;
            let on: Vec<_> = sim.members.keys().copied().collect();
            let (_, told) = through(sim, on, async |sim| {
                let leader = sim.leader(ShardId(0));
                sim.node(leader).panic_core(ShardId(0)).await;
                sleep(Duration::from_secs(3)).await;
                let follower = sim.other(sim.leader(ShardId(1)));
                sim.node(follower).panic_core(ShardId(1)).await;
            })
            .await;
            assert!(told.unknown.is_empty(), "seed {seed}: clients saw an error");
        });
    }
}

#[test]
fn a_node_whose_data_is_gone_never_votes_under_its_old_id() {
    run(3, async |mut sim| {
        sim.formed().await;
        let emptied = NodeId(2);
        sim.crash(emptied);
        sim.add_machine(emptied);
        sim.start(emptied).await;
        let failure = timeout(Duration::from_secs(10), sim.node(emptied).failed()).await.unwrap();
        assert_eq!(failure.exit_code(), 2, "{failure}");
        assert!(failure.to_string().contains("weir node replace 2"), "{failure}");
    });
}

/// Needs `RUSTFLAGS='--cfg tokio_unstable'`: see [`run`].
#[cfg(tokio_unstable)]
#[test]
fn a_seed_gives_the_same_history_again() {
    let messages = |seed| {
        let counted = Arc::new(Mutex::new(0));
        let out = counted.clone();
        run(seed, async move |mut sim| {
            sim.formed().await;
            let leader = sim.leader(ShardId(0));
            let on: Vec<_> = sim.members.keys().copied().filter(|id| *id != leader).collect();
            let (sim, told) = through(sim, on, async |sim| {
                sim.crash(leader);
                sleep(Duration::from_secs(3)).await;
                sim.start(leader).await;
            })
            .await;
            *out.lock().unwrap() = sim.net.messages() * 1_000_000 + told.added.len() as u64;
        });
        *counted.lock().unwrap()
    };
    assert_eq!(messages(11), messages(11));
    assert_ne!(messages(11), messages(12));
}

#[test]
fn a_node_with_a_damaged_shard_is_refilled_by_a_peer_and_its_other_shards_go_on() {
    for seed in seeds() {
        run(seed, async |mut sim| {
            sim.kept_bytes = 128 << 10;
            sim.formed().await;
            let node = sim.other(sim.leader(ShardId(0)));
            let on: Vec<_> = sim.members.keys().copied().filter(|id| *id != node).collect();
            // Long enough for checkpoints and for the beginning of the log to be purged.
            let told = Arc::new(Mutex::new(Told::default()));
            for client in sim.load(&on, Instant::now() + Duration::from_secs(6), &told) {
                timeout(Duration::from_secs(120), client).await.unwrap().unwrap();
            }
            let told = std::mem::take(&mut *told.lock().unwrap());
            let checkpoint =
                |status: &NodeStatus| status.shards.iter().all(|shard| shard.checkpoint_index > 0);
            sim.until("checkpointed", Duration::from_secs(40), |sim| {
                checkpoint(&sim.node(node).status())
            })
            .await;
            sim.crash(node);
            sim.machines[&node].store.damage_shard(ShardId(0));
            sim.start(node).await;
            let shards: Vec<_> =
                sim.node(node).status().shards.iter().map(|one| one.shard).collect();
            assert!(!shards.contains(&ShardId(0)), "it must not vote before it is refilled");
            assert!(shards.contains(&ShardId(1)), "the others go on");
            assert!(!sim.node(node).status().ready);
            sim.ready().await;
            sim.agree().await;
            sim.check(&told).await;

            // The replacement is its own from here on.
            sim.crash(node);
            sim.start(node).await;
            assert_eq!(sim.node(node).status().shards.len(), shards.len() + 1);
            sim.ready().await;
            sim.agree().await;
        });
    }
}
