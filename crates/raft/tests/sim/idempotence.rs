//! What a producer adds under an id of its own is added once, whoever leads when it asks again: what
//! is remembered comes with the log, with a snapshot, and out of a checkpoint.

use streams::command::Producer;

use super::*;

const IDS: u64 = 40;

/// Of a stream that nobody else writes to.
const STREAM: Bytes = Bytes::from_static(b"once");

/// Adds everything a producer has, through a node. The entries it is told of.
async fn produce(sim: &Sim, on: NodeId) -> Vec<EntryId> {
    let node = sim.node(on);
    let mut entries = Vec::new();
    for number in 0..IDS {
        let id = Bytes::from(number.to_string());
        let add = Add {
            key: STREAM,
            id: AddId::Auto,
            fields: vec![Bytes::from_static(b"f"), id.clone()],
            must_exist: false,
            trim: None,
            once: Some(Producer { name: Bytes::from_static(b"p"), id }),
        };
        match node.write(node.shard_of(&STREAM), Command::Add(add)).await {
            Ok(Reply::Added(id)) => entries.push(id),
            other => panic!("seed {}: {other:?}", sim.seed),
        }
    }
    entries
}

/// Crashes the leader of a shard; another one leads then.
async fn lose_leader(sim: &mut Sim, shard: ShardId) -> NodeId {
    let lost = sim.leader(shard);
    sim.crash(lost);
    let another = |sim: &Sim| {
        sim.statuses().iter().any(|status| {
            let of = status.shards.iter().find(|one| one.shard == shard);
            of.is_some_and(|one| one.leader == Some(status.node))
        })
    };
    sim.until("another leader", Duration::from_secs(30), another).await;
    lost
}

#[test]
fn a_producer_that_asks_again_is_told_the_same_by_every_later_leader() {
    scenario_keeping(128 << 10, async |sim| {
        let shard = sim.node(NodeId(1)).shard_of(&STREAM);
        let away = sim.other(sim.leader(shard));
        sim.crash(away);
        let first = produce(sim, sim.all_but(away)[0]).await;
        // So much that the one that was away needs a snapshot.
        let told = sim.loaded(&sim.all_but(away), 10).await;
        sim.start(away).await;
        sim.settle(&told).await;
        let deadline = Instant::now() + Duration::from_secs(600);
        while sim.leader(shard) != away {
            assert!(Instant::now() < deadline, "seed {}: {away} never leads", sim.seed);
            let lost = lose_leader(sim, shard).await;
            sim.start(lost).await;
            sim.ready().await;
        }
        assert_eq!(produce(sim, away).await, first, "seed {}: led by who was away", sim.seed);
        let lost = lose_leader(sim, shard).await;
        let living = sim.all_but(lost);
        assert_eq!(produce(sim, living[0]).await, first, "seed {}: the leader lost", sim.seed);
        sim.start(lost).await;
        sim.ready().await;
        sim.crash_and_start_all().await;
        sim.ready().await;
        assert_eq!(produce(sim, NodeId(1)).await, first, "seed {}: all started again", sim.seed);
        sim.agree().await;
    });
}
