//! What peers ask of this node, and who answers. Never blocks, never forwards a run on.

use std::sync::Arc;

use base::NodeId;
use streams::Batch;
use tokio::sync::oneshot;

use super::inner::Inner;
use super::running::Shard;
use crate::bus::Notice;
use crate::gateway::codec::{decode_queries, encode_outcome};
use crate::gateway::{Failed, RunOutcome};
use crate::network::{Answer, Host, Incoming, Method, serve};
use crate::propose::{Waiting, command_bytes};
use crate::read::Asked;
use crate::shard::Group;
use crate::waits::codec::decode_message;
use crate::waits::{self, Replies};

impl Host for Inner {
    fn call(&self, call: Incoming) {
        match call.method {
            Method::Form => crate::forming::answer(self, call),
            Method::Run => self.run(call),
            Method::Read => self.ask(call),
            Method::Watch => self.watch(call),
            Method::Repair => self.refill(call),
            _ => self.call_group(call),
        }
    }

    fn group(&self, shard: base::ShardId) -> Option<Group> {
        self.running()?.group(shard)
    }

    fn told(&self, notice: &Notice) {
        self.bus.told(notice);
    }

    fn connected(&self, peer: NodeId, up: bool) {
        tracing::info!(%peer, up, "connection to a peer");
        if !up {
            self.transfers.forget(peer);
            self.refills.forget(peer);
        }
    }
}

impl Inner {
    fn call_group(&self, call: Incoming) {
        match self.group(call.shard) {
            Some(group) => {
                crate::runtime::spawn(serve(group, self.transfers.clone(), call));
            }
            None => call.answer.refuse("the shard doesn't run here"),
        }
    }

    /// A peer whose store is damaged asks for ours.
    fn refill(&self, call: Incoming) {
        match self.group(call.shard) {
            Some(group) => {
                let refills = self.refills.clone();
                crate::runtime::spawn(
                    async move { refills.serve(group.replica.clone(), call).await },
                );
            }
            None => call.answer.refuse("the shard doesn't run here"),
        }
    }

    /// A run of commands of another gateway.
    fn run(&self, call: Incoming) {
        let Some(shard) = self.leading(&call) else { return refuse_run(self, call) };
        let Ok(batch) = Batch::decode(&call.content.head) else {
            return call.answer.refuse("a malformed run");
        };
        let Ok([run]) = <[_; 1]>::try_from(batch.runs) else {
            return call.answer.refuse("one run is due");
        };
        if run.origin.node != call.from {
            return call.answer.refuse("a run of another node");
        }
        let bytes = run.commands.iter().map(command_bytes).sum();
        let (answer, outcome) = oneshot::channel();
        drop(shard.proposer.send(Waiting { run, bytes, answer }));
        reply_later(call.answer, outcome);
    }

    /// Queries of another gateway.
    fn ask(&self, call: Incoming) {
        let Some(shard) = self.leading(&call) else { return refuse_run(self, call) };
        let Ok(queries) = decode_queries(call.content.head) else {
            return call.answer.refuse("malformed queries");
        };
        let (answer, outcome) = oneshot::channel();
        drop(shard.reader.send(Asked { queries, answer }));
        reply_later(call.answer, outcome);
    }

    /// What another node tells of its clients' waits.
    fn watch(&self, call: Incoming) {
        let shard = self.running().and_then(|running| running.shard(call.shard));
        let Some(shard) = shard.filter(|_| !call.shard.is_meta()) else {
            return call.answer.refuse("the shard doesn't run here");
        };
        let Ok(message) = decode_message(&call.content.head) else {
            return call.answer.refuse("a malformed wait");
        };
        let answer = Replies::There(call.answer);
        drop(shard.waits.send(waits::Asked { from: call.from, message, answer }));
    }

    /// The shard, if it takes runs and it is led here.
    fn leading(&self, call: &Incoming) -> Option<Arc<Shard>> {
        let shard = self.running()?.shard(call.shard);
        shard.filter(|shard| !call.shard.is_meta() && shard.group.leads())
    }
}

/// Says who leads.
fn refuse_run(node: &Inner, call: Incoming) {
    let leader = node.group(call.shard).and_then(|group| group.leader());
    call.answer.send(encode_outcome(&Err(Failed::NotLeader(leader))));
}

fn reply_later(answer: Answer, outcome: oneshot::Receiver<RunOutcome>) {
    crate::runtime::spawn(async move {
        let outcome = outcome.await.unwrap_or(Err(Failed::Lost));
        answer.send(encode_outcome(&outcome));
    });
}
