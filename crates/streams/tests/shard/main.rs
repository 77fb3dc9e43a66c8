//! Tests of a shard's state from outside: by scripts, against a model, encoded, saved and loaded.

#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod costs;
mod encodings;
mod plain;
mod random;
mod replicas;
mod samples;
mod scan;
mod script;
mod scripts;
mod sequences;
mod sessions;
mod stored;
mod watch;
