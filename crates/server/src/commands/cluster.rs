//! CLUSTER, READONLY, READWRITE, ASKING: the cluster as clients of Redis Cluster see it. A shard is
//! a range of slots, its leader the primary, its other voters the replicas. Never asks a shard.
//!
//! Where a shard has no leader that can be reached, this node is named as its primary: it takes
//! requests and answers them once there is one.

use std::collections::BTreeSet;
use std::fmt::Write;

use base::{ClusterId, NodeId, ShardId};
use raft::{NodeStatus, PeerStatus, ShardStatus};
use topology::{SLOTS_COUNT, ShardMap, SlotId, slot_of};

use super::arguments::{Args, integer};
use super::command::write_help;
use crate::dispatch::SlotQuestion;
use crate::resp::{Doc, Group, SyntaxError, Turn};

const fn doc(summary: &'static str, since: &'static str, complexity: &'static str) -> Doc {
    Doc { summary, group: Group::Cluster, since, complexity }
}

pub(crate) static DOC: Doc =
    doc("Describes the cluster to clients that know clusters.", "3.0.0", "Depends on subcommand.");
pub(crate) static ASKING: Doc =
    doc("Does nothing: slots never move from one shard to another.", "3.0.0", "O(1)");
pub(crate) static READONLY: Doc =
    doc("Lets this node answer reads from what it has applied.", "3.0.0", "O(1)");
pub(crate) static READWRITE: Doc = doc("Has reads answered by the leaders again.", "3.0.0", "O(1)");
pub(crate) static HELP_DOC: Doc =
    doc("Lists the subcommands and what they are for.", "5.0.0", "O(1)");
pub(crate) static COUNTKEYSINSLOT: Doc =
    doc("Counts the keys of a slot.", "3.0.0", "O(N) keys of the slot's shard");
pub(crate) static GETKEYSINSLOT: Doc =
    doc("Lists some keys of a slot.", "3.0.0", "O(N) keys of the slot's shard");
pub(crate) static INFO: Doc =
    doc("Tells whether every slot has a leader, and counts nodes.", "3.0.0", "O(N) shards");
pub(crate) static KEYSLOT: Doc = doc("Tells the slot of a key.", "3.0.0", "O(N) bytes of the key");
pub(crate) static LINKS: Doc =
    doc("Lists this node's connections to others.", "7.0.0", "O(N) nodes");
pub(crate) static MYID: Doc = doc("Tells the name of this node.", "3.0.0", "O(1)");
pub(crate) static MYSHARDID: Doc =
    doc("Tells the name of the first shard that this node leads.", "7.2.0", "O(N) shards");
pub(crate) static NODES: Doc =
    doc("Lists nodes and the slots that they lead, as text.", "3.0.0", "O(N) shards");
pub(crate) static SHARDS: Doc =
    doc("Lists shards with their slots and nodes.", "7.0.0", "O(N) shards");
pub(crate) static SLOTS: Doc =
    doc("Lists ranges of slots with their leader and its followers.", "3.0.0", "O(N) shards");

static HELP: &[&str] = &[
    "COUNTKEYSINSLOT <slot>",
    "    Count the keys of a slot.",
    "GETKEYSINSLOT <slot> <count>",
    "    List at most so many keys of a slot.",
    "INFO",
    "    Tell whether all slots are served, and counts.",
    "KEYSLOT <key>",
    "    Tell the slot of a key.",
    "LINKS",
    "    List the connections to other nodes.",
    "MYID",
    "    Tell the name of this node.",
    "MYSHARDID",
    "    Tell the name of the first shard that this node leads.",
    "NODES",
    "    List nodes with the slots that they lead.",
    "SHARDS",
    "    List shards with their slots and nodes.",
    "SLOTS",
    "    List ranges of slots with their nodes, the leader first.",
];

/// A node's name in the cluster: 40 hexadecimal digits that stay the same.
pub(crate) fn node_name(cluster: ClusterId, node: NodeId) -> String {
    format!("{:032x}{:08x}", cluster.0, node.0)
}

/// A shard's, which is no node's.
fn shard_name(cluster: ClusterId, shard: ShardId) -> String {
    format!("{:032x}{:08x}", cluster.0, 0x8000_0000_u32 | u32::from(shard.0))
}

/// One shard: its slots, and who serves them.
struct Range<'a> {
    first: u16,
    last: u16,
    primary: &'a PeerStatus,
    replicas: Vec<&'a PeerStatus>,
    /// As this node knows it; none where the shard's group doesn't run here.
    status: Option<&'a ShardStatus>,
    has_leader: bool,
}

