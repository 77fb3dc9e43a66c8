//! Lives of a cluster, each from one seed: clients of all kinds through any node, faults of all kinds
//! one upon the other, then rest, in which everything must become equal and answer again; and the
//! checker's verdict on all that anybody was told. `WEIR_TEST_SEED=N` repeats one,
//! `WEIR_TEST_SEEDS=N` lives so many.

mod clients;

use checker::history::{Final, Op, Seen};
use clients::{Client, Shared};

use super::*;

/// For how long things go wrong.
const FAULTS_FOR: Duration = Duration::from_secs(25);

/// How long it may take until everything is equal and answers again.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// How long an append may take then.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Streams, each used in another way.
const STREAMS: usize = 6;

/// Clients of each node, and one more that waits for entries.
const CLIENTS: usize = 3;

/// What happened to the nodes of a life.
#[derive(Default)]
struct Faults {
    /// Nodes that are to be started again, and when.
    down: BTreeMap<NodeId, Instant>,
    heal_at: Option<Instant>,
    told: Vec<String>,
}

#[test]
fn lives_with_faults_break_no_promise() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first: u64 = number("WEIR_TEST_SEED").unwrap_or(1);
    for seed in first..first + number("WEIR_TEST_SEEDS").unwrap_or(2) {
        run(seed, async |mut sim| {
            // So little is kept that whoever was away gets a snapshot.
            sim.kept_bytes = 128 << 10;
            sim.formed().await;
            live(&mut sim).await;
        });
    }
}

async fn live(sim: &mut Sim) {
    let shared = Shared::new(sim.seed);
    shared.publish(sim);
    clients::make_group(&sim.node(NodeId(1))).await;
    let mut tasks = Vec::new();
    for index in 0..3 * CLIENTS {
        let client = Client::new(index, sim.entropy.next_u64(), shared.clone());
        tasks.push(tokio::spawn(client.work()));
    }
    for index in 0..3 {
        let client = Client::new(3 * CLIENTS + index, sim.entropy.next_u64(), shared.clone());
        tasks.push(tokio::spawn(client.follow()));
    }
    let faults = hurt(sim, &shared).await;
    rest(sim, &shared, faults.down.keys().copied().collect()).await;
    let mut ops: Vec<Op> = Vec::new();
    for task in tasks {
        let done = timeout(REST_WITHIN, task).await;
        ops.extend(done.unwrap_or_else(|_| panic!("seed {}: a client hangs", sim.seed)).unwrap());
    }
    let last = Client::new(3 * CLIENTS + 3, sim.entropy.next_u64(), shared.clone());
    ops.extend(last.drain(&sim.node(NodeId(1))).await);
    ops.sort_by_key(|op| op.call);
    sim.agree().await;
    let end = read_all(sim).await;
    let verdict = checker::check(&ops, &end);
    let (seed, happened) = (sim.seed, faults.told.join("\n"));
    assert_eq!(verdict.violations, [], "seed {seed}, after\n{happened}");
    assert!(ops.len() > 500, "seed {seed}: only {} calls were answered", ops.len());
    assert!(verdict.windows.ops_explained > 50, "seed {seed}: {:?}", verdict.windows);
}

/// Faults until their time is over.
async fn hurt(sim: &mut Sim, shared: &Arc<Shared>) -> Faults {
    let mut faults = Faults::default();
    let end = Instant::now() + FAULTS_FOR;
    while Instant::now() < end {
        sleep(Duration::from_millis(300 + sim.entropy.below(2_500))).await;
        if faults.heal_at.is_some_and(|at| at <= Instant::now()) {
            sim.net.heal();
            faults.heal_at = None;
        }
        let due: Vec<NodeId> = faults
            .down
            .iter()
            .filter(|(_, at)| **at <= Instant::now())
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            faults.down.remove(&id);
            sim.start(id).await;
        }
        fault(sim, &mut faults).await;
        shared.publish(sim);
    }
    faults
}

