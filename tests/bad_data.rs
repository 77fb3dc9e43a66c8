//! Data that is not this node's, locked, emptied, damaged: never served, one clear line, the right
//! exit code, and nothing acknowledged is lost.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::cluster::{Cluster, Node, Options, READY_WAIT, edit, run, weir};
use tests::wait;

fn prepared() -> Cluster {
    Cluster::prepare(&Options::default()).unwrap()
}

fn add(cluster: &Cluster, index: usize, key: &str) {
    let reply = cluster.nodes[index].client().unwrap().call(&["XADD", key, "*", "f", "v"]).unwrap();
    assert!(reply.as_error().is_none(), "{reply}");
}

fn length(cluster: &Cluster, index: usize, key: &str) -> i64 {
    let reply = cluster.nodes[index].client().unwrap().call(&["XLEN", key]).unwrap();
    reply.as_integer().unwrap_or_else(|| panic!("{reply}"))
}

#[test]
fn a_data_directory_that_cannot_be_written_is_refused() {
    let mut cluster = prepared();
    let file = cluster.nodes[0].file.clone();
    edit(&file, |text| text.replace("data_dir = \"node-1\"", "data_dir = \"/proc/weir\"")).unwrap();
    cluster.refuses(0, 3, &["/proc/weir"]).unwrap();
}

#[test]
fn data_that_is_another_nodes_locked_emptied_or_damaged_is_never_served() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    for index in 0..3 {
        add(&cluster, index, "kept");
    }
    locked_by_a_running_process(&cluster);
    cluster.nodes[2].stop().unwrap();
    of_another_node(&mut cluster);
    of_another_cluster(&mut cluster);
    damaged(&mut cluster);
    emptied(&mut cluster);
    assert_eq!(length(&cluster, 0, "kept"), 3, "nothing acknowledged is lost");
    add(&cluster, 1, "kept");
}

/// Changes the version in a file's bytes, checksum and all.
type MakeNewer = fn(&mut [u8]);

/// Each place that carries a version: what a newer program wrote is not read, not mended, not
/// replaced, and is whole once it is as it was.
#[test]
fn data_of_a_newer_format_is_refused_and_left_alone() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    add(&cluster, 2, "kept");
    cluster.nodes[2].stop().unwrap();
    let dir = cluster.data_dir(2);
    let segment = cluster.segments(2).unwrap().pop().unwrap();
    let newer: [(PathBuf, MakeNewer); 4] = [
        (dir.join("identity"), newer_file),
        (dir.join("witness"), newer_file),
        (segment, newer_segment),
        (dir.join("store").join("format"), newer_store),
    ];
    for (file, make_newer) in newer {
        let whole = std::fs::read(&file).unwrap();
        let mut bytes = whole.clone();
        make_newer(&mut bytes);
        std::fs::write(&file, &bytes).unwrap();
        let words = format!("{} has format version 2, newer than this program", file.display());
        cluster.refuses(2, 2, &[&words]).unwrap();
        let verify = run(&["verify", dir.to_str().unwrap()]).unwrap();
        let said = String::from_utf8_lossy(&verify.stderr).into_owned();
        assert_eq!((verify.status.code(), said.contains(&words)), (Some(2), true), "{said}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "it is left alone");
        std::fs::write(&file, whole).unwrap();
    }
    cluster.nodes[2].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    assert_eq!(length(&cluster, 2, "kept"), 1);
    assert!(!cluster.nodes[2].log_text().contains("damaged"), "nothing was taken for damage");
}

/// `magic 8 | crc 4 | version 4 | ..`: the checksum is over all that follows it.
fn newer_file(bytes: &mut [u8]) {
    bytes[12] = 2;
    let sum = base::sum::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
}

/// The same, with the header's length behind the version.
fn newer_segment(bytes: &mut [u8]) {
    let length = u32::from_le_bytes(bytes[16..20].try_into().unwrap());
    let mut header = bytes[..usize::try_from(length).unwrap()].to_vec();
    newer_file(&mut header);
    bytes[..header.len()].copy_from_slice(&header);
}

/// `version 1 | crc 4 | payload`: the checksum is over the file's name, the version, the payload.
fn newer_store(bytes: &mut [u8]) {
    bytes[0] = 2;
    let sum = base::sum::crc32c(&[b"format", &bytes[..1], &bytes[5..]].concat());
    bytes[1..5].copy_from_slice(&sum.to_le_bytes());
}

