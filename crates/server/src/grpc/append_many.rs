//! `AppendMany`: one task reads and proposes in order, the call's own stream answers in order.
//!
//! ```text
//! client -> reader -> Shards::write ... Pending
//!              \-- batch: pendings + permit --> answers -> client
//! ```
//!
//! A batch holds permits for its bytes until its answer is on its way out. The reader never reads
//! on without permits, so a client that does not read its answers is held back, too. A stopping
//! node reads nothing more and answers all that it has read: what has no answer then never was.

use std::sync::Arc;

use base::ShardId;
use futures::Stream;
use raft::Pending;
use rpc::v1;
use rpc::v1::append_result::Result as Became;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Status, Streaming};

use super::error::Failure;
use super::limits::{WAITING_BYTES_MAX, WAITING_MESSAGES_MAX};
use super::streams::Door;
use super::{convert, plain};

/// The appends of one message, handed in.
struct Batch {
    appends: Vec<Result<(ShardId, Pending), Failure>>,
    permit: OwnedSemaphorePermit,
}

/// The answers to `requests`.
pub(super) fn answers(
    door: Door,
    requests: Streaming<v1::AppendManyRequest>,
) -> impl Stream<Item = Result<v1::AppendManyResponse, Status>> {
    let (batches, receiver) = mpsc::channel(WAITING_MESSAGES_MAX);
    tokio::spawn(read(door.clone(), requests, batches));
    futures::stream::unfold((door, receiver, None), |(door, mut receiver, held)| async move {
        // Asked for the next: the one before has been taken.
        drop::<Option<OwnedSemaphorePermit>>(held);
        match receiver.recv().await? {
            Ok(batch) => {
                let results = results(&door, batch.appends).await;
                let response = v1::AppendManyResponse { results };
                Some((Ok(response), (door, receiver, Some(batch.permit))))
            }
            Err(status) => Some((Err(status), (door, receiver, None))),
        }
    })
}

async fn results(
    door: &Door,
    appends: Vec<Result<(ShardId, Pending), Failure>>,
) -> Vec<v1::AppendResult> {
    let mut results = Vec::with_capacity(appends.len());
    for begun in appends {
        let appended = match begun {
            Ok((shard, pending)) => door.appended(shard, pending.await),
            Err(failure) => Err(failure),
        };
        let became = match appended {
            Ok(response) => Became::Appended(response),
            Err(failure) => Became::Failure(failure.into()),
        };
        results.push(v1::AppendResult { result: Some(became) });
    }
    results
}

/// Reads until the client has no more, the call is over, or the node stops.
async fn read(
    door: Door,
    mut requests: Streaming<v1::AppendManyRequest>,
    batches: mpsc::Sender<Result<Batch, Status>>,
) {
    let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
    let stopped = loop {
        let next = tokio::select! {
            biased;
            () = door.stopping.cancelled() => Err(Failure::stopping().into()),
            () = batches.closed() => return,
            next = requests.message() => next,
        };
        let message = match next {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(status) => break plain::of(&status).map_or(status, Status::from),
        };
        let Some(permit) = permit(&room, &message, &batches).await else { return };
        let appends = message.appends.into_iter().map(|append| door.append_begun(append));
        let batch = Batch { appends: appends.collect(), permit };
        if batches.send(Ok(batch)).await.is_err() {
            return;
        }
    };
    // Whoever would have heard of it is gone.
    drop(batches.send(Err(stopped)).await);
}

/// Room for a message; one that is above the limit alone takes all of it. `None` if the call is
/// over.
async fn permit(
    room: &Arc<Semaphore>,
    message: &v1::AppendManyRequest,
    batches: &mpsc::Sender<Result<Batch, Status>>,
) -> Option<OwnedSemaphorePermit> {
    let bytes: usize = message.appends.iter().map(convert::append_bytes).sum();
    let permits = u32::try_from(bytes.clamp(1, WAITING_BYTES_MAX)).unwrap_or(u32::MAX);
    tokio::select! {
        () = batches.closed() => None,
        permit = Arc::clone(room).acquire_many_owned(permits) => permit.ok(),
    }
}
