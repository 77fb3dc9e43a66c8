//! A cluster forms once. All nodes of the list reach each other and are empty; the lowest id draws
//! the cluster's id and syncs its own identity before it tells anybody; the others sync theirs;
//! the shards are initialised; then all are formed. A crash in the middle is resumed. An empty node
//! whose id a formed cluster knows never votes: it was emptied, or it is joining.
//!
//! ```text
//! question  1, 1 how far are you? | 1, 2 adopt, cluster u128
//! answer    1, stage (0 empty, 1 forming, 2 formed), cluster u128,
//!           what you are to me (0 unknown, 1 a member, 2 joining)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{ClusterId, Entropy, Incarnation, NodeId, ShardId};
use bytes::{BufMut, Bytes, BytesMut};
use journal::Marks;
use journal::guard::{Forming, GuardError, Identity, save_witness};
use openraft::errors::{InitializeError, RaftError};
use topology::{MetaCommand, NodeState};

use crate::network::{Incoming, Method};
use crate::node::Failure;
use crate::node::inner::{Inner, Running, refused};
use crate::shard::Group;

/// Between looks at the others.
const EVERY: Duration = Duration::from_millis(100);

/// For a peer to answer: it syncs its identity before.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Empty,
    Forming,
    Formed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Unknown,
    Member,
    Joining,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    stage: Stage,
    cluster: ClusterId,
    you: Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    HowFar,
    Adopt(ClusterId),
}

impl Question {
    fn encode(self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::HowFar => out.put_slice(&[1, 1]),
            Self::Adopt(cluster) => {
                out.put_slice(&[1, 2]);
                out.put_u128_le(cluster.0);
            }
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [1, 1] => Some(Self::HowFar),
            [1, 2, cluster @ ..] => {
                Some(Self::Adopt(ClusterId(u128::from_le_bytes(cluster.try_into().ok()?))))
            }
            _ => None,
        }
    }
}

impl Said {
    fn encode(self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&[1, self.stage as u8]);
        out.put_u128_le(self.cluster.0);
        out.put_u8(self.you as u8);
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let [1, stage, cluster @ .., you] = bytes else { return None };
        let stage = match stage {
            0 => Stage::Empty,
            1 => Stage::Forming,
            2 => Stage::Formed,
            _ => return None,
        };
        let you = match you {
            0 => Known::Unknown,
            1 => Known::Member,
            2 => Known::Joining,
            _ => return None,
        };
        let cluster = ClusterId(u128::from_le_bytes(cluster.try_into().ok()?));
        Some(Self { stage, cluster, you })
    }
}

/// Answers a peer that forms or joins.
pub(crate) fn answer(node: &Inner, call: Incoming) {
    match Question::decode(&call.content.head) {
        Some(Question::HowFar) => call.answer.send(say(node, call.from).encode()),
        Some(Question::Adopt(cluster)) => match adopt(node, call.from, cluster) {
            Ok(()) => call.answer.send(say(node, call.from).encode()),
            Err(why) => call.answer.refuse(&why),
        },
        None => call.answer.refuse("a malformed question"),
    }
}

fn say(node: &Inner, to: NodeId) -> Said {
    let stage = match node.identity().map(|identity| identity.forming) {
        None => Stage::Empty,
        Some(Forming::Forming) => Stage::Forming,
        Some(Forming::Formed) => Stage::Formed,
    };
    let meta = node.running().and_then(Running::meta);
    let state = meta.as_ref().and_then(|meta| meta.nodes().get(&to)).map(|node| node.state);
    let you = match state {
        // Once a group counts its votes it has promised something, whether the meta group has
        // noted that or not.
        Some(NodeState::Joining { .. }) if votes(node, to) => Known::Member,
        Some(NodeState::Joining { .. }) => Known::Joining,
        Some(NodeState::Active | NodeState::Leaving { .. } | NodeState::Gone) => Known::Member,
        None => Known::Unknown,
    };
    Said { stage, cluster: node.router.me().cluster, you }
}

