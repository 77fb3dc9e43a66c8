//! Where commands of a shard enter the log, at its leader: all runs that wait become one entry,
//! encoded once. A few entries may be under way; what arrives meanwhile goes into the next. Never a
//! timer to gather more, never an answer before the entry is applied here after commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use base::planted::{Bug, is};
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use streams::command::{Command, Step};
use streams::error::Refusal;
use streams::reply::{Entry, Reply};
use streams::{Batch, Run};
use tokio::sync::{mpsc, oneshot};

use crate::clock::LeaderClock;
use crate::gateway::{Failed, RunOutcome};
use crate::machine::data::Data;
use crate::shard::Group;
use crate::types::{Proposal, TypeConfig};

/// Entries of a shard under way at once. One would leave the disk idle while an entry is formed;
/// many make small entries.
const ENTRIES_UNDER_WAY: usize = 3;

/// Commands in one entry, in bytes: bounds what a follower takes at once. One large command may
/// exceed it.
const ENTRY_BYTES: usize = 1 << 20;

/// After a lease that ran out or a quorum that was missed, or while checkpoints are behind, before
/// the next attempt.
const RETRY: Duration = Duration::from_millis(20);

/// How often a refused entry is put back before its gateways are told to look for a leader.
const ATTEMPTS: u32 = 25;

/// A run of commands that waits to be proposed.
pub(crate) struct Waiting {
    pub(crate) run: Run,
    pub(crate) bytes: usize,
    /// Told once; dropped, it counts as failed with an unknown outcome.
    pub(crate) answer: oneshot::Sender<RunOutcome>,
}

/// Proposes for one shard.
pub(crate) struct Proposer {
    group: Group,
    clock: Arc<LeaderClock>,
    arriving: mpsc::UnboundedReceiver<Waiting>,
    waiting: VecDeque<Waiting>,
    refusals: u32,
}

type Written = Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>;

impl Proposer {
    pub(crate) fn new(
        group: Group,
        clock: Arc<LeaderClock>,
        arriving: mpsc::UnboundedReceiver<Waiting>,
    ) -> Self {
        Self { group, clock, arriving, waiting: VecDeque::new(), refusals: 0 }
    }

    /// Proposes until nobody can hand anything in any more.
    pub(crate) async fn run(mut self) {
        let mut under_way = FuturesOrdered::new();
        let mut refused: Vec<Waiting> = Vec::new();
        loop {
            // A refused entry goes back to the front once those behind it are answered too.
            if under_way.is_empty() && !refused.is_empty() {
                self.put_back(std::mem::take(&mut refused)).await;
            }
            let pressed = self.is_pressed();
            while !pressed
                && refused.is_empty()
                && under_way.len() < ENTRIES_UNDER_WAY
                && !self.waiting.is_empty()
            {
                under_way.push_back(self.propose().await);
            }
            tokio::select! {
                biased;
                Some((runs, written)) = under_way.next(), if !under_way.is_empty() => {
                    refused.extend(self.finish(runs, written));
                }
                () = tokio::time::sleep(RETRY), if pressed => {}
                arrived = self.arriving.recv() => {
                    let Some(arrived) = arrived else { return };
                    self.waiting.push_back(arrived);
                    while let Ok(arrived) = self.arriving.try_recv() {
                        self.waiting.push_back(arrived);
                    }
                }
            }
        }
    }

    /// Whether what waits must go on waiting until checkpoints have caught up: then the gateways'
    /// budgets fill, and clients are told that this node is busy.
    fn is_pressed(&self) -> bool {
        !self.waiting.is_empty() && self.group.replica.is_pressed()
    }

    /// Forms an entry of what waits and hands it to openraft.
    async fn propose(&mut self) -> impl Future<Output = (Vec<Waiting>, Written)> + Send + use<> {
        let mut runs = Vec::new();
        let mut bytes = 0;
        while bytes < ENTRY_BYTES {
            let Some(waiting) = self.waiting.pop_front() else { break };
            bytes += waiting.bytes;
            runs.push(waiting);
        }
        let batch = Batch {
            stamp: self.clock.stamp(),
            runs: runs.iter().map(|one| self.group.slots.run(&one.run)).collect(),
        };
        if is(Bug::TrimBeforeCommit) {
            self.group.replica.with(|data: &mut Data| data.trim_early(&batch));
        }
        let proposal = Proposal(batch.encode());
        let (responder, written) = ProgressResponder::complete_only();
        // When the core is gone the responder is dropped, which `written` sees.
        drop(self.group.raft.client_write_ff(proposal, Some(responder)).await);
        async move { (runs, written.await) }
    }

