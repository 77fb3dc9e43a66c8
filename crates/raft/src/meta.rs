//! The meta group's machine behind the interface of all machines, and proposals to it. Its state is
//! small: a checkpoint holds all of it in its header.

use std::time::Duration;

use base::{NodeId, ShardId};
use bytes::Bytes;
use openraft::errors::{ClientWriteError, RaftError};
use topology::meta::Malformed;
use topology::{Meta, MetaCommand, MetaReply};

use crate::machine::{Broken, Contents, Dirty, Machine, Parts};
use crate::network::{Method, Router};
use crate::shard::Group;
use crate::state::Replica;
use crate::types::{DecodeError, Outcomes, Proposal};

/// The meta group's machine.
#[derive(Debug, Default)]
pub(crate) struct MetaMachine {
    meta: Meta,
    changed: bool,
}

impl MetaMachine {
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Decode(DecodeError { what: "meta group", detail: malformed.0 })
    }
}

impl Machine for MetaMachine {
    fn apply(&mut self, proposal: &Bytes, _answer: bool) -> Result<Outcomes, Broken> {
        let reply = self.meta.apply(MetaCommand::decode(proposal)?);
        self.changed = true;
        Ok(Outcomes { meta: reply.encode().into(), ..Outcomes::default() })
    }

    fn dirty(&self) -> Dirty {
        let parts = usize::from(self.changed);
        Dirty { bytes: parts * 1024, parts }
    }

    fn checkpoint(&mut self) -> Contents {
        self.changed = false;
        Contents { header: self.meta.encode().into(), ..Contents::default() }
    }

    fn switched(&mut self) {}

    fn unwanted(&self, key: &[u8]) -> Option<Bytes> {
        // There are no parts.
        Some(Bytes::copy_from_slice(key))
    }

    fn load(&mut self, header: &[u8], _parts: &mut Parts<'_>) -> Result<(), Broken> {
        self.meta = if header.is_empty() { Meta::default() } else { Meta::decode(header)? };
        self.changed = false;
        Ok(())
    }

    fn hash(&self) -> u64 {
        self.meta.hash()
    }
}

/// The cluster, as the meta group's replica here has applied it.
pub(crate) fn view(replica: &Replica) -> Meta {
    replica.with::<MetaMachine, _>(|machine| machine.meta.clone())
}

/// How long the meta group may take to commit before it is asked again.
const PATIENCE: Duration = Duration::from_secs(4);

/// Between attempts.
const RETRY: Duration = Duration::from_millis(50);

/// Proposes a change, here or at the leader, until `deadline`. Every command may be applied twice.
pub(crate) async fn propose(
    router: &Router,
    group: &Group,
    command: &MetaCommand,
    deadline: Duration,
) -> Result<MetaReply, String> {
    let bytes = Bytes::from(command.encode());
    let attempts = async {
        loop {
            match attempt(router, group, bytes.clone()).await {
                Ok(reply) => return reply,
                Err(why) => tracing::debug!(why, "the meta group is asked again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    let late = || MetaReply::Refused("the meta group has no leader".into());
    let reply = tokio::time::timeout(deadline, attempts).await;
    match reply.unwrap_or_else(|_| late()) {
        MetaReply::Refused(why) => Err(why),
        reply => Ok(reply),
    }
}

async fn attempt(router: &Router, group: &Group, command: Bytes) -> Result<MetaReply, String> {
    let leader = group.leader().ok_or("no leader is known")?;
    let reply = if leader == NodeId(*group.raft.node_id()) {
        propose_here(group, command).await?
    } else {
        let called = router.call(leader, ShardId::META, Method::Meta, command, PATIENCE).await;
        called.map_err(|error| error.to_string())?.head
    };
    MetaReply::decode(&reply).map_err(|error| error.to_string())
}

/// What doesn't decode would end every node that applies it, again after each start.
fn checked(command: Bytes) -> Result<Proposal, String> {
    match MetaCommand::decode(&command) {
        Ok(_) => Ok(Proposal(command)),
        Err(malformed) => Err(format!("a malformed command: {}", malformed.0)),
    }
}

/// Proposes to the group, which is led here.
pub(crate) async fn propose_here(group: &Group, command: Bytes) -> Result<Bytes, String> {
    match group.raft.client_write(checked(command)?).await {
        Ok(response) => Ok(response.data.0.meta.clone()),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
            Err("this node doesn't lead the meta group".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_a_peer_that_does_not_decode_never_enters_the_log() {
        let command = MetaCommand::Replaced { lost: NodeId(3) }.encode();
        assert!(checked(Bytes::from(command.clone())).is_ok());
        for cut in 0..command.len() {
            assert!(checked(Bytes::copy_from_slice(&command[..cut])).is_err(), "cut at {cut}");
        }
    }
}