/// Every shard, in order.
fn ranges<'a>(turn: &Turn<'_>, status: &'a NodeStatus) -> Vec<Range<'a>> {
    let shards = turn.door.shards.shards();
    let map = u16::try_from(shards.len()).ok().and_then(ShardMap::new);
    let range = |shard: ShardId| {
        let (first, last) = map?.slots_of(shard)?;
        let peer = |id: NodeId| status.peers.iter().find(|peer| peer.node == id);
        let known = status.shards.iter().find(|it| it.shard == shard);
        let leader = known.and_then(|it| it.leader).and_then(peer).filter(|it| it.connected);
        let primary = leader.or_else(|| peer(status.node))?;
        let voters = known.map_or(&[][..], |it| &it.voters);
        let replicas = voters.iter().filter(|id| **id != primary.node).filter_map(|id| peer(*id));
        let (replicas, has_leader) = (replicas.collect(), leader.is_some());
        Some(Range { first: first.0, last: last.0, primary, replicas, status: known, has_leader })
    };
    shards.into_iter().filter_map(range).collect()
}

/// Where clients of this port reach a node.
fn address(peer: &PeerStatus) -> (&str, u16) {
    let (host, port) = peer.resp_cluster.rsplit_once(':').unwrap_or_default();
    (host.trim_matches(['[', ']']), port.parse().unwrap_or_default())
}

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "CLUSTER", HELP);
    Ok(())
}

pub(crate) fn key_slot(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.unsigned(u64::from(slot_of(&args[2]).0));
    Ok(())
}

/// CLUSTER COUNTKEYSINSLOT.
pub(crate) fn count_keys(args: Args<'_>) -> Result<SlotQuestion, SyntaxError> {
    let slot = slot(&args[2])?.ok_or(SyntaxError::InvalidSlot)?;
    Ok(SlotQuestion { slot, wanted: None })
}

/// CLUSTER GETKEYSINSLOT.
pub(crate) fn get_keys(args: Args<'_>) -> Result<SlotQuestion, SyntaxError> {
    let (slot, wanted) = (slot(&args[2])?, usize::try_from(integer(&args[3])?).ok());
    match (slot, wanted) {
        (Some(slot), Some(wanted)) => Ok(SlotQuestion { slot, wanted: Some(wanted) }),
        _ => Err(SyntaxError::InvalidSlotOrCount),
    }
}

/// A slot; none where there is no such.
fn slot(arg: &[u8]) -> Result<Option<SlotId>, SyntaxError> {
    let slot = u16::try_from(integer(arg)?).ok().filter(|slot| *slot < SLOTS_COUNT);
    Ok(slot.map(SlotId))
}

pub(crate) fn my_id(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    turn.out.bulk(node_name(status.cluster, status.node));
    Ok(())
}

pub(crate) fn my_shard_id(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let leads = |it: &&ShardStatus| it.leader == Some(status.node) && !it.shard.is_meta();
    let shard = status.shards.iter().find(leads).map_or(ShardId(0), |it| it.shard);
    turn.out.bulk(shard_name(status.cluster, shard));
    Ok(())
}

pub(crate) fn slots(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let ranges = ranges(turn, &status);
    turn.out.array(ranges.len());
    for range in &ranges {
        turn.out.array(3 + range.replicas.len());
        turn.out.unsigned(u64::from(range.first));
        turn.out.unsigned(u64::from(range.last));
        for peer in std::iter::once(&range.primary).chain(&range.replicas) {
            let (host, port) = address(peer);
            turn.out.array(4);
            turn.out.bulk(host);
            turn.out.unsigned(u64::from(port));
            turn.out.bulk(node_name(status.cluster, peer.node));
            turn.out.array(0);
        }
    }
    Ok(())
}

pub(crate) fn shards(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let ranges = ranges(turn, &status);
    turn.out.array(ranges.len());
    for range in &ranges {
        turn.out.map(2);
        turn.out.bulk("slots");
        turn.out.array(2);
        turn.out.unsigned(u64::from(range.first));
        turn.out.unsigned(u64::from(range.last));
        turn.out.bulk("nodes");
        turn.out.array(1 + range.replicas.len());
        write_node(turn, &status, range, range.primary, "master");
        range.replicas.iter().for_each(|peer| write_node(turn, &status, range, peer, "replica"));
    }
    Ok(())
}