/// The number of shards decides which shard a key belongs to: another one would hide every key
/// whose slot moved.
#[test]
fn another_number_of_shards_is_refused_and_the_old_one_finds_everything() {
    let mut cluster = Cluster::start(&Options::default()).unwrap();
    let keys: Vec<String> = (0..20).map(|number| format!("key-{number}")).collect();
    keys.iter().for_each(|key| add(&cluster, 0, key));
    cluster.nodes.iter_mut().for_each(Node::kill);
    let file = cluster.dir().join("cluster.toml");
    edit(&file, |text| text.replace("shards = 8", "shards = 4")).unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    let ended = wait::until("a node to see it", READY_WAIT, || {
        let ended = cluster
            .nodes
            .iter_mut()
            .find_map(|node| (!node.is_running()).then(|| node.last_line()));
        ended.ok_or_else(|| "all run".to_owned())
    });
    let line = ended.unwrap();
    assert!(line.contains("4 shards, but the cluster was made with 8"), "{line}");
    cluster.nodes.iter_mut().for_each(Node::kill);
    edit(&file, |text| text.replace("shards = 4", "shards = 8")).unwrap();
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(READY_WAIT).unwrap();
    keys.iter().for_each(|key| assert_eq!(length(&cluster, 1, key), 1, "{key}"));
}

fn locked_by_a_running_process(cluster: &Cluster) {
    let mut second = Command::new(weir().unwrap());
    second.args(["server", "--config"]).arg(&cluster.nodes[0].file);
    let free = Cluster::prepare(&Options::default()).unwrap();
    let port = |offset: u16| {
        let first: u16 = free.nodes[0].resp().rsplit_once(':').unwrap().1.parse().unwrap();
        format!("127.0.0.1:{}", first + offset)
    };
    for (offset, name) in ["RESP", "RESP_CLUSTER", "GRPC", "PEER", "HTTP"].iter().enumerate() {
        second.env(format!("WEIR_LISTEN__{name}"), port(u16::try_from(offset).unwrap()));
    }
    let output = second.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.lines().last().unwrap().contains("locked"), "{text}");
}

fn of_another_node(cluster: &mut Cluster) {
    let file = cluster.nodes[2].file.clone();
    let other = cluster.dir().join("other");
    // What a node that runs has comes and goes while it is copied.
    cluster.nodes[1].kill();
    copy_dir(&cluster.data_dir(1), &other);
    cluster.nodes[1].start().unwrap();
    edit(&file, |text| text.replace("\"node-3\"", "\"other\"")).unwrap();
    cluster.refuses(2, 2, &["is of node 2", "this is node 3"]).unwrap();
    edit(&file, |text| text.replace("\"other\"", "\"node-3\"")).unwrap();
}

/// The name in `[cluster]` is part of what peers must have alike.
fn of_another_cluster(cluster: &mut Cluster) {
    let file = cluster.nodes[2].file.clone();
    let text = std::fs::read_to_string(cluster.dir().join("cluster.toml")).unwrap();
    let renamed = text.replace("name = \"test\"", "name = \"production\"");
    std::fs::write(cluster.dir().join("other.toml"), renamed).unwrap();
    edit(&file, |text| text.replace("\"cluster.toml\"", "\"other.toml\"")).unwrap();
    cluster.nodes[2].start().unwrap();
    wait::until("the node to be told off", READY_WAIT, || {
        let log = cluster.nodes[2].log_text();
        let told = log.lines().any(|line| line.contains("[cluster]"));
        if told { Ok(()) } else { Err(cluster.nodes[2].log_end()) }
    })
    .unwrap();
    wait::until("it to be not ready", READY_WAIT, || match cluster.nodes[2].ready() {
        Ok(()) => Err("it is".to_owned()),
        Err(_) => Ok(()),
    })
    .unwrap();
    cluster.nodes[2].kill();
    edit(&file, |text| text.replace("\"other.toml\"", "\"cluster.toml\"")).unwrap();
}

/// A byte below the synced mark is flipped.
fn damaged(cluster: &mut Cluster) {
    let segment = &cluster.segments(2).unwrap()[0];
    let whole = std::fs::read(segment).unwrap();
    let written = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut broken = whole.clone();
    broken[written / 2] ^= 0x40;
    std::fs::write(segment, broken).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    cluster.refuses(2, 2, &[&name]).unwrap();
    let verify = run(&["verify", cluster.data_dir(2).to_str().unwrap()]).unwrap();
    assert_eq!(verify.status.code(), Some(2), "{}", String::from_utf8_lossy(&verify.stderr));
    std::fs::write(segment, whole).unwrap();
    let verify = run(&["verify", cluster.data_dir(2).to_str().unwrap()]).unwrap();
    assert_eq!(verify.status.code(), Some(0), "{}", String::from_utf8_lossy(&verify.stderr));
}

fn emptied(cluster: &mut Cluster) {
    std::fs::remove_dir_all(cluster.data_dir(2)).unwrap();
    cluster.refuses(2, 2, &["weir node replace 3"]).unwrap();
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
