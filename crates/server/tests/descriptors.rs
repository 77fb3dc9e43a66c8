//! The RESP door in a process that runs out of descriptors: alone in its process, since the limit
//! is everybody's.

#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]
#![expect(dead_code, reason = "what it shares with the other tests has more than it needs")]

#[path = "resp/client.rs"]
mod client;
#[path = "resp/door.rs"]
mod door;
#[path = "resp/lone_shards.rs"]
mod lone_shards;

use client::Client;
use door::Door;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

/// More than the test itself has open, and quickly used up.
const DESCRIPTORS_MAX: u64 = 64;

/// An error of accept made the server take no connection any more.
#[tokio::test]
async fn cve_2025_48367_a_port_without_descriptors_goes_on_and_takes_connections_later() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS_MAX), ..limits }).unwrap();
    let door = Door::open_with(|options| options.connections_max = 10_000);
    let mut first = door.client().await;
    assert_eq!(first.ask("PING").await, "+PONG");

    let mut streams = Vec::new();
    while let Ok(stream) = TcpStream::connect(door.address).await {
        streams.push(stream);
        tokio::task::yield_now().await;
    }
    door.until(|stats| stats.accept_failed > 0).await;
    assert_eq!(first.ask("XADD s 1-1 a 1").await, "'1-1'");

    streams.truncate(streams.len() / 2);
    let mut last = Client::connect(door.address).await;
    assert_eq!(last.ask("XLEN s").await, ":1");
}
