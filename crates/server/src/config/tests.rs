//! One good configuration, and every way to get one wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const CLUSTER: &str = r#"[cluster]
name = "local"
shards = 8
[raft]
heartbeat_ms = 200
election_ms = [800, 1600]
[[node]]
id = 1
peer = "127.0.0.1:6382"
resp = "127.0.0.1:6379"
resp_cluster = "127.0.0.1:6380"
grpc = "127.0.0.1:6381"
"#;

const NODE: &str = r#"[node]
id = 1
cluster = "cluster.toml"
data_dir = "node-1"
"#;

fn load_with(cluster: &str, node: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    load_in(dir.path(), cluster, node, env)
}

fn load_in(dir: &Path, cluster: &str, node: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    std::fs::write(dir.join("cluster.toml"), cluster).unwrap();
    std::fs::write(dir.join("node-1.toml"), node).unwrap();
    let env: Vec<_> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let shown = format!("{}/", dir.display());
    let loaded = Config::load(&dir.join("node-1.toml"), &env);
    loaded.map_err(|error| error.to_string().replace(&shown, ""))
}

#[track_caller]
fn refused(node: &str, expected: &str) {
    assert_eq!(load_with(CLUSTER, node, &[]).unwrap_err(), expected);
}

#[track_caller]
fn cluster_refused(cluster: &str, expected: &str) {
    assert_eq!(load_with(cluster, NODE, &[]).unwrap_err(), expected);
}

#[test]
fn defaults_are_those_of_the_documents() {
    let config = load_with(CLUSTER, NODE, &[]).unwrap();
    assert_eq!(config.cluster.shards, 8);
    assert_eq!(config.cluster.election.1.as_millis(), 1600);
    assert_eq!(config.node.listen.http.to_string(), "127.0.0.1:6383");
    assert_eq!(config.node.limits.memory, GIB);
    assert_eq!(config.node.journal.kept_bytes, 256 * MIB);
    assert_eq!(config.node.reads, Reads::Quorum);
    assert!(config.node.data_dir.ends_with("node-1"));
    assert_eq!(config.advertised().grpc, "127.0.0.1:6381");
}

#[test]
fn a_node_that_is_not_in_the_list_is_reached_where_it_listens() {
    let config = load_with(CLUSTER, &NODE.replace("id = 1", "id = 4"), &[]).unwrap();
    assert_eq!(config.advertised().peer, "127.0.0.1:6382");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    refused(
        &format!("{NODE}[limits]\nmemroy = \"1GiB\"\n"),
        "node-1.toml:6: limits.memroy: unknown key; did you mean `memory`?",
    );
    refused(
        &format!("{NODE}[limit]\n"),
        "node-1.toml:5: limit: unknown section; did you mean `limits`?",
    );
    refused(
        &format!("zzzzzzzzzz = 1\n{NODE}"),
        "node-1.toml:1: zzzzzzzzzz: unknown key outside of any section; known here: node, listen, \
         limits, journal, checkpoint, read, security, log",
    );
    cluster_refused(
        &CLUSTER.replace("shards", "shard"),
        "cluster.toml:3: cluster.shard: unknown key; did you mean `shards`?",
    );
    cluster_refused(
        &CLUSTER.replace("grpc =", "grcp ="),
        "cluster.toml:12: node.grcp: unknown key; did you mean `grpc`?",
    );
}

#[test]
fn a_wrong_value_says_what_is_allowed() {
    let cases = [
        (
            "[limits]\nmemory = \"many\"\n",
            "limits.memory: must be a size such as \"64MiB\", from 64.0 MiB to 1.0 TiB",
        ),
        (
            "[limits]\nmemory = \"1KiB\"\n",
            "limits.memory: must be a size such as \"64MiB\", from 64.0 MiB to 1.0 TiB",
        ),
        (
            "[limits]\nconnections_max = -3\n",
            "limits.connections_max: must be a whole number from 1 to 1000000",
        ),
        ("[read]\nreads = \"quick\"\n", "read.reads: must be \"quorum\" or \"lease\""),
        ("[log]\nlevel = 3\n", "log.level: must be \"error\" or \"warn\" or \"info\" or \"debug\""),
        ("[security]\ninsecure = 1\n", "security.insecure: must be true or false"),
        (
            "[listen]\nresp = \"localhost\"\n",
            "listen.resp: must be IP:PORT, such as \"127.0.0.1:6379\"",
        ),
        (
            "[listen]\ngrpc = \"127.0.0.1:6379\"\n",
            "listen.grpc: has the same address as listen.resp",
        ),
    ];
    for (section, expected) in cases {
        refused(&format!("{NODE}{section}"), &format!("node-1.toml:6: {expected}"));
    }
}

#[test]
fn what_must_be_there_is_named() {
    refused("[node]\nid = 1\n", "node-1.toml:1: node.data_dir: is missing");
    refused("[node]\ndata_dir = \"d\"\n", "node-1.toml:1: node.id: is missing");
    cluster_refused(
        "[cluster]\nname = \"x\"\n",
        "cluster.toml: no [[node]]: name the nodes that form the cluster",
    );
    cluster_refused(
        &CLUSTER.replace("name = \"local\"\n", ""),
        "cluster.toml:1: cluster.name: is missing",
    );
}

#[test]
fn broken_toml_names_its_line() {
    let error = load_with(CLUSTER, "[node]\nid = \n", &[]).unwrap_err();
    assert!(error.starts_with("node-1.toml:2: "), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/node-1.toml"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/node-1.toml: cannot be read: No such file"), "{error}");
}

