//! Reads at a shard's leader: behind a barrier that all reads that wait share, then from the
//! applied state. Never from a state that another leader may have gone past; only whether it is
//! worth proposing is said at once.

use std::sync::Arc;
use std::time::Duration;

use base::planted::{Bug, is};
use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::LinearizerOption;
use streams::command::Stamp;
use streams::error::Refusal;
use streams::query::Query;
use streams::reply::{Entry, Reply};
use tokio::sync::{mpsc, oneshot};

use crate::clock::LeaderClock;
use crate::gateway::{Failed, ReadOutcome};
use crate::machine::data::Data;
use crate::node::Reads;
use crate::shard::Group;
use crate::shards::{Outcome, ProposeError};

/// How long a leader may take to have applied what a read must see. A leader that lost its majority
/// may never: whoever asked is told to look for another one, and those behind it don't wait too.
const APPLY_PATIENCE: Duration = Duration::from_secs(1);

/// Answers of so many bytes, and whatever else the node has to do comes first: heartbeats don't wait for
/// readers of much.
const TURN_BYTES: usize = 256 << 10;

/// Of answers to queries that were asked together: what comes behind is asked again.
const ANSWER_BYTES: usize = 4 << 20;

/// Queries asked together.
pub(crate) struct Asked {
    pub(crate) queries: Vec<Query>,
    pub(crate) answer: oneshot::Sender<ReadOutcome>,
}

/// Answers reads of one shard until nobody can ask any more.
pub(crate) async fn serve(
    group: Group,
    clock: Arc<LeaderClock>,
    reads: Reads,
    mut asked: mpsc::UnboundedReceiver<Asked>,
) {
    const ALL: usize = usize::MAX >> 1;
    let (mut come, mut waiting) = (Vec::new(), Vec::new());
    while asked.recv_many(&mut come, ALL).await > 0 {
        waiting.extend(come.drain(..).filter_map(|one| at_once(&group, &clock, one)));
        // Whoever asks while a round is under way waits for the next one: this one's confirmation
        // may be older than the question.
        while !waiting.is_empty() {
            let round = std::mem::take(&mut waiting);
            let mut barrier = std::pin::pin!(barrier(&group, reads));
            let mut is_open = true;
            let confirmed = loop {
                tokio::select! {
                    biased;
                    confirmed = &mut barrier => break confirmed,
                    count = asked.recv_many(&mut come, ALL), if is_open => is_open = count > 0,
                }
                waiting.extend(come.drain(..).filter_map(|one| at_once(&group, &clock, one)));
            };
            let mut since_turn = 0;
            for one in round {
                let outcome = match &confirmed {
                    Ok(()) => answer_some(&group, &clock, &one.queries, &mut since_turn).await,
                    Err(failed) => Err(failed.clone()),
                };
                drop(one.answer.send(outcome));
            }
        }
    }
}

/// Answers the first of the queries, as many as make a large answer, and lets others have their turn
/// between. A later state is as good: it has all that was confirmed.
async fn answer_some(
    group: &Group,
    clock: &LeaderClock,
    queries: &[Query],
    since_turn: &mut usize,
) -> ReadOutcome {
    let (mut replies, mut bytes) = (Vec::with_capacity(queries.len()), 0);
    for query in queries {
        let answered = answer(group, clock.stamp(), std::slice::from_ref(query))?;
        let weight: usize = answered.iter().map(Reply::bytes_about).sum();
        replies.extend(answered);
        bytes += weight;
        *since_turn += weight;
        if *since_turn >= TURN_BYTES {
            *since_turn = 0;
            tokio::task::yield_now().await;
        }
        if bytes >= ANSWER_BYTES {
            break;
        }
    }
    Ok(replies)
}

/// Answers whoever asks only whether there is something to propose for groups, where this replica
/// has something for each of them: what is then delivered, if anything, the log decides. That there
/// is nothing has to be confirmed, as every other answer; then the question comes back.
fn at_once(group: &Group, clock: &LeaderClock, one: Asked) -> Option<Asked> {
    let is_hint = |query: &Query| matches!(query, Query::WouldDeliver(_));
    if !one.queries.iter().all(is_hint) || !group.leads() {
        return Some(one);
    }
    match answer(group, clock.stamp(), &one.queries) {
        Ok(replies) if replies.iter().all(|reply| *reply == Reply::Count(1)) => {
            drop(one.answer.send(Ok(replies)));
            None
        }
        Ok(_) | Err(_) => Some(one),
    }
}

/// Makes sure that this node led at some moment after now, and has applied everything committed
/// before.
pub(crate) async fn barrier(group: &Group, reads: Reads) -> Result<(), Failed> {
    if is(Bug::LeaseWithoutLease) && group.leads() {
        return Ok(());
    }
    let freshness = match reads {
        Reads::Quorum => LinearizerOption::from(ReadPolicy::ReadIndex),
        Reads::Lease => LinearizerOption::new(Some(group.lease), true),
    };
    match group.raft.get_read_linearizer(freshness).await {
        Ok(linearizer) => {
            let ready = linearizer.await_ready(&group.raft);
            match tokio::time::timeout(APPLY_PATIENCE, ready).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Failed::NotLeader(None)),
            }
        }
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
            Err(Failed::NotLeader(forward.leader_id.map(base::NodeId)))
        }
        Err(_) => Err(Failed::NotLeader(None)),
    }
}

/// Answers from what this replica has applied, whoever leads, at the time that the shard had then:
/// stamps are the leader's.
pub(crate) fn here(group: &Group, query: &Query) -> Outcome {
    let answered = answer(group, Stamp { now_ms: 0 }, std::slice::from_ref(query));
    answered.ok().and_then(|mut replies| replies.pop()).ok_or(ProposeError::Stopped)
}

fn answer(group: &Group, stamp: Stamp, queries: &[Query]) -> ReadOutcome {
    let answered: Result<Vec<Reply<Entry>>, _> = queries
        .iter()
        .map(|query| match group.slots.own(query.keys()) {
            true => group.replica.with::<Data, _>(|data| {
                if let Query::WouldDeliver(read) = query {
                    data.note_seen(read, stamp);
                }
                data.answer(query, stamp)
            }),
            false => Ok(Reply::Refused(Refusal::Misplaced)),
        })
        .collect();
    answered.map_err(|broken| {
        drop(group.replica.break_with(&broken));
        Failed::Lost
    })
}
