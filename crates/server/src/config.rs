//! What a node is told: `cluster.toml`, the same on every node, and `node-N.toml`, its own.
//!
//! Every key is checked before anything is opened. Errors are one line: file, line, key, what is
//! allowed. Never reads the process's environment or arguments itself: both are handed in.

mod document;
#[cfg(test)]
mod fuzz;
mod security;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::NodeId;

pub use document::{ConfigError, Environment};
use document::{Document, Section, nearest, variable};
pub use security::{Password, Security};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;

/// A heartbeat's answer waits for the follower's sync. Of those, 99.97 % took less than 25 ms while
/// every shard wrote checkpoints (ARCHITECTURE.md), so that four times this is a silent leader. The
/// election times follow from it.
const HEARTBEAT_MS_DEFAULT: u64 = 100;

/// Shards of a cluster: beyond this many, heartbeats alone keep a small machine busy.
pub const SHARDS_MAX: u64 = 256;
/// Shards where `cluster.toml` does not say. One thread of a node carries all of them, so each further
/// one makes entries smaller and gains nothing: measured with 1, 2, 3, 4 and 8 (ARCHITECTURE.md).
pub const SHARDS_DEFAULT: u64 = 1;

type Keys = &'static [&'static str];

const CLUSTER_SECTIONS: Keys = &["cluster", "raft", "node"];
const NODE_SECTIONS: Keys =
    &["node", "listen", "limits", "journal", "checkpoint", "read", "security", "log"];

const CLUSTER_KEYS: Keys = &["name", "shards"];
const RAFT_KEYS: Keys = &["heartbeat_ms", "election_ms"];
const MEMBER_KEYS: Keys = &["id", "peer", "resp", "resp_cluster", "grpc"];
const NODE_KEYS: Keys = &["id", "cluster", "data_dir"];
const LISTEN_KEYS: Keys = &["resp", "resp_cluster", "grpc", "peer", "http"];
const LIMITS_KEYS: Keys = &[
    "memory",
    "entry_bytes_max",
    "disk_free_min",
    "request_timeout_ms",
    "connections_max",
    "output_bytes_max",
];
const JOURNAL_KEYS: Keys = &["segment_bytes", "ballast_bytes", "kept_bytes"];
const CHECKPOINT_KEYS: Keys = &["dirty_bytes"];
const READ_KEYS: Keys = &["reads"];
const LOG_KEYS: Keys = &["level", "format"];

/// Everything a node is told.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: Cluster,
    pub node: Node,
}

/// `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub name: String,
    /// Fixed once made.
    pub shards: u16,
    pub heartbeat: Duration,
    /// The shortest and the longest election timeout.
    pub election: (Duration, Duration),
    /// The nodes that form the cluster; never read again afterwards.
    pub members: Vec<Member>,
}

/// One `[[node]]`: addresses as others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: NodeId,
    pub peer: String,
    pub resp: String,
    pub resp_cluster: String,
    pub grpc: String,
}

/// `node-N.toml`.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: NodeId,
    pub data_dir: PathBuf,
    pub listen: Listen,
    pub limits: Limits,
    pub journal: Journal,
    /// Dirty bytes that start a checkpoint of a shard.
    pub checkpoint_dirty_bytes: u64,
    pub reads: Reads,
    pub security: Security,
    pub log: Log,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub resp: SocketAddr,
    pub resp_cluster: SocketAddr,
    pub grpc: SocketAddr,
    pub peer: SocketAddr,
    pub http: SocketAddr,
}

/// What a node may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of caches, buffers and queues together.
    pub memory: u64,
    pub entry_bytes_max: u64,
    /// Below it, or a tenth of the disk if that is less, appends are refused.
    pub disk_free_min: u64,
    pub request_timeout: Duration,
    pub connections_max: usize,
    /// Unsent bytes of one connection; more closes it.
    pub output_bytes_max: u64,
}

/// The sizes of the journal's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    pub segment_bytes: u64,
    pub ballast_bytes: u64,
    /// Kept for followers that were away briefly.
    pub kept_bytes: u64,
}

/// What makes a read linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A majority confirms the leader.
    Quorum,
    /// The leader trusts its lease.
    Lease,
}

/// The program's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub json: bool,
}

