//! After the faults: every group is drained, then everything is read through every node.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;

use super::load::{GROUP, GROUPED, Load, THINNED, entries_of, ids_of, key};
use super::{CLIENTS, STREAMS};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::wait;
use checker::history::{Final, Id, Op, Seen, Stream};
use checker::replies::pending_of;

/// Entries read at a time.
const PAGE: usize = 5_000;
/// Followers apply what is committed within this.
const EQUAL_WAIT: Duration = Duration::from_secs(30);

pub(super) fn read_all(
    cluster: &Cluster,
    addresses: &[String],
    ops: &mut Vec<Op>,
) -> anyhow::Result<Final> {
    drain(addresses, ops)?;
    let mut end = Final::default();
    for address in addresses {
        let mut client = Client::open(address)?;
        let streams: anyhow::Result<Vec<_>> =
            (0..STREAMS).map(|stream| all(&mut client, stream)).collect();
        end.entries.push(streams?);
    }
    let mut client = Client::open(&addresses[0])?;
    for stream in 0..STREAMS {
        end.pending.push(match stream {
            THINNED => None,
            _ => Some(pending(&mut client, stream)?),
        });
    }
    end.hashes = wait::until("the replicas to be level", EQUAL_WAIT, || cluster.state_hashes())?;
    Ok(end)
}

/// Every consumer takes what it was given and did not acknowledge, then all that is new.
fn drain(addresses: &[String], ops: &mut Vec<Op>) -> anyhow::Result<()> {
    for index in 0..CLIENTS {
        let mut client = Client::open(&addresses[index % addresses.len()])?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Load::new(index, 0, addresses, 1, stop);
        for (stream, new) in GROUPED.flat_map(|stream| [(stream, false), (stream, true)]) {
            loop {
                let entries = load.deliver(&mut client, stream, new)?;
                if entries.is_empty() {
                    break;
                }
                load.acknowledge(&mut client, stream, &ids_of(&entries))?;
            }
        }
        ops.extend(load.take_ops());
    }
    Ok(())
}

fn all(client: &mut Client, stream: Stream) -> anyhow::Result<Vec<Seen>> {
    let mut entries: Vec<Seen> = Vec::new();
    loop {
        let start = entries.last().map_or("-".to_owned(), |((ms, seq), _)| format!("({ms}-{seq}"));
        let count = PAGE.to_string();
        let reply = client.call(&["XRANGE", &key(stream), &start, "+", "COUNT", &count])?;
        anyhow::ensure!(reply.as_error().is_none(), "{reply}");
        let page = entries_of(&reply);
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}

fn pending(client: &mut Client, stream: Stream) -> anyhow::Result<Vec<Id>> {
    let count = PAGE.to_string();
    let reply = client.call(&["XPENDING", &key(stream), GROUP, "-", "+", &count])?;
    anyhow::ensure!(reply.as_error().is_none(), "{reply}");
    pending_of(&reply).with_context(|| format!("lines about what is pending: {reply}"))
}
