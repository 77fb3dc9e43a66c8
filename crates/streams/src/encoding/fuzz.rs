//! Bytes of any kind for everything that a log, a peer or a kept reply hands back as bytes: what reads
//! has one spelling, what doesn't is a fault, nothing panics. Checkpoints likewise: a state, or a fault.

use std::path::{Path, PathBuf};

use ::fuzz::{Random, Target};
use bytes::Bytes;

use crate::command::Command;
use crate::error::Fault;
use crate::query::Query;
use crate::reply::{Entry, EntryRef, Reply};
use crate::state::State;
use crate::{Batch, Run};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// Which kind an input is of, by its first byte.
const KINDS: [&str; 6] =
    ["commands", "queries", "replies_named", "replies_held", "batches", "runs"];

fn one_spelling<T>(
    bytes: &Bytes,
    decode: impl Fn(&Bytes) -> Result<T, Fault>,
    encode: impl Fn(&T) -> Bytes,
) -> bool {
    let read = decode(bytes);
    if let Ok(read) = &read {
        assert_eq!(encode(read), bytes, "it has another spelling");
    }
    read.is_ok()
}

/// Whether it is anything.
fn reads(input: &[u8]) -> bool {
    let Some((kind, rest)) = input.split_first() else { return false };
    let bytes = Bytes::copy_from_slice(rest);
    match usize::from(*kind) % KINDS.len() {
        0 => one_spelling(&bytes, Command::decode, Command::encode),
        1 => one_spelling(&bytes, Query::decode, Query::encode),
        2 => one_spelling(&bytes, Reply::<EntryRef>::decode, Reply::<EntryRef>::encode),
        3 => one_spelling(&bytes, Reply::<Entry>::decode, Reply::<Entry>::encode),
        4 => one_spelling(&bytes, Batch::decode, Batch::encode),
        _ => one_spelling(&bytes, Run::decode, Run::encode),
    }
}

/// One of the corpus, with a piece of another behind it now and then: most bytes are nothing at all.
fn make(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(corpus).clone();
    let other = random.pick(corpus).clone();
    (0..random.below(3)).for_each(|_| random.vary(&mut input, &other));
    input
}

#[test]
fn fuzz_encodings() {
    let mut corpus = Vec::new();
    for (kind, name) in (0u8..).zip(KINDS) {
        let text = std::fs::read_to_string(golden().join(name).with_extension("txt")).unwrap();
        corpus.extend(text.lines().map(|line| [&[kind][..], &unhex(line)].concat()));
    }
    assert!(corpus.len() > 100 && corpus.iter().all(|input| reads(input)));
    let make = |random: &mut Random| make(random, &corpus);
    let corpus = corpus.clone();
    let target = Target { name: "encodings", inputs_count: 100_000, corpus, make: &make };
    target.run(|| {
        |input: &[u8]| {
            reads(input);
        }
    });
}

/// Between the header and the parts of a checkpoint, and between keys and values.
const BETWEEN: &[u8] = b"\xfe\xff|";

fn check_checkpoint(input: &[u8]) {
    let mut pieces = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        pieces.push(Bytes::copy_from_slice(&rest[..at]));
        rest = &rest[at + BETWEEN.len()..];
    }
    pieces.push(Bytes::copy_from_slice(rest));
    let parts = pieces[1..].chunks_exact(2).map(|part| (part[0].clone(), part[1].clone()));
    if let Ok(mut state) = State::load(&pieces[0], parts) {
        // Whatever it is, it can be gone through and written.
        state.hash();
        state.checkpoint();
    }
}

#[test]
fn fuzz_checkpoints() {
    let files = std::fs::read_dir(golden()).unwrap().map(|file| file.unwrap().path());
    let is_one = |path: &PathBuf| path.to_string_lossy().contains("/checkpoint");
    let mut files: Vec<_> = files.filter(is_one).collect();
    files.sort();
    let bytes_of = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let words = text.lines().filter(|line| !line.starts_with("hash "));
        let words: Vec<_> = words.flat_map(|line| line.split(' ')).map(unhex).collect();
        words.join(BETWEEN)
    };
    let corpus: Vec<Vec<u8>> = files.iter().map(bytes_of).collect();
    assert!(corpus.len() > 3);
    let make = |random: &mut Random| make(random, &corpus);
    let corpus = corpus.clone();
    let target = Target { name: "checkpoints", inputs_count: 100_000, corpus, make: &make };
    target.run(|| check_checkpoint);
}