#[test]
fn two_nodes_with_one_id_are_refused() {
    let second = &CLUSTER[CLUSTER.find("[[node]]").unwrap()..];
    cluster_refused(
        &format!("{CLUSTER}{}", second.replace("6382", "7382")),
        "cluster.toml:14: node.id: 1 stands twice; every node has its own",
    );
    cluster_refused(
        &format!("{CLUSTER}{}", second.replace("id = 1", "id = 2")),
        "cluster.toml:15: node.peer: stands twice; every node has its own address",
    );
}

#[test]
fn elections_shorter_than_two_heartbeats_are_refused() {
    cluster_refused(
        &CLUSTER.replace("[800, 1600]", "[300, 600]"),
        "cluster.toml:6: raft.election_ms: must begin at twice raft.heartbeat_ms or more",
    );
    cluster_refused(
        &CLUSTER.replace("[800, 1600]", "[1600, 800]"),
        "cluster.toml:6: raft.election_ms: must be two whole numbers [low, high] from 20 to 60000, \
         the first below the second",
    );
}

#[test]
fn the_environment_stands_above_the_file() {
    let env = [
        ("WEIR_NODE__ID", "7"),
        ("WEIR_LISTEN__RESP", "127.0.0.1:7000"),
        ("WEIR_LIMITS__MEMORY", "128MiB"),
        ("WEIR_RAFT__ELECTION_MS", "500,900"),
        ("WEIR_NODE", "127.0.0.1:6381"),
    ];
    let config = load_with(CLUSTER, NODE, &env).unwrap();
    assert_eq!(config.node.id.0, 7);
    assert_eq!(config.node.listen.resp.port(), 7000);
    assert_eq!(config.node.limits.memory, 128 * MIB);
    assert_eq!(config.cluster.election.0.as_millis(), 500);
}

#[test]
fn a_wrong_variable_is_named() {
    let error = load_with(CLUSTER, NODE, &[("WEIR_LIMITS__MEMROY", "1GiB")]).unwrap_err();
    assert_eq!(error, "WEIR_LIMITS__MEMROY: unknown; did you mean `WEIR_LIMITS__MEMORY`?");
    let error = load_with(CLUSTER, NODE, &[("WEIR_NODE__ID", "one")]).unwrap_err();
    assert!(error.starts_with("WEIR_NODE__ID: must be a whole number"), "{error}");
}

#[test]
fn off_loopback_without_authentication_is_refused() {
    let open = format!("{NODE}[listen]\nresp = \"0.0.0.0:6379\"\n");
    let error = load_with(CLUSTER, &open, &[]).unwrap_err();
    assert!(error.starts_with("node-1.toml: listen.resp: 0.0.0.0:6379 is reachable"), "{error}");
    assert!(error.contains("security.password_file, or security.insecure = true"), "{error}");
    load_with(CLUSTER, &format!("{open}[security]\ninsecure = true\n"), &[]).unwrap();

    let peer = format!("{NODE}[listen]\npeer = \"[::]:6382\"\n");
    assert!(load_with(CLUSTER, &peer, &[]).unwrap_err().contains("security.insecure = true"));
}

#[test]
fn a_password_file_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "correct horse\n").unwrap();
    let node = format!(
        "{NODE}[listen]\nresp = \"0.0.0.0:6379\"\n[security]\npassword_file = \"secret\"\n"
    );
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(
        load_in(dir.path(), CLUSTER, &node, &[]).unwrap_err(),
        "node-1.toml:8: security.password_file: others may read secret: run `chmod 600 secret`"
    );
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let config = load_in(dir.path(), CLUSTER, &node, &[]).unwrap();
    let password = config.node.security.password.unwrap();
    assert!(password.matches(b"correct horse") && !password.matches(b"correct horsf"));
    assert_eq!(format!("{password:?}"), "Password(..)");
}

#[test]
fn a_security_key_that_is_not_built_yet_is_refused() {
    for key in ["client_cert", "peer_key"] {
        refused(
            &format!("{NODE}[security]\n{key} = \"x.pem\"\n"),
            &format!("node-1.toml:6: security.{key}: TLS is not built yet; leave the key out"),
        );
    }
}

#[test]
fn the_checksum_covers_the_cluster_section_alone() {
    let sum = |text: &str| load_with(text, NODE, &[]).unwrap().cluster.checksum();
    let usual = sum(CLUSTER);
    assert_eq!(usual, sum(&CLUSTER.replace("= 200", "= 100")));
    assert_eq!(usual, sum(&CLUSTER.replace("127.0.0.1:6381", "localhost:7381")));
    assert_ne!(usual, sum(&CLUSTER.replace("shards = 8", "shards = 4")));
    assert_ne!(usual, sum(&CLUSTER.replace("\"local\"", "\"prod\"")));
}

/// Names that a key or a variable may have broke the line.
#[test]
fn an_error_stays_one_line_whatever_a_name_has_in_it() {
    let node = "[node]\nid = 1\ndata_dir = \"d\"\n\"a\\nb\\rc\" = 1\n";
    let error = load_with(CLUSTER, node, &[]).unwrap_err();
    assert!(error.contains("a b c") && !error.contains(['\n', '\r']), "{error}");
    let error = load_with(CLUSTER, NODE, &[("WEIR_A__\nB", "1")]).unwrap_err();
    assert!(error.starts_with("WEIR_A__ B: unknown"), "{error}");
}
