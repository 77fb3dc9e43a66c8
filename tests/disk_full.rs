//! Disks that fill up: appends are refused in clear words, what frees space goes on, nothing
//! acknowledged is lost, and appends are taken again when there is room. Needs file systems of its
//! own: skips with a loud word where none can be mounted.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use resp::Value;
use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::skips;
use tests::wait;

/// Room for the ballast, some segments and a little more.
const DISK: &str = "size=160m";

/// Below this much room appends are refused.
const FREE_MIN: &str = "16MiB";
/// What a filled disk has left: below that, and enough for what frees space.
const LEFT: u64 = 10 << 20;

/// Free disk is measured and told to the peers several times in this.
const NEWS_WAIT: Duration = Duration::from_secs(30);

const SKIPPED: &str = "no file system can be mounted here, full disks are not tested";

/// A file system in memory over a node's data directory, gone with the value.
struct Mount(PathBuf);

impl Mount {
    fn over(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "weir-test"]).arg(dir);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Self(dir.to_owned()))
    }

    /// A file that is not the node's takes all but [`LEFT`].
    fn fill(&self) {
        use base::Disk;
        let free = base::RealDisk.free_bytes(&self.0).unwrap();
        let length = usize::try_from(free.saturating_sub(LEFT)).unwrap();
        std::fs::write(self.filler(), vec![1; length]).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

/// A cluster whose first nodes have small disks of their own.
fn cluster_on_small_disks(small: usize) -> Option<(Cluster, Vec<Mount>)> {
    let extra = format!(
        "[limits]\ndisk_free_min = \"{FREE_MIN}\"\n[journal]\nsegment_bytes = \"4MiB\"\n\
         ballast_bytes = \"16MiB\"\nkept_bytes = \"4MiB\"\n"
    );
    let mut cluster =
        Cluster::prepare(&Options { shards: 3, extra, ..Options::default() }).unwrap();
    let mounts: Option<Vec<Mount>> =
        (0..small).map(|index| Mount::over(&cluster.data_dir(index))).collect();
    let mounts = mounts?;
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(READY_WAIT).unwrap();
    Some((cluster, mounts))
}

fn clients(cluster: &Cluster) -> Vec<Client> {
    cluster.nodes.iter().map(|node| node.client().unwrap()).collect()
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

/// One entry; false when it is refused for want of room, and for nothing else.
fn append(client: &mut Client, key: &str) -> bool {
    let reply = call(client, &format!("XADD {key} * field {}", "x".repeat(10_000)));
    match reply.as_error() {
        None => true,
        Some(error) if error.starts_with("DISKFULL disk space is low on node ") => false,
        Some(error) => panic!("{error}"),
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let look = || if holds() { Ok(()) } else { Err("not yet".to_owned()) };
    wait::until(what, NEWS_WAIT, look).unwrap();
}

#[test]
fn without_room_on_a_majority_appends_are_refused_everywhere_and_what_frees_space_goes_on() {
    let Some((cluster, mounts)) = cluster_on_small_disks(2) else {
        skips::skip(SKIPPED);
        return;
    };
    let mut clients = clients(&cluster);
    let mut added = 0;
    for client in &mut clients {
        added += i64::from(append(client, "s")) + i64::from(append(client, "s"));
    }
    assert_eq!(added, 6, "there is room yet");
    call(&mut clients[0], "XGROUP CREATE s g 0");
    let read = call(&mut clients[0], "XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    let stream = &read.as_items().unwrap()[0].as_items().unwrap()[1].as_items().unwrap()[0];
    let id = stream.as_items().unwrap()[0].as_text().unwrap();

    mounts.iter().for_each(Mount::fill);
    for (index, client) in clients.iter_mut().enumerate() {
        until(&format!("node {} to refuse", index + 1), || {
            let taken = append(client, "s");
            added += i64::from(taken);
            !taken
        });
    }
    let client = &mut clients[2];
    assert_eq!(call(client, "XLEN s").as_integer(), Some(added), "what was acknowledged is there");
    assert!(call(client, "XGROUP CREATE s other 0").as_error().unwrap().starts_with("DISKFULL"));
    assert_eq!(call(client, &format!("XACK s g {id}")).as_integer(), Some(1));
    assert_eq!(call(client, &format!("XDEL s {id}")).as_integer(), Some(1));
    assert_eq!(call(client, "XTRIM s MAXLEN 2").as_integer(), Some(added - 3));
    assert_eq!(call(client, "XLEN s").as_integer(), Some(2));
    assert!(!append(client, "s"), "there is no room yet");

    mounts.iter().for_each(Mount::empty);
    for client in &mut clients {
        until("appends to be taken again", || append(client, "s"));
    }
    assert_eq!(call(&mut clients[0], "XLEN s").as_integer(), Some(5));
}

#[test]
fn one_full_disk_refuses_the_appends_of_the_shards_that_it_leads() {
    let Some((cluster, mounts)) = cluster_on_small_disks(1) else {
        skips::skip(SKIPPED);
        return;
    };
    // Leaders are spread over the nodes, so that the first one comes to lead one shard of three.
    until("the first node to lead a shard", || cluster.leaders().contains(&1));
    mounts[0].fill();
    let mut clients = clients(&cluster);
    for client in &mut clients {
        until("some appends to be refused, and not those of other leaders", || {
            let taken = (0..20).filter(|key| append(client, &format!("key-{key}"))).count();
            0 < taken && taken < 20
        });
    }
    mounts[0].empty();
    for client in &mut clients {
        until("appends to be taken again", || {
            (0..20).all(|key| append(client, &format!("key-{key}")))
        });
    }
}
