//! Whether a request is for this node, as far as the port decides: on the port for any client it
//! always is. A hint: the shards look again. Never asks one.

use base::ShardId;
use bytes::Bytes;
use topology::{SlotId, slot_of};

use super::door::{Door, Port};
use super::error::SyntaxError;
use super::session::Session;
use super::table::{Group, Run, Spec};

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The shards, wherever they are led.
    Shards,
    /// This node's replica, from what it has applied.
    Here(ShardId),
}

/// Where a request goes, or what the client is told instead.
///
/// A shard without a leader that can be reached is asked like one that is led here: the gateway
/// waits for the next leader, and the client sees time, not an error.
pub(super) fn way(
    door: &Door,
    session: &Session,
    spec: &Spec,
    args: &[Bytes],
) -> Result<Way, SyntaxError> {
    match door.options.port {
        Port::Any if spec.doc.group == Group::Cluster => return Err(SyntaxError::ClusterDisabled),
        Port::Any => return Ok(Way::Shards),
        Port::Cluster => {}
    }
    let keys = spec.keys.of(args);
    let Some(slot) = common_slot(keys)? else { return Ok(Way::Shards) };
    let shard = door.shards.shard_of(&keys[0]);
    let Some(leader) = door.shards.leader(shard).filter(|it| *it != door.options.node) else {
        return Ok(Way::Shards);
    };
    if session.reads_here {
        match spec.run {
            Run::Read(_) => return Ok(Way::Here(shard)),
            // It may wait, which is done at the leader.
            Run::ReadAlone(_) => return Ok(Way::Shards),
            _ => {}
        }
    }
    let peers = door.shards.outline().peers;
    let at = peers.into_iter().find(|peer| peer.node == leader).map(|peer| peer.resp_cluster);
    match at {
        Some(address) if !address.is_empty() => Err(SyntaxError::Moved { slot: slot.0, address }),
        _ => Ok(Way::Shards),
    }
}

/// The slot of all keys; none where there are no keys.
fn common_slot(keys: &[Bytes]) -> Result<Option<SlotId>, SyntaxError> {
    let mut slots = keys.iter().map(|key| slot_of(key));
    let first = slots.next();
    match slots.all(|slot| Some(slot) == first) {
        true => Ok(first),
        false => Err(SyntaxError::CrossSlot),
    }
}
