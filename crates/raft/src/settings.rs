//! What clients choose for the whole cluster. The meta group holds what is wanted, by Redis's names;
//! a shard goes by what its own log told it, and its leader tells it what it lacks. So every replica
//! changes its ways at the same entry, and a choice that was acknowledged outlives everything that
//! the data does. Never a setting of one node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::ShardId;
use streams::command::Command;
use streams::reply::Reply;
use tokio::sync::oneshot;
use tokio::time::Instant;
use topology::{MetaCommand, MetaReply};

use crate::machine::data::Data;
use crate::meta::{self, MetaMachine};
use crate::node::inner::{Inner, Running};
use crate::shard::Group;
use crate::shards::{Outcome, ProposeError};

/// Entries in a block; 0 is as many as there may be.
pub const BLOCK_ENTRIES: &str = "stream-node-max-entries";
/// Bytes in a block; 0 is as many as there may be.
pub const BLOCK_BYTES: &str = "stream-node-max-bytes";
/// Seconds for which streams remember what their producers added.
pub const IDEMPOTENCE_SECONDS: &str = "stream-idmp-duration";
/// Ids of each producer that they remember.
pub const IDEMPOTENCE_IDS: &str = "stream-idmp-maxsize";
/// Which Redis replies are shaped after: 0 is the newest.
pub const COMPATIBILITY: &str = "compat-version";

/// The number of [`Compatibility::V7_2`].
const V7_2: u64 = 702;

/// Between looks whether this node has applied what was chosen.
const LOOK: Duration = Duration::from_millis(2);

/// Which Redis replies are shaped after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    #[default]
    Newest,
    V7_2,
}

impl Compatibility {
    /// As it stands among the numbers.
    pub fn number(self) -> u64 {
        match self {
            Self::Newest => 0,
            Self::V7_2 => V7_2,
        }
    }
}

/// Everything that is chosen, or its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What shards go by.
    pub shards: streams::Settings,
    /// What is told of them.
    pub compatibility: Compatibility,
}

impl Settings {
    /// What the meta group holds, by name.
    pub fn of(wanted: &topology::Settings) -> Self {
        let default = streams::Settings::default();
        let number = |name, default| wanted.numbers.get(name).copied().unwrap_or(default);
        let seconds = number(IDEMPOTENCE_SECONDS, default.idempotence_ms / 1000);
        Self {
            shards: streams::Settings {
                revision: wanted.revision,
                block_entries_max: number(BLOCK_ENTRIES, default.block_entries_max),
                block_bytes_max: number(BLOCK_BYTES, default.block_bytes_max),
                idempotence_ms: seconds.saturating_mul(1000),
                idempotence_ids_max: number(IDEMPOTENCE_IDS, default.idempotence_ids_max),
            },
            compatibility: match number(COMPATIBILITY, 0) {
                V7_2 => Compatibility::V7_2,
                _ => Compatibility::Newest,
            },
        }
    }
}

/// What is chosen, as far as this node has heard.
pub(crate) fn heard(running: &Running) -> Option<Settings> {
    let group = running.group(ShardId::META)?;
    Some(group.replica.with::<MetaMachine, _>(|machine| Settings::of(machine.meta().settings())))
}

/// Chooses for the whole cluster; done once every shard goes by it, and this node has heard of it.
pub(crate) async fn choose(node: Arc<Inner>, numbers: BTreeMap<String, u64>) -> Outcome {
    let deadline = Instant::now() + node.options.request_timeout;
    let running = node.running().ok_or(ProposeError::Expired)?;
    let group = running.group(ShardId::META).ok_or(ProposeError::Expired)?;
    let command = MetaCommand::Choose { numbers };
    let left = deadline.saturating_duration_since(Instant::now());
    let revision = match meta::propose(&node.router, &group, &command, left).await {
        Ok(MetaReply::Chosen(revision)) => revision,
        Ok(_) => return Err(ProposeError::Stopped),
        Err(why) => {
            tracing::warn!(why, "the meta group did not take settings");
            return Err(ProposeError::Unknown);
        }
    };
    let settings = loop {
        match heard(running) {
            Some(heard) if heard.shards.revision >= revision => break heard,
            _ if Instant::now() >= deadline => return Err(ProposeError::Unknown),
            _ => tokio::time::sleep(LOOK).await,
        }
    };
    let told: Vec<_> = node.map.shards().map(|shard| tell(running, shard, settings)).collect();
    for told in told {
        // What a shard missed it is told by its leader.
        told.await.unwrap_or(Err(ProposeError::Stopped)).map_err(|_| ProposeError::Unknown)?;
    }
    Ok(Reply::Ok)
}

/// Tells a shard what is chosen, through its log.
fn tell(running: &Running, shard: ShardId, settings: Settings) -> oneshot::Receiver<Outcome> {
    let (answer, answered) = oneshot::channel();
    if let Some(gateway) = running.gateway(shard) {
        gateway.write(Command::Set(settings.shards), answer);
    }
    answered
}

/// Tells the shards that are led here and went by something older: somebody chose, and went away
/// before all of them knew.
pub(crate) fn follow(running: &Running) {
    let Some(settings) = heard(running) else { return };
    let lacks = |group: &Group| {
        let revision = group.replica.with::<Data, _>(|data| data.state().settings().revision);
        revision < settings.shards.revision
    };
    let led = running.groups().into_iter().filter(|group| !group.shard.is_meta() && group.leads());
    for group in led.filter(lacks) {
        // Nobody waits for the answer: what it came to is seen at the next look.
        drop(tell(running, group.shard, settings));
    }
}
