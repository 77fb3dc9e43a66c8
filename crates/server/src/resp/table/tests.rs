//! What must hold for every row of the table.

use std::collections::BTreeSet;

use super::*;
use crate::commands::args;

/// Every row, and its container's.
fn rows() -> impl Iterator<Item = (&'static Spec, Option<&'static Spec>)> {
    COMMANDS.iter().flat_map(|spec| {
        let subcommands = match &spec.run {
            Container(subcommands) => *subcommands,
            _ => &[],
        };
        let subcommands = subcommands.iter().map(move |sub| (sub, Some(spec)));
        std::iter::once((spec, None)).chain(subcommands)
    })
}

#[test]
fn names_are_sorted_unique_and_upper_case() {
    let check = |specs: &[Spec]| {
        assert!(specs.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(specs.iter().all(|spec| spec.name == spec.name.to_ascii_uppercase()));
    };
    check(COMMANDS);
    for spec in COMMANDS {
        if let Container(subcommands) = &spec.run {
            check(subcommands);
        }
    }
}

#[test]
fn what_asks_the_shards_names_a_key() {
    for (spec, container) in rows() {
        let name = spec.full_name(container);
        let asks = matches!(
            spec.run,
            Read(_) | Run::ReadAlone(_) | Write(_) | Run::ReadGroup(_) | Transact(Control::Watch)
        );
        let of_all_keys =
            ["dbsize", "flushall", "flushdb", "keys", "randomkey", "scan"].contains(&name.as_str());
        assert_eq!(asks && !of_all_keys, spec.keys != Keys::None, "{name}");
    }
}

#[test]
fn the_arity_leaves_room_for_the_key() {
    for (spec, container) in rows() {
        let name = spec.full_name(container);
        let args_min = spec.arity.unsigned_abs() as usize;
        assert!(args_min > usize::from(container.is_some()), "{name}");
        let last = match spec.keys {
            At(at) | From(at) => at,
            Both(at) => at + 1,
            Keys::None | Streams => 0,
        };
        assert!(last < args_min, "{name}");
    }
}

#[test]
fn every_row_is_explained_in_sentences() {
    for (spec, container) in rows() {
        let (name, doc) = (spec.full_name(container), spec.doc);
        assert!(doc.summary.ends_with('.') && !doc.summary.contains("  "), "{name}");
        assert!(doc.summary.starts_with(|first: char| first.is_ascii_uppercase()), "{name}");
        assert_eq!(doc.since.split('.').filter(|n| n.parse::<u8>().is_ok()).count(), 3, "{name}");
        assert!(!doc.complexity.is_empty(), "{name}");
    }
}

#[test]
fn every_container_has_help() {
    for spec in COMMANDS {
        if let Container(subcommands) = &spec.run {
            assert!(lookup(subcommands, b"help").is_some(), "{}", spec.name);
        }
    }
}

#[test]
fn only_what_authenticates_or_ends_is_open_to_strangers() {
    let open: BTreeSet<_> =
        rows().filter(|(spec, _)| spec.flags.no_auth).map(|(spec, _)| spec.name).collect();
    assert_eq!(open, BTreeSet::from(["AUTH", "HELLO", "QUIT", "RESET"]));
}

#[test]
fn a_request_is_found_in_any_case() {
    let found = |line: &str| find(&args(line)).map(|spec| spec.name);
    assert_eq!(found("xAdd s * a 1"), Ok("XADD"));
    assert_eq!(found("xgroup create s g $"), Ok("CREATE"));
    assert_eq!(found("COMMAND"), Ok("INFO"));
}

#[test]
fn what_is_not_found_is_refused_in_redis_words() {
    let said = |line: &str| match find(&args(line)) {
        Ok(spec) => spec.name.to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(said("FOO bar"), "ERR unknown command 'FOO', with args beginning with: 'bar' ");
    assert_eq!(said("XGROUP FOO s g"), "ERR unknown subcommand 'FOO'. Try XGROUP HELP.");
    for (line, name) in [
        ("XADD s", "xadd"),
        ("XGROUP", "xgroup"),
        ("XGROUP HELP x", "xgroup|help"),
        ("xinfo help x", "xinfo|help"),
        ("XLEN", "xlen"),
        ("XLEN a b", "xlen"),
        ("CONFIG GET", "config|get"),
    ] {
        assert_eq!(said(line), format!("ERR wrong number of arguments for '{name}' command"));
    }
}