/// Whether a node is a voter of any group, as this node has heard.
fn votes(node: &Inner, of: NodeId) -> bool {
    let groups = node.running().map(Running::groups).unwrap_or_default();
    groups.iter().any(|group| group.voters().contains(&of))
}

/// The lowest of the list says which cluster this is.
fn adopt(node: &Inner, from: NodeId, cluster: ClusterId) -> Result<(), String> {
    match node.identity() {
        Some(identity) if identity.cluster == cluster => Ok(()),
        Some(identity) => Err(format!("this node belongs to cluster {}", identity.cluster)),
        None if node.options.members.keys().next() != Some(&from) => {
            Err("only the lowest node of the list forms a cluster".into())
        }
        None => {
            let identity = first_identity(node, cluster, Forming::Forming);
            node.become_known(identity).map_err(|failure| {
                let why = failure.to_string();
                node.fail(failure);
                why
            })
        }
    }
}

fn first_identity(node: &Inner, cluster: ClusterId, forming: Forming) -> Identity {
    let incarnation = Incarnation { count: 1, random: node.world.entropy.next_u64() };
    Identity { cluster, node: node.options.node, incarnation, forming }
}

/// Brings the node as far as formed, and returns then.
pub(crate) async fn run(node: Arc<Inner>) {
    if let Err(failure) = form(&node).await {
        node.fail(failure);
    }
}

