//! A process that churns is killed with -9 at any moment; what it had switched to is there. Proves
//! nothing about syncing: that is the power-cut test.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const KEYS: u64 = 40;

fn rounds() -> u64 {
    if std::env::var_os("WEIR_TEST_LONG").is_some() { 100 } else { 4 }
}

/// Whether checkpoint `number` writes the key, and what.
fn written(number: u64, key: u64) -> Option<Bytes> {
    let bits = SeededEntropy::new(number * KEYS + key).next_u64();
    bits.is_multiple_of(5).then(|| Bytes::from(vec![bits as u8; (bits >> 8) as usize % 30_000]))
}

fn key(key: u64) -> Bytes {
    Bytes::from(format!("key {key:02}"))
}

fn open(dir: &Path) -> Sled {
    Sled::open(dir, Options::default()).unwrap()
}

/// The child: checkpoints for ever, and says each that is done.
#[test]
#[ignore = "is run by the other test, in a process of its own"]
fn churn() {
    let Some(dir) = std::env::var_os("WEIR_TEST_KILL_DIR") else { return };
    let store = open(Path::new(&dir));
    let mut number = store.root(SHARD).unwrap().map_or(0, |root| root.number.0);
    loop {
        number += 1;
        let written = (0..KEYS).filter_map(|at| Some((key(at), written(number, at)?)));
        let parts: Vec<Part> = written.map(|(key, value)| Part { key, value }).collect();
        store.put(SHARD, CheckpointNumber(number), &parts).unwrap();
        let switch = Switch { number: CheckpointNumber(number), ..Switch::default() };
        store.switch(SHARD, switch).unwrap();
        writeln!(std::io::stdout(), "\ndone {number}").unwrap();
        if number.is_multiple_of(3) {
            while store.sweep(SHARD).unwrap() {}
        }
    }
}

fn churn_until_killed(dir: &Path, checkpoints: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "on_sled::tests::kill::churn", "--ignored", "--nocapture"])
        .env("WEIR_TEST_KILL_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let done = |line: std::io::Result<String>| line.ok()?.strip_prefix("done ")?.parse().ok();
    let mut last = lines.by_ref().filter_map(done).take(checkpoints as usize).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before the signal came.
    last = lines.filter_map(done).last().unwrap_or(last);
    last
}

#[test]
fn killed_at_any_moment_it_keeps_what_was_switched_to() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    let entropy = SeededEntropy::new(3);
    for _ in 0..rounds() {
        let said = churn_until_killed(&dir, 1 + entropy.below(12));
        let store = open(&dir);
        let number = store.root(SHARD).unwrap().unwrap().number.0;
        assert!(number == said || number == said + 1, "at {number}, but {said} was said");
        for at in 0..KEYS {
            let expected = (1..=number).rev().find_map(|number| written(number, at));
            assert_eq!(store.get(SHARD, &key(at)).unwrap(), expected, "key {at} at {number}");
        }
    }
}
