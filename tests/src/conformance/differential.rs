//! Random sequences of stream commands, asked of a cluster and of reference servers, and compared
//! reply for reply. A sequence that differs is made as short as it can be and printed with its seed.

mod explained;
mod generate;
mod sequence;
mod shrink;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;

use resp::Value;

use super::{Kind, Server};
use crate::client::Client;
use crate::cluster::Cluster;
use sequence::Request;

pub use explained::reasons;

/// Commands of one sequence, before the questions at its end.
const SEQUENCE_COMMANDS: usize = 100;
/// Sequences that are asked at a time, each on keys of its own.
const LANES: usize = 8;
/// A cluster without a leader for a moment is asked again so often.
const ATTEMPTS: usize = 5;
/// Sequences that may be asked again: what one change of leader does to those that are under way.
const RETRIES_MAX: usize = LANES;
/// More differences than these say nothing new.
const DIFFERENCES_MAX: usize = 3;

/// What was compared, and what differs.
#[derive(Default)]
pub struct Verdict {
    pub commands: usize,
    pub differences: Vec<Difference>,
    /// Who was asked again, and what he had said.
    pub retries: Vec<String>,
}

impl Verdict {
    /// How much of it is wrong. There are no faults: a cluster that has to be asked again more often than
    /// now and then differs, too.
    pub fn wrong(&self) -> usize {
        self.differences.len() + self.retries.len().saturating_sub(RETRIES_MAX)
    }

    fn add(&mut self, other: Self) {
        self.commands += other.commands;
        self.differences.extend(other.differences);
        self.retries.extend(other.retries);
    }
}

/// A sequence that is answered otherwise.
pub struct Difference {
    seed: u64,
    server: String,
    protocol: u8,
    transcript: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, server, protocol, transcript } = self;
        writeln!(f, "seed {seed}, RESP{protocol}, beside {server}:\n{transcript}")
    }
}

/// Where sequences are sent: connections in both protocols.
struct Place {
    name: String,
    /// In RESP2 and in RESP3.
    clients: [Client; 2],
    /// What made it be asked again.
    retries: Vec<String>,
}

impl Place {
    fn open(name: String, address: &str) -> anyhow::Result<Self> {
        let mut clients = [Client::open(address)?, Client::open(address)?];
        clients[1].call(&["HELLO", "3"])?;
        Ok(Self { name, clients, retries: Vec::new() })
    }

    /// The replies to a sequence. A cluster that had no leader for a moment is asked once more, which is
    /// counted.
    fn ask(&mut self, how: How, requests: &[Request]) -> anyhow::Result<Vec<Value>> {
        let client = &mut self.clients[usize::from(how.protocol) - 2];
        for _ in 1..ATTEMPTS {
            let replies = sequence::ask(client, how.lane, requests)?;
            let Some(reply) = replies.iter().find(|reply| is_of_the_moment(reply)) else {
                return replies_of(replies, requests);
            };
            self.retries.push(format!("{}: {reply}", self.name));
        }
        replies_of(sequence::ask(client, how.lane, requests)?, requests)
    }
}

/// The replies without that to the removal of the keys, which must have been done.
fn replies_of(mut replies: Vec<Value>, requests: &[Request]) -> anyhow::Result<Vec<Value>> {
    let removed = replies.remove(0);
    anyhow::ensure!(removed.as_integer().is_some(), "the keys were not removed: {removed}");
    anyhow::ensure!(replies.len() == requests.len(), "{} replies", replies.len());
    Ok(replies)
}

/// On which keys, and in which protocol.
#[derive(Clone, Copy)]
struct How {
    lane: usize,
    protocol: u8,
}

fn is_of_the_moment(reply: &Value) -> bool {
    let codes = ["TRYAGAIN ", "CLUSTERDOWN ", "BUSY ", "UNKNOWN "];
    reply.as_error().is_some_and(|error| codes.iter().any(|code| error.starts_with(code)))
}

