//! The comparison with Redis in its shortest form, so that it doesn't rot: every load runs to its
//! end, on both sides, with the answers that it expects. Never a word on how fast anything is.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use tests::cluster::{Cluster, Options};
use tests::redis::Redis;
use tests::speed::{Load, Plan, Side, Table, Turn, commands, cycle, groups, range, wake};

/// Rows of a table that belong to a side, by a column that must have a figure in it.
fn measured(table: &Table, column: &str) -> Vec<String> {
    let at = table.columns.iter().position(|name| *name == column).unwrap();
    table.rows.iter().map(|row| row[at].clone()).collect()
}

fn assert_figures(table: &Table, column: &str) {
    assert!(!table.rows.is_empty(), "{}: no rows", table.title);
    for figure in measured(table, column) {
        assert!(figure.parse::<f64>().is_ok_and(|it| it > 0.0), "{}", table.text());
    }
}

/// The commands that a node knows, of those that begin with an X.
fn stream_commands(cluster: &Cluster) -> Vec<String> {
    let mut client = cluster.nodes[0].client().unwrap();
    let list = client.call(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "x*"]).unwrap();
    let names = list.as_items().unwrap().iter();
    names.map(|name| name.as_text().unwrap().to_uppercase()).collect()
}

#[test]
fn every_load_runs_on_both_sides_and_every_stream_command_is_in_one() {
    let cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let redis = Redis::start().unwrap();
    let sides = [Side::redis(&redis), Side::weir(&cluster)];
    let limit = Duration::from_millis(100);
    let plan = Plan { sides: &sides, rounds: 1, turns: 10, limit, connections: 2, groups: 12 };

    let table = commands::run(&plan, &[]).unwrap();
    assert_figures(&table, "weir/s");
    let known = stream_commands(&cluster);
    assert!(known.iter().any(|name| name == "XAUTOCLAIM"), "{known:?}");
    for name in known {
        let has = |form: &String| form.split(' ').next() == Some(&name);
        assert!(measured(&table, "command").iter().any(has), "{name} is not measured");
    }
    assert_figures(&cycle::run(&plan).unwrap(), "entries/s");
    assert_figures(&wake::run(&plan).unwrap(), "has it p50 ms");
    assert_figures(&range::run(&plan).unwrap(), "answers/s");
    assert_figures(&groups::run(&plan).unwrap(), "entries/s delivered");
}

#[test]
fn an_answer_that_is_not_what_was_expected_ends_the_load() {
    let cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let side = Side::weir(&cluster);
    let load = |words: &'static str| {
        let turn = move |_: usize, _: usize| {
            vec![Turn::default().read(words, |reply| reply.as_integer() == Some(1))]
        };
        let (connections, turns, limit) = (2, 2, Duration::from_secs(10));
        let prepare = |connection| match connection {
            0 => vec!["DEL one".to_owned(), "XADD one 1-0 f v".to_owned()],
            _ => Vec::new(),
        };
        Load { connections, turns, limit, whole: true, prepare: &prepare, turn: &turn }.run(&side)
    };
    assert!(load("XLEN one").unwrap().per_second > 0.0);
    let error = load("XLEN none").unwrap_err().to_string();
    assert!(error.contains("XLEN none") && error.contains('0'), "{error}");
    let error = load("XLEN").unwrap_err().to_string();
    assert!(error.contains("wrong number of arguments"), "{error}");
}
