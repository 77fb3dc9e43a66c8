//! Redis compatibility in short form, on a cluster of real processes. The long form is
//! `scripts/conformance --long`.

use std::path::Path;

use tests::cluster::{Cluster, Options};
use tests::conformance::suites::SUITES;
use tests::conformance::{Kind, Server, differential, golden};
use tests::skips;

#[test]
fn recorded_replies_are_given_in_both_protocols_through_every_node() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let verdict = golden::run(&cluster).unwrap();
    assert!(verdict.complaints.is_empty(), "{}", verdict.complaints.join("\n"));
    assert!(verdict.compared >= 250, "only {} replies", verdict.compared);
}

#[test]
fn twenty_thousand_random_commands_are_answered_as_by_redis_and_valkey() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut servers = vec![Server::start(Kind::Redis).unwrap()];
    match Kind::Valkey.program() {
        Some(_) => servers.push(Server::start(Kind::Valkey).unwrap()),
        None => skips::skip("Valkey beside Weir: WEIR_TEST_VALKEY names no program"),
    }
    let verdict = differential::run(&cluster, &servers, 1, 20_000, drop).unwrap();
    let shown: String = verdict.differences.iter().map(ToString::to_string).collect();
    assert_eq!(verdict.wrong(), 0, "{shown} asked again: {:#?}", verdict.retries);
    assert!(verdict.commands >= 20_000, "only {} commands", verdict.commands);
}

#[test]
fn what_redis_py_publishes_as_its_tests_of_streams_passes_as_listed() {
    let Some(dir) = std::env::var_os("WEIR_TEST_SUITES") else {
        skips::skip(
            "redis-py's tests: WEIR_TEST_SUITES names no directory; `scripts/test tools` makes one",
        );
        return;
    };
    let suite = SUITES.iter().find(|suite| suite.name == "redis-py").unwrap();
    assert!(suite.is_installed(Path::new(&dir)), "it is not installed in {}", dir.display());
    for protocol in suite.protocols {
        let cluster = Cluster::start(&Options::default()).unwrap();
        let verdict = suite.run(&cluster, Path::new(&dir), *protocol).unwrap();
        verdict.news.iter().for_each(|it| println!("RESP{protocol}: {it}"));
        assert!(verdict.complaints.is_empty(), "RESP{protocol}: {}", verdict.complaints.join("\n"));
        assert!(verdict.passed > 150, "RESP{protocol}: only {} pass", verdict.passed);
    }
}
