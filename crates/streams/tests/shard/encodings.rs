//! What outlives a process: the bytes of commands, queries, replies, batches and checkpoints are
//! those of `tests/golden/*.txt`, and reading damaged ones ends in a fault, never in a panic.
//!
//! `WEIR_TEST_UPDATE=1` adds what is new to a golden file. A line that changed is a format that
//! changed: old data must stay readable.

use std::fmt::{Debug, Write};
use std::path::Path;

use base::{Entropy, SeededEntropy};
use bytes::Bytes;
use streams::command::Command;
use streams::error::Fault;
use streams::query::Query;
use streams::reply::{Entry, EntryRef, Reply};
use streams::{Batch, Run, State};

use super::samples;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

fn unhex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    Bytes::from(digits.map(byte).collect::<Vec<u8>>())
}

/// The lines of a golden file must be these.
fn check_golden(name: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let got = lines.join("\n") + "\n";
    if std::env::var_os("WEIR_TEST_UPDATE").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (got, golden) in got.lines().zip(golden.lines()) {
        assert_eq!(got, golden, "{name}: the format changed");
    }
    assert_eq!(got.lines().count(), golden.lines().count(), "{name}");
}

/// One kind of thing that is encoded: its bytes are golden, come back, and survive damage.
fn check<T: PartialEq + Debug>(
    name: &str,
    samples: &[T],
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(&Bytes) -> Result<T, Fault>,
) {
    let random = SeededEntropy::new(1);
    let mut lines = Vec::new();
    for sample in samples {
        let bytes = encode(sample);
        lines.push(hex(&bytes));
        assert_eq!(decode(&bytes).as_ref(), Ok(sample));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes.slice(..cut)).is_err(), "{sample:?} cut at {cut}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(decode(&Bytes::from(longer)).is_err(), "{sample:?} with a byte more");
        for _ in 0..2000 {
            let damaged = damage(&random, &bytes);
            // What still reads has one spelling only.
            if let Ok(read) = decode(&damaged) {
                assert_eq!(encode(&read), damaged, "{read:?}");
            }
        }
    }
    check_golden(name, &lines);
}

fn damage(random: &SeededEntropy, bytes: &Bytes) -> Bytes {
    let mut damaged = bytes.to_vec();
    for _ in 0..1 + random.below(3) {
        if damaged.is_empty() {
            break;
        }
        let at = random.below(damaged.len() as u64) as usize;
        match random.below(6) {
            0 => damaged[at] = random.next_u64() as u8,
            1 => damaged[at] = 0xff,
            2 => drop(damaged.remove(at)),
            3 => damaged.insert(at, random.next_u64() as u8),
            4 => damaged.truncate(at),
            _ => damaged[at] ^= 1 << random.below(8),
        }
    }
    Bytes::from(damaged)
}

#[test]
fn commands() {
    check("commands.txt", &samples::commands(), Command::encode, Command::decode);
}

#[test]
fn queries() {
    check("queries.txt", &samples::queries(), Query::encode, Query::decode);
}

#[test]
fn replies_that_name_entries() {
    let samples = samples::replies(&samples::entry_refs());
    check("replies_named.txt", &samples, Reply::<EntryRef>::encode, Reply::<EntryRef>::decode);
}

#[test]
fn replies_that_hold_entries() {
    let samples = samples::replies(&samples::entries());
    check("replies_held.txt", &samples, Reply::<Entry>::encode, Reply::<Entry>::decode);
}

#[test]
fn batches() {
    check("batches.txt", &samples::batches(), Batch::encode, Batch::decode);
    let runs: Vec<Run> = samples::batches().into_iter().flat_map(|batch| batch.runs).collect();
    check("runs.txt", &runs, Run::encode, Run::decode);
}

#[test]
fn a_decoded_batch_is_slices_of_its_bytes() {
    let bytes = samples::batches()[0].encode();
    let batch = Batch::decode(&bytes).unwrap();
    let inside = bytes.as_ptr_range();
    for command in batch.runs.iter().flat_map(|run| &run.commands) {
        if let Command::Add(add) = command {
            assert!(inside.contains(&add.key.as_ptr()));
            assert!(add.fields.iter().all(|text| inside.contains(&text.as_ptr())));
        }
    }
}

/// Every checkpoint that has to be read.
const CHECKPOINTS: [&str; 5] = [
    "checkpoint.txt",
    "checkpoint_expiring.txt",
    "checkpoint_watched.txt",
    "checkpoint_marked.txt",
    "checkpoint_settings.txt",
];

#[test]
fn checkpoints() {
    check_checkpoint("checkpoint.txt", samples::state());
    check_checkpoint("checkpoint_expiring.txt", samples::keys::expiring());
    check_checkpoint("checkpoint_watched.txt", samples::keys::watched());
    check_checkpoint("checkpoint_marked.txt", samples::state_marked());
    check_checkpoint("checkpoint_settings.txt", samples::keys::settled());
}

fn check_checkpoint(name: &str, mut state: State) {
    let hash = state.hash();
    let checkpoint = state.checkpoint();
    let mut lines = vec![hex(&checkpoint.header)];
    let part = |(key, value): &(Bytes, Bytes)| format!("{} {}", hex(key), hex(value));
    lines.extend(checkpoint.put.iter().map(part));
    lines.push(format!("hash {hash:016x}"));
    check_golden(name, &lines);
}

#[test]
fn a_checkpoint_written_before_is_read() {
    for name in CHECKPOINTS {
        let (header, parts, hash) = golden_checkpoint(name);
        assert_eq!(State::load(&header, parts).unwrap().hash(), hash, "{name}");
    }
}

fn golden_checkpoint(name: &str) -> (Bytes, Vec<(Bytes, Bytes)>, u64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut parts, mut hash) = (Vec::new(), 0);
    for line in text.lines().skip(1) {
        match line.split_once(' ').unwrap() {
            ("hash", text) => hash = u64::from_str_radix(text, 16).unwrap(),
            (key, value) => parts.push((unhex(key), unhex(value))),
        }
    }
    (unhex(text.lines().next().unwrap()), parts, hash)
}

#[test]
fn a_damaged_checkpoint_is_a_fault_or_another_state_but_no_panic() {
    for name in ["checkpoint.txt", "checkpoint_marked.txt"] {
        damaged_checkpoints(name);
    }
}

fn damaged_checkpoints(name: &str) {
    let random = SeededEntropy::new(2);
    let (header, parts, _) = golden_checkpoint(name);
    let (mut faults, rounds) = (0, 20_000);
    for _ in 0..rounds {
        let mut parts = parts.clone();
        let at = random.below(parts.len() as u64) as usize;
        let (key, value) = parts.swap_remove(at);
        match random.below(8) {
            0 => {}
            1 => parts.push((damage(&random, &key), value)),
            _ => parts.push((key, damage(&random, &value))),
        }
        match State::load(&header, parts) {
            Ok(state) => drop(state.hash()),
            Err(_) => faults += 1,
        }
    }
    assert!(faults > rounds / 3, "{faults}");
    for cut in 0..header.len() {
        assert!(State::load(&header[..cut], parts.clone()).is_err());
    }
}
