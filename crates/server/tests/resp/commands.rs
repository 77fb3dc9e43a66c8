//! One script for every row of the table of commands, in both protocols.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Clock;
use resp::Value;

use crate::client::{Client, request};
use crate::door::{Door, START_MS};
use crate::script::{complaint, matches, read};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/commands")
}

/// `xadd`, `xgroup-create`: containers have a script for each subcommand.
async fn rows(client: &mut Client) -> BTreeSet<String> {
    client.send(request("COMMAND")).await;
    let reply = client.reply().await.expect("a reply");
    let mut names = BTreeSet::new();
    for row in reply.as_items().expect("rows") {
        let row = row.as_items().expect("a row");
        let subcommands = row[9].as_items().expect("subcommands");
        if subcommands.is_empty() {
            names.insert(name(row));
        }
        names.extend(subcommands.iter().map(|sub| name(sub.as_items().expect("a row"))));
    }
    names
}

fn name(row: &[Value]) -> String {
    row[0].as_text().expect("a name").replace('|', "-")
}

#[tokio::test]
async fn every_row_of_the_table_has_a_script() {
    let door = Door::open();
    let rows = rows(&mut door.client().await).await;
    let files = std::fs::read_dir(scripts()).unwrap().map(|file| file.unwrap().path());
    let written: BTreeSet<String> =
        files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let missing: Vec<_> = rows.difference(&written).collect();
    let unknown: Vec<_> = written.difference(&rows).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn every_script_is_answered_as_written() {
    let mut complaints = String::new();
    let mut files: Vec<_> =
        std::fs::read_dir(scripts()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let before = complaints.len();
        for protocol in [2, 3] {
            run(&file, protocol, &mut complaints).await;
        }
        if complaints.len() > before {
            complaints.insert_str(before, &format!("{}\n", file.display()));
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

async fn run(file: &Path, protocol: u8, complaints: &mut String) {
    let door = Door::open();
    let mut client = door.client().await;
    if protocol == 3 {
        client.ask("HELLO 3").await;
    }
    for step in read(file) {
        if let Some(at_ms) = step.at_ms {
            let passed = door.clock.wall_ms() - START_MS;
            door.clock.advance(Duration::from_millis(at_ms - passed));
        }
        let got = client.ask_inline(&step.request).await;
        let expected = &step.replies[usize::from(protocol) - 2];
        if !matches(expected, &got) {
            complaint(complaints, &step, protocol, expected, &got);
        }
    }
}
