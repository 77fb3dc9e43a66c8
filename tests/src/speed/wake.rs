//! How long a blocked reader takes to have what a producer adds, and the producer to be answered:
//! with Redis the reader has it before any replica does, here once it is kept.

use std::time::Duration;

use anyhow::ensure;
use bytes::BytesMut;
use hdrhistogram::Histogram;
use resp::{Value, write_request};

use super::table::ms;
use super::{Measured, Plan, Side, Table, tell};
use crate::client::Client;
use crate::wait;

const STREAM: &str = "weir-wake";
const BLOCKED_WAIT: Duration = Duration::from_secs(60);
/// What a reader waits for.
pub const READS: [(&str, &str); 2] = [
    ("XREAD", "XREAD BLOCK 0 STREAMS weir-wake $"),
    ("XREADGROUP", "XREADGROUP GROUP g c NOACK BLOCK 0 STREAMS weir-wake >"),
];

/// A reader and a producer, and how often.
pub struct Pair<'a> {
    pub reader: &'a str,
    pub writer: &'a str,
    /// Whether the producer asks for a replica.
    pub wait: bool,
    pub times: usize,
}

/// What both waited.
pub struct Woken {
    pub reader: Histogram<u64>,
    pub producer: Histogram<u64>,
}

/// Sends words with one space between.
///
/// # Errors
/// The connection broke.
pub fn send(client: &mut Client, words: &str) -> anyhow::Result<()> {
    let mut bytes = BytesMut::new();
    write_request(&mut bytes, &words.split(' ').collect::<Vec<_>>());
    Ok(client.send(&bytes)?)
}

fn ask(client: &mut Client, words: &str) -> anyhow::Result<Value> {
    send(client, words)?;
    Ok(client.reply()?)
}

/// Waits until so many clients of a node wait.
///
/// # Errors
/// They don't in time.
pub fn until_blocked(client: &mut Client, count: usize) -> anyhow::Result<()> {
    // As it is displayed, line ends and all.
    let wanted = format!("blocked_clients:{count}\\r");
    wait::until("readers to be blocked", BLOCKED_WAIT, || {
        let info = ask(client, "INFO clients").map_err(|error| error.to_string())?.to_string();
        if info.contains(&wanted) { Ok(()) } else { Err(info) }
    })
}

impl Pair<'_> {
    /// Lets the reader wait and the producer add, again and again.
    ///
    /// # Errors
    /// A connection broke, or nobody was woken.
    pub fn measure(&self, read: &str) -> anyhow::Result<Woken> {
        let mut writer = Client::open(self.writer)?;
        let mut reader = Client::open(self.reader)?;
        let mut looker = Client::open(self.reader)?;
        ask(&mut writer, &format!("DEL {STREAM}"))?;
        ask(&mut writer, &format!("XGROUP CREATE {STREAM} g $ MKSTREAM"))?;
        let mut woken = Woken { reader: Histogram::new(3)?, producer: Histogram::new(3)? };
        for _ in 0..self.times {
            send(&mut reader, read)?;
            until_blocked(&mut looker, 1)?;
            self.wake(&mut writer, &mut reader, &mut woken)?;
        }
        ask(&mut writer, &format!("DEL {STREAM}"))?;
        Ok(woken)
    }

    fn wake(
        &self,
        writer: &mut Client,
        reader: &mut Client,
        woken: &mut Woken,
    ) -> anyhow::Result<()> {
        let mut bytes = BytesMut::new();
        write_request(&mut bytes, &["XADD", STREAM, "*", "f", "v"]);
        if self.wait {
            write_request(&mut bytes, &["WAIT", "1", "0"]);
        }
        // The reader has a thread of its own: whoever is answered first is not kept by the other.
        std::thread::scope(|scope| {
            let read = scope.spawn(|| (reader.reply(), wait::now()));
            let began = wait::now();
            let since = |end: Duration| u64::try_from((end - began).as_micros());
            writer.send(&bytes)?;
            let added = writer.reply()?;
            ensure!(added.as_error().is_none(), "XADD: {added}");
            if self.wait {
                let held = writer.reply()?;
                ensure!(held.as_integer().is_some_and(|it| it >= 1), "WAIT: {held}");
            }
            woken.producer.record(since(wait::now())?)?;
            let joined = read.join();
            let (reply, end) = joined.map_err(|_| anyhow::anyhow!("the reader's thread ended"))?;
            ensure!(!reply?.is_null(), "the reader was given nothing");
            woken.reader.record(since(end)?)?;
            Ok(())
        })
    }
}

/// The places of readers: at the leader or the primary, and at a node that does not lead.
fn pairs(side: &Side) -> Vec<(&'static str, String, String)> {
    let leader = side.leader.clone();
    let mut places = vec![(if side.wait { "primary" } else { "leader" }, leader.clone())];
    if let Some(other) = side.addresses.iter().find(|address| **address != leader) {
        places.push(("follower", other.clone()));
    }
    places.into_iter().map(|(place, reader)| (place, reader, leader.clone())).collect()
}

/// Waking one reader, side by side, in interleaved rounds.
///
/// # Errors
/// A connection broke, or nobody was woken.
pub fn run(plan: &Plan<'_>) -> anyhow::Result<Table> {
    let times = plan.turns;
    let title = format!(
        "A blocked reader is woken: from sending an XADD, {times} times a round, medians of {} rounds",
        plan.rounds
    );
    let columns =
        ["reader", "system", "has it p50 ms", "p99 ms", "producer p50 ms", "producer p99 ms"];
    let mut table = Table::new(title, &columns);
    for (name, read) in READS {
        let mut all: Vec<(String, Vec<Measured>, Vec<Measured>)> = Vec::new();
        for round in 1..=plan.rounds {
            for side in plan.sides {
                tell(&format!("{name} woken, round {round} of {}: {}", plan.rounds, side.name));
                for (place, reader, writer) in pairs(side) {
                    let pair = Pair { reader: &reader, writer: &writer, wait: side.wait, times };
                    let woken = pair.measure(read)?;
                    let label = format!("{}, at the {place}", side.name);
                    let at = all.iter().position(|it| it.0 == label).unwrap_or_else(|| {
                        all.push((label, Vec::new(), Vec::new()));
                        all.len() - 1
                    });
                    all[at].1.push(Measured::of(&woken.reader, Duration::from_secs(1)));
                    all[at].2.push(Measured::of(&woken.producer, Duration::from_secs(1)));
                }
            }
        }
        for (label, readers, producers) in all {
            let of = |all: &[Measured]| Measured::median(all).unwrap_or_default();
            let (reader, producer) = (of(&readers), of(&producers));
            let times = [reader.p50_ms, reader.p99_ms, producer.p50_ms, producer.p99_ms];
            table.rows.push([name.to_owned(), label].into_iter().chain(times.map(ms)).collect());
        }
    }
    Ok(table)
}
