//! What waiting readers cost: memory for each of many connections that wait on one stream, the time
//! until all of them have an entry, and how long one reader takes to be woken.

use std::io::Write;

use anyhow::{Context, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::client::Client;
use tests::cluster::{Cluster, Options};
use tests::speed::wake::{Pair, READS, send, until_blocked};
use tests::wait;

/// Let readers wait on a cluster of three nodes, and measure.
#[derive(Parser)]
struct Args {
    /// Connections that wait on one stream at one node.
    #[arg(long, default_value_t = 10_000)]
    readers: usize,
    /// Wakes of one reader.
    #[arg(long, default_value_t = 1_000)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Here, and in the nodes, which inherit it.
    let needed = args.readers as u64 + 1_000;
    let maximum = getrlimit(Resource::Nofile).maximum.map(|most| most.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
        .context("so many connections are not allowed here")?;
    let extra = format!("[limits]\nconnections_max = {}\n", args.readers + 100);
    let cluster = Cluster::start(&Options { shards: 1, extra, ..Options::default() })?;
    let leader = cluster.leader_of_most().context("nobody leads")?;
    for (index, place) in [(leader, "the leader"), ((leader + 1) % 3, "a follower")] {
        one_reader(&cluster, index, place, args.rounds)?;
    }
    for (index, place) in [(leader, "the leader"), ((leader + 1) % 3, "a follower")] {
        many_readers(&cluster, index, place, args.readers)?;
    }
    Ok(())
}

fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn ask(client: &mut Client, words: &str) -> anyhow::Result<String> {
    let reply = client.call(&words.split(' ').collect::<Vec<_>>())?;
    ensure!(reply.as_error().is_none(), "{words}: {reply}");
    Ok(reply.to_string())
}

/// From sending an XADD to the leader until a reader at a node has the entry.
fn one_reader(cluster: &Cluster, index: usize, place: &str, times: usize) -> anyhow::Result<()> {
    let leader = cluster.leader_of_most().context("nobody leads")?;
    let (reader, writer) = (cluster.nodes[index].resp(), cluster.nodes[leader].resp());
    let pair = Pair { reader: &reader, writer: &writer, wait: false, times };
    for (name, read) in READS {
        let took = pair.measure(read)?.reader;
        let at = |quantile| took.value_at_quantile(quantile) as f64 / 1000.0;
        say(&format!(
            "{name} at {place}: woken after {:.2} ms (p50), {:.2} ms (p99), {times} times",
            at(0.5),
            at(0.99)
        ));
    }
    Ok(())
}

/// Many connections of one node that wait for the same entry.
fn many_readers(cluster: &Cluster, index: usize, place: &str, count: usize) -> anyhow::Result<()> {
    let node = &cluster.nodes[index];
    let mut looker = node.client()?;
    let resident = || node.resident_bytes().context("no figure for resident memory");
    let before = resident()?;
    let mut readers = Vec::with_capacity(count);
    for _ in 0..count {
        let mut reader = node.client()?;
        send(&mut reader, "XREAD BLOCK 0 STREAMS many $")?;
        readers.push(reader);
    }
    until_blocked(&mut looker, count)?;
    let each = resident()?.saturating_sub(before) as f64 / count as f64;
    let began = wait::now();
    ask(&mut looker, "XADD many * f v")?;
    for reader in &mut readers {
        let reply = reader.reply()?.to_string();
        ensure!(reply.contains("'many'"), "a reader was given {reply}");
    }
    let took = wait::now() - began;
    say(&format!(
        "{count} readers at {place}: {:.1} KiB each, all have the entry after {:.0} ms",
        each / 1024.0,
        took.as_secs_f64() * 1000.0
    ));
    until_blocked(&mut looker, 0)
}
