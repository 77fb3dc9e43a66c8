//! `weir dev`: a cluster on this machine that says when it is ready, keeps its data, starts nodes
//! again when told to, and leaves nothing running.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tests::client::Client;
use tests::cluster::{Ports, READY_WAIT, weir};
use tests::wait;

struct Dev {
    child: Child,
    ready: serde_json::Value,
}

impl Dev {
    fn start(dir: &Path, ports: &Ports, more: &[&str]) -> Self {
        let mut child = Command::new(weir().unwrap())
            .args(["dev", "--json", "--base-port", &ports.first_of(1).to_string(), "--data-dir"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn node(&self, index: usize, key: &str) -> String {
        self.ready["nodes"][index][key].as_str().unwrap().to_owned()
    }

    fn pids(&self) -> Vec<Pid> {
        let nodes = self.ready["nodes"].as_array().unwrap();
        let pid = |node: &serde_json::Value| i32::try_from(node["pid"].as_i64().unwrap()).unwrap();
        nodes.iter().map(|node| Pid::from_raw(pid(node)).unwrap()).collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    fn end(&mut self) -> Option<i32> {
        let ended = wait::until("weir dev to end", READY_WAIT, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        ended.unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn gone(pids: &[Pid]) {
    wait::until("the nodes to be gone", READY_WAIT, || {
        let left = pids.iter().filter(|pid| test_kill_process(**pid).is_ok()).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} still run")) }
    })
    .unwrap();
}

fn length(address: &str) -> Option<i64> {
    Client::open(address).ok()?.call(&["XLEN", "s"]).ok()?.as_integer()
}

#[test]
fn it_keeps_its_data_and_stops_in_good_order() {
    let (dir, ports) = (tempfile::tempdir().unwrap(), Ports::take(3).unwrap());
    let data = dir.path().join("data");
    let mut dev = Dev::start(&data, &ports, &[]);
    assert_eq!(dev.ready["ready"], true);
    for index in 0..3 {
        let mut client = Client::open(&dev.node(index, "resp")).unwrap();
        let reply = client.call(&["XADD", "s", "*", "f", "v"]).unwrap();
        assert!(reply.as_error().is_none(), "{reply}");
    }
    let health = |address: &str| {
        let mut health = Command::new(weir().unwrap());
        health.args(["health", "--http", address]).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(health(&dev.node(1, "http")), Some(0));
    let pids = dev.pids();
    dev.signal(Signal::INT);
    assert_eq!(dev.end(), Some(0));
    gone(&pids);
    assert_ne!(health(&dev.node(1, "http")), Some(0));

    let mut again = Dev::start(&data, &ports, &[]);
    assert_eq!(length(&again.node(2, "resp")), Some(3));
    again.signal(Signal::TERM);
    assert_eq!(again.end(), Some(0));
    gone(&again.pids());
}

#[test]
fn a_node_that_dies_is_started_again_where_wanted() {
    let (dir, ports) = (tempfile::tempdir().unwrap(), Ports::take(3).unwrap());
    let mut dev = Dev::start(&dir.path().join("data"), &ports, &["--restart"]);
    let mut client = Client::open(&dev.node(0, "resp")).unwrap();
    client.call(&["XADD", "s", "*", "f", "v"]).unwrap();
    kill_process(dev.pids()[2], Signal::KILL).unwrap();
    let third = dev.node(2, "resp");
    wait::until("the node to answer again", READY_WAIT, || match length(&third) {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .unwrap();
    dev.signal(Signal::TERM);
    assert_eq!(dev.end(), Some(0));
}

#[test]
fn nothing_is_left_when_it_is_killed() {
    let (dir, ports) = (tempfile::tempdir().unwrap(), Ports::take(3).unwrap());
    let mut dev = Dev::start(&dir.path().join("data"), &ports, &[]);
    let pids = dev.pids();
    wait::pause(Duration::from_millis(100));
    dev.signal(Signal::KILL);
    dev.end();
    gone(&pids);
}
