//! The client against nodes that fail in every way: gone, stopping, silent, cut off in the middle.

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fake::{Fake, Say};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{Append, Client, Entry, EntryId, Error, Range, limits};

const HANGS: Duration = Duration::from_secs(20);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, work).await.expect("it hangs")
}

fn of(nodes: &[&Fake]) -> Client {
    Client::connect(nodes.iter().map(|node| node.address.clone())).unwrap()
}

fn hurried(nodes: &[&Fake]) -> Client {
    let addresses = nodes.iter().map(|node| node.address.clone());
    Client::builder(addresses).timeout(Duration::from_millis(300)).build().unwrap()
}

fn entry(value: usize) -> Append {
    Append::to("s").field("n", value.to_string())
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn a_node_that_is_not_there_is_passed_over() {
    let (gone, node) = (Fake::start(), Fake::start());
    gone.kill();
    soon(of(&[&gone, &node]).append(entry(1))).await.unwrap();
    assert_eq!(node.values(), ["1"]);
}

#[tokio::test]
async fn what_surely_had_no_effect_is_repeated_at_another_node() {
    let (one, two) = (Fake::start(), Fake::start());
    one.say(Say::nothing_happened("NO_LEADER"));
    soon(of(&[&one, &two]).append(entry(1))).await.unwrap();
    assert_eq!((one.values().len(), two.values().len()), (0, 1));
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_never_repeated() {
    let (one, two) = (Fake::start(), Fake::start());
    one.say(Say::unknown());
    let error = soon(of(&[&one, &two]).append(entry(1))).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    assert_eq!((one.values().len(), two.values().len()), (0, 0));
}

#[tokio::test]
async fn a_write_that_is_cut_off_is_unknown_and_never_repeated() {
    let (one, two) = (Fake::start(), Fake::start());
    one.say(Say::Silence);
    let client = of(&[&one, &two]);
    let append = tokio::spawn(async move { client.append(entry(1)).await });
    soon(one.asked(1)).await;
    one.kill();
    let error = soon(append).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    assert_eq!(two.values().len(), 0);
}

#[tokio::test]
async fn a_read_that_is_cut_off_is_repeated() {
    let (one, two) = (Fake::start(), Fake::start());
    one.say(Say::Silence);
    let client = of(&[&one, &two]);
    let describe = tokio::spawn(async move { client.describe("s").await });
    soon(one.asked(1)).await;
    one.kill();
    assert_eq!(soon(describe).await.unwrap().unwrap().shard, 7);
}

#[tokio::test]
async fn silence_is_unknown_for_a_write_and_unavailable_for_a_read() {
    let node = Fake::start();
    node.say(Say::Silence);
    node.say(Say::Silence);
    let error = soon(hurried(&[&node]).append(entry(1))).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    let error = soon(hurried(&[&node]).describe("s")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn when_no_node_is_there_nothing_happened_and_it_is_said_in_time() {
    let (one, two) = (Fake::start(), Fake::start());
    one.kill();
    two.kill();
    let error = soon(hurried(&[&one, &two]).append(entry(1))).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn the_leader_that_is_named_is_asked_next() {
    let (one, two, three) = (Fake::start(), Fake::start(), Fake::start());
    one.say(Say::leader_is(&three.address));
    let client = of(&[&one, &two, &three]);
    soon(client.append(entry(1))).await.unwrap();
    soon(client.append(entry(2))).await.unwrap();
    assert_eq!((two.values().len(), three.values().len()), (0, 2));
}

#[tokio::test]
async fn an_overloaded_node_is_asked_again_and_a_full_disk_is_told() {
    let node = Fake::start();
    node.say(Say::over("OVERLOADED"));
    soon(of(&[&node]).append(entry(1))).await.unwrap();
    node.say(Say::over("DISK_FULL"));
    let error = soon(of(&[&node]).append(entry(2))).await.unwrap_err();
    assert!(
        matches!(&error, Error::Exhausted(detail) if detail.reason == "DISK_FULL"),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_password_goes_with_every_call() {
    let node = Fake::start();
    let builder = Client::builder([node.address.clone()]).password("secret");
    let client = builder.build().unwrap();
    soon(client.append(entry(1))).await.unwrap();
    let many = client.append_many(futures::stream::iter([entry(2)]));
    soon(many.try_collect::<Vec<_>>()).await.unwrap();
    soon(client.range(Range::of("s")).try_collect::<Vec<_>>()).await.unwrap();
    assert_eq!(node.passwords(), vec![Some("Bearer secret".to_owned()); 3]);
    assert!(!format!("{client:?}").contains("secret"));
}

#[test]
fn what_cannot_be_an_address_is_named() {
    for address in ["", "localhost", "localhost:port", "a b:1", "localhost:99999"] {
        let error = Client::connect([address]).unwrap_err();
        assert!(matches!(error, Error::Address(_)), "{address}: {error:?}");
    }
    assert!(Client::connect(Vec::<String>::new()).is_err());
}

#[tokio::test]
async fn many_appends_are_answered_in_order() {
    const COUNT: usize = 5000;
    let node = Fake::start();
    let appends = futures::stream::iter((0..COUNT).map(entry));
    let results = of(&[&node]).append_many(appends).try_collect::<Vec<EntryId>>();
    let ids = soon(results).await.unwrap();
    let expected: Vec<_> = (1..=COUNT as u64).map(|seq| EntryId::new(1, seq)).collect();
    assert_eq!(ids, expected);
    assert_eq!(node.values(), numbers(0..COUNT));
}

#[tokio::test]
async fn what_a_stopping_node_has_not_answered_goes_to_another_in_order_and_once() {
    const COUNT: usize = 5000;
    let (one, two) = (Fake::start(), Fake::start());
    one.stop_after(3);
    let appends = futures::stream::iter((0..COUNT).map(entry));
    let results = of(&[&one, &two]).append_many(appends).try_collect::<Vec<EntryId>>();
    assert_eq!(soon(results).await.unwrap().len(), COUNT);
    let (first, second) = (one.values(), two.values());
    assert!(!first.is_empty() && !second.is_empty());
    assert_eq!([first, second].concat(), numbers(0..COUNT));
}

#[tokio::test]
async fn appends_under_way_when_a_node_dies_are_unknown_and_nothing_follows_them() {
    let (one, two) = (Fake::start(), Fake::start());
    one.silent_after(2);
    let (sender, receiver) = mpsc::channel(16);
    let mut results = of(&[&one, &two]).append_many(ReceiverStream::new(receiver));
    for number in 0..2 {
        sender.send(entry(number)).await.unwrap();
        soon(results.next()).await.unwrap().unwrap();
    }
    for number in 2..5 {
        sender.send(entry(number)).await.unwrap();
        soon(one.asked(number + 1)).await;
    }
    one.kill();
    for _ in 2..5 {
        let error = soon(results.next()).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Unknown(_)), "{error:?}");
    }
    assert_eq!(soon(results.next()).await, None);
    assert_eq!(two.values().len(), 0);
}

#[tokio::test]
async fn a_node_that_dies_while_nothing_is_under_way_is_not_noticed() {
    let (one, two) = (Fake::start(), Fake::start());
    let client = of(&[&one, &two]);
    let (sender, receiver) = mpsc::channel(16);
    let mut results = client.append_many(ReceiverStream::new(receiver));
    sender.send(entry(0)).await.unwrap();
    soon(results.next()).await.unwrap().unwrap();
    one.kill();
    // When this is answered, by the other node, the end of the connection has been heard.
    soon(client.describe("s")).await.unwrap();
    sender.send(entry(1)).await.unwrap();
    soon(results.next()).await.unwrap().unwrap();
    drop(sender);
    assert_eq!(soon(results.next()).await, None);
    assert_eq!(two.values(), ["1"]);
}

#[tokio::test]
async fn many_appends_without_any_node_have_one_answer_each() {
    let gone = Fake::start();
    gone.kill();
    let appends = futures::stream::iter((0..1).map(entry));
    let results: Vec<_> = soon(hurried(&[&gone]).append_many(appends).collect()).await;
    assert_eq!(results.len(), 1);
    assert!(matches!(results[0], Err(Error::Unavailable(_))), "{results:?}");
}

#[tokio::test]
async fn results_that_nobody_takes_hold_the_appends_back() {
    const COUNT: usize = 200_000;
    let node = Fake::start();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let appends = futures::stream::iter(0..COUNT).map(move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        entry(number)
    });
    let mut results = of(&[&node]).append_many(appends);
    let held = limits::WAITING_APPENDS + limits::RESULTS;
    soon(node.asked(limits::RESULTS)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(taken.load(Ordering::SeqCst) <= held + limits::BATCH_APPENDS);
    for _ in 0..COUNT {
        soon(results.next()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_read_goes_on_at_another_node_behind_the_last_entry() {
    let (one, two) = (Fake::start(), Fake::start());
    one.stop_after(2);
    let read = async |range| {
        let entries: Vec<Entry> = soon(of(&[&one, &two]).range(range).try_collect()).await.unwrap();
        entries.into_iter().map(|entry| entry.id.seq).collect::<Vec<_>>()
    };
    // The nodes have the ids 1-1 to 1-20, five a page.
    assert_eq!(read(Range::of("s")).await, (1..=20).collect::<Vec<_>>());
    assert_eq!(read(Range::of("s").limit(13)).await, (1..=13).collect::<Vec<_>>());
    let reverse = Range::of("s").reverse().end(EntryId::new(1, 18));
    assert_eq!(read(reverse).await, (1..=18).rev().collect::<Vec<_>>());
    assert_eq!(two.ranges(), 3);
}
