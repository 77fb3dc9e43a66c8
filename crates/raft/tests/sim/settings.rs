//! What is chosen for the whole cluster: every shard goes by it once that was acknowledged, and in
//! the end when it wasn't, whoever is lost meanwhile.

use raft::settings::{COMPATIBILITY, Compatibility, IDEMPOTENCE_SECONDS};

use super::*;

fn numbers(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

/// For how long the streams of each key remember producers, asked through a node.
async fn windows_ms(sim: &Sim, on: NodeId) -> Vec<u64> {
    let node = sim.node(on);
    let mut windows = Vec::new();
    for number in 0..KEYS {
        let add = Add {
            key: key(number),
            id: AddId::Auto,
            fields: vec![Bytes::from_static(b"f"), Bytes::from_static(b"v")],
            must_exist: false,
            trim: None,
            once: None,
        };
        let shard = node.shard_of(&key(number));
        node.write(shard, Command::Add(add)).await.unwrap();
        match node.read(shard, Query::Stream { key: key(number) }).await {
            Ok(Reply::Stream(info)) => windows.push(info.summary.idempotence.unwrap().duration_ms),
            other => panic!("seed {}: {other:?}", sim.seed),
        }
    }
    windows
}

#[test]
fn what_was_chosen_is_what_every_shard_goes_by_through_restarts_of_all() {
    scenario(async |sim| {
        let chosen = numbers(&[(IDEMPOTENCE_SECONDS, 7), (COMPATIBILITY, 702)]);
        sim.node(NodeId(2)).choose(chosen).await.unwrap();
        assert_eq!(sim.node(NodeId(2)).settings().compatibility, Compatibility::V7_2);
        assert_eq!(windows_ms(sim, NodeId(1)).await, [7_000; KEYS as usize]);
        let again = numbers(&[(IDEMPOTENCE_SECONDS, 9)]);
        sim.node(NodeId(3)).choose(again).await.unwrap();
        assert_eq!(windows_ms(sim, NodeId(3)).await, [9_000; KEYS as usize]);
        sim.crash_and_start_all().await;
        sim.ready().await;
        sim.agree().await;
        assert_eq!(windows_ms(sim, NodeId(1)).await, [9_000; KEYS as usize]);
        let kept = |sim: &Sim| {
            sim.nodes().all(|node| node.settings().compatibility == Compatibility::V7_2)
        };
        sim.until("what was chosen heard of", Duration::from_secs(10), kept).await;
    });
}

#[test]
fn a_shard_that_missed_what_was_chosen_is_told_by_its_leader() {
    scenario(async |sim| {
        // Whoever chooses dies before it could tell the shards.
        let leader = sim.leader(ShardId::META);
        let chooser = sim.other(leader);
        let pending = sim.node(chooser).choose(numbers(&[(IDEMPOTENCE_SECONDS, 3)]));
        let heard = |sim: &Sim, id| sim.node(id).settings().shards.idempotence_ms == 3_000;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !heard(sim, leader) {
            assert!(Instant::now() < deadline, "seed {}: nothing was chosen", sim.seed);
            sleep(Duration::from_micros(100)).await;
        }
        assert!(!heard(sim, chooser), "seed {}: it may have told the shards", sim.seed);
        sim.crash(chooser);
        drop(pending);
        let deadline = Instant::now() + Duration::from_secs(30);
        while windows_ms(sim, leader).await != [3_000; KEYS as usize] {
            assert!(Instant::now() < deadline, "seed {}: a shard doesn't follow", sim.seed);
            sleep(Duration::from_millis(100)).await;
        }
        sim.start(chooser).await;
        sim.ready().await;
        sim.agree().await;
    });
}
