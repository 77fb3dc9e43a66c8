//! Thousands of connections that say nothing, on one node: what each costs, that a client at work does
//! not notice them, and that each is answered when it speaks again. Skips with a loud word where
//! so many descriptors are not allowed.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::client::Client;
use tests::cluster::{Cluster, Options};
use tests::skips;
use tests::wait;

const CONNECTIONS: usize = 9_000;
/// Beside the connections: the node's files and links, and this test's own.
const DESCRIPTORS_ROOM: u64 = 500;
/// What one may cost the node: 3 KiB in a debug build, 7 where it keeps its buffers.
const BYTES_EACH_MAX: u64 = 5 << 10;
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Requests of the client at work, whose median is looked at.
const ASKED: usize = 300;
/// Of that median, however busy the machine is otherwise.
const QUICK: Duration = Duration::from_millis(100);

/// Here, and in the node, which inherits it. Says whether that is allowed.
fn raise_descriptors() -> bool {
    let needed = CONNECTIONS as u64 + DESCRIPTORS_ROOM;
    let limits = getrlimit(Resource::Nofile);
    let maximum = limits.maximum.map(|most| most.max(needed));
    let enough = limits.current.is_none_or(|current| current >= needed);
    enough || setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).is_ok()
}

/// No buffers of its own: the test's memory is not the node's, but it is the machine's.
fn ping(stream: &mut TcpStream) {
    let mut answer = [0; 7];
    stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

/// What appends take one client, in the middle.
fn median(client: &mut Client) -> Duration {
    let mut took: Vec<Duration> = (0..ASKED)
        .map(|_| {
            let began = wait::now();
            let reply = client.call(&["XADD", "s", "*", "f", "v"]).unwrap();
            assert!(reply.as_error().is_none(), "{reply}");
            wait::now() - began
        })
        .collect();
    took.sort();
    took[ASKED / 2]
}

#[test]
fn nine_thousand_idle_connections_cost_little_and_others_nothing() {
    if !raise_descriptors() {
        skips::skip(&format!("idle connections: {CONNECTIONS} descriptors are not allowed here"));
        return;
    }
    let extra = format!("[limits]\nconnections_max = {}\n", CONNECTIONS + 10);
    let cluster = Cluster::start(&Options { nodes: 1, forming: 1, shards: 1, extra }).unwrap();
    let node = &cluster.nodes[0];
    let mut busy = node.client().unwrap();
    let alone = median(&mut busy);

    let before = node.resident_bytes().unwrap();
    let mut idle = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(node.resp()).unwrap();
        stream.set_read_timeout(Some(ANSWER_WAIT)).unwrap();
        // It was at work once: what it needed for that is given back.
        ping(&mut stream);
        idle.push(stream);
    }
    let each = node.resident_bytes().unwrap().saturating_sub(before) / CONNECTIONS as u64;
    let beside = median(&mut busy);
    println!(
        "{CONNECTIONS} idle connections: {each} bytes each; an append takes {alone:?} without them, {beside:?} beside them"
    );
    assert!(each <= BYTES_EACH_MAX, "{each} bytes for each connection");
    assert!(beside <= QUICK, "an append took {beside:?}");

    let clients = busy.call(&["INFO", "clients"]).unwrap().to_string();
    assert!(clients.contains(&format!("connected_clients:{}\\r", CONNECTIONS + 1)), "{clients}");
    idle.iter_mut().for_each(ping);
    drop(idle);
    let gone = wait::until("idle connections to be gone", ANSWER_WAIT, || {
        let clients = busy.call(&["INFO", "clients"]).unwrap().to_string();
        if clients.contains("connected_clients:1\\r") { Ok(()) } else { Err(clients) }
    });
    gone.unwrap();
}
