//! The cluster: what it looks like, and changing it.

use futures::Stream;
use rpc::v1;
use tonic::codec::Streaming;

use crate::error::{Effect, Verdict, verdict};
use crate::{Client, Error};

pub use rpc::v1::{
    Lag, Node, ReplaceNodeProgress as Progress, Shard, StatusResponse as NodeStatus,
};

/// A new node in the place of a lost one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replacement {
    /// The id of the node that is lost.
    pub old: u64,
    /// The new one: its id and its addresses as others reach them.
    pub new: Node,
}

impl Client {
    /// What one node knows of itself, its peers and its replicas. Ask each ([`Client::only`]) for
    /// the whole.
    ///
    /// # Errors
    ///
    /// If no node answers, or the password is wrong.
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        self.call(Effect::Read, |chosen| {
            let request = self.request(v1::StatusRequest {});
            async move { chosen.cluster().status(request).await }
        })
        .await
    }

    /// Whether the node that this client talks to is ready: it has said so itself, now.
    ///
    /// # Errors
    ///
    /// If no node answers.
    pub async fn ready(&self) -> Result<bool, Error> {
        Ok(self.status().await?.ready)
    }

    /// Puts a new node into the place of a lost one, in every shard; the steps, as they are done.
    /// Safe to repeat after an interruption.
    ///
    /// # Errors
    ///
    /// As the stream's last item, too. [`Error::Unknown`]: it was interrupted; repeat it.
    pub async fn replace_node(
        &self,
        replacement: Replacement,
    ) -> Result<impl Stream<Item = Result<Progress, Error>> + Send + Unpin + use<>, Error> {
        let message = v1::ReplaceNodeRequest {
            old_node_id: replacement.old,
            new_node: Some(replacement.new),
        };
        let steps = self
            .call(Effect::Write, |chosen| {
                let request = self.request(message.clone());
                async move { chosen.cluster().replace_node(request).await }
            })
            .await?;
        Ok(Box::pin(futures::stream::try_unfold(steps, step)))
    }
}

async fn step(
    mut steps: Streaming<Progress>,
) -> Result<Option<(Progress, Streaming<Progress>)>, Error> {
    match steps.message().await {
        Ok(step) => Ok(step.map(|step| (step, steps))),
        Err(status) => match verdict(&status, Effect::Write) {
            Verdict::Final(error) | Verdict::Again { error, .. } => Err(error),
        },
    }
}
