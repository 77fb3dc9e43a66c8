//! Clients that append unique values to a few streams all the time, through every node, and what is there of them
//! afterwards. What goes with a value is a function of it, so that every byte that comes back is compared. Never
//! sends anything twice.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base::{Entropy, SeededEntropy};
use bytes::BytesMut;
use checker::history::{Final, Op, Seen, Stream, What};
use checker::replies::{id_of, judge};
use resp::{Value, write_request};

use crate::client::Client;
use crate::wait;

/// Streams of a round; they fall on different shards.
pub const STREAMS: usize = 4;
/// Appends in one pipeline.
const PIPELINE_MAX: u64 = 4;
/// One entry of so many may be as large as the plan says; the others are small.
const LARGE_EVERY: u64 = 40;
const SMALL_BYTES_MAX: u64 = 2_000;
/// Entries read at a time.
const PAGE: &str = "200";
/// A node that refuses connections is left alone for this long.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What is written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where clients begin, one after the other; whoever loses his node goes to the next.
    pub addresses: Vec<String>,
    /// Names the streams, and is part of every value.
    pub round: u64,
    pub writers: usize,
    /// The largest entry.
    pub bytes_max: u64,
    /// Between two pipelines of one client.
    pub pause: Duration,
}

/// Clients at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<Op>>>,
}

impl Writers {
    /// Lets them begin. Nodes need not run yet.
    pub fn start(plan: &Plan) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let threads = (0..plan.writers)
            .map(|index| {
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                let entropy = SeededEntropy::new((plan.round << 8) + index as u64);
                let (plan, ops) = (plan.clone(), Vec::new());
                let writer = Writer { plan, index, stop, acknowledged, entropy, counter: 0, ops };
                std::thread::spawn(move || writer.run())
            })
            .collect();
        Self { stop, acknowledged, threads }
    }

    /// Appends acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until so many more are acknowledged.
    ///
    /// # Errors
    /// They are not, in time.
    pub fn wait_more(&self, count: u64, limit: Duration) -> Result<()> {
        let goal = self.acknowledged() + count;
        wait::until("appends to be acknowledged", limit, || match self.acknowledged() {
            now if now >= goal => Ok(()),
            now => Err(format!("{} are missing", goal - now)),
        })
    }

    /// Stops them; everything that they sent and were told.
    ///
    /// # Errors
    /// One panicked.
    pub fn finish(self) -> Result<Vec<Op>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut ops = Vec::new();
        for thread in self.threads {
            ops.extend(thread.join().map_err(|_| anyhow!("a writer panicked"))?);
        }
        ops.sort_by_key(|op: &Op| op.call);
        Ok(ops)
    }
}

/// One client.
struct Writer {
    plan: Plan,
    index: usize,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    entropy: SeededEntropy,
    counter: u64,
    ops: Vec<Op>,
}

impl Writer {
    fn run(mut self) -> Vec<Op> {
        let mut place = self.index;
        while !self.stop.load(Ordering::SeqCst) {
            let address = &self.plan.addresses[place % self.plan.addresses.len()];
            if Client::open(address).and_then(|mut client| self.work(&mut client)).is_err() {
                place += 1;
                wait::pause(RECONNECT_PAUSE);
            }
        }
        self.ops
    }

    fn work(&mut self, client: &mut Client) -> io::Result<()> {
        while !self.stop.load(Ordering::SeqCst) {
            self.append(client)?;
            wait::pause(self.plan.pause);
        }
        Ok(())
    }

    /// Some appends, sent together.
    fn append(&mut self, client: &mut Client) -> io::Result<()> {
        let stream = usize::try_from(self.entropy.below(STREAMS as u64)).expect("few streams");
        let key = key(self.plan.round, stream);
        let mut request = BytesMut::new();
        let mut values = Vec::new();
        for _ in 0..=self.entropy.below(PIPELINE_MAX) {
            self.counter += 1;
            let value = (self.plan.round << 32) | ((self.index as u64) << 24) | self.counter;
            let (text, with) = (value.to_string(), with(value, self.plan.bytes_max));
            let args = [&b"XADD"[..], key.as_bytes(), b"*", b"v", text.as_bytes(), b"w", &with];
            write_request(&mut request, &args);
            values.push(value);
        }
        let call = wait::now();
        let mut broken = client.send(&request).err();
        for value in values {
            let reply = match broken {
                Some(_) => None,
                None => client.reply().map_err(|error| broken = Some(error)).ok(),
            };
            let outcome = judge(reply.as_ref(), id_of);
            self.acknowledged.fetch_add(u64::from(outcome.is_done()), Ordering::SeqCst);
            let what = What::Add { value, once: None, outcome };
            self.ops.push(Op { client: self.index, stream, call, ret: wait::now(), what });
        }
        broken.map_or(Ok(()), Err)
    }
}

/// The key of a stream of a round.
pub fn key(round: u64, stream: Stream) -> String {
    format!("round-{round}:{stream}")
}

/// A node that says that nothing was done, for want of a leader, is asked again for so long.
pub const READ_WAIT: Duration = Duration::from_secs(60);

