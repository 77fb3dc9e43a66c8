//! Bugs of groups in other servers that show only after a failover or a restart. Those of one node
//! stand in `crates/server/tests/resp/known_bugs.rs`, with a list of them all.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

const FAILOVER_WAIT: Duration = Duration::from_secs(20);

fn ask(client: &mut Client, line: &str) -> String {
    let reply = client.call(&line.split(' ').collect::<Vec<_>>()).unwrap();
    assert!(reply.as_error().is_none(), "{line}: {reply}");
    reply.to_string()
}

/// Entries `first-1` to `last-1` of one field.
fn add(client: &mut Client, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        ask(client, &format!("XADD s {number}-1 f v"));
    }
}

/// Kills who leads; a client of one of the others, who have a leader.
fn fail_over(cluster: &mut Cluster) -> (usize, Client) {
    let leads =
        wait::until("a leader", FAILOVER_WAIT, || cluster.leader_of_most().ok_or_else(String::new));
    let victim = leads.unwrap();
    cluster.nodes[victim].kill();
    (victim, cluster.nodes[(victim + 1) % 3].client().unwrap())
}

/// Entries that were acknowledged were given again after a failover.
#[test]
fn redis_5433_what_was_acknowledged_stays_so_through_failovers() {
    let mut cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    ask(&mut client, "XGROUP CREATE s g $ MKSTREAM");
    for round in 0..3 {
        let first = round * 10 + 1;
        add(&mut client, first..=first + 9);
        ask(&mut client, "XREADGROUP GROUP g c COUNT 10 STREAMS s >");
        // One of ten is left open each time.
        for number in first..first + 9 {
            assert_eq!(ask(&mut client, &format!("XACK s g {number}-1")), ":1");
        }
        let (victim, mut other) = fail_over(&mut cluster);
        assert_eq!(ask(&mut other, "XREADGROUP GROUP g c STREAMS s >"), "nil-array");
        let open: Vec<u32> = (0..=round).map(|round| round * 10 + 10).collect();
        let history = ask(&mut other, "XREADGROUP GROUP g c STREAMS s 0");
        let entries: Vec<String> =
            open.iter().map(|number| format!("*2['{number}-1', *2['f', 'v']]")).collect();
        let entries = format!("*{}[{}]", open.len(), entries.join(", "));
        assert_eq!(history, format!("*1[*2['s', {entries}]]"), "after {} failovers", round + 1);
        cluster.nodes[victim].start().unwrap();
        cluster.wait_ready(READY_WAIT).unwrap();
        client = cluster.nodes[victim].client().unwrap();
    }
}

/// After a restart a group began before what it had delivered and had been acknowledged.
#[test]
fn redis_7105_the_last_id_delivered_is_known_after_a_restart() {
    let one = Options { nodes: 1, forming: 1, shards: 1, ..Options::default() };
    let mut cluster = Cluster::start(&one).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    ask(&mut client, "XGROUP CREATE s g 0 MKSTREAM");
    ask(&mut client, "XGROUP CREATE s noack 0");
    for number in 1..=50 {
        add(&mut client, number..=number);
        ask(&mut client, "XREADGROUP GROUP g c COUNT 1 STREAMS s >");
        ask(&mut client, "XREADGROUP GROUP noack c COUNT 1 NOACK STREAMS s >");
        ask(&mut client, &format!("XACK s g {number}-1"));
        if number % 20 == 0 {
            ask(&mut client, "XTRIM s MAXLEN 5");
        }
    }
    let before = ask(&mut client, "XINFO GROUPS s");
    assert_eq!(before.matches("'last-delivered-id', '50-1'").count(), 2, "{before}");
    cluster.restart(0).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    assert_eq!(ask(&mut client, "XINFO GROUPS s"), before);
    for group in ["g", "noack"] {
        let read = format!("XREADGROUP GROUP {group} c STREAMS s >");
        assert_eq!(ask(&mut client, &read), "nil-array");
    }
    add(&mut client, 51..=51);
    let given = "*1[*2['s', *1[*2['51-1', *2['f', 'v']]]]]";
    assert_eq!(ask(&mut client, "XREADGROUP GROUP g c STREAMS s >"), given);
}