async fn fault(sim: &mut Sim, faults: &mut Faults) {
    let up: Vec<NodeId> =
        sim.all().into_iter().filter(|id| !faults.down.contains_key(id)).collect();
    let Some(one) = up.get(sim.entropy.below(up.len().max(1) as u64) as usize).copied() else {
        return;
    };
    let other = sim.all_but(one)[sim.entropy.below(2) as usize];
    let later =
        |sim: &Sim, most_ms| Instant::now() + Duration::from_millis(sim.entropy.below(most_ms));
    let what = match sim.entropy.below(11) {
        0 | 1 => {
            sim.crash(one);
            faults.down.insert(one, later(sim, 4_000));
            format!("{one} loses its power")
        }
        2 => {
            sim.kill(one);
            faults.down.insert(one, later(sim, 4_000));
            format!("{one} is killed")
        }
        3 => {
            for id in up {
                sim.crash(id);
                faults.down.insert(id, later(sim, 2_000));
            }
            "all lose their power".to_owned()
        }
        4 => {
            sim.net.isolate(one);
            faults.heal_at = Some(later(sim, 5_000));
            format!("{one} is parted from the others")
        }
        5 => {
            sim.net.block(one, other);
            faults.heal_at = Some(later(sim, 5_000));
            format!("{other} doesn't hear {one}")
        }
        6 => {
            sim.net.cut(one, other);
            format!("the connection of {one} and {other} is cut")
        }
        7 => {
            let by_ms = sim.entropy.below(7_200_000).cast_signed() - 3_600_000;
            sim.machines[&one].clock.jump(by_ms);
            format!("the clock of {one} jumps by {by_ms} ms")
        }
        8 => {
            let shard = ShardId(u16::try_from(sim.entropy.below(SHARDS.into())).unwrap());
            sim.node(one).panic_core(shard).await;
            format!("openraft panics on {one} in shard {shard}")
        }
        9 => {
            let hold = sim.entropy.below(2) == 0;
            sim.node(one).hold_checkpoints(hold);
            format!("{one} writes checkpoints: {}", !hold)
        }
        _ => fail_sync(sim, one, faults).await,
    };
    faults.told.push(format!("{:?}: {what}", Instant::now()));
}

/// A sync fails; the node must end then, and acknowledge nothing any more.
async fn fail_sync(sim: &mut Sim, one: NodeId, faults: &mut Faults) -> String {
    sim.machines[&one].disk.fail_sync_after(1 + sim.entropy.below(20));
    let node = sim.node(one);
    let ended = timeout(Duration::from_secs(3), node.failed()).await.is_ok();
    sim.crash(one);
    faults.down.insert(one, Instant::now() + Duration::from_millis(sim.entropy.below(3_000)));
    format!("a sync of {one} {}", if ended { "fails" } else { "was to fail, and there was none" })
}

/// Everything works again: every node answers, and soon.
async fn rest(sim: &mut Sim, shared: &Arc<Shared>, down: Vec<NodeId>) {
    sim.net.heal();
    for id in down {
        sim.start(id).await;
    }
    for id in sim.all() {
        sim.node(id).hold_checkpoints(false);
    }
    shared.publish(sim);
    shared.stop_writing();
    let ready = |sim: &Sim| sim.nodes().all(|node| node.status().ready);
    sim.until("ready after all faults", REST_WITHIN, ready).await;
    for id in sim.all() {
        for stream in 0..STREAMS {
            let (node, began) = (sim.node(id), Instant::now());
            let added = clients::add_plainly(&node, stream, shared).await;
            assert!(added, "seed {}: an append through {id} fails at rest", sim.seed);
            let took = began.elapsed();
            assert!(took < ANSWER_WITHIN, "seed {}: an append takes {took:?} at rest", sim.seed);
        }
    }
    shared.stop_reading();
}

/// All streams as all nodes answer them, and what is pending.
async fn read_all(sim: &Sim) -> Final {
    let mut end = Final { pending: vec![Vec::new(); STREAMS], ..Final::default() };
    for node in sim.nodes() {
        let mut entries: Vec<Vec<Seen>> = Vec::new();
        for stream in 0..STREAMS {
            entries.push(clients::read_whole(node, stream).await.unwrap());
        }
        end.entries.push(entries);
    }
    end.pending[clients::GROUPED] = clients::pending(&sim.node(NodeId(1))).await;
    end
}
