//! Bad configurations, taken ports and wrong command lines, with real processes: each ends in one
//! clear line and the right exit code.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tests::cluster::{Cluster, Options, weir};

/// A refusal comes within this.
const REFUSAL_WAIT: Duration = Duration::from_secs(20);

/// Starts node `index` as it is configured and expects it to end: exit code and last line.
fn end_of(cluster: &mut Cluster, index: usize) -> (Option<i32>, String) {
    let node = &mut cluster.nodes[index];
    node.start().unwrap();
    let code = node.wait_end(REFUSAL_WAIT).unwrap();
    (code, node.last_line())
}

#[track_caller]
fn refuses(cluster: &mut Cluster, index: usize, code: i32, words: &[&str]) {
    let (ended, line) = end_of(cluster, index);
    assert_eq!(ended, Some(code), "{line}");
    for word in words {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
    assert!(line.starts_with("weir: "), "not the program's own line: {line}");
}

fn prepared() -> Cluster {
    Cluster::prepare(&Options::default()).unwrap()
}

fn edit(path: &Path, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(&text)).unwrap();
}

#[test]
fn an_unknown_key_names_file_line_key_and_the_nearest_known() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| format!("{text}[limits]\nmemroy = \"1GiB\"\n"));
    refuses(&mut cluster, 0, 1, &["node-1.toml:12: limits.memroy", "did you mean `memory`?"]);
}

#[test]
fn a_wrong_value_says_what_is_allowed() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| format!("{text}[read]\nreads = \"fast\"\n"));
    refuses(&mut cluster, 0, 1, &["node-1.toml:12: read.reads: must be \"quorum\" or \"lease\""]);
}

#[test]
fn two_nodes_with_one_id_in_the_list_are_refused() {
    let mut cluster = prepared();
    edit(&cluster.dir().join("cluster.toml"), |text| text.replace("id = 2", "id = 1"));
    refuses(&mut cluster, 0, 1, &["cluster.toml:", "node.id: 1 stands twice"]);
}

#[test]
fn a_security_key_that_is_not_built_yet_is_refused() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| format!("{text}[security]\npeer_ca = \"ca.pem\"\n"));
    refuses(&mut cluster, 0, 1, &["security.peer_ca: TLS is not built yet"]);
}

#[test]
fn a_port_in_use_is_named_with_its_holder() {
    let mut cluster = prepared();
    let address = cluster.nodes[0].resp();
    let _held = TcpListener::bind(&address).unwrap();
    let holder = format!("(pid {})", std::process::id());
    refuses(&mut cluster, 0, 3, &["listen.resp", &address, "in use by", &holder]);
}

#[test]
fn dev_names_the_holder_of_a_port_and_suggests_another() {
    let cluster = prepared();
    let port = cluster.nodes[0].resp().rsplit_once(':').unwrap().1.to_owned();
    let _held = TcpListener::bind(cluster.nodes[0].resp()).unwrap();
    let dir = cluster.dir().join("dev");
    let output = run(&["dev", "--base-port", &port, "--data-dir", dir.to_str().unwrap()]);
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{line}");
    let start = format!("weir: port {port} is in use by ");
    assert!(line.starts_with(&start) && line.contains("; try --base-port "), "{line}");
    assert!(!dir.exists(), "nothing is written before the ports are known to be free");
}

#[test]
fn a_wrong_command_line_is_exit_code_1() {
    assert_eq!(run(&["frobnicate"]).status.code(), Some(1));
    assert_eq!(run(&["server"]).status.code(), Some(1));
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

fn run(args: &[&str]) -> Output {
    Command::new(weir().unwrap()).args(args).output().unwrap()
}
