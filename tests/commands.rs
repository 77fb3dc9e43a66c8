//! `weir append`, `read`, `status` and `node replace` on a real cluster, as a shell sees them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tests::cluster::{Cluster, Options, READY_WAIT, weir};
use tests::wait;

/// A command with an address that answers.
fn run(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(weir().unwrap());
    command.args(args).env("WEIR_NODE", cluster.nodes[0].grpc());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // A command that fails early reads no further.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Its stdout; it must succeed.
fn printed(cluster: &Cluster, args: &[&str], stdin: &str) -> String {
    let output = run(cluster, args, stdin.as_bytes());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and stderr of a command that must fail.
fn refused(cluster: &Cluster, args: &[&str], stdin: &[u8]) -> (i32, String) {
    let output = run(cluster, args, stdin);
    assert!(!output.status.success(), "{args:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), error)
}

#[test]
fn what_is_appended_from_a_pipe_is_read_into_a_pipe() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let id = printed(&cluster, &["append", "-s", "one", "item", "7", "colour", "dark red"], "");
    let line = printed(&cluster, &["read", "-s", "one"], "");
    assert_eq!(line, format!("{} item=7 colour=\"dark red\"\n", id.trim()));

    printed(&cluster, &["append", "-s", "lines"], "first\nsecond line\n\nlast");
    let lines = printed(&cluster, &["read", "-s", "lines", "--field", "line"], "");
    assert_eq!(lines, "first\nsecond line\n\nlast\n");
    let newest =
        printed(&cluster, &["read", "-s", "lines", "--field", "line", "--reverse", "-n", "1"], "");
    assert_eq!(newest, "last\n");
    assert_eq!(printed(&cluster, &["read", "-s", "none"], ""), "");

    // Every byte, names that repeat, and the ids, from one stream to another.
    let json = concat!(
        r#"{"id":"5-1","fields":{"b":"1","a":{"base64":"/wA="},"ä":"\n"}}"#,
        "\n",
        r#"{"id":"5-2","fields":[["n","1"],["n","2"]]}"#,
        "\n"
    );
    printed(&cluster, &["append", "-s", "json", "--json", "--keep-ids"], json);
    let read = printed(&cluster, &["read", "-s", "json", "--json"], "");
    assert_eq!(read, json);
    printed(&cluster, &["append", "-s", "copy", "--json", "--keep-ids"], &read);
    assert_eq!(printed(&cluster, &["read", "-s", "copy", "--json"], ""), json);
    let second = printed(&cluster, &["read", "-s", "copy", "--json", "--from", "5-2"], "");
    assert_eq!(second, json.split_inclusive('\n').nth(1).unwrap());

    let many: String = (0..5000).map(|number| format!("{number}\n")).collect();
    let ids = printed(&cluster, &["append", "-s", "many", "--ids"], &many);
    assert_eq!(ids.lines().count(), 5000);
    assert_eq!(printed(&cluster, &["read", "-s", "many", "--field", "line"], ""), many);
}

#[test]
fn what_goes_wrong_is_said_in_one_line_with_the_right_code() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let wrong = [
        (&["append", "-s", "s", "name"][..], &b""[..], "`name` has no value"),
        (&["append", "-s", "s", "--json"], b"{\"fields\": {\"a\": \"1\"}}\n{", "line 2: "),
        (
            &["append", "-s", "s", "--json", "--keep-ids"],
            br#"{"id": "0-0", "fields": {"a": 1}}"#,
            "0-1",
        ),
        (&["append", "-s", "s", "--json"], br#"{"fields": {}}"#, "at least one field"),
        (&["append", "-s", "", "a", "1"], b"", "name the stream"),
        (&["read", "-s", "s", "--from", "x"], b"", "`x` is not an entry id"),
        (&["read", "-s", "s", "--node", "here"], b"", "host:port"),
        (&["node", "replace", "9", "--config", "/none.toml"], b"", "/none.toml"),
    ];
    for (args, stdin, word) in wrong {
        let (code, error) = refused(&cluster, args, stdin);
        assert_eq!(code, 1, "{args:?}: {error}");
        let last = error.lines().last().unwrap_or_default();
        assert!(last.starts_with("weir: ") && last.contains(word), "{args:?}: {error}");
    }
    // What was right before the wrong line was appended, and is counted.
    assert_eq!(printed(&cluster, &["read", "-s", "s", "--field", "a"], ""), "1\n");
    let gone = ["status", "--node", "127.0.0.1:1", "--timeout", "1"];
    let (code, error) = refused(&cluster, &gone, b"");
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("no node answers at 127.0.0.1:1"), "{error}");
}

#[test]
fn a_password_is_asked_for_and_taken_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let extra = format!("[security]\npassword_file = \"{}\"\n", file.display());
    let cluster = Cluster::start(&Options { extra, ..Options::default() }).unwrap();
    let (code, error) = refused(&cluster, &["status"], b"");
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("--password-file"), "{error}");
    let file = file.to_str().unwrap();
    printed(&cluster, &["append", "-s", "s", "a", "1", "--password-file", file], "");
    printed(&cluster, &["status", "--password-file", file], "");
}

#[test]
fn a_lost_node_is_replaced_while_appends_go_on() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let lines: String = (0..1000).map(|number| format!("{number}\n")).collect();
    printed(&cluster, &["append", "-s", "before"], &lines);
    cluster.nodes[2].kill();
    std::fs::remove_dir_all(cluster.data_dir(2)).unwrap();

    let status = cluster.status().unwrap();
    assert_eq!(status["node_id_next"], 4);
    cluster.nodes[2].become_node(4).unwrap();
    cluster.nodes[2].start().unwrap();
    let file = cluster.nodes[2].file.to_str().unwrap().to_owned();
    printed(&cluster, &["node", "replace", "3", "--config", &file], "");
    printed(&cluster, &["append", "-s", "after"], &lines);
    cluster.wait_ready(READY_WAIT).unwrap();

    let status = wait::until("four to be everywhere", Duration::from_secs(30), || {
        let status = cluster.status().map_err(|error| error.to_string())?;
        let shards = status["shards"].as_array().ok_or("no shards")?.clone();
        let moved = |shard: &serde_json::Value| shard["voters"] == serde_json::json!([1, 2, 4]);
        if shards.iter().all(moved) { Ok(status) } else { Err(status.to_string()) }
    });
    assert!(status.unwrap()["shards"].as_array().unwrap().len() > 1);
    // Without one of the old ones, it is the new one that the majority needs.
    cluster.nodes[1].kill();
    for stream in ["before", "after"] {
        assert_eq!(printed(&cluster, &["read", "-s", stream, "--field", "line"], ""), lines);
    }
}
