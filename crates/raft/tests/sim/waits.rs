//! Readers that wait, while leaders are lost, parted and told to step down: no wake is lost.

use std::future::poll_fn;

use raft::Watch;
use streams::command::Most;
use streams::query::After;

use super::*;

/// From an append that is answered to the last reader that was woken by it, leaders lost or not.
const WOKEN_WITHIN: Duration = Duration::from_secs(6);

/// Readers of the first key at each of these nodes, waiting for what comes after an id.
fn watches(sim: &Sim, on: &[NodeId], after: EntryId) -> Vec<Watch> {
    let watch = |id: &NodeId| {
        let node = sim.node(*id);
        let streams = vec![(key(0), After::Id(after))];
        let query = Query::Read { count: 1, most: Most::default(), streams };
        node.watch(node.shard_of(&key(0)), query)
    };
    on.iter().flat_map(|id| [id, id]).map(watch).collect()
}

async fn all_woken(sim: &Sim, watches: Vec<Watch>) {
    for mut watch in watches {
        let woken = timeout(WOKEN_WITHIN, poll_fn(|context| watch.poll_woken(context))).await;
        assert!(woken.is_ok(), "seed {}: a reader was not woken", sim.seed);
    }
}

/// Appends to the first key through a node.
async fn append(sim: &Sim, on: NodeId) -> EntryId {
    let fields = vec![Bytes::from_static(b"f"), Bytes::from_static(b"v")];
    let add =
        Add { key: key(0), id: AddId::Auto, fields, must_exist: false, trim: None, once: None };
    let node = sim.node(on);
    match node.write(node.shard_of(&key(0)), Command::Add(add)).await {
        Ok(Reply::Added(id)) => id,
        other => panic!("seed {}: {other:?}", sim.seed),
    }
}

/// Readers wait at all of `on`; something happens; what is appended then wakes all of them.
async fn woken_through(sim: &mut Sim, on: &[NodeId], event: impl AsyncFnOnce(&mut Sim)) {
    let last = append(sim, on[0]).await;
    let watches = watches(sim, on, last);
    // Long enough to be told to the leader, if there is one.
    sleep(Duration::from_millis(200)).await;
    event(sim).await;
    append(sim, on[0]).await;
    all_woken(sim, watches).await;
}

#[test]
fn an_append_wakes_readers_at_every_node() {
    scenario(async |sim| {
        let all = sim.all();
        woken_through(sim, &all, async |_| {}).await;
        // What is there already wakes at once.
        let watches = watches(sim, &all, EntryId::MIN);
        all_woken(sim, watches).await;
    });
}

#[test]
fn waits_follow_a_leader_that_is_lost() {
    scenario(async |sim| {
        let leader = sim.leader(sim.node(NodeId(1)).shard_of(&key(0)));
        let living = sim.all_but(leader);
        woken_through(sim, &living, async |sim| sim.crash(leader)).await;
        sim.start(leader).await;
        sim.ready().await;
        sim.agree().await;
    });
}

#[test]
fn waits_follow_a_leader_that_steps_down() {
    scenario(async |sim| {
        let all = sim.all();
        for _ in 0..3 {
            let leader = sim.leader(sim.node(NodeId(1)).shard_of(&key(0)));
            woken_through(sim, &all, async |sim| sim.node(leader).hand_over().await).await;
        }
    });
}

#[test]
fn waits_at_a_node_that_was_parted_are_woken_when_it_is_back() {
    scenario(async |sim| {
        let leader = sim.leader(sim.node(NodeId(1)).shard_of(&key(0)));
        let parted = sim.other(leader);
        let all = [leader, parted];
        woken_through(sim, &all, async |sim| {
            sim.net.isolate(parted);
            append(sim, leader).await;
            sleep(Duration::from_secs(2)).await;
            sim.net.heal();
        })
        .await;
    });
}

#[test]
fn waits_at_a_leader_that_was_parted_follow_the_new_one() {
    scenario(async |sim| {
        let leader = sim.leader(sim.node(NodeId(1)).shard_of(&key(0)));
        let mut on = sim.all_but(leader);
        on.push(leader);
        woken_through(sim, &on, async |sim| {
            sim.net.isolate(leader);
            sleep(Duration::from_secs(3)).await;
            sim.net.heal();
        })
        .await;
    });
}
