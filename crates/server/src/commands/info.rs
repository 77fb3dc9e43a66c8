//! INFO and TIME: what a node says about itself, in the words that tools of Redis look for. Never
//! asks the shards: it answers also when they don't.

use std::fmt::Write;

use super::arguments::{Args, is_word};
use super::connection::REDIS_VERSION;
use crate::resp::{Doc, Door, Group, SyntaxError, Turn};

pub(crate) static DOC: Doc = Doc {
    summary: "Describes this node, all of it or by section. DBSIZE counts the keys.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static TIME: Doc = Doc {
    summary: "Tells this node's clock: seconds, and microseconds of the second.",
    group: Group::Server,
    since: "2.6.0",
    complexity: "O(1)",
};

type Section = fn(&mut String, &Door) -> std::fmt::Result;

static SECTIONS: &[(&str, Section)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Weir", weir),
];

pub(crate) fn info(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let wanted = &args[1..];
    let everything = wanted.is_empty()
        || wanted.iter().any(|section| {
            ["ALL", "DEFAULT", "EVERYTHING"].iter().any(|word| is_word(section, word))
        });
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if !everything && !wanted.iter().any(|section| is_word(section, name)) {
            continue;
        }
        let separator = if text.is_empty() { "" } else { "\r\n" };
        text.push_str(&format!("{separator}# {name}\r\n"));
        write(&mut text, turn.door).expect("a string takes what is written to it");
    }
    turn.out.verbatim(&text);
    Ok(())
}

fn server(text: &mut String, door: &Door) -> std::fmt::Result {
    let status = door.shards.outline();
    let uptime = door.now_ms().saturating_sub(door.started_ms) / 1000;
    write!(text, "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\nserver_name:weir\r\n")?;
    write!(text, "os:{} {}\r\n", std::env::consts::OS, std::env::consts::ARCH)?;
    write!(text, "arch_bits:{}\r\nprocess_id:{}\r\n", usize::BITS, std::process::id())?;
    write!(text, "run_id:{:032x}{:08x}\r\n", status.cluster.0, door.options.node.0)?;
    write!(text, "tcp_port:{}\r\n", door.address.port())?;
    write!(text, "uptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n", uptime / 86_400)
}

fn clients(text: &mut String, door: &Door) -> std::fmt::Result {
    write!(text, "connected_clients:{}\r\n", door.clients.count())?;
    write!(text, "maxclients:{}\r\nblocked_clients:0\r\n", door.options.connections_max)?;
    write!(text, "total_blocking_keys:0\r\ntotal_blocking_keys_on_nokey:0\r\n")
}

fn memory(text: &mut String, door: &Door) -> std::fmt::Result {
    let resident = resident_bytes();
    let mib = resident as f64 / f64::from(1 << 20);
    write!(text, "used_memory:{resident}\r\nused_memory_human:{mib:.2}M\r\n")?;
    write!(text, "used_memory_rss:{resident}\r\nmaxmemory:{}\r\n", door.options.memory_bytes)?;
    write!(text, "maxmemory_policy:noeviction\r\n")
}

/// What the process has in memory, where Linux says it.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

fn persistence(text: &mut String, _: &Door) -> std::fmt::Result {
    text.write_str(
        "loading:0\r\nasync_loading:0\r\nrdb_changes_since_last_save:0\r\n\
         rdb_bgsave_in_progress:0\r\nrdb_last_save_time:0\r\naof_enabled:1\r\n\
         aof_rewrite_in_progress:0\r\n",
    )
}

fn stats(text: &mut String, door: &Door) -> std::fmt::Result {
    let counters = &door.counters;
    let told = [
        ("total_connections_received", &counters.connections),
        ("total_commands_processed", &counters.commands),
        ("total_net_input_bytes", &counters.input_bytes),
        ("total_net_output_bytes", &counters.output_bytes),
        ("rejected_connections", &counters.connections_refused),
        ("total_error_replies", &counters.errors),
        ("client_output_buffer_limit_disconnections", &counters.output_closed),
    ];
    told.iter().try_for_each(|(name, counter)| write!(text, "{name}:{}\r\n", counter.get()))?;
    text.write_str("expired_keys:0\r\nevicted_keys:0\r\n")
}

fn replication(text: &mut String, door: &Door) -> std::fmt::Result {
    let status = door.shards.outline();
    let others = status.peers.iter().filter(|peer| peer.connected && peer.node != status.node);
    write!(text, "role:master\r\nconnected_slaves:{}\r\n", others.count())?;
    write!(text, "master_replid:{:032x}{:08x}\r\n", status.cluster.0, 0)?;
    text.write_str("master_repl_offset:0\r\n")
}

fn cluster(text: &mut String, _: &Door) -> std::fmt::Result {
    text.write_str("cluster_enabled:0\r\n")
}

fn weir(text: &mut String, door: &Door) -> std::fmt::Result {
    let status = door.shards.outline();
    let led = status.shards.iter().filter(|shard| shard.leader == Some(status.node)).count();
    write!(text, "weir_version:{}\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(text, "weir_cluster:{}\r\nweir_node:{}\r\n", status.cluster, door.options.node)?;
    write!(text, "weir_shards:{}\r\nweir_groups_led:{led}\r\n", door.shards.shards().len())?;
    write!(text, "weir_ready:{}\r\n", u8::from(status.ready))
}

pub(crate) fn time(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let now_ms = turn.door.clock.wall_ms();
    turn.out.array(2);
    turn.out.bulk((now_ms / 1000).to_string());
    turn.out.bulk((now_ms % 1000 * 1000).to_string());
    Ok(())
}
