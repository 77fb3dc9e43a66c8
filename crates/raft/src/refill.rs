//! A shard whose store is damaged gets a peer's checkpoint over the link before its group is
//! started: until then it neither votes nor acknowledges. Never touches a shard that is whole.
//!
//! ```text
//! question  1, chunk number u64, at or above this index u64
//! answer    the chunk as body; none after the last
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{NodeId, ShardId};
use bytes::{BufMut, Bytes, BytesMut};
use journal::Journal;
use store::Store;

use crate::network::{Content, Incoming, Method};
use crate::node::inner::Inner;
use crate::repair::{self, RepairError};
use crate::snapshot::{SnapshotReader, current};
use crate::state::Replica;
use crate::types::Reader;

/// For a chunk to be answered: the peer may have to make a checkpoint first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between rounds over the peers.
const EVERY: Duration = Duration::from_secs(1);

/// How long entries after the checkpoint stay at the peer, so that the group that starts finds
/// them.
const HOLD: Duration = Duration::from_secs(120);

fn question(number: u64, at_least: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(17);
    out.put_u8(1);
    out.put_u64_le(number);
    out.put_u64_le(at_least);
    out.freeze()
}

/// Checkpoints on their way to peers, one at most for each shard and peer.
#[derive(Default)]
pub(crate) struct Refills(Mutex<BTreeMap<(ShardId, NodeId), Sending>>);

struct Sending {
    reader: SnapshotReader,
    next: u64,
}

impl Refills {
    /// Answers a peer that asks for a checkpoint of `replica`.
    pub(crate) async fn serve(&self, replica: Arc<Replica>, call: Incoming) {
        match self.chunk(&replica, call.from, &call.content.head).await {
            Ok(Some(chunk)) => {
                call.answer.send(Content { head: Bytes::new(), body: vec![chunk] });
            }
            Ok(None) => call.answer.send(Bytes::new()),
            Err(why) => call.answer.refuse(&why),
        }
    }

    /// A connection is gone: what went over it is given up.
    pub(crate) fn forget(&self, peer: NodeId) {
        self.lock().retain(|(_, to), _| *to != peer);
    }

    async fn chunk(
        &self,
        replica: &Arc<Replica>,
        peer: NodeId,
        question: &[u8],
    ) -> Result<Option<Bytes>, String> {
        let mut head = Reader { what: "question", rest: question };
        let decoded = head.version().and_then(|()| Ok((head.u64()?, head.u64()?)));
        let (number, at_least) = decoded.map_err(|error| error.to_string())?;
        let at = (replica.shard(), peer);
        if number == 0 {
            let reader = open(replica, at_least).await?;
            self.lock().insert(at, Sending { reader, next: 0 });
        }
        let mut sending = self.lock().remove(&at).ok_or("no transfer was begun")?;
        if sending.next != number {
            return Err("a chunk of the checkpoint is missing".to_owned());
        }
        sending.next += 1;
        let chunk = sending.reader.next_chunk().map_err(|error| error.to_string())?;
        if chunk.is_some() {
            self.lock().insert(at, sending);
        } else {
            let hold = sending.reader.into_hold();
            crate::runtime::spawn(async move {
                tokio::time::sleep(HOLD).await;
                drop(hold);
            });
        }
        Ok(chunk)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ShardId, NodeId), Sending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A checkpoint at or above an index, made now where there is none.
async fn open(replica: &Arc<Replica>, at_least: u64) -> Result<SnapshotReader, String> {
    let position = |replica: &Replica| {
        let checkpoint = replica.checkpoint();
        checkpoint.and_then(|checkpoint| checkpoint.meta.last_log_id).map_or(0, |id| id.index)
    };
    if position(replica) < at_least.max(1) {
        let made = crate::checkpoint::make(replica).await;
        made.map_err(|broken| replica.break_with(&broken).to_string())?;
    }
    if position(replica) < at_least.max(1) {
        return Err("this node has not applied as much".to_owned());
    }
    let snapshot = current(replica).map_err(|broken| replica.break_with(&broken).to_string())?;
    let snapshot = snapshot.ok_or("this node has no checkpoint")?;
    snapshot.snapshot.reader().map_err(|error| error.to_string())
}

/// Refills every shard that wasn't started, one after another, and starts it. Asks all peers in
/// turn until one has what is needed. Then, and where none needed it, what damage left behind goes.
pub(crate) async fn run(node: Arc<Inner>) {
    let Some(running) = node.running() else { return };
    for (shard, why) in &running.damaged() {
        tracing::warn!(%shard, %why, "a store is damaged: a peer's checkpoint is fetched");
        while let Err(error) = from_any_peer(&node, running.store(), &running.journal, *shard).await
        {
            if let RepairError::Broken(broken) = &error {
                let (disk, dir) = (&*node.world.disk, &node.options.data_dir);
                return node.fail(crate::node::running::noted(disk, dir, *shard, broken));
            }
            tracing::debug!(%shard, %error, "no peer has given a checkpoint yet");
            tokio::time::sleep(EVERY).await;
        }
        if let Err(failure) = running.start_again(*shard).await {
            return node.fail(failure);
        }
        tracing::info!(%shard, "the shard is refilled and started");
    }
    if let Err(failure) = running.forget_damage(&node) {
        node.fail(failure);
    }
}

async fn from_any_peer(
    node: &Arc<Inner>,
    store: &Arc<dyn Store>,
    journal: &Journal,
    shard: ShardId,
) -> Result<(), RepairError> {
    let mut last = RepairError::Peer("no peer is connected".to_owned());
    let peers = node.router.peers();
    for (peer, _) in peers.into_iter().filter(|(_, peer)| peer.connected) {
        match from_peer(node, store, journal, shard, peer).await {
            Ok(()) => return Ok(()),
            Err(error @ RepairError::Broken(_)) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn from_peer(
    node: &Arc<Inner>,
    store: &Arc<dyn Store>,
    journal: &Journal,
    shard: ShardId,
    peer: NodeId,
) -> Result<(), RepairError> {
    let purged = journal.log_state(shard).purged.map_or(0, |purged| purged.index);
    let ask = async |number| {
        let question = question(number, purged);
        let answer = node.router.call(peer, shard, Method::Repair, question, PATIENCE).await;
        let answer = answer.map_err(|error| RepairError::Peer(error.to_string()))?;
        Ok::<_, RepairError>(answer.body.into_iter().next())
    };
    // What is there is given up only when a peer has something to put in its place.
    let mut chunk = ask(0).await?;
    let mut writer = repair::begin(store.clone(), shard)?;
    let mut number = 0;
    while let Some(next) = chunk {
        writer.accept(&next)?;
        number += 1;
        chunk = ask(number).await?;
    }
    let staged = writer.finish()?;
    repair::install(store, journal, shard, staged).await
}
