//! Bad configurations, taken ports and wrong command lines, with real processes: each ends in one
//! clear line and the right exit code.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::TcpListener;

use tests::cluster::{Cluster, Options, edit, run};

fn prepared() -> Cluster {
    Cluster::prepare(&Options::default()).unwrap()
}

#[test]
fn an_unknown_key_names_file_line_key_and_the_nearest_known() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| format!("{text}[limits]\nmemroy = \"1GiB\"\n")).unwrap();
    cluster.refuses(0, 1, &["node-1.toml:12: limits.memroy", "did you mean `memory`?"]).unwrap();
}

#[test]
fn a_wrong_value_says_what_is_allowed() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| format!("{text}[read]\nreads = \"fast\"\n")).unwrap();
    cluster
        .refuses(0, 1, &["node-1.toml:12: read.reads: must be \"quorum\" or \"lease\""])
        .unwrap();
}

#[test]
fn two_nodes_with_one_id_in_the_list_are_refused() {
    let mut cluster = prepared();
    edit(&cluster.dir().join("cluster.toml"), |text| text.replace("id = 2", "id = 1")).unwrap();
    cluster.refuses(0, 1, &["cluster.toml:", "node.id: 1 stands twice"]).unwrap();
}

#[test]
fn a_security_key_that_is_not_built_yet_is_refused() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| format!("{text}[security]\npeer_ca = \"ca.pem\"\n")).unwrap();
    cluster.refuses(0, 1, &["security.peer_ca: TLS is not built yet"]).unwrap();
}

#[test]
fn a_port_in_use_is_named_with_its_holder() {
    let mut cluster = prepared();
    let address = cluster.nodes[0].resp();
    let _held = TcpListener::bind(&address).unwrap();
    let holder = format!("(pid {})", std::process::id());
    cluster.refuses(0, 3, &["listen.resp", &address, "in use by", &holder]).unwrap();
}

#[test]
fn dev_names_the_holder_of_a_port_and_suggests_another() {
    let cluster = prepared();
    let port = cluster.nodes[0].resp().rsplit_once(':').unwrap().1.to_owned();
    let _held = TcpListener::bind(cluster.nodes[0].resp()).unwrap();
    let dir = cluster.dir().join("dev");
    let output = run(&["dev", "--base-port", &port, "--data-dir", dir.to_str().unwrap()]).unwrap();
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{line}");
    let start = format!("weir: port {port} is in use by ");
    assert!(line.starts_with(&start) && line.contains("; try --base-port "), "{line}");
    assert!(!dir.exists(), "nothing is written before the ports are known to be free");
}

#[test]
fn a_wrong_command_line_is_exit_code_1() {
    assert_eq!(run(&["frobnicate"]).unwrap().status.code(), Some(1));
    assert_eq!(run(&["server"]).unwrap().status.code(), Some(1));
    assert_eq!(run(&["--help"]).unwrap().status.code(), Some(0));
}
