//! The tick at a shard's leader: where a key's time has passed, it proposes that what has expired
//! goes. Nobody sees such a key meanwhile, so it may come late; and it changes nothing where it
//! comes twice. Never removes anything itself.

use std::sync::{Arc, Weak};
use std::time::Duration;

use streams::command::Command;
use tokio::sync::oneshot;

use crate::clock::LeaderClock;
use crate::gateway::Handle;
use crate::machine::data::Data;
use crate::node::inner::Shard;

/// Between two looks: as often as Redis does.
const TICK: Duration = Duration::from_millis(100);

/// Ticks until the shard ends.
pub(crate) async fn run(shard: Weak<Shard>, clock: Arc<LeaderClock>, gateway: Handle) {
    while let Some(due) = is_due(&shard, &clock) {
        if !due {
            tokio::time::sleep(TICK).await;
            continue;
        }
        let (answer, answered) = oneshot::channel();
        gateway.write(Command::ExpireDue, answer);
        // More may be due than goes at once; without an answer the next look comes later.
        if !matches!(answered.await, Ok(Ok(_))) {
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Whether this node leads the shard and something is due; `None` when the shard has ended.
fn is_due(shard: &Weak<Shard>, clock: &LeaderClock) -> Option<bool> {
    let group = &shard.upgrade()?.group;
    Some(group.leads() && group.replica.with::<Data, _>(|data| data.is_due(|| clock.stamp())))
}
