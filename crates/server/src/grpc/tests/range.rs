//! `Range` and `Describe`.

use bytes::Bytes;
use rpc::v1;
use streams::error::Refusal;
use streams::id::EntryId;
use streams::reply::{Entry, GroupInfo, Reply, StreamInfo, StreamSummary};
use tonic::Code;

use super::super::limits::{PAGE_BYTES, PAGE_ENTRIES_FIRST};
use super::{Door, info, soon};

fn entries(count: u64, bytes: usize) -> Vec<Entry> {
    let value = Bytes::from(vec![b'x'; bytes]);
    let entry =
        |seq| Entry { id: EntryId::new(1, seq), fields: Some(vec!["n".into(), value.clone()]) };
    (1..=count).map(entry).collect()
}

fn all() -> v1::RangeRequest {
    v1::RangeRequest { stream: "s".into(), ..v1::RangeRequest::default() }
}

/// Sequence numbers, page by page.
async fn pages(door: &Door, request: v1::RangeRequest) -> Vec<Vec<u64>> {
    let mut streams = door.streams().await;
    let mut responses = soon(streams.range(request)).await.unwrap().into_inner();
    let mut pages = Vec::new();
    while let Some(page) = soon(responses.message()).await.unwrap() {
        pages.push(page.entries.into_iter().map(|entry| entry.id.unwrap().seq).collect());
    }
    pages
}

#[tokio::test]
async fn every_entry_comes_once_in_both_directions() {
    let door = Door::open().await;
    door.double.fill("s", entries(5000, 100));
    let forward: Vec<u64> = pages(&door, all()).await.concat();
    assert_eq!(forward, (1..=5000).collect::<Vec<_>>());
    let request = v1::RangeRequest { reverse: true, ..all() };
    let backward: Vec<u64> = pages(&door, request).await.concat();
    assert_eq!(backward, (1..=5000).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn ends_and_limit_are_kept() {
    let door = Door::open().await;
    door.double.fill("s", entries(100, 10));
    let id = |seq| Some(v1::EntryId { ms: 1, seq });
    let between = v1::RangeRequest { start: id(20), end: id(90), ..all() };
    let read = async |request| pages(&door, request).await.concat();
    assert_eq!(read(between.clone()).await, (20..=90).collect::<Vec<_>>());
    let limited = v1::RangeRequest { limit: 40, ..between.clone() };
    assert_eq!(read(limited).await, (20..=59).collect::<Vec<_>>());
    let newest = v1::RangeRequest { limit: 3, reverse: true, ..between };
    assert_eq!(read(newest).await, [90, 89, 88]);
    let crossed = v1::RangeRequest { start: id(90), end: id(20), ..all() };
    assert!(read(crossed).await.is_empty());
    let unknown = v1::RangeRequest { stream: "none".into(), ..all() };
    assert!(read(unknown).await.is_empty());
}

#[tokio::test]
async fn pages_are_bounded_in_bytes_and_queries_follow_the_size_of_what_they_find() {
    let door = Door::open().await;
    door.double.fill("s", entries(40, PAGE_BYTES * 2 / 3));
    let pages = pages(&door, all()).await;
    assert!(pages.iter().all(|page| page.len() == 1), "{pages:?}");
    let counts = door.double.counts();
    assert_eq!(counts[0], PAGE_ENTRIES_FIRST);
    assert!(counts[1..].iter().all(|count| *count <= 3), "{counts:?}");
}

#[tokio::test]
async fn entries_that_are_gone_are_passed_over_without_ending_the_read() {
    let door = Door::open().await;
    let mut all_entries = entries(200, 10);
    for entry in &mut all_entries[..100] {
        entry.fields = None;
    }
    door.double.fill("s", all_entries);
    assert_eq!(pages(&door, all()).await.concat(), (101..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_description_has_the_stream_and_its_groups() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    let summary = StreamSummary {
        length: 5,
        blocks_count: 1,
        tree_nodes_count: 2,
        last_id: EntryId::new(9, 1),
        max_deleted_id: EntryId::MIN,
        entries_added: 7,
        first_id: EntryId::new(3, 0),
        idempotence: None,
    };
    let info = StreamInfo { summary, groups_count: 1, first: None, last: None };
    let group = GroupInfo {
        name: "g".into(),
        consumers_count: 2,
        pending_count: 3,
        last_delivered_id: EntryId::new(4, 0),
        entries_read: None,
        lag: None,
        unread: Some(1),
        nacked_count: None,
    };
    door.double.next_answer(Ok(Reply::Stream(Box::new(info))));
    door.double.next_answer(Ok(Reply::Groups(vec![group])));
    let request = v1::DescribeRequest { stream: "s".into() };
    let found = soon(streams.describe(request)).await.unwrap().into_inner();
    assert_eq!((found.length, found.entries_added, found.shard), (5, 7, 3));
    assert_eq!(found.first_id, Some(v1::EntryId { ms: 3, seq: 0 }));
    let group = &found.groups[0];
    assert_eq!((group.pending_count, group.entries_read, group.lag), (3, None, Some(1)));
}

#[tokio::test]
async fn a_stream_that_is_not_there_cannot_be_described() {
    let door = Door::open().await;
    let mut streams = door.streams().await;
    door.double.next_answer(Ok(Reply::Refused(Refusal::NoKey)));
    let request = v1::DescribeRequest { stream: "s".into() };
    let status = soon(streams.describe(request)).await.unwrap_err();
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::NotFound, "STREAM_NOT_FOUND")
    );
}