/// From which level on lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Config {
    /// Reads `node-N.toml` and the `cluster.toml` that it names. `environment` stands above both.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        check_environment(environment)?;
        let text = read(path)?;
        let document = Document::parse(path, &text, NODE_SECTIONS, environment)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let own = document.section("node", NODE_KEYS)?;
        let cluster_path = match own.get("cluster") {
            Some(found) => found.path(base)?,
            None => base.join("cluster.toml"),
        };
        let cluster = Cluster::load(&cluster_path, environment)?;
        let node = Node::read(&document, &own, base)?;
        Ok(Self { cluster, node })
    }

    /// This node's addresses as others reach it: of its `[[node]]`, else where it listens.
    pub fn advertised(&self) -> Member {
        let listed = self.cluster.members.iter().find(|member| member.id == self.node.id);
        let listen = &self.node.listen;
        listed.cloned().unwrap_or_else(|| Member {
            id: self.node.id,
            peer: listen.peer.to_string(),
            resp: listen.resp.to_string(),
            resp_cluster: listen.resp_cluster.to_string(),
            grpc: listen.grpc.to_string(),
        })
    }
}

impl Cluster {
    /// Reads a `cluster.toml`.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        Self::parse(path, &read(path)?, environment)
    }

    fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text, CLUSTER_SECTIONS, environment)?;
        let cluster = document.section("cluster", CLUSTER_KEYS)?;
        let name = cluster.require("name")?;
        if name.text()?.is_empty() {
            return Err(name.refuse("must not be empty"));
        }
        let raft = document.section("raft", RAFT_KEYS)?;
        let heartbeat_ms = number(&raft, "heartbeat_ms", 10..=10_000, HEARTBEAT_MS_DEFAULT)?;
        let election_ms = match raft.get("election_ms") {
            None => (4 * heartbeat_ms, 8 * heartbeat_ms),
            Some(found) => {
                let span = found.span(20..=60_000)?;
                if span.0 < 2 * heartbeat_ms {
                    return Err(found.refuse("must begin at twice raft.heartbeat_ms or more"));
                }
                span
            }
        };
        let shards = number(&cluster, "shards", 1..=SHARDS_MAX, SHARDS_DEFAULT)?;
        Ok(Self {
            name: name.text()?,
            shards: u16::try_from(shards).expect("SHARDS_MAX fits"),
            heartbeat: Duration::from_millis(heartbeat_ms),
            election: (Duration::from_millis(election_ms.0), Duration::from_millis(election_ms.1)),
            members: members(&document)?,
        })
    }

    /// Over `[cluster]`: what peers must have alike. The list of nodes and `[raft]` are not in it.
    pub fn checksum(&self) -> u32 {
        let canonical = format!("cluster\nname={:?}\nshards={}\n", self.name, self.shards);
        base::sum::crc32c(canonical.as_bytes())
    }
}

impl Node {
    fn read(document: &Document<'_>, own: &Section<'_>, base: &Path) -> Result<Self, ConfigError> {
        let listen = listen(&document.section("listen", LISTEN_KEYS)?)?;
        let checkpoint = document.section("checkpoint", CHECKPOINT_KEYS)?;
        let read = document.section("read", READ_KEYS)?;
        let words = &[("quorum", Reads::Quorum), ("lease", Reads::Lease)];
        Ok(Self {
            id: NodeId(own.require("id")?.number(1..=u64::MAX / 2)?),
            data_dir: own.require("data_dir")?.path(base)?,
            listen,
            limits: limits(&document.section("limits", LIMITS_KEYS)?)?,
            journal: journal(&document.section("journal", JOURNAL_KEYS)?)?,
            checkpoint_dirty_bytes: bytes(&checkpoint, "dirty_bytes", 64 * KIB..=GIB, 8 * MIB)?,
            reads: read.get("reads").map_or(Ok(Reads::Quorum), |found| found.choice(words))?,
            security: security::read(document, &listen, base)?,
            log: log(&document.section("log", LOG_KEYS)?)?,
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError::new(path.display(), format!("cannot be read: {error}")))
}

fn members(document: &Document<'_>) -> Result<Vec<Member>, ConfigError> {
    let mut members: Vec<Member> = Vec::new();
    for section in document.sections("node", MEMBER_KEYS)? {
        let id = section.require("id")?;
        let member = Member {
            id: NodeId(id.number(1..=u64::MAX / 2)?),
            peer: reachable(&section, "peer")?,
            resp: reachable(&section, "resp")?,
            resp_cluster: reachable(&section, "resp_cluster")?,
            grpc: reachable(&section, "grpc")?,
        };
        if members.iter().any(|other| other.id == member.id) {
            return Err(id.refuse(format!("{} stands twice; every node has its own", member.id)));
        }
        if members.iter().any(|other| other.peer == member.peer) {
            let peer = section.require("peer")?;
            return Err(peer.refuse("stands twice; every node has its own address"));
        }
        members.push(member);
    }
    if members.is_empty() {
        return Err(document.error("no [[node]]: name the nodes that form the cluster"));
    }
    members.sort_by_key(|member| member.id);
    Ok(members)
}

/// `HOST:PORT`, where the host may be a name.
fn reachable(section: &Section<'_>, key: &'static str) -> Result<String, ConfigError> {
    let found = section.require(key)?;
    let text = found.text()?;
    let whole = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if whole { Ok(text) } else { Err(found.refuse("must be HOST:PORT")) }
}

fn listen(section: &Section<'_>) -> Result<Listen, ConfigError> {
    let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
    let mut address = |key: &'static str, offset: u16| -> Result<SocketAddr, ConfigError> {
        let usual = SocketAddr::from(([127, 0, 0, 1], 6379 + offset));
        let Some(found) = section.get(key) else {
            taken.push((key, usual));
            return Ok(usual);
        };
        let allowed = || found.refuse("must be IP:PORT, such as \"127.0.0.1:6379\"");
        let address: SocketAddr = found.text()?.parse().map_err(|_| allowed())?;
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == address) {
            return Err(found.refuse(format!("has the same address as listen.{other}")));
        }
        taken.push((key, address));
        if address.port() == 0 { Err(allowed()) } else { Ok(address) }
    };
    Ok(Listen {
        resp: address("resp", 0)?,
        resp_cluster: address("resp_cluster", 1)?,
        grpc: address("grpc", 2)?,
        peer: address("peer", 3)?,
        http: address("http", 4)?,
    })
}

