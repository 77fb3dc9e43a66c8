//! How many replicas hold what a client was told is done. Asked of a shard's leader, which knows how
//! far the disk of each follower is; asked again where leadership moves. Never what was written:
//! everything that was acknowledged when the question comes counts.
//!
//! ```text
//! question   followers wanted u32, patience in ms u32
//! answer     followers u32
//! ```
//!
//! Numbers are little-endian.

use std::sync::Arc;
use std::time::Duration;

use base::ShardId;
use bytes::{BufMut, Bytes, BytesMut};
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use crate::network::{Content, Method};
use crate::node::Reads;
use crate::node::inner::Inner;
use crate::read::barrier;
use crate::shard::Group;
use crate::types::{DecodeError, Reader};

/// For how long one question waits at a leader: then the asker looks anew who leads.
const ROUND: Duration = Duration::from_secs(1);

/// Beyond that, until an answer must have come.
const SLACK: Duration = Duration::from_millis(500);

/// Between attempts.
const RETRY: Duration = Duration::from_millis(20);

/// Waits until so many followers of a shard, and its leader, hold on disk what was acknowledged
/// before, or until the deadline; tells how many followers do.
pub(crate) async fn ask(
    node: Arc<Inner>,
    shard: ShardId,
    wanted: usize,
    deadline: Option<Instant>,
) -> usize {
    let mut known = 0;
    loop {
        let left = deadline.map_or(ROUND, |at| at.saturating_duration_since(Instant::now()));
        match attempt(&node, shard, wanted, left.min(ROUND)).await {
            Ok(held) if held >= wanted => return held,
            Ok(held) => known = known.max(held),
            Err(why) => tracing::debug!(%shard, why, "a leader is asked again who holds what"),
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return known.max(surely(&node, shard));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// What was acknowledged is on a majority, whoever leads.
fn surely(node: &Inner, shard: ShardId) -> usize {
    let group = node.running().and_then(|running| running.group(shard));
    group.map_or(0, |group| group.voters().len() / 2)
}

async fn attempt(
    node: &Inner,
    shard: ShardId,
    wanted: usize,
    patience: Duration,
) -> Result<usize, String> {
    let group = node.running().and_then(|running| running.group(shard));
    let group = group.ok_or("the shard doesn't run here")?;
    let leader = group.leader().ok_or("no leader is known")?;
    if leader == node.options.node {
        return count(&group, wanted, patience).await;
    }
    let question = encode_question(wanted, patience);
    let called = node.router.call(leader, shard, Method::Held, question, patience + SLACK).await;
    decode_answer(&called.map_err(|error| error.to_string())?.head).map_err(|e| e.to_string())
}

/// Answers a peer's question.
pub(crate) async fn serve(group: &Group, head: &[u8]) -> Result<Content, String> {
    let (wanted, patience) = decode_question(head).map_err(|error| error.to_string())?;
    let held = count(group, wanted, patience.min(ROUND)).await?;
    Ok(encode_answer(held).into())
}

/// Followers that hold everything that is applied here now, once there are as many as wanted.
async fn count(group: &Group, wanted: usize, patience: Duration) -> Result<usize, String> {
    let deadline = Instant::now() + patience;
    // A node that no longer leads doesn't know what was acknowledged since.
    let barrier = tokio::time::timeout(ROUND, barrier(group, Reads::Quorum)).await;
    barrier.ok().and_then(Result::ok).ok_or("this node doesn't lead the shard")?;
    let target = group.status(false).applied_index;
    let mut metrics = group.raft.metrics();
    loop {
        drop(metrics.borrow_and_update());
        let status = group.status(false);
        let holds = |(_, lag): &&(_, u64)| status.last_index.saturating_sub(*lag) >= target;
        let held = match status.synced_index >= target {
            true => status.lag.iter().filter(holds).count(),
            false => 0,
        };
        if held >= wanted && status.synced_index >= target {
            return Ok(held);
        }
        match tokio::time::timeout_at(deadline, metrics.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err("the group has ended".to_owned()),
            Err(_) => return Ok(held),
        }
    }
}

pub(crate) fn encode_question(wanted: usize, patience: Duration) -> Bytes {
    let mut out = BytesMut::with_capacity(8);
    out.put_u32_le(u32::try_from(wanted).unwrap_or(u32::MAX));
    out.put_u32_le(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
    out.freeze()
}

pub(crate) fn decode_question(bytes: &[u8]) -> Result<(usize, Duration), DecodeError> {
    let mut reader = Reader { what: "question who holds what", rest: bytes };
    let (wanted, patience_ms) = (reader.u32()?, reader.u32()?);
    reader.end()?;
    Ok((wanted as usize, Duration::from_millis(patience_ms.into())))
}

fn encode_answer(held: usize) -> Bytes {
    Bytes::copy_from_slice(&u32::try_from(held).unwrap_or(u32::MAX).to_le_bytes())
}

pub(crate) fn decode_answer(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader { what: "answer who holds what", rest: bytes };
    let held = reader.u32()?;
    reader.end()?;
    Ok(held as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_come_back_and_short_ones_are_refused() {
        let question = encode_question(2, Duration::from_millis(700));
        assert_eq!(decode_question(&question), Ok((2, Duration::from_millis(700))));
        (0..question.len()).for_each(|cut| assert!(decode_question(&question[..cut]).is_err()));
        let answer = encode_answer(3);
        assert_eq!(decode_answer(&answer), Ok(3));
        (0..answer.len()).for_each(|cut| assert!(decode_answer(&answer[..cut]).is_err()));
    }
}
