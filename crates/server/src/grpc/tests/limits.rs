//! What is too big, too slow, too many, or not allowed.

use std::time::Duration;

use rpc::v1;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::super::Options;
use super::{Door, append, info, options, soon};

#[tokio::test]
async fn an_entry_above_the_limit_is_refused_and_one_at_the_limit_is_taken() {
    let door = Door::with(Options { entry_bytes_max: 1000, ..options() }).await;
    let mut streams = door.streams().await;
    // The field's name has a byte; the key doesn't count.
    soon(streams.append(append("s", vec![0; 999]))).await.unwrap();
    let status = soon(streams.append(append("s", vec![0; 1000]))).await.unwrap_err();
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::InvalidArgument, "ENTRY_TOO_BIG")
    );
    assert_eq!(door.double.writes_now(), 1);
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_before_it_is_taken_in() {
    let door = Door::with(Options { entry_bytes_max: 1000, ..options() }).await;
    let mut streams = door.streams().await;
    let status = soon(streams.append(append("s", vec![0; 4 << 20]))).await.unwrap_err();
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::InvalidArgument, "MESSAGE_TOO_BIG")
    );
    soon(streams.append(append("s", "v"))).await.unwrap();
}

#[tokio::test]
async fn what_came_before_a_message_that_is_too_big_is_answered_first() {
    let door = Door::with(Options { entry_bytes_max: 1000, ..options() }).await;
    let mut streams = door.streams().await;
    let many = |value: Vec<u8>| v1::AppendManyRequest { appends: vec![append("s", value)] };
    let messages = vec![many(vec![1]), many(vec![0; 4 << 20]), many(vec![2])];
    let answers = streams.append_many(tokio_stream::iter(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    let first = soon(answers.message()).await.unwrap().unwrap();
    assert!(matches!(first.results[0].result, Some(v1::append_result::Result::Appended(_))));
    let status = soon(answers.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::InvalidArgument, "MESSAGE_TOO_BIG")
    );
    assert_eq!(door.double.writes_now(), 1);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_mistake() {
    let door = Door::open().await;
    let mut raw = tonic::client::Grpc::new(door.channel().await);
    raw.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<v1::EntryId, v1::AppendResponse>::default();
    let path = PathAndQuery::from_static("/weir.v1.Streams/Append");
    // Its first field is a number, where the stream's name is expected.
    let request = Request::new(v1::EntryId { ms: 7, seq: 7 });
    let status = soon(raw.unary(request, path, codec)).await.unwrap_err();
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::InvalidArgument, "MALFORMED")
    );
}

#[tokio::test]
async fn a_call_whose_deadline_passes_ends_and_the_connection_lives_on() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    door.double.hold();
    let mut request = Request::new(append("s", "v"));
    request.set_timeout(Duration::from_millis(50));
    let status = soon(streams.append(request)).await.unwrap_err();
    assert!(matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded), "{status:?}");
    door.double.release();
    soon(streams.append(append("s", "v"))).await.unwrap();
    assert_eq!(door.double.entries("s").len(), 2);
}

#[tokio::test]
async fn without_the_password_nothing_but_health_is_answered() {
    let password = Some("correct horse".to_owned());
    let door = Door::with(Options { password, ..options() }).await;
    let mut streams = door.streams().await;
    for (sent, taken) in [
        (None, false),
        (Some("Bearer wrong"), false),
        (Some("Bearer correct horse "), false),
        (Some("Bearer"), false),
        (Some("Basic correct horse"), false),
        (Some("correct horse"), false),
        (Some("Bearer correct horse"), true),
        (Some("bearer correct horse"), true),
    ] {
        let mut request = Request::new(append("s", "v"));
        if let Some(sent) = sent {
            request.metadata_mut().insert("authorization", MetadataValue::from_static(sent));
        }
        match soon(streams.append(request)).await {
            Ok(_) => assert!(taken, "{sent:?}"),
            Err(status) => {
                assert!(!taken, "{sent:?}");
                assert_eq!(status.code(), Code::Unauthenticated);
                assert!(!status.message().contains("correct"), "{status:?}");
            }
        }
    }
    let status = soon(door.cluster().await.status(v1::StatusRequest {})).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let messages = tokio_stream::once(v1::AppendManyRequest::default());
    let status = soon(streams.append_many(messages)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut health = HealthClient::new(door.channel().await);
    soon(health.check(HealthCheckRequest::default())).await.unwrap();
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_free_place_is_used_again() {
    let door = Door::with(Options { connections_max: 1, ..options() }).await;
    let mut first = door.streams().await;
    soon(first.append(append("s", "v"))).await.unwrap();
    let endpoint = format!("http://{}", door.address);
    let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
    let mut second = super::StreamsClient::new(endpoint.connect_lazy());
    soon(second.append(append("s", "v"))).await.unwrap_err();
    drop(first);
    soon(async {
        while second.append(append("s", "v")).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
