//! The RESP door over real sockets on loopback, in front of shards that live in this process.

#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod blocking;
mod client;
mod clients;
mod cluster;
mod commands;
mod connection;
mod door;
mod golden;
mod hostile;
mod known_bugs;
mod limits;
mod lone_shards;
mod order;
mod ports;
mod pubsub;
mod script;
mod statistics;
mod tools;
