//! Moving from Redis: a copy from Debian's Redis into a cluster of real processes, interrupted and
//! taken up again.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use tests::client::Client;
use tests::cluster::{Cluster, Options};
use tests::conformance::{Kind, Server};
use tests::import::{self, Summary};

fn ask(client: &mut Client, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let reply = client.call(&words).unwrap();
    assert!(reply.as_error().is_none(), "{line}: {reply}");
}

/// Streams as they are after a while: deleted and trimmed entries, groups that stand somewhere,
/// pending entries of several consumers and deliveries, one without its entry, an empty stream.
fn fill(redis: &mut Client) {
    for number in 1..=1_200 {
        ask(redis, &format!("XADD orders {number}-1 n {number} f v{number}"));
    }
    ask(redis, "XDEL orders 600-1 1200-1");
    ask(redis, "XTRIM orders MAXLEN 1150");
    ask(redis, "XGROUP CREATE orders workers 0");
    ask(redis, "XREADGROUP GROUP workers ann COUNT 30 STREAMS orders >");
    ask(redis, "XREADGROUP GROUP workers bob COUNT 30 STREAMS orders >");
    ask(redis, "XACK orders workers 60-1 61-1");
    ask(redis, "XCLAIM orders workers bob 0 55-1 56-1");
    ask(redis, "XDEL orders 58-1");
    ask(redis, "XGROUP CREATE orders auditors 700-1 ENTRIESREAD 699");
    ask(redis, "XGROUP CREATECONSUMER orders auditors idle");
    ask(redis, "XGROUP CREATE empty nobody 0 MKSTREAM");
    ask(redis, "SET another-type 1");
}

#[test]
fn an_interrupted_import_goes_on_and_proves_that_both_sides_have_the_same() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let server = Server::start(Kind::Redis).unwrap();
    let mut redis = Client::open(&server.address()).unwrap();
    let (source, target) = (server.address(), cluster.nodes[1].resp());
    fill(&mut redis);
    let interrupted = import::run(&source, &target, &mut |line| {
        anyhow::ensure!(!line.ends_with(" 1000 entries"), "interrupted");
        Ok(())
    });
    assert_eq!(interrupted.unwrap_err().to_string(), "interrupted");
    let mut weir = cluster.nodes[0].client().unwrap();
    assert_eq!(weir.call(&["XLEN", "orders"]).unwrap().as_integer(), Some(1_000));

    let mut lines = Vec::new();
    let mut note = |line: &str| {
        lines.push(line.to_owned());
        Ok(())
    };
    let summary = import::run(&source, &target, &mut note).unwrap();
    let expected = Summary { streams: 2, entries: 1_149, groups: 3, pending: 57, pending_gone: 1 };
    assert_eq!(summary, expected);
    assert!(lines.contains(&"stream 2 of 2, orders: 149 entries".to_owned()), "{lines:?}");

    // The source went on: a later run brings over what is new and what is no longer pending.
    ask(&mut redis, "XADD orders 5000-1 n 5000");
    ask(&mut redis, "XACK orders workers 62-1");
    let summary = import::run(&source, &target, &mut |_| Ok(())).unwrap();
    assert_eq!((summary.entries, summary.pending), (1_150, 56));
}

#[test]
fn an_import_says_where_the_sides_differ() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let server = Server::start(Kind::Redis).unwrap();
    let mut redis = Client::open(&server.address()).unwrap();
    let mut weir = cluster.nodes[0].client().unwrap();
    ask(&mut redis, "XADD s 1-1 f v");
    ask(&mut weir, "XADD s 1-1 f another");
    let (source, target) = (server.address(), cluster.nodes[0].resp());
    let error = import::run(&source, &target, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(
        error.starts_with("stream s: entries: source ") && error.contains("another"),
        "{error}"
    );
}