async fn form(node: &Arc<Inner>) -> Result<(), Failure> {
    while node.identity().is_none() {
        look_around(node).await?;
        tokio::time::sleep(EVERY).await;
    }
    let Some(identity) = node.identity() else { return Ok(()) };
    if node.running().is_none() {
        let running = Running::start(node, &Marks::default(), false).await?;
        node.set_running(running);
    }
    if identity.forming == Forming::Formed {
        return check_map(node).await;
    }
    let lowest = node.options.members.keys().next() == Some(&node.options.node);
    while !node.is_formed() {
        initialize(node).await;
        let done = if lowest { finish(node).await } else { others_formed(node).await };
        if done {
            node.become_known(Identity { forming: Forming::Formed, ..identity })?;
            tracing::info!(cluster = %identity.cluster, "the cluster is formed");
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

/// The map that the cluster was made with may stand in the log alone: it is looked at once this
/// node has applied it.
async fn check_map(node: &Arc<Inner>) -> Result<(), Failure> {
    loop {
        let running = node.running();
        let known = running.and_then(Running::meta).is_some_and(|meta| meta.map().is_some());
        if let Some(running) = running.filter(|_| known) {
            return node.check_map(running);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One look by an empty node at all others.
async fn look_around(node: &Arc<Inner>) -> Result<(), Failure> {
    let said = ask_all(node, Question::HowFar).await;
    let formed =
        |you: Known| said.iter().find(|(_, said)| said.stage == Stage::Formed && said.you == you);
    // Whoever knows most of this node is right.
    if let Some((peer, _)) = formed(Known::Member) {
        let (dir, me) = (&node.options.data_dir, node.options.node);
        return Err(GuardError::emptied(dir, me, format!("node {peer}")).into());
    }
    if let Some((_, said)) = formed(Known::Joining) {
        return join(node, said.cluster);
    }
    if let Some((peer, _)) = formed(Known::Unknown) {
        tracing::info!(
            %peer,
            "the cluster is formed and doesn't know this node: `weir node replace` lets it in"
        );
    }
    let others = node.options.members.len().saturating_sub(1);
    let lowest = node.options.members.keys().next() == Some(&node.options.node);
    let all_empty = said.len() == others && said.values().all(|said| said.stage == Stage::Empty);
    if lowest && all_empty && node.identity().is_none() {
        let cluster = draw(&*node.world.entropy);
        // Synced before anybody hears of it: if it was lost, another id could be told later.
        node.become_known(first_identity(node, cluster, Forming::Forming))?;
    }
    Ok(())
}

/// A new node of a cluster that is formed. From its identity on, data without a witness is a fault:
/// so it has one that promises nothing before, whatever power is lost in between.
fn join(node: &Inner, cluster: ClusterId) -> Result<(), Failure> {
    let (disk, dir) = (&*node.world.disk, &node.options.data_dir);
    save_witness(disk, dir, &Marks::default()).map_err(refused)?;
    node.become_known(first_identity(node, cluster, Forming::Formed))
}

fn draw(entropy: &dyn Entropy) -> ClusterId {
    loop {
        let drawn = (u128::from(entropy.next_u64()) << 64) | u128::from(entropy.next_u64());
        if drawn != 0 {
            return ClusterId(drawn);
        }
    }
}

async fn ask_all(node: &Arc<Inner>, question: Question) -> BTreeMap<NodeId, Said> {
    let others = node.options.members.keys().filter(|peer| **peer != node.options.node);
    let asked = others.map(|peer| async move {
        let question = question.encode();
        let called = node.router.call(*peer, ShardId::META, Method::Form, question, PATIENCE).await;
        Some((*peer, Said::decode(&called.ok()?.head)?))
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// Every group is initialised by one node of the list, in turn, so that leaders are spread.
async fn initialize(node: &Arc<Inner>) {
    let Some(running) = node.running() else { return };
    let members: Vec<NodeId> = node.options.members.keys().copied().collect();
    for group in &running.groups() {
        let place = if group.shard.is_meta() { 0 } else { usize::from(group.shard.0) };
        if members[place % members.len()] == node.options.node {
            initialize_group(group, &members).await;
        }
    }
}

async fn initialize_group(group: &Group, members: &[NodeId]) {
    let ids: std::collections::BTreeSet<u64> = members.iter().map(|member| member.0).collect();
    if group.raft.is_initialized().await.unwrap_or(true) {
        return;
    }
    match group.raft.initialize(ids).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(error) => tracing::warn!(shard = %group.shard, %error, "a shard is not initialised"),
    }
}

/// At the lowest of the list: all others have adopted the cluster, every group has a leader, and
/// the meta group has the list.
async fn finish(node: &Arc<Inner>) -> bool {
    let Some(identity) = node.identity() else { return false };
    let said = ask_all(node, Question::Adopt(identity.cluster)).await;
    let others = node.options.members.len().saturating_sub(1);
    if said.len() != others || said.values().any(|said| said.cluster != identity.cluster) {
        return false;
    }
    let Some(running) = node.running() else { return false };
    if running.groups().iter().any(|group| group.leader().is_none()) {
        return false;
    }
    let Some(meta) = running.group(ShardId::META) else { return false };
    let nodes = node.options.members.iter();
    let nodes = nodes.map(|(id, member)| (*id, member.clone().into())).collect();
    let command = MetaCommand::Make { shards: node.map.len(), nodes };
    let made = crate::meta::propose(&node.router, &meta, &command, PATIENCE).await;
    made.inspect_err(|why| tracing::info!(why, "the cluster is not made yet")).is_ok()
}

/// At the others: the lowest says that it is formed, or a third does.
async fn others_formed(node: &Arc<Inner>) -> bool {
    let Some(identity) = node.identity() else { return false };
    let said = ask_all(node, Question::HowFar).await;
    said.values().any(|said| said.stage == Stage::Formed && said.cluster == identity.cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_come_back() {
        for question in [Question::HowFar, Question::Adopt(ClusterId(1 << 100))] {
            assert_eq!(Question::decode(&question.encode()), Some(question));
        }
        for stage in [Stage::Empty, Stage::Forming, Stage::Formed] {
            for you in [Known::Unknown, Known::Member, Known::Joining] {
                let said = Said { stage, cluster: ClusterId(7), you };
                let bytes = said.encode();
                assert_eq!(Said::decode(&bytes), Some(said));
                (0..bytes.len()).for_each(|cut| assert_eq!(Said::decode(&bytes[..cut]), None));
            }
        }
        assert_eq!(Question::decode(&[1, 2, 3]), None);
    }
}