/// Asks so many commands, in sequences drawn from `seed` and the numbers after it, of every node in
/// turn; stops after a few differences.
///
/// # Errors
/// A server or a node does not answer.
pub fn run(
    cluster: &Cluster,
    servers: &[Server],
    seed: u64,
    commands: usize,
    mut progress: impl FnMut(usize),
) -> anyhow::Result<Verdict> {
    super::ask_for_older_shapes(&cluster.nodes[0].resp())?;
    let seeds = AtomicU64::new(seed);
    let rest = AtomicUsize::new(commands);
    let (done, dones) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut verdict = Verdict::default();
        for lane in 0..LANES {
            let mut lane = Lane::open(cluster, servers, lane)?;
            let (done, seeds, rest) = (done.clone(), &seeds, &rest);
            scope.spawn(move || {
                while rest.load(Ordering::SeqCst) > 0 {
                    let compared = lane.compare(seeds.fetch_add(1, Ordering::SeqCst));
                    let asked = compared.as_ref().map_or(usize::MAX, |found| found.commands);
                    let less = |rest: usize| Some(rest.saturating_sub(asked));
                    let _ = rest.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                    drop(done.send(compared));
                }
            });
        }
        drop(done);
        for compared in dones {
            verdict.add(compared?);
            if verdict.wrong() >= DIFFERENCES_MAX {
                rest.store(0, Ordering::SeqCst);
            }
            progress(verdict.commands);
        }
        Ok(verdict)
    })
}

/// Connections to all nodes and servers, for sequences on keys of their own.
struct Lane {
    number: usize,
    turn: usize,
    nodes: Vec<Place>,
    references: Vec<(Kind, Place)>,
}

impl Lane {
    fn open(cluster: &Cluster, servers: &[Server], number: usize) -> anyhow::Result<Self> {
        let node = |it: &crate::cluster::Node| Place::open(format!("node {}", it.id), &it.resp());
        let reference =
            |it: &Server| Ok((it.kind, Place::open(it.kind.to_string(), &it.address())?));
        let nodes = cluster.nodes.iter().map(node).collect::<anyhow::Result<_>>()?;
        let references = servers.iter().map(reference).collect::<anyhow::Result<_>>()?;
        Ok(Self { number, turn: number, nodes, references })
    }

    /// Compares one sequence.
    fn compare(&mut self, seed: u64) -> anyhow::Result<Verdict> {
        let requests = generate::sequence(seed, SEQUENCE_COMMANDS);
        self.turn += 1;
        let node = self.turn % self.nodes.len();
        let protocol = 2 + u8::try_from(self.turn / self.nodes.len() % 2)?;
        let (how, node) = (How { lane: self.number, protocol }, &mut self.nodes[node]);
        let ours = node.ask(how, &requests)?;
        let mut differences = Vec::new();
        let asked = |(kind, _): &&mut (Kind, Place)| explained::asks(*kind, seed);
        for (kind, reference) in self.references.iter_mut().filter(asked) {
            let theirs = reference.ask(how, &requests)?;
            if explained::difference(*kind, &requests, &theirs, &ours).is_none() {
                continue;
            }
            let server = format!("{} ({})", reference.name, node.name);
            let mut both = |requests: &[Request]| {
                Ok((reference.ask(how, requests)?, node.ask(how, requests)?))
            };
            let transcript = shrink::transcript(*kind, requests.clone(), &mut both)?;
            differences.push(Difference { seed, server, protocol, transcript });
        }
        let places = self.nodes.iter_mut().chain(self.references.iter_mut().map(|(_, it)| it));
        let retries = places.flat_map(|place| std::mem::take(&mut place.retries)).collect();
        Ok(Verdict { commands: requests.len(), differences, retries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_is_asked_again_all_the_time_is_wrong() {
        let mut verdict = Verdict::default();
        for number in 0..RETRIES_MAX + 2 {
            let retries = vec![format!("node {number}: BUSY")];
            verdict.add(Verdict { commands: 1, retries, ..Verdict::default() });
        }
        assert_eq!((verdict.commands, verdict.wrong()), (RETRIES_MAX + 2, 2));
    }

    #[test]
    fn a_sequence_on_keys_that_were_not_removed_is_an_error() {
        let replies = || vec![Value::Error("ERR no".into())];
        assert!(replies_of(replies(), &[]).is_err());
        assert!(replies_of(vec![Value::Integer(3)], &[]).unwrap().is_empty());
    }
}
