//! A node whose store takes nothing: what it holds in memory stays bounded, and nobody campaigns.

use super::*;

/// With this much memory nothing more is taken above a quarter of it.
const MEMORY: u64 = 2 << 20;
const BOUND: usize = 512 << 10;

/// What may become dirty after the bound was passed: entries that were on their way.
const SLACK: usize = 256 << 10;

/// After this long no leadership moves for balance any more.
const BALANCED: Duration = Duration::from_secs(15);

impl Sim {
    fn applied(&self, on: NodeId) -> u64 {
        self.node(on).status().shards.iter().map(|shard| shard.applied_index).sum()
    }

    /// Who leads in which term, as far as each node knows.
    fn leaderships(&self) -> Vec<Vec<(Option<NodeId>, u64)>> {
        let of = |status: NodeStatus| {
            status.shards.iter().map(|shard| (shard.leader, shard.term)).collect()
        };
        self.statuses().into_iter().map(of).collect()
    }

    async fn led_by_others(&self, than: NodeId) {
        let leads = |sim: &Sim| {
            let mut shards = sim.statuses().into_iter().flat_map(|status| status.shards);
            shards.any(|shard| shard.leader == Some(than))
        };
        if leads(self) {
            self.node(than).hand_over().await;
        }
        self.until("led by others", Duration::from_secs(5), |sim| !leads(sim)).await;
    }

    fn hold_checkpoints(&self, on: &[NodeId], hold: bool) {
        on.iter().for_each(|id| self.node(*id).hold_checkpoints(hold));
    }

    async fn until_full(&self, all: &[NodeId]) {
        let full = |sim: &Self| all.iter().all(|id| sim.node(*id).dirty_bytes() > BOUND);
        self.until("full", Duration::from_secs(8), full).await;
    }

    /// Clients of a shard's leader that write nothing else.
    fn load_shard(&self, shard: ShardId, until: Instant, told: &Arc<Mutex<Told>>) -> Vec<Client> {
        let node = self.node(self.leader(shard));
        let number = (0..KEYS).find(|number| node.shard_of(&key(*number)) == shard).unwrap();
        let client = |place: u64| {
            let (node, told) = (node.clone(), told.clone());
            let padding = Bytes::from(vec![b'x'; self.padding]);
            tokio::spawn(async move {
                let mut value = place * KEYS * 1_000_000 + number;
                while Instant::now() < until {
                    value += KEYS;
                    write(&node, value, padding.clone(), &told).await;
                    sleep(PAUSE).await;
                }
            })
        };
        (0..4).map(client).collect()
    }
}

fn little_memory(sim: &mut Sim) {
    sim.memory_bytes = MEMORY;
    sim.padding = 4000;
}

#[test]
fn a_follower_whose_store_is_behind_takes_no_more_and_nobody_campaigns() {
    scenario_of(little_memory, async |sim| {
        sleep(BALANCED).await;
        let slow = NodeId(1 + sim.entropy.below(3));
        sim.led_by_others(slow).await;
        let (seed, before) = (sim.seed, sim.leaderships());
        let on = sim.all_but(slow);
        sim.hold_checkpoints(&[slow], true);
        let told = Arc::default();
        let clients = sim.load(&on, Instant::now() + Duration::from_secs(8), &told);
        sim.until_full(&[slow]).await;
        sleep(Duration::from_secs(1)).await;
        let stood_at = sim.applied(slow);
        // Longer than the leaders wait for answers to what they sent.
        let watched = Instant::now() + Duration::from_secs(18);
        while Instant::now() < watched {
            let dirty = sim.node(slow).dirty_bytes();
            assert!(dirty < BOUND + SLACK, "seed {seed}: {dirty} bytes are dirty");
            assert_eq!(sim.leaderships(), before, "seed {seed}");
            sleep(Duration::from_millis(100)).await;
        }
        ended(clients).await;
        assert_eq!(sim.applied(slow), stood_at, "seed {seed}");
        assert!(sim.applied(on[0]) > stood_at + 100, "seed {seed}");
        sim.hold_checkpoints(&[slow], false);
        let told = std::mem::take(&mut *told.lock().unwrap());
        told.without_errors(sim);
        sim.settle(&told).await;
    });
}

#[test]
fn followers_that_take_no_more_are_not_asked_to_lead() {
    scenario_of(little_memory, async |sim| {
        sleep(BALANCED).await;
        let leader = sim.leader(ShardId(0));
        let slow = sim.all_but(leader);
        sim.hold_checkpoints(&slow, true);
        let told = Arc::default();
        let until = Instant::now() + Duration::from_secs(8);
        let clients = sim.load_shard(ShardId(0), until, &told);
        sim.until_full(&slow).await;
        let before = sim.leaderships();
        ended(clients).await;
        assert_eq!(sim.leaderships(), before, "seed {}", sim.seed);
        sim.hold_checkpoints(&slow, false);
        let told = std::mem::take(&mut *told.lock().unwrap());
        sim.settle(&told).await;
    });
}
