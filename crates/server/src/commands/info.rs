//! INFO and TIME: what a node says about itself, in the words that tools of Redis look for. Never
//! asks the shards: it answers also when they don't.

use std::fmt::Write;

use super::arguments::{Args, is_word};
use super::cluster;
use crate::resp::{ChannelKind, Doc, Door, Group, Port, SyntaxError, Turn};

pub(crate) static DOC: Doc = Doc {
    summary: "Describes this node, all of it or by section.",
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

type Tell = fn(&mut String, &Door) -> std::fmt::Result;

/// One part of the answer.
struct Section {
    name: &'static str,
    write: Tell,
    /// Told also when it isn't asked for by name.
    by_default: bool,
}

const fn usual(name: &'static str, write: Tell) -> Section {
    Section { name, write, by_default: true }
}

const fn asked_for(name: &'static str, write: Tell) -> Section {
    Section { name, write, by_default: false }
}

static SECTIONS: &[Section] = &[
    usual("Server", server),
    usual("Clients", clients),
    usual("Memory", memory),
    usual("Persistence", persistence),
    usual("Stats", stats),
    usual("Replication", replication),
    usual("CPU", cpu),
    usual("Modules", |_, _| Ok(())),
    asked_for("Commandstats", command_statistics),
    usual("Errorstats", error_statistics),
    asked_for("Latencystats", latency_statistics),
    usual("Cluster", cluster_enabled),
    usual("Keyspace", keyspace),
    usual("Weir", weir),
];

pub(crate) fn info(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let wanted = &args[1..];
    let asks =
        |words: &[&str]| wanted.iter().any(|given| words.iter().any(|word| is_word(given, word)));
    let (all, default) = (asks(&["ALL", "EVERYTHING"]), wanted.is_empty() || asks(&["DEFAULT"]));
    let mut text = String::new();
    for Section { name, write, by_default } in SECTIONS {
        let wanted = all || (default && *by_default) || asks(&[*name]);
        if !wanted {
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
    let mode = door.options.port.mode();
    let version = door.redis_version();
    write!(text, "redis_version:{version}\r\nredis_mode:{mode}\r\nserver_name:weir\r\n")?;
    write!(text, "os:{} {}\r\n", std::env::consts::OS, std::env::consts::ARCH)?;
    write!(text, "arch_bits:{}\r\nprocess_id:{}\r\n", usize::BITS, std::process::id())?;
    write!(text, "run_id:{}\r\n", cluster::node_name(status.cluster, door.options.node))?;
    write!(text, "tcp_port:{}\r\n", door.address.port())?;
    write!(text, "uptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n", uptime / 86_400)
}

fn clients(text: &mut String, door: &Door) -> std::fmt::Result {
    write!(text, "connected_clients:{}\r\n", door.clients.count())?;
    write!(text, "maxclients:{}\r\n", door.settings.connections_max.get())?;
    write!(text, "blocked_clients:{}\r\n", door.clients.blocked_count())?;
    let (keys, on_nokey) = door.clients.blocking_keys_count();
    write!(text, "total_blocking_keys:{keys}\r\ntotal_blocking_keys_on_nokey:{on_nokey}\r\n")
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

fn persistence(text: &mut String, door: &Door) -> std::fmt::Result {
    text.write_str("loading:0\r\nasync_loading:0\r\n")?;
    write!(text, "rdb_changes_since_last_save:{}\r\n", door.counters.changes.get())?;
    text.write_str(
        "rdb_bgsave_in_progress:0\r\nrdb_last_save_time:0\r\naof_enabled:1\r\n\
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
    let (rate, commands) = (&counters.rate, counters.commands.get());
    write!(text, "instantaneous_ops_per_sec:{}\r\n", rate.of(commands, door.now_ms()))?;
    let channels = |kind| door.channels.all(kind).len();
    write!(text, "pubsub_channels:{}\r\n", channels(ChannelKind::Channel))?;
    write!(text, "pubsub_patterns:{}\r\n", channels(ChannelKind::Pattern))?;
    write!(text, "pubsubshard_channels:{}\r\n", channels(ChannelKind::Sharded))?;
    text.write_str("expired_keys:0\r\nevicted_keys:0\r\nkeyspace_hits:0\r\nkeyspace_misses:0\r\n")
}

/// Seconds that the process computed, where Linux says it.
fn cpu(text: &mut String, _: &Door) -> std::fmt::Result {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may have spaces; the first field there is the third of all.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let seconds = |field: usize| {
        let ticks = fields.split_whitespace().nth(field - 3).and_then(|ticks| ticks.parse().ok());
        ticks.unwrap_or(0.0) / TICKS_A_SECOND
    };
    let (user, system) = (seconds(14), seconds(15));
    write!(text, "used_cpu_sys:{system:.6}\r\nused_cpu_user:{user:.6}\r\n")
}

fn command_statistics(text: &mut String, door: &Door) -> std::fmt::Result {
    door.statistics.seen().iter().try_for_each(|(name, seen)| {
        let each = seen.us as f64 / seen.calls.max(1) as f64;
        write!(
            text,
            "cmdstat_{name}:calls={},usec={},usec_per_call={each:.2},rejected_calls={},\
             failed_calls={}\r\n",
            seen.calls, seen.us, seen.rejected, seen.failed
        )
    })
}

fn error_statistics(text: &mut String, door: &Door) -> std::fmt::Result {
    let errors = door.statistics.errors_seen();
    errors.iter().try_for_each(|(code, count)| write!(text, "errorstat_{code}:count={count}\r\n"))
}

fn latency_statistics(text: &mut String, door: &Door) -> std::fmt::Result {
    door.statistics.seen().iter().filter(|(_, seen)| seen.calls > 0).try_for_each(|(name, seen)| {
        let [p50, p99, p999] = [500, 990, 999].map(|per_mille| seen.percentile(per_mille));
        write!(
            text,
            "latency_percentiles_usec_{name}:p50={p50}.000,p99={p99}.000,p99.9={p999}.000\r\n"
        )
    })
}

fn keyspace(text: &mut String, door: &Door) -> std::fmt::Result {
    let shards = door.shards.outline().shards;
    let expiring: u64 = shards.iter().map(|shard| shard.expiring_keys).sum();
    match shards.iter().map(|shard| shard.keys).sum() {
        0 => Ok(()),
        keys => write!(text, "db0:keys={keys},expires={expiring},avg_ttl=0,subexpiry=0\r\n"),
    }
}

fn replication(text: &mut String, door: &Door) -> std::fmt::Result {
    let status = door.shards.outline();
    let others = status.peers.iter().filter(|peer| peer.connected && peer.node != status.node);
    write!(text, "role:master\r\nconnected_slaves:{}\r\n", others.count())?;
    write!(text, "master_replid:{:032x}{:08x}\r\n", status.cluster.0, 0)?;
    let applied: u64 = status.shards.iter().map(|shard| shard.applied_index).sum();
    write!(text, "master_repl_offset:{applied}\r\n")
}

fn cluster_enabled(text: &mut String, door: &Door) -> std::fmt::Result {
    write!(text, "cluster_enabled:{}\r\n", u8::from(door.options.port == Port::Cluster))
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
