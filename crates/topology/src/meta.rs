//! The cluster as the meta group keeps it: nodes, their addresses, who takes whose place, how many
//! shards there are, and what was chosen for all of them. A small deterministic state machine with
//! its own encoding. Never knows what a setting means.
//!
//! ```text
//! state    1 or 2, shards u16, next node u64, count u32, nodes by id: id u64, state, addresses
//!          in 2, where anything was chosen: revision u64, count u32, settings by name: text, u64
//! node     1 active | 2 joining, replaces u64 | 3 leaving, replaced by u64 | 4 gone
//! command  1, tag: 1 make, shards u16, count u32, each: id u64, addresses
//!                  2 replace, lost u64, addresses · 3 replaced, lost u64
//!                  4 choose, count u32, each: text, u64
//! reply    1, tag: 1 done · 2 node, id u64 · 3 refused, text · 4 chosen, revision u64
//! ```
//!
//! Addresses: peer, resp, resp_cluster, grpc, each u32 length and text. Numbers are little-endian.

use std::collections::BTreeMap;

use base::NodeId;
use base::planted::{Bug, is};
use base::sum::crc32c;

use crate::map::ShardMap;

mod code;

use code::{Reader, Writer};

/// Where a node is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By other nodes.
    pub peer: String,
    /// By clients.
    pub resp: String,
    pub resp_cluster: String,
    pub grpc: String,
}

/// What a node is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// A replica of every shard.
    Active,
    /// On its way into the place of another.
    Joining { replaces: NodeId },
    /// Lost; being replaced.
    Leaving { replaced_by: NodeId },
    /// Its id is never used again.
    Gone,
}

impl NodeState {
    /// Whether it takes part no longer: another takes its place, or has.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Leaving { .. } | Self::Gone)
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub addresses: Addresses,
    pub state: NodeState,
}

/// The state of the meta group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// 0 until the cluster is made.
    shards: u16,
    node_next: u64,
    nodes: BTreeMap<NodeId, Node>,
    settings: Settings,
}

/// What was chosen for all shards, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Grows with each change.
    pub revision: u64,
    pub numbers: BTreeMap<String, u64>,
}

/// Settings that there may be: far more than anybody knows of.
const SETTINGS_MAX: usize = 64;

/// Bytes of the name of one.
const SETTING_NAME_BYTES_MAX: usize = 64;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaCommand {
    /// Makes the cluster; nothing where it is made.
    Make { shards: u16, nodes: BTreeMap<NodeId, Addresses> },
    /// Allots a new node to the place of a lost one.
    Replace { lost: NodeId, addresses: Addresses },
    /// No shard has the lost node as a member any more.
    Replaced { lost: NodeId },
    /// Sets these; all others stay.
    Choose { numbers: BTreeMap<String, u64> },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaReply {
    Done,
    /// The id that was allotted.
    Node(NodeId),
    /// One line that says why not.
    Refused(String),
    /// The settings are of this revision now.
    Chosen(u64),
}

/// Bytes that are not an encoding of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} of the meta group does not decode")]
pub struct Malformed(pub &'static str);

impl Meta {
    /// The shard map, once the cluster is made.
    pub fn map(&self) -> Option<ShardMap> {
        ShardMap::new(self.shards)
    }

    /// Every node there ever was.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// The id that the next new node gets.
    pub fn node_next(&self) -> NodeId {
        NodeId(self.node_next)
    }

    /// What was chosen.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The replacements under way: lost, and by whom.
    pub fn replacements(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.nodes.iter().filter_map(|(lost, node)| match node.state {
            NodeState::Leaving { replaced_by } => Some((*lost, replaced_by)),
            _ => None,
        })
    }

    /// Applies a change.
    pub fn apply(&mut self, command: MetaCommand) -> MetaReply {
        match command {
            MetaCommand::Make { shards, nodes } => self.make(shards, nodes),
            MetaCommand::Replace { lost, addresses } => self.replace(lost, addresses),
            MetaCommand::Replaced { lost } => self.replaced(lost),
            MetaCommand::Choose { numbers } => self.settings.choose(numbers),
        }
    }

    fn make(&mut self, shards: u16, nodes: BTreeMap<NodeId, Addresses>) -> MetaReply {
        if self.shards != 0 {
            return MetaReply::Done;
        }
        if ShardMap::new(shards).is_none() || nodes.is_empty() {
            return MetaReply::Refused("a cluster has at least one shard and one node".into());
        }
        self.shards = shards;
        self.node_next = nodes.keys().last().map_or(1, |last| last.0 + 1);
        let active = |addresses| Node { addresses, state: NodeState::Active };
        self.nodes = nodes.into_iter().map(|(id, addresses)| (id, active(addresses))).collect();
        MetaReply::Done
    }

    fn replace(&mut self, lost: NodeId, addresses: Addresses) -> MetaReply {
        let Some(node) = self.nodes.get(&lost) else {
            return MetaReply::Refused(format!("there is no node {lost}"));
        };
        match node.state {
            NodeState::Leaving { replaced_by } => return self.again(lost, replaced_by, &addresses),
            NodeState::Gone => return MetaReply::Refused(format!("node {lost} is gone already")),
            NodeState::Joining { .. } => {
                return MetaReply::Refused(format!("node {lost} is just joining"));
            }
            NodeState::Active => {}
        }
        if self.replacements().next().is_some() {
            return MetaReply::Refused("another node is being replaced: wait for it".into());
        }
        if is(Bug::NodeIdReused) {
            let state = NodeState::Joining { replaces: lost };
            self.nodes.insert(lost, Node { addresses, state });
            return MetaReply::Node(lost);
        }
        let new = NodeId(self.node_next);
        self.node_next += 1;
        self.nodes.insert(new, Node { addresses, state: NodeState::Joining { replaces: lost } });
        self.set_state(lost, NodeState::Leaving { replaced_by: new });
        MetaReply::Node(new)
    }

    /// The same replacement asked for again is the same; other addresses are not.
    fn again(&self, lost: NodeId, new: NodeId, addresses: &Addresses) -> MetaReply {
        if self.nodes.get(&new).is_some_and(|node| node.addresses == *addresses) {
            return MetaReply::Node(new);
        }
        MetaReply::Refused(format!("node {lost} is being replaced by node {new} already"))
    }

    fn replaced(&mut self, lost: NodeId) -> MetaReply {
        let state = self.nodes.get(&lost).map(|node| node.state);
        if let Some(NodeState::Leaving { replaced_by }) = state {
            self.set_state(lost, NodeState::Gone);
            self.set_state(replaced_by, NodeState::Active);
        }
        MetaReply::Done
    }

    fn set_state(&mut self, node: NodeId, state: NodeState) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.state = state;
        }
    }

    /// All of it.
    pub fn encode(&self) -> Vec<u8> {
        let Settings { revision, numbers } = &self.settings;
        let mut out = if *revision > 0 { Writer::later() } else { Writer::default() };
        out.u16(self.shards);
        out.u64(self.node_next);
        out.count(self.nodes.len());
        for (id, node) in &self.nodes {
            out.u64(id.0);
            out.state(node.state);
            out.addresses(&node.addresses);
        }
        if *revision > 0 {
            out.u64(*revision);
            out.numbers(numbers);
        }
        out.0
    }

    /// What [`Meta::encode`] wrote.
    ///
    /// # Errors
    /// Other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, later) = Reader::of_state(bytes)?;
        let (shards, node_next) = (reader.u16()?, reader.u64()?);
        let mut meta = Self { shards, node_next, ..Self::default() };
        for _ in 0..reader.count()? {
            let id = NodeId(reader.u64()?);
            let state = reader.state()?;
            meta.nodes.insert(id, Node { addresses: reader.addresses()?, state });
        }
        if later {
            meta.settings = Settings { revision: reader.u64()?, numbers: reader.numbers()? };
        }
        reader.end()?;
        Ok(meta)
    }

    /// Equal on every replica that applied as much.
    pub fn hash(&self) -> u64 {
        let bytes = self.encode();
        let low = u64::from(crc32c(&bytes));
        let length = bytes.len() as u64;
        (length << 32) | low
    }
}

