//! What goes wrong, when, and when it is over. Never more at a time than what must be survived: the
//! data of a majority stays whole. Everything else may come together.

mod damage;
mod replace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Entropy, NodeId, ShardId};
use raft::{ShardStatus, Shards};
use store::SwitchFault;
use tokio::time::{Instant, sleep};

use crate::agreed::Agreed;
use crate::cluster::Cluster;
use crate::machine::Process;
use crate::promised::Promised;
use crate::watch::Watch;
use crate::work::Shared;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(50);

/// For lost nodes to be replaced, one after the other, when nothing else is wrong.
const MEND_WITHIN: Duration = Duration::from_secs(90);

/// What was hurt may be noticed late, when it is read: nothing must have happened for so long.
const CALM_FOR: Duration = Duration::from_secs(3);

/// How fast or slow a monotonic clock may be: far more than one ever was. Two of them are within what
/// a lease leaves between its end and the next vote.
const TIMERS_PERMILLE_MAX: u64 = 90;

macro_rules! kinds {
    ($($kind:ident $name:literal)*) => {
        /// A way in which something goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind { $($kind),* }

        impl Kind {
            /// Every one.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            /// As people choose it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    Crash "crash"
    CrashAll "crash-all"
    Torn "torn-write"
    Kill "kill"
    Restart "restart"
    StepDown "step-down"
    Pause "pause"
    Isolate "isolate"
    Partition "partition"
    OneWay "one-way"
    Cut "cut"
    CutClients "cut-clients"
    CutTransfer "cut-transfer"
    SlowLink "slow-link"
    Reorder "reorder"
    SlowDisk "slow-disk"
    FullDisk "full-disk"
    FailSync "fail-sync"
    FailStore "fail-store"
    HoldCheckpoints "hold-checkpoints"
    ClockJump "clock-jump"
    ClockDrift "clock-drift"
    TimerDrift "timer-drift"
    Panic "panic"
    Flip "bit-flip"
    OldFile "old-file"
    Wipe "wipe"
    Replace "replace"
}

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum End {
    Start(NodeId),
    Heal,
    Continue(NodeId),
    FastLink(NodeId),
    InOrder,
    FastDisk(NodeId),
    RoomOnDisk(NodeId),
    ReleaseCheckpoints(NodeId),
    SteadyClock(NodeId),
    SteadyTimers(NodeId),
    /// A node that stops in good order is given this long.
    Stopped(NodeId),
    CutAgain(NodeId, u32),
    /// A node that was replaced comes back.
    Return(NodeId),
    /// The machine goes off, and what was planned is done to its disk.
    Hurt(NodeId),
}

/// All that is wrong at the moment.
#[derive(Default)]
pub(crate) struct Faults {
    ends: BTreeMap<(Instant, u64), End>,
    numbered: u64,
    /// Nodes whose disk lost something that it had promised to keep: they are to be replaced.
    lost: Vec<NodeId>,
    /// Nodes that something is or will be done to that they can't be asked to survive, until others
    /// are in their place.
    hurt: Vec<NodeId>,
    plans: Vec<(NodeId, damage::Plan)>,
    /// Nodes whose disks were emptied and that have yet to notice.
    emptied: Vec<NodeId>,
    replacement: Option<replace::Replacement>,
    promised: Promised,
    agreed: Agreed,
    /// Nodes whose disk was made to fail: they may say so.
    excused: BTreeSet<NodeId>,
    pub(crate) replaced: u64,
}

impl Faults {
    /// Faults until their time is over.
    pub(crate) async fn happen(
        &mut self,
        cluster: &mut Cluster,
        watch: &mut Watch,
        shared: &Shared,
    ) {
        let end = Instant::now() + cluster.options.faults_for;
        let mut next = Instant::now();
        while Instant::now() < end {
            sleep(TICK).await;
            self.step(cluster).await;
            self.look(cluster);
            if next <= Instant::now() {
                let every = u64::try_from(cluster.options.faults_every.as_millis());
                next = Instant::now() + cluster.below(every.unwrap_or(u64::MAX));
                let kinds = cluster.options.kinds.clone();
                let kind = cluster.one_of(&kinds).expect("some kind is chosen");
                self.begin(cluster, kind).await;
            }
            watch.look(cluster);
            shared.publish(cluster.processes().cloned().collect());
        }
    }

    fn look(&mut self, cluster: &Cluster) {
        let whole = cluster.processes().filter(|process| !self.hurt.contains(&process.id));
        let whole: Vec<(&Process, Vec<ShardStatus>)> =
            whole.map(|process| (process, process.node.outline().shards)).collect();
        self.promised.look(cluster, &self.hurt, &whole);
        self.agreed.look(cluster, &whole);
    }

    /// Ends what is due, and takes notice of nodes that ended.
    async fn step(&mut self, cluster: &mut Cluster) {
        for (id, _, failure) in cluster.take_ended() {
            cluster.trace.note(format!("node {id} ends: {failure}"));
            // Its machine may go on: what it wrote and did not sync is there until it doesn't.
            match cluster.entropy.below(2) {
                0 => cluster.kill(id),
                _ => cluster.crash(id),
            }
            self.failed(cluster, id, &failure);
        }
        while let Some(due) = self.ends.first_entry().filter(|it| it.key().0 <= Instant::now()) {
            let end = due.remove();
            self.end(cluster, end).await;
        }
        self.replace_lost(cluster).await;
    }

    /// Everything is mended, and whoever is down is started.
    pub(crate) async fn mend(&mut self, cluster: &mut Cluster) {
        for (_, end) in std::mem::take(&mut self.ends) {
            self.end(cluster, end).await;
        }
        cluster.net.heal();
        for machine in cluster.machines.values() {
            machine.disk.forget_accidents();
            // Nobody may have read it: a leader of a later day would end over it.
            machine.store.mend();
        }
        let deadline = Instant::now() + MEND_WITHIN;
        let mut calm_since = Instant::now();
        while calm_since.elapsed() < CALM_FOR {
            sleep(TICK).await;
            self.step(cluster).await;
            self.look(cluster);
            if !self.ends.is_empty() || !self.lost.is_empty() || !self.emptied.is_empty() {
                calm_since = Instant::now();
            }
            assert!(
                Instant::now() < deadline,
                "{:?} can't be replaced: {:#?}",
                self.lost,
                cluster.statuses()
            );
        }
    }

    fn later(&mut self, after: Duration, end: End) {
        self.numbered += 1;
        self.ends.insert((Instant::now() + after, self.numbered), end);
    }

    /// A node that is down, or on its way down, is left alone.
    fn is_down(&self, id: NodeId) -> bool {
        let ends = |end: &End| matches!(end, End::Start(of) | End::Stopped(of) | End::Hurt(of) if *of == id);
        self.ends.values().any(ends) || self.lost.contains(&id)
    }

    /// A node didn't start, or ended by itself.
    fn failed(&mut self, cluster: &Cluster, id: NodeId, failure: &raft::Failure) {
        if failure.exit_code() == 3 {
            let excused = self.excused.contains(&id) || self.hurt.contains(&id);
            assert!(excused, "node {id} has no reason to end: {failure}");
            // The machine refused: it is repaired, and the node started again.
            return self.later(cluster.below(3_000), End::Start(id));
        }
        assert!(self.hurt.contains(&id), "node {id} has no reason to refuse: {failure}");
        cluster.trace.note(format!("node {id} is lost"));
        self.lose(id);
    }

    async fn start(&mut self, cluster: &mut Cluster, id: NodeId) {
        if cluster.machines.get(&id).is_none_or(|machine| machine.process.is_some()) {
            return;
        }
        if let Err(failure) = cluster.start(id).await {
            cluster.kill(id);
            self.failed(cluster, id, &failure);
        }
    }

    async fn end(&mut self, cluster: &mut Cluster, end: End) {
        cluster.trace.note(format!("-- {end:?}"));
        match end {
            End::Start(id) => self.start(cluster, id).await,
            End::Heal => cluster.net.heal(),
            End::Continue(id) => {
                if let Some(process) = self.process(cluster, id) {
                    process.gate.open();
                }
            }
            End::FastLink(id) => cluster.net.slow_down(id, Duration::ZERO),
            End::InOrder => cluster.net.set_delay(cluster.options.delay),
            End::FastDisk(id) => set_pace(cluster, id, cluster.options.disk),
            End::RoomOnDisk(id) => {
                if let Some(machine) = cluster.machines.get(&id) {
                    machine.disk.set_capacity(u64::MAX);
                }
            }
            End::ReleaseCheckpoints(id) => {
                if let Some(process) = self.process(cluster, id) {
                    process.node.hold_checkpoints(false);
                }
            }
            End::SteadyClock(id) => {
                if let Some(machine) = cluster.machines.get(&id) {
                    machine.clock.drift(0);
                }
            }
            End::SteadyTimers(id) => {
                if let Some(process) = self.process(cluster, id) {
                    process.gate.set_drift(0);
                }
            }
            End::Stopped(id) => {
                cluster.kill(id);
                self.start(cluster, id).await;
            }
            End::CutAgain(id, times) => self.cut_again(cluster, id, times),
            End::Hurt(id) => self.hurt(cluster, id).await,
            End::Return(id) => {
                cluster.trace.fault(format!("{id}, which was replaced, is started again"));
                if let Err(failure) = cluster.bring_back(id).await {
                    cluster.trace.note(format!("{id} does not start: {failure}"));
                }
            }
        }
    }

    fn process(&self, cluster: &Cluster, id: NodeId) -> Option<Process> {
        cluster.machines.get(&id)?.process.clone()
    }

    /// Something goes wrong.
    async fn begin(&mut self, cluster: &mut Cluster, kind: Kind) {
        let up: Vec<NodeId> = cluster.up().into_iter().filter(|id| !self.is_down(*id)).collect();
        let Some(one) = cluster.one_of(&up) else { return };
        match kind {
            Kind::Crash
            | Kind::CrashAll
            | Kind::Torn
            | Kind::Kill
            | Kind::Restart
            | Kind::StepDown
            | Kind::Pause
            | Kind::Panic => self.stop(cluster, kind, one, &up).await,
            Kind::Isolate
            | Kind::Partition
            | Kind::OneWay
            | Kind::Cut
            | Kind::CutClients
            | Kind::CutTransfer
            | Kind::SlowLink
            | Kind::Reorder => self.part(cluster, kind, one),
            Kind::SlowDisk
            | Kind::FullDisk
            | Kind::FailSync
            | Kind::FailStore
            | Kind::HoldCheckpoints => self.hold_up(cluster, kind, one),
            Kind::ClockJump => {
                let by_ms = cluster.entropy.below(7_200_000).cast_signed() - 3_600_000;
                cluster.trace.fault(format!("the clock of {one} jumps by {by_ms} ms"));
                cluster.machines[&one].clock.jump(by_ms);
            }
            Kind::ClockDrift => {
                let permille = cluster.entropy.below(401).cast_signed() - 200;
                cluster.trace.fault(format!("the clock of {one} drifts by {permille} in 1000"));
                cluster.machines[&one].clock.drift(permille);
                self.later(cluster.below(20_000), End::SteadyClock(one));
            }
            Kind::TimerDrift => {
                let permille = cluster.entropy.below(2 * TIMERS_PERMILLE_MAX + 1).cast_signed()
                    - TIMERS_PERMILLE_MAX.cast_signed();
                cluster.trace.fault(format!("timers of {one} are fast by {permille} in 1000"));
                cluster.process(one).gate.set_drift(permille);
                self.later(cluster.below(20_000), End::SteadyTimers(one));
            }
            Kind::Flip | Kind::OldFile | Kind::Wipe | Kind::Replace => {
                self.damage(cluster, kind, one);
            }
        }
    }

    /// Of processes.
    async fn stop(&mut self, cluster: &mut Cluster, kind: Kind, one: NodeId, up: &[NodeId]) {
        match kind {
            Kind::CrashAll => {
                cluster.trace.fault("all lose their power");
                for id in up {
                    cluster.crash(*id);
                    self.later(cluster.below(2_000), End::Start(*id));
                }
            }
            Kind::Torn => {
                let steps = 1 + cluster.entropy.below(40);
                cluster.trace.fault(format!("{one} loses its power in {steps} steps of its disk"));
                cluster.machines[&one].disk.power_off_after(steps);
                self.excused.insert(one);
            }
            Kind::Kill => {
                cluster.trace.fault(format!("{one} is killed"));
                cluster.kill(one);
                self.later(soon(cluster), End::Start(one));
            }
            Kind::Restart => {
                cluster.trace.fault(format!("{one} is told to stop"));
                let process = cluster.process(one);
                tokio::spawn(async move { process.stop().await });
                self.later(Duration::from_secs(1) + cluster.below(6_000), End::Stopped(one));
            }
            Kind::StepDown => {
                let shard = some_shard(cluster);
                let leads = |id: &NodeId| {
                    let mut shards = cluster.node(*id).outline().shards.into_iter();
                    shards.any(|of| of.shard == shard && of.leader == Some(*id))
                };
                let Some(one) = up.iter().copied().find(leads) else { return };
                cluster.trace.fault(format!("{one} is to hand shard {shard} over"));
                let (gate, node) = (cluster.process(one).gate, cluster.node(one));
                tokio::spawn(gate.run(async move { node.step_down(shard).await }));
            }
            Kind::Pause => {
                let time = Duration::from_secs(1) + cluster.below(29_000);
                cluster.trace.fault(format!("{one} is stopped for {time:?}"));
                cluster.process(one).gate.close();
                self.later(time, End::Continue(one));
            }
            Kind::Panic => {
                let shard = some_shard(cluster);
                cluster.trace.fault(format!("openraft panics on {one} in shard {shard}"));
                let (gate, node) = (cluster.process(one).gate, cluster.node(one));
                tokio::spawn(gate.run(async move { node.panic_core(shard).await }));
            }
            _ => {
                cluster.trace.fault(format!("{one} loses its power"));
                cluster.crash(one);
                self.later(soon(cluster), End::Start(one));
            }
        }
    }

    /// Of the network.
    fn part(&mut self, cluster: &mut Cluster, kind: Kind, one: NodeId) {
        let others: Vec<NodeId> = cluster.all().into_iter().filter(|id| *id != one).collect();
        let Some(other) = cluster.one_of(&others) else { return };
        match kind {
            Kind::Isolate => {
                cluster.trace.fault(format!("{one} is parted from the others"));
                cluster.net.isolate(one);
                self.later(cluster.below(8_000), End::Heal);
            }
            Kind::Partition => {
                let side: Vec<NodeId> =
                    cluster.all().into_iter().filter(|_| cluster.entropy.below(2) == 0).collect();
                cluster.trace.fault(format!("{side:?} are parted from the others"));
                for here in &side {
                    for there in cluster.all().into_iter().filter(|id| !side.contains(id)) {
                        cluster.net.block(*here, there);
                        cluster.net.block(there, *here);
                    }
                }
                self.later(cluster.below(8_000), End::Heal);
            }
            Kind::OneWay => {
                cluster.trace.fault(format!("{other} doesn't hear {one}"));
                cluster.net.block(one, other);
                self.later(cluster.below(8_000), End::Heal);
            }
            Kind::CutClients => {
                let count = cluster.process(one).cut_clients();
                cluster.trace.fault(format!("{count} clients of {one} are cut off"));
            }
            Kind::CutTransfer => {
                cluster.trace.fault(format!("the connections of {one} are cut again and again"));
                self.cut_again(cluster, one, 12);
            }
            Kind::SlowLink => {
                let by = cluster.below(300);
                cluster.trace.fault(format!("messages of {one} take {by:?} more"));
                cluster.net.slow_down(one, by);
                self.later(cluster.below(15_000), End::FastLink(one));
            }
            Kind::Reorder => {
                let most = Duration::from_millis(20) + cluster.below(150);
                cluster.trace.fault(format!("messages take up to {most:?}"));
                cluster.net.set_delay((Duration::ZERO, most));
                self.later(cluster.below(10_000), End::InOrder);
            }
            _ => {
                cluster.trace.fault(format!("the connection of {one} and {other} is cut"));
                cluster.net.cut(one, other);
            }
        }
    }

    fn cut_again(&mut self, cluster: &Cluster, one: NodeId, times: u32) {
        for other in cluster.all().into_iter().filter(|id| *id != one) {
            cluster.net.cut(one, other);
        }
        if times > 0 {
            let after = Duration::from_millis(100) + cluster.below(300);
            self.later(after, End::CutAgain(one, times - 1));
        }
    }

    /// Of disks.
    fn hold_up(&mut self, cluster: &mut Cluster, kind: Kind, one: NodeId) {
        if matches!(kind, Kind::FullDisk | Kind::FailSync | Kind::FailStore) {
            self.excused.insert(one);
        }
        let machine = &cluster.machines[&one];
        match kind {
            Kind::SlowDisk => {
                let most = Duration::from_millis(20) + cluster.below(500);
                cluster.trace.fault(format!("the disk of {one} takes up to {most:?}"));
                set_pace(cluster, one, most);
                self.later(cluster.below(15_000), End::FastDisk(one));
            }
            Kind::FullDisk => {
                let left = cluster.entropy.below(100 << 10);
                cluster.trace.fault(format!("the disk of {one} has {left} B left"));
                machine.disk.set_capacity(machine.disk.used() + left);
                self.later(cluster.below(10_000), End::RoomOnDisk(one));
            }
            Kind::FailSync => {
                let count = 1 + cluster.entropy.below(20);
                cluster.trace.fault(format!("the {count}th sync of {one} from now on fails"));
                machine.disk.fail_sync_after(count);
            }
            Kind::FailStore => {
                let count = 1 + cluster.entropy.below(8);
                let fault = if cluster.entropy.below(2) == 0 {
                    SwitchFault::Lost
                } else {
                    SwitchFault::Kept
                };
                cluster.trace.fault(format!("switch {count} of {one}'s store fails: {fault:?}"));
                machine.store.fail_switch(count, fault);
            }
            _ => {
                cluster.trace.fault(format!("{one} takes nothing to its store"));
                cluster.node(one).hold_checkpoints(true);
                self.later(cluster.below(15_000), End::ReleaseCheckpoints(one));
            }
        }
    }
}

fn some_shard(cluster: &Cluster) -> ShardId {
    let shard = cluster.entropy.below(cluster.options.shards.into());
    ShardId(u16::try_from(shard).unwrap_or(0))
}

/// How long a node is down: now and then so shortly that the others hardly notice.
fn soon(cluster: &Cluster) -> Duration {
    let most_ms = if cluster.entropy.below(2) == 0 { 300 } else { 4_000 };
    cluster.below(most_ms)
}

fn set_pace(cluster: &Cluster, id: NodeId, most: Duration) {
    if let Some(machine) = cluster.machines.get(&id) {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        machine.pace_us.store(most, Ordering::Relaxed);
    }
}
