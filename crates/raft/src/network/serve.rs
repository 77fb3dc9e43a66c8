//! Calls of Raft that arrive for a group that runs here. Votes are not given while the group is
//! quiet: the caller gets no answer, as from a node that isn't there.

use std::sync::Arc;

use base::planted::{Bug, is};
use bytes::Bytes;
use tokio::time::Instant;

use crate::network::router::{Content, Incoming, Method};
use crate::network::transfer::Transfers;
use crate::network::wire;
use crate::shard::Group;

/// Answers a call of Raft.
pub(crate) async fn serve(group: Group, transfers: Arc<Transfers>, call: Incoming) {
    let voting = matches!(call.method, Method::Vote | Method::PreVote);
    if voting && Instant::now() < group.quiet_until && !is(Bug::QuietVote) {
        return;
    }
    let Incoming { from, method, content, answer, .. } = call;
    let head = content.head.clone();
    let answered = match method {
        Method::Vote => vote(&group, &head).await,
        Method::PreVote => pre_vote(&group, &head).await,
        Method::Transfer => transfer(&group, &head).await,
        Method::SnapshotBegin => transfers.begin(&group, from, &head),
        Method::SnapshotChunk => transfers.accept(group.shard, from, &content).await,
        Method::SnapshotEnd => transfers.finish(&group, from, &head).await,
        Method::Held => crate::held::serve(&group, &head).await,
        Method::Meta => meta(&group, head.clone()).await,
        Method::Run | Method::Read | Method::Watch | Method::Form | Method::Repair => {
            Err("not a call of Raft".into())
        }
    };
    match answered {
        Ok(content) => answer.send(content),
        Err(why) => answer.refuse(&why),
    }
}

async fn meta(group: &Group, head: Bytes) -> Result<Content, String> {
    crate::meta::propose_here(group, head).await.map(Content::from)
}

async fn vote(group: &Group, head: &[u8]) -> Result<Content, String> {
    let request = wire::decode_vote_request(head).map_err(|error| error.to_string())?;
    let response = group.raft.vote(request).await.map_err(|error| error.to_string())?;
    Ok(wire::encode_vote_response(&response).into())
}

async fn pre_vote(group: &Group, head: &[u8]) -> Result<Content, String> {
    let request = wire::decode_vote_request(head).map_err(|error| error.to_string())?;
    let response = group.raft.pre_vote(request).await.map_err(|error| error.to_string())?;
    Ok(wire::encode_vote_response(&response).into())
}

async fn transfer(group: &Group, head: &[u8]) -> Result<Content, String> {
    let request = wire::decode_transfer(head).map_err(|error| error.to_string())?;
    let response = group.raft.handle_transfer_leader(request).await;
    let response = response.map_err(|error| error.to_string())?;
    Ok(wire::encode_transferred(&response).into())
}
