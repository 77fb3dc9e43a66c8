//! A disk that fills up: appends are refused in clear words, what frees space goes on, nothing
//! acknowledged is lost, and appends are taken again when there is room. Needs a file system of its
//! own: skips with a loud word where none can be mounted.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::cluster::{Cluster, Options};
use tests::wait;

/// Room for the ballast, some segments and a little more.
const DISK: &str = "size=160m";

/// A file system in memory over a directory, gone with the value.
struct Mount(PathBuf);

impl Mount {
    fn over(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "weir-test"]).arg(dir);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Self(dir.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn a_full_disk_refuses_appends_and_loses_nothing() {
    let extra = "[limits]\ndisk_free_min = \"16MiB\"\n[journal]\nsegment_bytes = \"4MiB\"\n\
                 ballast_bytes = \"16MiB\"\nkept_bytes = \"4MiB\"\n";
    let options = Options { shards: 2, extra: extra.to_owned(), ..Options::default() };
    let mut cluster = Cluster::prepare(&options).unwrap();
    let Some(_mount) = Mount::over(&cluster.data_dir(0)) else {
        println!("SKIPPED: no file system can be mounted here, a full disk is not tested");
        return;
    };
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(tests::cluster::READY_WAIT).unwrap();
    // The others would be a majority without it: what they need is a quorum, so the first one is
    // filled by a file that is not ours, and leads or follows as it is.
    let filler = cluster.data_dir(0).join("filler");
    let mut client = cluster.nodes[0].client().unwrap();
    let before = fill(&mut client, 20);
    assert_eq!(before.1, 0, "there is room yet");
    take_all_but(&cluster.data_dir(0), &filler, 10 << 20);
    wait::pause(Duration::from_secs(2));
    let (added, _) = fill(&mut client, 20);
    let all = before.0 + added;
    let length = client.call(&["XLEN", "s"]).unwrap().as_integer().unwrap();
    assert_eq!(length, all, "what was acknowledged is there");
    let reply = client.call(&["XTRIM", "s", "MAXLEN", "5"]).unwrap();
    assert!(reply.as_integer().is_some(), "what frees space goes on: {reply}");
    std::fs::remove_file(&filler).unwrap();
    wait::until("appends to be taken again", Duration::from_secs(30), || {
        let reply =
            client.call(&["XADD", "s", "*", "f", "v"]).map_err(|error| error.to_string())?;
        reply.as_error().map_or(Ok(()), |error| Err(error.to_owned()))
    })
    .unwrap();
    assert!(cluster.nodes[0].is_running(), "{}", cluster.nodes[0].log_end());
}

/// Appends; how many were acknowledged, and how many refused for want of room.
fn fill(client: &mut tests::client::Client, count: usize) -> (i64, i64) {
    let value = "x".repeat(100_000);
    let (mut added, mut refused) = (0, 0);
    for _ in 0..count {
        let reply = client.call(&["XADD", "s", "*", "f", &value]).unwrap();
        match reply.as_error() {
            None => added += 1,
            Some(error) if error.starts_with("DISKFULL") => refused += 1,
            Some(error) => panic!("{error}"),
        }
    }
    (added, refused)
}

fn take_all_but(dir: &Path, filler: &Path, left: u64) {
    use base::Disk;
    let free = base::RealDisk.free_bytes(dir).unwrap();
    std::fs::write(filler, vec![1; usize::try_from(free.saturating_sub(left)).unwrap()]).unwrap();
}
