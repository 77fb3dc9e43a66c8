//! Memory and disk under a small budget: 3 million entries of 100 B in one stream with
//! `memory = "128MiB"`. Each node stays under 300 MB at its peak, a restart takes under 10 s,
//! everything reads back, disk use is at most 4 x payload + 512 MiB.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use bytes::BytesMut;
use clap::Parser;
use tests::cluster::{Cluster, Options};
use tests::figures::disk_bytes;
use tests::wait;

/// Fill one stream under a small memory budget and look at what it takes.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 3_000_000)]
    entries: u64,
    #[arg(long, default_value_t = 100)]
    payload: usize,
}

const RESIDENT_MAX: u64 = 300_000_000;
const RESTART_MAX: Duration = Duration::from_secs(10);
const DISK_ROOM: u64 = 512 << 20;
const PIPELINE: u64 = 500;
const PAGE: usize = 2_000;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let extra = "[limits]\nmemory = \"128MiB\"\n".to_owned();
    let mut cluster = Cluster::start(&Options { extra, ..Options::default() })?;
    let mut wrong = Vec::new();
    let mut check = |what: String, good: bool| {
        drop(writeln!(std::io::stdout(), "{}  {what}", if good { "ok  " } else { "MISS" }));
        if !good {
            wrong.push(what);
        }
    };
    let began = wait::now();
    fill(&cluster, &args)?;
    let filled = wait::now() - began;
    check(format!("{} entries in {:.0} s", args.entries, filled.as_secs_f64()), true);
    check_peaks(&cluster, "filling", &mut check)?;
    let payload = args.entries * args.payload as u64;
    for index in 0..cluster.nodes.len() {
        let used = disk_bytes(&cluster.data_dir(index));
        let allowed = 4 * payload + DISK_ROOM;
        check(
            format!("node {}: {} MB on disk", index + 1, used / 1_000_000),
            (1..=allowed).contains(&used),
        );
    }
    let began = wait::now();
    let count = read_all(&cluster, 0)?;
    let seconds = (wait::now() - began).as_secs_f64();
    let rate = count as f64 / seconds;
    check(
        format!("{count} entries read from the beginning, {rate:.0} a second"),
        count == args.entries,
    );
    check_peaks(&cluster, "reading", &mut check)?;
    cluster.nodes[1].stop()?;
    let began = wait::now();
    cluster.nodes[1].start()?;
    cluster.wait_ready(Duration::from_secs(120))?;
    let restart = wait::now() - began;
    check(format!("ready {:.1} s after a restart", restart.as_secs_f64()), restart < RESTART_MAX);
    let count = read_all(&cluster, 1)?;
    check(format!("{count} entries after it"), count == args.entries);
    check_peaks(&cluster, "a restart of node 2", &mut check)?;
    cluster.stop()?;
    anyhow::ensure!(wrong.is_empty(), "missed: {}", wrong.join("; "));
    Ok(())
}

/// The most that each node has had since it started, not what it has when somebody looks.
fn check_peaks(
    cluster: &Cluster,
    after: &str,
    check: &mut impl FnMut(String, bool),
) -> anyhow::Result<()> {
    for node in &cluster.nodes {
        let peak = node.resident_peak_bytes().context("no figure for resident memory")?;
        let what = format!("node {}: {} MB resident at most by {after}", node.id, peak / 1_000_000);
        check(what, peak < RESIDENT_MAX);
    }
    Ok(())
}

fn fill(cluster: &Cluster, args: &Args) -> anyhow::Result<()> {
    let mut client = cluster.nodes[0].client()?;
    let payload = "x".repeat(args.payload);
    let mut left = args.entries;
    while left > 0 {
        let count = left.min(PIPELINE);
        let mut request = BytesMut::new();
        for _ in 0..count {
            resp::write_request(&mut request, &["XADD", "big", "*", "d", &payload]);
        }
        client.send(&request)?;
        for _ in 0..count {
            let reply = client.reply()?;
            anyhow::ensure!(reply.as_error().is_none(), "{reply}");
        }
        left -= count;
    }
    Ok(())
}

fn read_all(cluster: &Cluster, index: usize) -> anyhow::Result<u64> {
    let mut client = cluster.nodes[index].client()?;
    let (mut start, mut all) = ("-".to_owned(), 0);
    loop {
        let reply = client.call(&["XRANGE", "big", &start, "+", "COUNT", &PAGE.to_string()])?;
        let page = reply.as_items().with_context(|| reply.to_string())?;
        let Some(last) = page.last() else { return Ok(all) };
        all += page.len() as u64;
        let id = last.as_items().and_then(|entry| entry[0].as_text()).context("an entry")?;
        start = format!("({id}");
    }
}