/// A node of a shard, as CLUSTER SHARDS describes it.
fn write_node(
    turn: &mut Turn<'_>,
    status: &NodeStatus,
    range: &Range<'_>,
    peer: &PeerStatus,
    role: &str,
) {
    let (host, port) = address(peer);
    let offset = range.status.map_or(0, |it| it.applied_index);
    let health = if peer.connected { "online" } else { "fail" };
    let out = &mut turn.out;
    out.map(7);
    out.bulk("id");
    out.bulk(node_name(status.cluster, peer.node));
    out.bulk("port");
    out.unsigned(u64::from(port));
    for (name, value) in [("ip", host), ("endpoint", host), ("role", role)] {
        out.bulk(name);
        out.bulk(value);
    }
    out.bulk("replication-offset");
    out.unsigned(offset);
    out.bulk("health");
    out.bulk(health);
}

pub(crate) fn nodes(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let ranges = ranges(turn, &status);
    let mut text = String::new();
    for peer in &status.peers {
        write_line(&mut text, &status, &ranges, peer).expect("a string takes what is written");
    }
    turn.out.verbatim(&text);
    Ok(())
}

/// A node's line of CLUSTER NODES: one that leads nothing follows the leader of the first shard.
fn write_line(
    text: &mut String,
    status: &NodeStatus,
    ranges: &[Range<'_>],
    peer: &PeerStatus,
) -> std::fmt::Result {
    let name = |node| node_name(status.cluster, node);
    let led = led_by(ranges, peer.node);
    let (host, port) = address(peer);
    let bus = peer.peer.rsplit_once(':').map_or("0", |(_, port)| port);
    let myself = if peer.node == status.node { "myself," } else { "" };
    let role = if led.is_empty() { "slave" } else { "master" };
    let (failed, link) = if peer.connected { ("", "connected") } else { (",fail", "disconnected") };
    let follows = match ranges.first().filter(|_| led.is_empty()) {
        Some(range) => name(range.primary.node),
        None => "-".to_owned(),
    };
    let epoch = epoch(ranges);
    write!(text, "{} {host}:{port}@{bus} {myself}{role}{failed}", name(peer.node))?;
    write!(text, " {follows} 0 0 {epoch} {link}")?;
    led.iter().try_for_each(|(first, last)| write!(text, " {first}-{last}"))?;
    text.write_str("\n")
}

/// The slots that a node leads; ranges that touch are one.
fn led_by(ranges: &[Range<'_>], node: NodeId) -> Vec<(u16, u16)> {
    let mut led: Vec<(u16, u16)> = Vec::new();
    for range in ranges.iter().filter(|range| range.primary.node == node) {
        match led.last_mut().filter(|(_, last)| last + 1 == range.first) {
            Some((_, last)) => *last = range.last,
            None => led.push((range.first, range.last)),
        }
    }
    led
}

/// Grows with each change of leaders.
fn epoch(ranges: &[Range<'_>]) -> u64 {
    ranges.iter().filter_map(|range| range.status).map(|status| status.term).sum()
}

pub(crate) fn info(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let ranges = ranges(turn, &status);
    let led = ranges.iter().filter(|range| range.has_leader);
    let slots_led: u64 = led.map(|range| u64::from(range.last - range.first) + 1).sum();
    let primaries: BTreeSet<NodeId> = ranges.iter().map(|range| range.primary.node).collect();
    let state = if slots_led == u64::from(SLOTS_COUNT) { "ok" } else { "fail" };
    let slots_lost = u64::from(SLOTS_COUNT) - slots_led;
    let (nodes, size, epoch) = (status.peers.len(), primaries.len(), epoch(&ranges));
    turn.out.verbatim(&format!(
        "cluster_enabled:1\r\ncluster_state:{state}\r\ncluster_slots_assigned:{SLOTS_COUNT}\r\n\
         cluster_slots_ok:{slots_led}\r\ncluster_slots_pfail:0\r\n\
         cluster_slots_fail:{slots_lost}\r\ncluster_known_nodes:{nodes}\r\n\
         cluster_size:{size}\r\ncluster_current_epoch:{epoch}\r\ncluster_my_epoch:{epoch}\r\n\
         cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n"
    ));
    Ok(())
}

pub(crate) fn links(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let others = status.peers.iter().filter(|it| it.connected && it.node != status.node);
    let others: Vec<&PeerStatus> = others.collect();
    turn.out.array(others.len());
    for peer in others {
        let out = &mut turn.out;
        out.map(6);
        out.bulk("direction");
        out.bulk("to");
        out.bulk("node");
        out.bulk(node_name(status.cluster, peer.node));
        out.bulk("create-time");
        out.unsigned(0);
        out.bulk("events");
        out.bulk("rw");
        for name in ["send-buffer-allocated", "send-buffer-used"] {
            out.bulk(name);
            out.unsigned(0);
        }
    }
    Ok(())
}

pub(crate) fn read_only(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.session.reads_here = true;
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn read_write(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.session.reads_here = false;
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn asking(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.simple("OK");
    Ok(())
}
