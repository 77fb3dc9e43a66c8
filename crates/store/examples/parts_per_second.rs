//! What checkpoints cost: parts a second and CPU time a part, put, switched and swept, and what the
//! store then weighs. `cargo run --release -p store --example parts_per_second [bytes of a part]
//! [MiB of cache]`.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use base::{Clock, ShardId, SystemClock};
use bytes::Bytes;
use store::{CheckpointNumber, Options, PUT_PARTS_MAX, Part, Sled, Store, Switch};

const SHARD: ShardId = ShardId(1);
/// Parts of one checkpoint: 8 MiB of blocks.
const PARTS: u64 = 2_048;
const CHECKPOINTS: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = std::env::args().nth(1).map_or(Ok(4_096), |text| text.parse())?;
    let dir = tempfile::tempdir_in(".")?;
    let cache_bytes = std::env::args().nth(2).map_or(Ok(32), |text| text.parse::<u64>())? << 20;
    let path = dir.path().join("store");
    let mut store = Some(Sled::open(&path, Options { cache_bytes })?);
    let mut spent = Spent::default();
    // Blocks that are only ever added, then each of them written anew, then all trimmed.
    for number in 1..=CHECKPOINTS {
        checkpoint(open(&store), &mut spent, number, number, bytes)?;
    }
    spent.report("new parts", PARTS * CHECKPOINTS, open(&store))?;
    store = None;
    let opening = timed(|| {
        store = Some(Sled::open(&path, Options { cache_bytes })?);
        Ok(())
    })?;
    writeln!(std::io::stdout(), "{:>12}: {:.2} s", "opened again", opening.as_secs_f64())?;
    let store = open(&store);
    read(store)?;
    for number in 1..=CHECKPOINTS {
        checkpoint(store, &mut spent, CHECKPOINTS + number, number, bytes)?;
    }
    spent.report("written anew", PARTS * CHECKPOINTS, store)?;
    let number = CheckpointNumber(2 * CHECKPOINTS + 1);
    let dropped_prefixes = vec![Bytes::from("s")];
    let switch = Switch { number, dropped_prefixes, ..Switch::default() };
    spent.switching += timed(|| store.switch(SHARD, switch))?;
    spent.sweeping += timed(|| sweep(store))?;
    spent.report("dropped", PARTS * CHECKPOINTS, store)
}

fn open(store: &Option<Sled>) -> &Sled {
    store.as_ref().expect("it is open but for a moment")
}

fn checkpoint(
    store: &Sled,
    spent: &mut Spent,
    number: u64,
    block: u64,
    bytes: usize,
) -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> = (0..PARTS).collect();
    for numbers in numbers.chunks(PUT_PARTS_MAX) {
        // Eight streams that grow together.
        let key =
            |at: u64| [&[b's', at as u8 % 8][..], &(block * PARTS + at).to_be_bytes()].concat();
        let value = Bytes::from(vec![number as u8; bytes]);
        let part = |at: &u64| Part { key: Bytes::from(key(*at)), value: value.clone() };
        let parts: Vec<Part> = numbers.iter().map(part).collect();
        spent.putting += timed(|| store.put(SHARD, CheckpointNumber(number), &parts))?;
    }
    let switch = Switch { number: CheckpointNumber(number), ..Switch::default() };
    spent.switching += timed(|| store.switch(SHARD, switch))?;
    spent.sweeping += timed(|| sweep(store))?;
    Ok(())
}

fn sweep(store: &Sled) -> Result<(), store::Error> {
    while store.sweep(SHARD)? {}
    Ok(())
}

fn read(store: &Sled) -> Result<(), Box<dyn Error>> {
    let mut keys = Vec::new();
    let listing = timed(|| {
        keys = store.keys(SHARD, b"", None, usize::MAX)?;
        Ok(())
    })?;
    let reading = timed(|| keys.iter().try_for_each(|key| store.get(SHARD, key).map(drop)))?;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / keys.len() as f64;
    let (list, get) = (each(listing), each(reading));
    writeln!(
        std::io::stdout(),
        "{:>12}: {list:.2} us a key listed, {get:.1} us a part read",
        "reading"
    )?;
    Ok(())
}

/// Wall time.
#[derive(Default)]
struct Spent {
    putting: Duration,
    switching: Duration,
    sweeping: Duration,
    cpu_before: Duration,
}

impl Spent {
    fn report(&mut self, what: &str, parts: u64, store: &Sled) -> Result<(), Box<dyn Error>> {
        let cpu = cpu()?;
        let all = self.putting + self.switching + self.sweeping;
        writeln!(
            std::io::stdout(),
            "{what:>12}: {:.0} parts/s, {:.1} us CPU a part; put {:.2} s, switch {:.2} s, sweep {:.2} s; \
             {} MB on disk, {} MB resident",
            parts as f64 / all.as_secs_f64(),
            (cpu - self.cpu_before).as_secs_f64() * 1e6 / parts as f64,
            self.putting.as_secs_f64(),
            self.switching.as_secs_f64(),
            self.sweeping.as_secs_f64(),
            store.bytes_on_disk()? >> 20,
            resident()? >> 20,
        )?;
        *self = Self { cpu_before: cpu, ..Self::default() };
        Ok(())
    }
}

fn timed(act: impl FnOnce() -> Result<(), store::Error>) -> Result<Duration, store::Error> {
    let before = SystemClock.monotonic();
    act()?;
    Ok(SystemClock.monotonic() - before)
}

/// CPU time of all threads so far, from Linux, in ticks of 10 ms.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn resident() -> Result<u64, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    Ok(statm.split(' ').nth(1).unwrap_or("0").parse::<u64>()? * 4096)
}
