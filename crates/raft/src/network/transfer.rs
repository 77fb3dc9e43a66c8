//! Snapshots between peers: begin, chunks one after another on a lane of their own, end. The
//! receiver stages them in its store and installs the whole in one switch. Never in memory whole.
//!
//! While a snapshot is installed its group is fed no appends (openraft #2116): an entry that
//! overtook the switch would be asked for after it was purged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{NodeId, ShardId};
use bytes::Bytes;
use openraft::errors::{NetworkError, StreamingError, Unreachable};
use tokio::time::timeout;

use crate::network::router::{CallError, Content, Method, Router};
use crate::network::wire;
use crate::shard::Group;
use crate::snapshot::{NotWhole, Snapshot, SnapshotData, SnapshotReader, SnapshotWriter};
use crate::types::{SnapshotMeta, TypeConfig, Vote, decode_vote, encode_vote};

/// For a chunk to be answered: it is written to the store before.
const CHUNK_PATIENCE: Duration = Duration::from_secs(30);

/// For the switch at the end, which loads the state.
const INSTALL_PATIENCE: Duration = Duration::from_secs(120);

/// How long the follower's other end is waited for before it is installed over.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

type Sent = Result<Vote, StreamingError<TypeConfig>>;

/// Sends a checkpoint to a follower.
pub(crate) async fn send(
    router: &Arc<Router>,
    peer: NodeId,
    shard: ShardId,
    vote: &Vote,
    snapshot: Snapshot,
) -> Sent {
    let head = wire::encode_snapshot(vote, &snapshot.meta);
    let mut reader = snapshot.snapshot.reader().map_err(|error| network(&error))?;
    let call = |method, content: Content, patience| async move {
        router.call(peer, shard, method, content, patience).await.map_err(unreachable)
    };
    call(Method::SnapshotBegin, head.clone().into(), CHUNK_PATIENCE).await?;
    let mut number = 0u64;
    while let Some(chunk) = next_chunk(&mut reader)? {
        let head = Bytes::copy_from_slice(&number.to_le_bytes());
        call(Method::SnapshotChunk, Content { head, body: vec![chunk] }, CHUNK_PATIENCE).await?;
        number += 1;
    }
    let answer = call(Method::SnapshotEnd, head.into(), INSTALL_PATIENCE).await?;
    // Entries after the checkpoint stay until the follower asks for them, or had the time to.
    let hold = reader.into_hold();
    hold.until_streams(peer);
    crate::runtime::spawn(async move {
        tokio::time::sleep(INSTALL_PATIENCE).await;
        drop(hold);
    });
    decode_vote(&answer.head).map_err(|error| network(&error))
}

fn next_chunk(reader: &mut SnapshotReader) -> Result<Option<Bytes>, StreamingError<TypeConfig>> {
    reader.next_chunk().map_err(|error| network(&error))
}

fn network<E: std::error::Error + 'static>(error: &E) -> StreamingError<TypeConfig> {
    StreamingError::Network(NetworkError::new(error))
}

fn unreachable(error: CallError) -> StreamingError<TypeConfig> {
    StreamingError::Unreachable(Unreachable::new(&error))
}

/// Snapshots that are coming in, one at most for each shard and sender.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<BTreeMap<(ShardId, NodeId), Arc<Taking>>>);

/// What is coming in, while a chunk of it is taken.
type Taking = tokio::sync::Mutex<Receiving>;

struct Receiving {
    writer: SnapshotWriter,
    next: u64,
}

const NOT_BEGUN: &str = "no snapshot was begun";

impl Receiving {
    async fn accept(&mut self, content: &Content) -> Result<(), String> {
        if content.head[..] != self.next.to_le_bytes() {
            return Err("a chunk of the snapshot is missing".into());
        }
        self.next += 1;
        for chunk in &content.body {
            self.writer.accept(chunk).map_err(|error| error.to_string())?;
            // Other shards get their turn between writes to the store.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl Transfers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(ShardId, NodeId), Arc<Taking>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is gone: what came over it is forgotten, with the chunk that is being taken.
    pub(crate) fn forget(&self, peer: NodeId) {
        self.all().retain(|(_, from), _| *from != peer);
    }

    pub(crate) fn begin(
        &self,
        group: &Group,
        from: NodeId,
        head: &[u8],
    ) -> Result<Content, String> {
        let (vote, meta) = wire::decode_snapshot(head).map_err(|error| error.to_string())?;
        tracing::info!(shard = %group.shard, %from, %vote, ?meta.last_log_id, "a snapshot begins");
        // What was begun before is dropped first: its parts go.
        self.all().remove(&(group.shard, from));
        let writer = SnapshotWriter::new(&group.replica);
        let receiving = Arc::new(Taking::new(Receiving { writer, next: 0 }));
        self.all().insert((group.shard, from), receiving);
        Ok(Content::default())
    }

    pub(crate) async fn accept(
        &self,
        shard: ShardId,
        from: NodeId,
        content: &Content,
    ) -> Result<Content, String> {
        let receiving = self.all().get(&(shard, from)).cloned().ok_or(NOT_BEGUN)?;
        let taken = receiving.lock().await.accept(content).await;
        if taken.is_err() {
            self.all().remove(&(shard, from));
        }
        taken.map(|()| Content::default())
    }

    pub(crate) async fn finish(
        &self,
        group: &Group,
        from: NodeId,
        head: &[u8],
    ) -> Result<Content, String> {
        let (vote, meta) = wire::decode_snapshot(head).map_err(|error| error.to_string())?;
        let receiving = self.all().remove(&(group.shard, from)).ok_or(NOT_BEGUN)?;
        let receiving =
            Arc::into_inner(receiving).ok_or("a chunk is still being taken")?.into_inner();
        let staged = receiving.writer.finish().map_err(|error: NotWhole| error.to_string())?;
        let position = staged.position().map_err(|error| error.to_string())?;
        if position != meta {
            return Err("the snapshot is of another position".into());
        }
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Staged(staged) };
        let vote = install(group, vote, snapshot).await?;
        Ok(encode_vote(&vote).into())
    }
}

async fn install(group: &Group, vote: Vote, snapshot: Snapshot) -> Result<Vote, String> {
    let meta: SnapshotMeta = snapshot.meta.clone();
    let gate = group.feed.stop();
    // What was accepted before is answered, or the peer is slow: then its answers are lost.
    drop(timeout(DRAIN_PATIENCE, gate.drained()).await);
    let installed = group.raft.install_full_snapshot(vote, snapshot).await;
    drop(gate);
    let response = installed.map_err(|error| error.to_string())?;
    tracing::info!(shard = %group.shard, at = ?meta.last_log_id, "a snapshot is installed");
    Ok(response.vote)
}