impl Settings {
    fn choose(&mut self, numbers: BTreeMap<String, u64>) -> MetaReply {
        let long = numbers.keys().any(|name| name.len() > SETTING_NAME_BYTES_MAX);
        let new = numbers.keys().filter(|name| !self.numbers.contains_key(*name)).count();
        if long || self.numbers.len() + new > SETTINGS_MAX {
            return MetaReply::Refused("there is no room for such settings".into());
        }
        let before = self.numbers.clone();
        self.numbers.extend(numbers);
        self.revision += u64::from(self.numbers != before);
        MetaReply::Chosen(self.revision)
    }
}

impl MetaCommand {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Make { shards, nodes } => {
                out.u8(1);
                out.u16(*shards);
                out.count(nodes.len());
                for (id, addresses) in nodes {
                    out.u64(id.0);
                    out.addresses(addresses);
                }
            }
            Self::Replace { lost, addresses } => {
                out.u8(2);
                out.u64(lost.0);
                out.addresses(addresses);
            }
            Self::Replaced { lost } => {
                out.u8(3);
                out.u64(lost.0);
            }
            Self::Choose { numbers } => {
                out.u8(4);
                out.numbers(numbers);
            }
        }
        out.0
    }

    /// What [`MetaCommand::encode`] wrote.
    ///
    /// # Errors
    /// Other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, "a command")?;
        let command = match reader.u8()? {
            1 => {
                let shards = reader.u16()?;
                let mut nodes = BTreeMap::new();
                for _ in 0..reader.count()? {
                    nodes.insert(NodeId(reader.u64()?), reader.addresses()?);
                }
                Self::Make { shards, nodes }
            }
            2 => Self::Replace { lost: NodeId(reader.u64()?), addresses: reader.addresses()? },
            3 => Self::Replaced { lost: NodeId(reader.u64()?) },
            4 => Self::Choose { numbers: reader.numbers()? },
            _ => return Err(reader.malformed()),
        };
        reader.end()?;
        Ok(command)
    }
}

impl MetaReply {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Done => out.u8(1),
            Self::Node(id) => {
                out.u8(2);
                out.u64(id.0);
            }
            Self::Refused(why) => {
                out.u8(3);
                out.text(why);
            }
            Self::Chosen(revision) => {
                out.u8(4);
                out.u64(*revision);
            }
        }
        out.0
    }

    /// What [`MetaReply::encode`] wrote.
    ///
    /// # Errors
    /// Other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, "a reply")?;
        let reply = match reader.u8()? {
            1 => Self::Done,
            2 => Self::Node(NodeId(reader.u64()?)),
            3 => Self::Refused(reader.text()?),
            4 => Self::Chosen(reader.u64()?),
            _ => return Err(reader.malformed()),
        };
        reader.end()?;
        Ok(reply)
    }
}

#[cfg(test)]
mod tests;
