//! What the clients do: append with trimming, read for a group and acknowledge, take over what others left
//! open, read ranges, wait for what is new. A client whose node is away goes to the next one.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use hdrhistogram::Histogram;
use resp::write_request;

use crate::client::Client;
use crate::wait;

const STREAMS: usize = 4;
const WRITERS: usize = 6;
const CONSUMERS: usize = 4;
const READERS: usize = 2;
const WAITERS: usize = 2;
/// Kept of each stream: full after some minutes.
const KEPT: &str = "50000";
const TOGETHER: u32 = 5;
const PAYLOAD_BYTES: usize = 100;
const AWAY: Duration = Duration::from_millis(100);
const READER_PAUSE: Duration = Duration::from_millis(50);

/// What all clients have in common.
pub(super) struct Shared {
    pub(super) over: AtomicBool,
    /// Answers that were no errors.
    pub(super) calls: AtomicU64,
    pub(super) appends: AtomicU64,
    /// Of appends, since the last sample.
    times_us: Mutex<Histogram<u64>>,
}

impl Default for Shared {
    fn default() -> Self {
        let times_us = Mutex::new(Histogram::new(3).expect("three digits"));
        Self {
            over: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            appends: AtomicU64::new(0),
            times_us,
        }
    }
}

impl Shared {
    /// The p99 of appends since it was asked for last, in milliseconds.
    pub(super) fn p99_ms(&self) -> f64 {
        let mut times = self.times_us.lock().unwrap_or_else(PoisonError::into_inner);
        let p99 = times.value_at_quantile(0.99) as f64 / 1000.0;
        times.reset();
        p99
    }

    fn appended(&self, count: u64, took: Duration) {
        self.appends.fetch_add(count, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut times = self.times_us.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = times.record_n(us.max(1), count);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// What a kind of client does in one turn.
type Turn = fn(&mut Client, usize, &Shared) -> io::Result<()>;

/// Lets all of them begin.
pub(super) fn start(
    addresses: &[String],
    rate: u32,
    shared: &Arc<Shared>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut client = Client::open(&addresses[0])?;
    for stream in 0..STREAMS {
        let made = client.call(&["XGROUP", "CREATE", &key(stream), "g", "0", "MKSTREAM"])?;
        anyhow::ensure!(made.as_error().is_none(), "{made}");
    }
    let pause = Duration::from_secs(1) * TOGETHER * u32::try_from(WRITERS)? / rate;
    let kinds: [(usize, Turn, Duration); 4] = [
        (WRITERS, append, pause),
        (CONSUMERS, consume, Duration::ZERO),
        (READERS, read, READER_PAUSE),
        (WAITERS, wait_for_more, Duration::ZERO),
    ];
    let mut clients = Vec::new();
    for (count, turn, every) in kinds {
        for index in 0..count {
            let (addresses, shared) = (addresses.to_vec(), Arc::clone(shared));
            clients.push(std::thread::spawn(move || {
                work(index, &addresses, &shared, turn, every);
            }));
        }
    }
    Ok(clients)
}

fn key(stream: usize) -> String {
    format!("soak:{}", stream % STREAMS)
}

fn work(index: usize, addresses: &[String], shared: &Shared, turn: Turn, every: Duration) {
    let mut place = index;
    while !shared.is_over() {
        let opened = Client::open(&addresses[place % addresses.len()]);
        let worked = opened.and_then(|mut client| {
            while !shared.is_over() {
                let began = wait::now();
                turn(&mut client, index, shared)?;
                wait::pause((began + every).saturating_sub(wait::now()));
            }
            Ok(())
        });
        if worked.is_err() {
            place += 1;
            wait::pause(AWAY);
        }
    }
}

/// Asks; an error of the node is none of the connection.
fn ask(client: &mut Client, words: &[&str], shared: &Shared) -> io::Result<resp::Value> {
    let reply = client.call(words)?;
    if reply.as_error().is_none() {
        shared.calls.fetch_add(1, Ordering::Relaxed);
    }
    Ok(reply)
}

fn append(client: &mut Client, index: usize, shared: &Shared) -> io::Result<()> {
    let value = "x".repeat(PAYLOAD_BYTES);
    let mut request = BytesMut::new();
    for _ in 0..TOGETHER {
        let words = ["XADD", &key(index), "MAXLEN", "~", KEPT, "*", "v", &value];
        write_request(&mut request, &words);
    }
    let began = wait::now();
    client.send(&request)?;
    let mut done = 0;
    for _ in 0..TOGETHER {
        done += u64::from(client.reply()?.as_error().is_none());
    }
    shared.calls.fetch_add(done, Ordering::Relaxed);
    shared.appended(done, wait::now() - began);
    Ok(())
}

fn consume(client: &mut Client, index: usize, shared: &Shared) -> io::Result<()> {
    let (key, consumer) = (key(index), format!("c{index}"));
    let words = [
        "XREADGROUP",
        "GROUP",
        "g",
        &consumer,
        "COUNT",
        "100",
        "BLOCK",
        "500",
        "STREAMS",
        &key,
        ">",
    ];
    let given = ask(client, &words, shared)?;
    let taken =
        ask(client, &["XAUTOCLAIM", &key, "g", &consumer, "5000", "0", "COUNT", "50"], shared)?;
    let entries = |value: Option<&resp::Value>| -> Vec<String> {
        let entries = value.and_then(resp::Value::as_items).unwrap_or_default();
        let id = |entry: &resp::Value| Some(entry.as_items()?.first()?.as_text()?.to_owned());
        entries.iter().filter_map(id).collect()
    };
    let stream = given.as_items().and_then(|streams| streams.first()?.as_items()?.get(1));
    let mut ids = entries(stream);
    ids.extend(entries(taken.as_items().and_then(|parts| parts.get(1))));
    if !ids.is_empty() {
        let mut words = vec!["XACK", &key, "g"];
        words.extend(ids.iter().map(String::as_str));
        ask(client, &words, shared)?;
    }
    Ok(())
}

fn read(client: &mut Client, index: usize, shared: &Shared) -> io::Result<()> {
    ask(client, &["XRANGE", &key(index), "-", "+", "COUNT", "200"], shared)?;
    ask(client, &["XREVRANGE", &key(index + 1), "+", "-", "COUNT", "200"], shared)?;
    ask(client, &["XINFO", "GROUPS", &key(index)], shared)?;
    ask(client, &["XPENDING", &key(index), "g"], shared).map(drop)
}

fn wait_for_more(client: &mut Client, index: usize, shared: &Shared) -> io::Result<()> {
    ask(client, &["XREAD", "BLOCK", "1000", "STREAMS", &key(index), "$"], shared).map(drop)
}
