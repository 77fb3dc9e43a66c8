//! The cluster's side: status, health, reflection, replacing a node.

use base::NodeId;
use rpc::v1;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::{Door, info, soon};

#[tokio::test]
async fn a_status_says_what_the_node_knows() {
    let door = Door::open().await;
    let status = soon(door.cluster().await.status(v1::StatusRequest {})).await.unwrap();
    let status = status.into_inner();
    assert_eq!((status.node_id, status.ready, status.node_id_next), (1, true, 4));
    assert_eq!(status.nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [1, 2, 3]);
    let shard = &status.shards[0];
    assert_eq!((shard.id, shard.meta, shard.leader, shard.state_hash), (3, false, Some(2), 77));
    assert_eq!(shard.lags, [v1::Lag { node_id: 3, entries: 9 }]);
}

#[tokio::test]
async fn health_follows_readiness() {
    let door = Door::open().await;
    let mut health = HealthClient::new(door.channel().await);
    let mut watched = soon(health.watch(HealthCheckRequest::default())).await.unwrap().into_inner();
    for (ready, serving) in [
        (true, ServingStatus::Serving),
        (false, ServingStatus::NotServing),
        (true, ServingStatus::Serving),
    ] {
        door.double.set_ready(ready);
        let checked = soon(health.check(HealthCheckRequest::default())).await.unwrap();
        assert_eq!(checked.into_inner().status(), serving);
        assert_eq!(soon(watched.message()).await.unwrap().unwrap().status(), serving);
    }
    door.stopping.cancel();
    let last = soon(watched.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert!(soon(watched.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn health_of_an_unknown_service_is_not_found() {
    let door = Door::open().await;
    let mut health = HealthClient::new(door.channel().await);
    let request = HealthCheckRequest { service: "other".into() };
    assert_eq!(soon(health.check(request)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_the_public_services_and_no_others() {
    let door = Door::open().await;
    let mut reflection = ServerReflectionClient::new(door.channel().await);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = soon(reflection.server_reflection_info(tokio_stream::once(request)))
        .await
        .unwrap()
        .into_inner();
    let answer: ServerReflectionResponse = soon(answers.message()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "weir.v1.Cluster",
            "weir.v1.Streams"
        ]
    );
}

fn replace(old: u64, new: u64) -> v1::ReplaceNodeRequest {
    let node = v1::Node { id: new, peer: "10.0.0.4:6382".into(), ..v1::Node::default() };
    v1::ReplaceNodeRequest { old_node_id: old, new_node: Some(node) }
}

async fn steps(
    door: &Door,
    request: v1::ReplaceNodeRequest,
) -> Result<Vec<v1::ReplaceNodeProgress>, tonic::Status> {
    let mut steps = soon(door.cluster().await.replace_node(request)).await?.into_inner();
    let mut seen = Vec::new();
    while let Some(step) = soon(steps.message()).await? {
        seen.push(step);
    }
    Ok(seen)
}

#[tokio::test]
async fn a_node_is_replaced_once_however_often_it_is_asked_for() {
    let door = Door::open().await;
    for _ in 0..2 {
        let seen = steps(&door, replace(3, 4)).await.unwrap();
        let last = seen.last().unwrap();
        assert_eq!((last.shards_done, last.shards_total), (1, 1));
    }
    let begun = door.double.begun();
    assert_eq!(begun.len(), 1);
    assert_eq!((begun[0].0, begun[0].1.peer.as_str()), (NodeId(3), "10.0.0.4:6382"));
}

#[tokio::test]
async fn a_replacement_that_cannot_be_is_refused_before_anything_happens() {
    let door = Door::open().await;
    for (request, code, reason) in [
        (replace(9, 4), Code::NotFound, "NOT_A_MEMBER"),
        (replace(3, 7), Code::InvalidArgument, "WRONG_NODE_ID"),
        (replace(0, 4), Code::InvalidArgument, "INCOMPLETE"),
    ] {
        let status = steps(&door, request).await.unwrap_err();
        assert_eq!((status.code(), info(&status).reason.as_str()), (code, reason));
    }
    assert!(door.double.begun().is_empty());
}

#[tokio::test]
async fn a_replacement_is_not_called_done_by_a_node_that_stops() {
    let door = Door::open().await;
    door.double.change_status(|status| {
        let mut there = status.peers[0].clone();
        (there.node, there.connected) = (NodeId(4), false);
        status.peers.push(there);
    });
    let mut steps =
        soon(door.cluster().await.replace_node(replace(3, 4))).await.unwrap().into_inner();
    let step = soon(steps.message()).await.unwrap().unwrap();
    assert_eq!(step.shards_done, 0);
    assert!(step.message.contains("weir server"), "{}", step.message);
    door.stopping.cancel();
    let status = soon(steps.message()).await.unwrap_err();
    assert_eq!(info(&status).metadata["outcome"], "UNKNOWN");
}
