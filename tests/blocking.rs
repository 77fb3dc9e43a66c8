//! Reads that wait, at any node of a cluster: who is woken, that every entry of a group is given
//! once, and that a change of leaders shows in nothing but time.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use resp::{Value, write_request};
use tests::client::Client;
use tests::cluster::{Cluster, Options, READY_WAIT};
use tests::wait;

const WOKEN_WAIT: Duration = Duration::from_secs(20);

fn send(client: &mut Client, words: &str) {
    let mut bytes = BytesMut::new();
    write_request(&mut bytes, &words.split(' ').collect::<Vec<_>>());
    client.send(&bytes).unwrap();
}

fn ask(client: &mut Client, words: &str) -> Value {
    let reply = client.call(&words.split(' ').collect::<Vec<_>>()).unwrap();
    assert!(reply.as_error().is_none(), "{words}: {reply}");
    reply
}

/// How many clients of a node are blocked.
fn blocked_count(client: &mut Client) -> usize {
    let info = ask(client, "INFO clients").to_string();
    let (_, after) = info.split_once("blocked_clients:").unwrap();
    after.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn until_blocked(cluster: &Cluster, counts: &[(usize, usize)]) {
    for (index, count) in counts {
        let mut client = cluster.nodes[*index].client().unwrap();
        let blocked =
            wait::until("clients to be blocked", WOKEN_WAIT, || match blocked_count(&mut client) {
                there if there == *count => Ok(()),
                there => Err(format!("{there} of {count} on node {}", index + 1)),
            });
        blocked.unwrap();
    }
}

/// A client that reads as a member of the group and acknowledges until it is told to stop by an entry
/// that says so: the values that it was given.
fn worker(address: String, name: String) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut client = Client::open(&address).unwrap();
        let mut given = Vec::new();
        loop {
            let read = format!("XREADGROUP GROUP g {name} COUNT 1 BLOCK 20000 STREAMS jobs >");
            let reply = ask(&mut client, &read);
            let streams = reply.as_items().unwrap_or_else(|| panic!("{name} waited for nothing"));
            let entry = streams[0].as_items().unwrap()[1].as_items().unwrap()[0].clone();
            let entry = entry.as_items().unwrap();
            let value = entry[1].as_items().unwrap()[1].as_text().unwrap().to_owned();
            ask(&mut client, &format!("XACK jobs g {}", entry[0].as_text().unwrap()));
            if value == "stop" {
                return given;
            }
            given.push(value);
        }
    })
}

/// The workers are told to stop; every value was given once.
fn check(cluster: &Cluster, index: usize, workers: Vec<JoinHandle<Vec<String>>>, values: usize) {
    let mut writer = cluster.nodes[index].client().unwrap();
    for _ in &workers {
        ask(&mut writer, "XADD jobs * v stop");
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for value in workers.into_iter().flat_map(|worker| worker.join().unwrap()) {
        *times.entry(value).or_default() += 1;
    }
    assert_eq!(times.len(), values);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    let pending = ask(&mut writer, "XPENDING jobs g");
    assert_eq!(pending.as_items().unwrap()[0].to_string(), ":0");
}

#[test]
fn readers_at_every_node_are_woken_and_one_entry_of_a_group_goes_to_the_first() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut writer = cluster.nodes[0].client().unwrap();
    ask(&mut writer, "XGROUP CREATE jobs g $ MKSTREAM");
    let mut alone: Vec<Client> =
        (0..3).map(|index| cluster.nodes[index].client().unwrap()).collect();
    alone.iter_mut().for_each(|client| send(client, "XREAD BLOCK 20000 STREAMS jobs $"));
    until_blocked(&cluster, &[(0, 1), (1, 1), (2, 1)]);
    let mut members = Vec::new();
    for turn in 0..6 {
        let index = turn % 3;
        let mut client = cluster.nodes[index].client().unwrap();
        send(&mut client, &format!("XREADGROUP GROUP g c{turn} BLOCK 20000 STREAMS jobs >"));
        until_blocked(&cluster, &[(index, 2 + turn / 3)]);
        members.push(client);
    }
    for (turn, member) in members.iter_mut().enumerate() {
        let id = format!("1-{}", turn + 1);
        ask(&mut writer, &format!("XADD jobs {id} v {turn}"));
        let reply = member.reply().unwrap().to_string();
        assert!(reply.contains(&format!("'{id}'")), "reader {turn} was given {reply}");
    }
    for client in &mut alone {
        let reply = client.reply().unwrap().to_string();
        assert!(reply.contains("'1-1'"), "{reply}");
    }
    until_blocked(&cluster, &[(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn a_change_of_leaders_moves_the_waits_and_no_reader_sees_it() {
    let options = Options { shards: 1, ..Options::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let victim = cluster.leader_of_most().unwrap();
    let living: Vec<usize> = (0..3).filter(|index| *index != victim).collect();
    let mut writer = cluster.nodes[living[0]].client().unwrap();
    ask(&mut writer, "XGROUP CREATE jobs g $ MKSTREAM");
    let workers =
        (0..8).map(|number| worker(cluster.nodes[living[number % 2]].resp(), format!("c{number}")));
    let workers: Vec<_> = workers.collect();
    let mut alone = cluster.nodes[living[1]].client().unwrap();
    send(&mut alone, "XREAD BLOCK 20000 STREAMS jobs $");
    until_blocked(&cluster, &[(living[0], 4), (living[1], 5)]);
    cluster.nodes[victim].kill();
    for number in 0..100 {
        ask(&mut writer, &format!("XADD jobs * v {number}"));
    }
    let reply = alone.reply().unwrap().to_string();
    assert!(reply.contains("'0'"), "{reply}");
    cluster.nodes[victim].start().unwrap();
    cluster.wait_ready(READY_WAIT).unwrap();
    check(&cluster, victim, workers, 100);
}

#[test]
fn what_a_dead_worker_had_is_claimed_by_one_that_waits() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut writer = cluster.nodes[0].client().unwrap();
    ask(&mut writer, "XGROUP CREATE jobs g $ MKSTREAM");
    ask(&mut writer, "XADD jobs 1-1 v lost");
    ask(&mut writer, "XREADGROUP GROUP g dead STREAMS jobs >");
    let mut waiting = cluster.nodes[1].client().unwrap();
    let began = wait::now();
    let read = "XREADGROUP GROUP g alive BLOCK 20000 CLAIM 700 STREAMS jobs >";
    let reply = ask(&mut waiting, read).to_string();
    let took = wait::now() - began;
    assert!(reply.contains("'1-1'"), "{reply}");
    assert!(took > Duration::from_millis(500), "it was idle after {took:?} already");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}
