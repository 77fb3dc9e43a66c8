//! The rules of the house as a test: arrows between crates, fences around words, lengths, headers.
//! Never a matter of taste that rustfmt or clippy could settle.

mod tidy {
    pub(crate) mod arrows;
    pub(crate) mod fences;
    pub(crate) mod lengths;
    pub(crate) mod source;
    pub(crate) mod texts;
}

use tidy::{arrows, fences, lengths, source, texts};

#[test]
fn arrows_point_downward() {
    let crates = arrows::of_workspace(&source::root());
    assert_none(arrows::broken(&crates));
}

#[test]
fn a_broken_arrow_is_found() {
    let upward = arrows::Crate::new("journal", &["base", "raft"], &[]);
    assert_eq!(arrows::broken(&[upward]), ["journal must not use raft"]);
    let sideways = arrows::Crate::new("streams", &["topology"], &[]);
    assert_eq!(arrows::broken(&[sideways]), ["streams must not use topology"]);
    let fenced = arrows::Crate::new("raft", &["store"], &["sled"]);
    assert_eq!(arrows::broken(&[fenced]), ["raft must not use the library sled"]);
    let unknown = arrows::Crate::new("util", &[], &[]);
    assert_eq!(
        arrows::broken(&[unknown]),
        ["util stands in no layer: name it in tests/tidy/arrows.rs"]
    );
}

#[test]
fn words_stay_behind_their_fences() {
    assert_none(source::rust_files().iter().flat_map(fences::broken).collect());
}

#[test]
fn a_word_outside_its_fence_is_found() {
    let check = |path: &str, text: &str| fences::broken(&source::File::parse(path, text));
    let word = |path: &str, text: &str| assert_eq!(check(path, text).len(), 1, "{path}: {text}");
    word("crates/raft/src/state.rs", "fn f() { sled::open(); }");
    word("crates/server/src/http.rs", "use openraft::Raft;");
    word("crates/server/src/http.rs", "const NAME: &str = \"XADD\";");
    word("crates/server/src/node.rs", "use tonic::Status;");
    word("crates/streams/src/state.rs", "fn f() { std::time::SystemTime::now(); }");
    word("crates/raft/src/shard.rs", "use std::time::Instant; fn f() { Instant::now(); }");
    word("crates/raft/src/shard.rs", "fn f() { rand::random::<u64>(); }");
    assert_eq!(check("crates/server/src/commands/xadd.rs", "const N: &str = \"XADD\";"), [""; 0]);
    assert_eq!(check("crates/raft/src/network/grpc.rs", "use tonic::Status;"), [""; 0]);
    assert_eq!(
        check("crates/raft/src/shard.rs", "/// Never `sled`, nor \"XADD\".\nfn f() {}"),
        [""; 0]
    );
}

#[test]
fn functions_and_files_are_short() {
    assert_none(source::rust_files().iter().flat_map(lengths::broken).collect());
}

#[test]
fn a_long_function_is_found() {
    let long = |lines: usize| format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    let check = |lines| lengths::broken(&source::File::parse("crates/raft/src/a.rs", &long(lines)));
    assert_eq!(check(70), [""; 0]);
    assert_eq!(check(71).len(), 1);
}

#[test]
fn files_say_what_they_are_and_allow_nothing() {
    assert_none(source::rust_files().iter().flat_map(texts::broken).collect());
}

#[test]
fn scripts_are_short_and_nothing_names_a_machine() {
    assert_none(texts::broken_scripts(&source::root()));
    assert_none(texts::broken_words(&source::root()));
}

#[test]
fn no_product_is_built_with_planted_defects() {
    assert_none(texts::broken_planted(&source::root()));
}

#[test]
fn quoted_figures_are_the_sums_of_the_ledger() {
    assert_none(texts::broken_figures(&source::root()));
}

fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} rules broken:\n{}", broken.len(), broken.join("\n"));
}