/// Every stream of a round as a node answers it.
///
/// # Errors
/// It does not answer, or with bytes that nobody wrote.
pub fn read_all(
    address: &str,
    round: u64,
    bytes_max: u64,
    patience: Duration,
) -> Result<Vec<Vec<Seen>>> {
    let end = wait::now() + patience;
    let mut client = Client::open(address)?;
    let mut read = |stream| loop {
        match read(&mut client, &key(round, stream), bytes_max) {
            Err(error) if format!("{error:#}").contains(NOTHING_DONE) && wait::now() < end => {
                wait::pause(RECONNECT_PAUSE);
            }
            result => return result,
        }
    };
    (0..STREAMS).map(&mut read).collect()
}

/// A stream of a round as a node answers it at once.
///
/// # Errors
/// As [`read_all`].
pub fn read_stream(address: &str, round: u64, stream: Stream, bytes_max: u64) -> Result<Vec<Seen>> {
    read(&mut Client::open(address)?, &key(round, stream), bytes_max)
}

/// Said where no leader was known in time.
const NOTHING_DONE: &str = "nothing was done";

fn read(client: &mut Client, key: &str, bytes_max: u64) -> Result<Vec<Seen>> {
    let mut all: Vec<Seen> = Vec::new();
    loop {
        let start = all.last().map_or("-".to_owned(), |((ms, seq), _)| format!("({ms}-{seq}"));
        let reply = client.call(&["XRANGE", key, &start, "+", "COUNT", PAGE])?;
        ensure!(reply.as_error().is_none(), "{key}: {reply}");
        let page = reply.as_items().unwrap_or_default();
        if page.is_empty() {
            return Ok(all);
        }
        for entry in page {
            let seen = seen(entry, bytes_max);
            all.push(seen.with_context(|| format!("{WRONG_BYTES}: {key} after {start}"))?);
        }
    }
}

/// Said of an answer that holds what nobody wrote.
pub const WRONG_BYTES: &str = "wrong bytes";

/// An entry, if all of it is what a writer sends.
fn seen(entry: &Value, bytes_max: u64) -> Option<Seen> {
    let [id, fields] = entry.as_items()? else { return None };
    let [v, text, w, found] = fields.as_items()? else { return None };
    let value: u64 = text.as_text()?.parse().ok()?;
    let whole = v.as_text() == Some("v")
        && w.as_text() == Some("w")
        && found.as_bytes()?.as_ref() == with(value, bytes_max);
    whole.then_some((id_of(id)?, value))
}

/// What is written with a value.
fn with(value: u64, bytes_max: u64) -> Vec<u8> {
    let entropy = SeededEntropy::new(value);
    let large = entropy.below(LARGE_EVERY) == 0;
    let most = if large { bytes_max } else { bytes_max.min(SMALL_BYTES_MAX) };
    let bytes = usize::try_from(entropy.below(most + 1)).expect("fits in memory");
    filled(entropy.next_u64(), bytes)
}

/// So many bytes, as a function of a number: one page of numbers, again and again under another first word. Quick to
/// make, and no piece of it can be taken for another.
pub fn filled(seed: u64, bytes: usize) -> Vec<u8> {
    let word = |at: u64| seed.wrapping_add(at.wrapping_mul(0xa076_1d64_78bd_642f)).to_le_bytes();
    let page: Vec<u8> = (1..512).flat_map(word).collect();
    let mut filled = Vec::with_capacity(bytes + 4096);
    while filled.len() < bytes {
        filled.extend_from_slice(&(seed ^ filled.len() as u64).to_le_bytes());
        filled.extend_from_slice(&page);
    }
    filled.truncate(bytes);
    filled
}

/// Removes the streams of a round.
///
/// # Errors
/// The node does not do so.
pub fn remove(address: &str, round: u64) -> Result<()> {
    let mut client = Client::open(address)?;
    for stream in 0..STREAMS {
        wait::until("a stream to be removed", READ_WAIT, || {
            let reply = client.call(&["DEL", &key(round, stream)]);
            let reply = reply.map_err(|error| error.to_string())?;
            reply.as_error().map_or(Ok(()), |error| Err(error.to_owned()))
        })?;
    }
    Ok(())
}

/// Judges a round whose streams were read through some nodes.
///
/// # Errors
/// Which rules it breaks.
pub fn check(
    ops: &[Op],
    entries: Vec<Vec<Vec<Seen>>>,
    hashes: Vec<(String, Vec<String>)>,
) -> Result<()> {
    let end = Final { entries, hashes, pending: vec![None; STREAMS] };
    let violations = checker::check(ops, &end).violations;
    let lines = violations.iter().map(|found| format!("check {}: {}", found.check, found.text));
    let text = lines.collect::<Vec<_>>().join("; ");
    ensure!(text.is_empty(), "{text}");
    Ok(())
}

/// Acknowledged appends of a history.
pub fn acknowledged(ops: &[Op]) -> u64 {
    let done = |op: &&Op| matches!(&op.what, What::Add { outcome, .. } if outcome.is_done());
    ops.iter().filter(done).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_has_its_length_and_no_two_pages_alike() {
        for bytes in [0, 1, 4095, 4096, 4097, 20_000] {
            assert_eq!(filled(7, bytes).len(), bytes);
        }
        let first_words = |seed| {
            let filled = filled(seed, 20_000);
            filled.chunks_exact(4096).map(|page| page[..8].to_vec()).collect::<Vec<_>>()
        };
        let mut pages = [first_words(7), first_words(8)].concat();
        let count = pages.len();
        pages.sort();
        pages.dedup();
        assert_eq!(pages.len(), count, "a page that is another's");
    }
}