fn limits(section: &Section<'_>) -> Result<Limits, ConfigError> {
    let connections = number(section, "connections_max", 1..=1_000_000, 10_000)?;
    let timeout_ms = number(section, "request_timeout_ms", 100..=600_000, 10_000)?;
    Ok(Limits {
        memory: bytes(section, "memory", 64 * MIB..=TIB, GIB)?,
        entry_bytes_max: bytes(section, "entry_bytes_max", KIB..=64 * MIB, MIB)?,
        disk_free_min: bytes(section, "disk_free_min", 0..=64 * TIB, 2 * GIB)?,
        request_timeout: Duration::from_millis(timeout_ms),
        connections_max: usize::try_from(connections).expect("at most a million"),
        output_bytes_max: bytes(section, "output_bytes_max", 64 * KIB..=TIB, 64 * MIB)?,
    })
}

fn journal(section: &Section<'_>) -> Result<Journal, ConfigError> {
    Ok(Journal {
        segment_bytes: bytes(section, "segment_bytes", MIB..=GIB, 64 * MIB)?,
        ballast_bytes: bytes(section, "ballast_bytes", 0..=16 * GIB, 64 * MIB)?,
        kept_bytes: bytes(section, "kept_bytes", 0..=TIB, 256 * MIB)?,
    })
}

fn log(section: &Section<'_>) -> Result<Log, ConfigError> {
    let levels = &[
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ];
    let formats = &[("text", false), ("json", true)];
    Ok(Log {
        level: section.get("level").map_or(Ok(Level::Info), |found| found.choice(levels))?,
        json: section.get("format").map_or(Ok(false), |found| found.choice(formats))?,
    })
}

fn number(
    section: &Section<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    usual: u64,
) -> Result<u64, ConfigError> {
    section.get(key).map_or(Ok(usual), |found| found.number(range))
}

fn bytes(
    section: &Section<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    usual: u64,
) -> Result<u64, ConfigError> {
    section.get(key).map_or(Ok(usual), |found| found.bytes(range))
}

/// Every `WEIR_SECTION__KEY` must be one that is known: a misspelt one would be ignored in silence.
fn check_environment(environment: &Environment) -> Result<(), ConfigError> {
    let sections: &[(&str, Keys)] = &[
        ("cluster", CLUSTER_KEYS),
        ("raft", RAFT_KEYS),
        ("node", NODE_KEYS),
        ("listen", LISTEN_KEYS),
        ("limits", LIMITS_KEYS),
        ("journal", JOURNAL_KEYS),
        ("checkpoint", CHECKPOINT_KEYS),
        ("read", READ_KEYS),
        ("security", security::KEYS),
        ("log", LOG_KEYS),
    ];
    let known: Vec<String> = sections
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(|key| variable(section, key)))
        .collect();
    let words: Vec<&str> = known.iter().map(String::as_str).collect();
    for (name, _) in environment {
        if name.starts_with("WEIR_") && name.contains("__") && !words.contains(&name.as_str()) {
            return Err(ConfigError::new(name, format!("unknown; {}", nearest(name, &words))));
        }
    }
    Ok(())
}