    /// Answers an entry's runs; gives back those that are to be proposed again.
    fn finish(&mut self, runs: Vec<Waiting>, written: Written) -> Vec<Waiting> {
        match written {
            Ok(Ok(response)) => {
                self.refusals = 0;
                answer(runs, &response.data.0.runs);
                Vec::new()
            }
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                if forward.reason == ForwardReason::LeaseExpired && self.refusals < ATTEMPTS {
                    return runs;
                }
                fail(runs, Failed::NotLeader(leader_of(&forward)));
                Vec::new()
            }
            // Discarded on a change of leaders, or the core is gone: it may be in the log.
            Ok(Err(_)) | Err(_) => {
                fail(runs, Failed::Lost);
                Vec::new()
            }
        }
    }

    async fn put_back(&mut self, refused: Vec<Waiting>) {
        self.refusals += 1;
        refused.into_iter().rev().for_each(|one| self.waiting.push_front(one));
        tokio::time::sleep(RETRY).await;
    }
}

fn leader_of(forward: &ForwardToLeader<TypeConfig>) -> Option<NodeId> {
    forward.leader_id.map(NodeId)
}

fn fail(runs: Vec<Waiting>, failed: Failed) {
    for one in runs {
        drop(one.answer.send(Err(failed.clone())));
    }
}

/// Gives each run the replies to its commands.
fn answer(runs: Vec<Waiting>, replies: &[Vec<Reply<Entry>>]) {
    let mut replies = replies.iter();
    for one in runs {
        let replies = replies.next().cloned();
        drop(one.answer.send(replies.ok_or(Failed::Lost)));
    }
}

/// Whether a reply says that the run came out of its order, and is to be sent again from the lowest
/// unanswered number.
pub(crate) fn out_of_order(reply: &Reply<Entry>) -> bool {
    matches!(reply, Reply::Refused(Refusal::Stale | Refusal::TooManyKept))
}

/// What a command counts against limits, roughly.
pub(crate) fn command_bytes(command: &Command) -> usize {
    const OVERHEAD: usize = 64;
    const ID: usize = 16;
    let sum = |parts: &[bytes::Bytes]| parts.iter().map(|part| part.len() + 4).sum::<usize>();
    OVERHEAD
        + match command {
            Command::Add(add) => {
                let once = add.once.as_ref().map_or(0, |once| once.name.len() + once.id.len());
                add.key.len() + sum(&add.fields) + once
            }
            Command::Delete { key, ids } | Command::DeleteWith { key, ids, .. } => {
                key.len() + ids.len() * ID
            }
            Command::Ack { key, group, ids } | Command::AckDelete { key, group, ids, .. } => {
                key.len() + group.len() + ids.len() * ID
            }
            Command::Claim(claim) => {
                claim.key.len() + claim.group.len() + claim.consumer.len() + claim.ids.len() * ID
            }
            Command::Nack(nack) => nack.key.len() + nack.group.len() + nack.ids.len() * ID,
            Command::AutoClaim(claim) => claim.key.len() + claim.group.len() + claim.consumer.len(),
            Command::ReadGroup(read) => {
                let streams: usize = read.streams.iter().map(|(key, _)| key.len() + ID).sum();
                read.group.len() + read.consumer.len() + streams
            }
            Command::Remove { keys } | Command::Watch { keys } => sum(keys),
            Command::Transaction(transaction) => {
                let watched = transaction.watched.iter().map(|(key, _)| key.len() + ID);
                watched.sum::<usize>() + transaction.steps.iter().map(step_bytes).sum::<usize>()
            }
            Command::Trim { key, .. }
            | Command::SetId { key, .. }
            | Command::Configure { key, .. } => key.len(),
            Command::GroupCreate { key, group, .. }
            | Command::GroupSetId { key, group, .. }
            | Command::GroupDestroy { key, group } => key.len() + group.len(),
            Command::ConsumerCreate { key, group, consumer }
            | Command::ConsumerDelete { key, group, consumer } => {
                key.len() + group.len() + consumer.len()
            }
            Command::Expire { key, .. } | Command::Persist { key } => key.len(),
            Command::Rename { key, to, .. } | Command::Copy { key, to, .. } => key.len() + to.len(),
            Command::Flush
            | Command::Set(_)
            | Command::ExpireDue
            | Command::Void
            | Command::Misplaced => 0,
        }
}

fn step_bytes(step: &Step) -> usize {
    match step {
        Step::Command(command) => command_bytes(command),
        Step::Query(query) => query.keys().map(bytes::Bytes::len).sum(),
    }
}
