//! MULTI, EXEC and WATCH on real processes while nodes are killed: a job is acknowledged and
//! forwarded in one step or not at all, and whoever watches is never deceived.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use resp::Value;
use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

const JOBS: usize = 120;

fn ask(client: &mut Client, line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&words).unwrap()
}

/// The ids of the entries in an answer to XRANGE.
fn ids(entries: &Value) -> Vec<String> {
    let id = |entry: &Value| entry.as_items().unwrap()[0].as_text().unwrap().to_owned();
    entries.as_items().unwrap().iter().map(id).collect()
}

/// Takes jobs one by one, and in one transaction acknowledges each and forwards it under its own
/// id. What it took when an answer was lost it finds in its history and does again: a job that was
/// forwarded is acknowledged as well, so it never comes back.
fn work(address: String, name: &'static str, stop: Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut errors = Vec::new();
        let mut client = connect(&address);
        let mut from = "0";
        while !stop.load(Ordering::SeqCst) {
            let read = format!("XREADGROUP GROUP g {name} COUNT 1 STREAMS {{q}}jobs {from}");
            match turn(&mut client, &read) {
                Ok(true) => {}
                // Nothing of its own is left: on to what is new.
                Ok(false) => from = ">",
                Err(error) => {
                    errors.push(error);
                    client = connect(&address);
                    from = "0";
                }
            }
        }
        errors
    })
}

fn connect(address: &str) -> Client {
    let opened = wait::until("a connection", READY_WAIT, || {
        Client::open(address).map_err(|error| error.to_string())
    });
    opened.unwrap()
}

/// Whether there was a job.
fn turn(client: &mut Client, read: &str) -> Result<bool, String> {
    let mut call = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = client.call(&words).map_err(|error| error.to_string())?;
        reply.as_error().map_or(Ok(()), |error| Err(error.to_owned()))?;
        Ok::<_, String>(reply)
    };
    let reply = call(read)?;
    let Some([stream]) = reply.as_items() else { return Ok(false) };
    let found = ids(&stream.as_items().unwrap()[1]);
    let [id] = found.as_slice() else { return Ok(false) };
    call("MULTI")?;
    call(&format!("XADD {{q}}done * job {id}"))?;
    call(&format!("XACK {{q}}jobs g {id}"))?;
    let replies = call("EXEC")?;
    // Acknowledged here or never: another one can't have had it.
    match replies.as_items().map(|replies| &replies[1]) {
        Some(Value::Integer(1)) => Ok(true),
        other => panic!("{id}: {other:?}"),
    }
}

#[test]
fn a_job_is_acknowledged_and_forwarded_in_one_step_under_kills() {
    let mut cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    for number in 0..JOBS {
        ask(&mut client, &format!("XADD {{q}}jobs {}-1 n {number}", number + 1));
    }
    ask(&mut client, "XGROUP CREATE {q}jobs g 0");
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = ["alice", "bob", "eve"]
        .into_iter()
        .enumerate()
        .map(|(at, name)| work(cluster.nodes[at].resp(), name, stop.clone()))
        .collect();
    for round in 0..2 {
        let done = (round + 1) * JOBS / 4;
        let leader = cluster.leader_of_most().unwrap();
        let mut watcher = cluster.nodes[(leader + 1) % 3].client().unwrap();
        wait_done(&mut watcher, done);
        cluster.nodes[leader].kill();
        wait_done(&mut watcher, done + 10);
        cluster.nodes[leader].start().unwrap();
        cluster.wait_ready(READY_WAIT).unwrap();
    }
    let mut client = cluster.nodes[0].client().unwrap();
    wait_done(&mut client, JOBS);
    stop.store(true, Ordering::SeqCst);
    let errors: Vec<String> = workers.into_iter().flat_map(|one| one.join().unwrap()).collect();

    let done = ask(&mut client, "XRANGE {q}done - +");
    let job = |entry: &Value| {
        let fields = entry.as_items().unwrap()[1].as_items().unwrap();
        fields[1].as_text().unwrap().to_owned()
    };
    let jobs: Vec<String> = done.as_items().unwrap().iter().map(job).collect();
    assert_eq!(jobs.len(), JOBS, "each once: {errors:?}");
    assert_eq!(jobs.into_iter().collect::<BTreeSet<_>>().len(), JOBS);
    let pending = ask(&mut client, "XPENDING {q}jobs g").to_string();
    assert!(pending.starts_with("*4[:0,"), "{pending}");
    cluster.wait_equal(READY_WAIT).unwrap();
}

fn wait_done(client: &mut Client, count: usize) {
    let done = wait::until("jobs to be done", READY_WAIT, || {
        let length = ask(client, "XLEN {q}done").as_integer();
        if length >= Some(count as i64) { Ok(()) } else { Err(format!("{length:?}")) }
    });
    done.unwrap();
}

#[test]
fn a_watched_key_is_known_by_the_next_leader() {
    let mut cluster = Cluster::start(&Options { shards: 1, ..Options::default() }).unwrap();
    let leader = cluster.leader_of_most().unwrap();
    let mut watcher = cluster.nodes[(leader + 1) % 3].client().unwrap();
    let mut other = cluster.nodes[(leader + 2) % 3].client().unwrap();
    ask(&mut watcher, "XADD {k}same 1-1 f v");
    ask(&mut watcher, "XADD {k}changed 1-1 f v");
    assert_eq!(ask(&mut watcher, "WATCH {k}same").to_string(), "+OK");
    assert_eq!(ask(&mut other, "WATCH {k}changed").to_string(), "+OK");
    cluster.nodes[leader].kill();
    ask(&mut watcher, "XADD {k}changed * f v");
    for (client, expected) in [(&mut watcher, "*1[:1]"), (&mut other, "nil-array")] {
        assert_eq!(ask(client, "MULTI").to_string(), "+OK");
        assert_eq!(ask(client, "XLEN {k}same").to_string(), "+QUEUED");
        assert_eq!(ask(client, "EXEC").to_string(), expected);
    }
}
