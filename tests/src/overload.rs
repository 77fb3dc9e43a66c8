//! More than a cluster of real processes can take: four times its own rate, entries of the greatest size,
//! one stream that everybody writes to, and readers that do not read; then a follower that is slow. What
//! must hold meanwhile, and after, is a table. Never looks for lost entries: that is `chaos`.

mod flood;
mod readers;
mod slow;
mod table;
mod watch;

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;

pub use table::{Row, Table};

use crate::cluster::{Cluster, Options};
use crate::wait;
use flood::{Flood, Told};
use watch::Watch;

/// What a node may take beside its `memory`, as the README's limits say: threads, buffers of the sockets,
/// HTTP/2, sled's own, the allocator.
const FIXED_BYTES: u64 = 384 << 20;
/// Of the memory, as the promise says.
const MEMORY_SHARE_MAX: f64 = 1.1;
/// The nodes' own, and a second for what waits in sockets.
const DEADLINE: Duration = Duration::from_secs(10);
const DEADLINE_ROOM: Duration = Duration::from_secs(1);
/// Until the p99 is what it was.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);
/// A p99 of so much more is still what it was, on a machine that does other things as well.
const P99_FACTOR: f64 = 2.0;
const P99_ROOM_MS: f64 = 20.0;
const TIMES: f64 = 4.0;
const CONNECTIONS: usize = 200;
const HUGE_CONNECTIONS: usize = 4;
const SETTLE: Duration = Duration::from_secs(2);

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Of the overload.
    pub length: Duration,
    /// Of every measure before and after it.
    pub measure: Duration,
    pub readers: usize,
    /// What every node is told to keep to.
    pub memory_bytes: u64,
    /// Rounds with and without a slow follower; none of it for 0.
    pub rounds: usize,
}

/// Does all of it.
///
/// # Errors
/// The cluster did not come up, or a node ended.
pub fn run(plan: &Plan, tell: &dyn Fn(&str)) -> anyhow::Result<Table> {
    let extra = format!(
        "[limits]\nmemory = {}\nconnections_max = {}\n",
        plan.memory_bytes,
        plan.readers + 1_000
    );
    let mut cluster = Cluster::start(&Options { shards: 1, extra, ..Options::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::default();
    runtime.block_on(
        tokio::task::LocalSet::new().run_until(overload(&cluster, plan, tell, &mut table)),
    )?;
    if plan.rounds > 0 {
        slow::measure(&mut cluster, plan, tell, &mut table)?;
    }
    cluster.wait_equal(Duration::from_secs(60)).context("after the overload")?;
    table.add("replicas equal at the end", "yes", "yes".to_owned(), true);
    cluster.stop()?;
    Ok(table)
}

async fn overload(
    cluster: &Cluster,
    plan: &Plan,
    tell: &dyn Fn(&str),
    table: &mut Table,
) -> anyhow::Result<()> {
    let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.resp()).collect();
    let flood = |rate: f64, length| Flood {
        addresses: addresses.clone(),
        connections: CONNECTIONS,
        rate,
        length,
        entry_bytes: 100,
    };
    tell("what the cluster can take");
    let most = flood(f64::INFINITY, plan.measure).run().await?;
    let rate = most.per_second();
    table.note("appends a second that it can take", format!("{rate:.0}"));
    tokio::time::sleep(SETTLE).await;
    tell("a quarter of that");
    let calm = flood(rate / 4.0, plan.measure).run().await?;

    let watch = Watch::start(cluster)?;
    let deaf = readers::start(&addresses, plan.readers);
    tell(&format!("{TIMES} times that, and {} readers that do not read", plan.readers));
    let huge = Flood {
        connections: HUGE_CONNECTIONS,
        entry_bytes: (1 << 20) - 64,
        ..flood(40.0, plan.length)
    };
    let huge = tokio::task::spawn_local(async move { huge.run().await });
    let over = flood(rate * TIMES, plan.length).run().await?;
    let huge = huge.await??;
    let closed = deaf.end().await;
    tell("a quarter again");
    tokio::time::sleep(RECOVERED_AFTER).await;
    let after = flood(rate / 4.0, plan.measure).run().await?;
    let peaks = watch.end();
    table.answers +=
        [&most, &calm, &over, &huge, &after].map(|told| told.answers()).iter().sum::<u64>();
    fill(table, plan, &[&calm, &over, &huge, &after], &peaks, closed);
    Ok(())
}

fn fill(table: &mut Table, plan: &Plan, told: &[&Rc<Told>; 4], peaks: &[u64], closed: u64) {
    let [calm, over, huge, after] = told;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let most = (plan.memory_bytes as f64 * MEMORY_SHARE_MAX) as u64 + FIXED_BYTES;
    for (index, peak) in peaks.iter().enumerate() {
        let what = format!("node {}: resident memory", index + 1);
        table.add(&what, &format!("at most {}", mib(most)), mib(*peak), *peak <= most);
    }
    table.note("appends a second under overload", format!("{:.0}", over.per_second()));
    table.note("of them asked, held back", format!("{} {}", over.sent(), over.held_back()));
    table.note("refused with -BUSY", (over.busy() + huge.busy()).to_string());
    table.note("deaf readers closed", closed.to_string());
    table.note("appends of 1 MiB done", huge.done().to_string());
    let late = over.slowest().max(huge.slowest());
    let allowed = DEADLINE + DEADLINE_ROOM;
    table.add(
        "longest answer, -BUSY included",
        &format!("at most {:.0} s", allowed.as_secs_f64()),
        format!("{:.2} s", late.as_secs_f64()),
        late <= allowed,
    );
    let others = over.others() + huge.others() + calm.others() + after.others();
    table.add("other refusals, broken connections", "0", others.to_string(), others == 0);
    for (of, told) in [("calm", calm), ("overload", over), ("1 MiB", huge), ("after", after)] {
        told.samples().into_iter().for_each(|line| table.note(&format!("  such as, {of}"), line));
    }
    table.note("p99 at a quarter of the rate", format!("{:.1} ms", calm.p99_ms()));
    let allowed = (calm.p99_ms() * P99_FACTOR).max(calm.p99_ms() + P99_ROOM_MS);
    let p99 = after.p99_ms();
    table.add(
        "the same 10 s after",
        &format!("at most {allowed:.1} ms"),
        format!("{p99:.1} ms"),
        p99 <= allowed,
    );
    let rate = after.per_second() / calm.per_second();
    table.add("and its rate", "at least 95 %", format!("{:.0} %", rate * 100.0), rate >= 0.95);
}

/// Runs a load that ends by itself on a runtime of its own.
fn alone(flood: Flood) -> anyhow::Result<Rc<Told>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(flood.run()))
}

fn since(began: Duration) -> Duration {
    wait::now().saturating_sub(began)
}
