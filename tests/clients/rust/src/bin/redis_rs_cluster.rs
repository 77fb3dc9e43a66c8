//! redis-rs's asynchronous cluster connection through a change of leaders, with workers that block,
//! pipelines, MULTI and pub/sub.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clients::CLAIM_IDLE_MS;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamRangeReply, StreamReadOptions,
    StreamReadReply,
};
use redis::{AsyncCommands, ProtocolVersion, PushInfo, PushKind, RedisResult, Value, pipe};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(120);
const BEFORE: u64 = 200;
const AFTER: u64 = 400;

type Seen = Arc<Mutex<BTreeSet<(String, u64)>>>;

fn builder(ports: &[String]) -> ClusterClientBuilder {
    let nodes = ports.iter().map(|port| format!("redis://127.0.0.1:{port}"));
    // A blocked read is answered later than the library waits by itself.
    let builder = ClusterClient::builder(nodes).response_timeout(Duration::from_secs(5));
    builder.use_protocol(ProtocolVersion::RESP3)
}

async fn slot_of(connection: &mut ClusterConnection, stream: &str) -> RedisResult<u16> {
    let mut asked = redis::cmd("CLUSTER");
    asked.arg("KEYSLOT").arg(stream).query_async(connection).await
}

/// The name of the node that the client sends a slot's requests to.
async fn leader(connection: &mut ClusterConnection, slot: u16) -> RedisResult<Value> {
    let route = Route::new(slot, SlotAddr::Master);
    let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
    connection.route_command(redis::cmd("CLUSTER").arg("MYID").clone(), routing).await
}

/// What was on its way when a connection broke is pending still: it is claimed again.
async fn work(connection: &mut ClusterConnection, stream: &str, seen: &Seen) -> RedisResult<()> {
    let options = StreamReadOptions::default().group("workers", "w").count(10).block(2000);
    let found: Option<StreamReadReply> =
        connection.xread_options(&[stream], &[">"], &options).await?;
    let claimed: StreamAutoClaimReply = connection
        .xautoclaim_options(
            stream,
            "workers",
            "w",
            CLAIM_IDLE_MS,
            "0-0",
            StreamAutoClaimOptions::default(),
        )
        .await?;
    let found = found.into_iter().flat_map(|it| it.keys).flat_map(|key| key.ids);
    for entry in found.chain(claimed.claimed) {
        let _: u64 = connection.xack(stream, "workers", &[&entry.id]).await?;
        seen.lock().unwrap().insert((stream.to_owned(), entry.get("n").expect("a number")));
    }
    Ok(())
}

async fn follow(client: ClusterClient, stream: String, seen: Seen, open: Arc<AtomicBool>) {
    let mut connection = client.get_async_connection().await.expect("a connection");
    while open.load(Ordering::SeqCst) {
        if work(&mut connection, &stream, &seen).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A pipeline, and a transaction.
async fn together(connection: &mut ClusterConnection, name: &str) -> RedisResult<()> {
    let (from, to) = (format!("{{{name}}}in"), format!("{{{name}}}out"));
    let _: u64 = connection.del(&[&from, &to]).await?;
    let mut pipeline = pipe();
    for number in 1..=50 {
        pipeline.xadd(&from, format!("{number}-0"), &[("n", number)]);
    }
    let ids: Vec<String> = pipeline.query_async(connection).await?;
    assert_eq!(ids[49], "50-0");
    let _: () = connection.xgroup_create(&from, "g", "0").await?;
    let options = StreamReadOptions::default().group("g", "c").count(1);
    let _: StreamReadReply = connection.xread_options(&[&from], &[">"], &options).await?;
    let mut moved = pipe();
    moved.atomic().xack(&from, "g", &["1-0"]).xadd(&to, "1-0", &[("n", 1)]);
    let answers: (u64, String) = moved.query_async(connection).await?;
    assert_eq!(answers, (1, "1-0".to_owned()));
    let mut apart = pipe();
    apart.atomic().xlen("a").xlen("b");
    let refused: RedisResult<Value> = apart.query_async(connection).await;
    assert!(refused.is_err(), "keys of different slots");
    Ok(())
}

async fn hear(
    connection: &mut ClusterConnection,
    heard: &mut UnboundedReceiver<PushInfo>,
    channel: &str,
    word: &str,
) {
    let wanted = BTreeSet::from(["Message", "SMessage"]);
    let (mut kinds, ends) = (BTreeSet::new(), Instant::now() + PATIENCE);
    while kinds != wanted {
        assert!(Instant::now() < ends, "{word} is not heard: {kinds:?}");
        // What a break of connections swallows is said again.
        let _: RedisResult<u64> = connection.publish(channel, word).await;
        let _: RedisResult<u64> = connection.spublish(channel, word).await;
        while let Ok(Some(push)) =
            tokio::time::timeout(Duration::from_millis(50), heard.recv()).await
        {
            let is_it = push.data.last() == Some(&Value::BulkString(word.into()));
            match push.kind {
                PushKind::Message if is_it => kinds.insert("Message"),
                PushKind::SMessage if is_it => kinds.insert("SMessage"),
                _ => false,
            };
        }
    }
}

/// Appends until another node leads, and some more. Says `producing` when a leader may be killed.
async fn produce(connection: &mut ClusterConnection, names: &[String]) -> Vec<(String, u64)> {
    let (mut slots, mut before) = (Vec::new(), Vec::new());
    for name in names {
        slots.push(slot_of(connection, name).await.expect("a slot"));
        before.push(leader(connection, slots[slots.len() - 1]).await.expect("a leader"));
    }
    let (mut acknowledged, ends) = (Vec::new(), Instant::now() + PATIENCE);
    let (mut number, mut unanswered, mut more) = (0, 0, 0);
    while more < AFTER {
        assert!(Instant::now() < ends, "{number} appends, {more} since the change: {before:?}");
        let at = usize::try_from(number).expect("a small number") % names.len();
        let added: RedisResult<String> = connection.xadd(&names[at], "*", &[("n", number)]).await;
        match added {
            Ok(_) => acknowledged.push((names[at].clone(), number)),
            Err(_) => unanswered += 1,
        }
        if more == 0 && number > BEFORE {
            let now = leader(connection, slots[at]).await;
            more += u64::from(now.is_ok_and(|now| now != before[at]));
        } else if more > 0 {
            more += 1;
        }
        number += 1;
        if number == BEFORE {
            println!("producing");
        }
    }
    assert!(unanswered < 100, "{unanswered} appends of {number} had no answer");
    acknowledged
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> RedisResult<()> {
    let mut args = std::env::args().skip(1);
    let (name, ports) = (args.next().expect("a name"), args.collect::<Vec<_>>());
    let names: Vec<String> = (0..8).map(|number| format!("{name}-{number}")).collect();
    let (sender, mut heard) = unbounded_channel();
    let client = builder(&ports).push_sender(sender).build()?;
    let mut connection = client.get_async_connection().await?;
    let channel = format!("{name}-news");
    connection.subscribe(&channel).await?;
    connection.ssubscribe(&channel).await?;
    hear(&mut connection, &mut heard, &channel, "before").await;
    together(&mut connection, &name).await?;

    let (seen, open) = (Seen::default(), Arc::new(AtomicBool::new(true)));
    let mut workers = Vec::new();
    for stream in &names {
        let _: () = connection.xgroup_create_mkstream(stream, "workers", "0").await?;
        let (own, seen, open) = (builder(&ports).build()?, Arc::clone(&seen), Arc::clone(&open));
        workers.push(tokio::spawn(follow(own, stream.clone(), seen, open)));
    }
    let acknowledged = produce(&mut connection, &names).await;
    let mut stored = BTreeSet::new();
    for stream in &names {
        let entries: StreamRangeReply = connection.xrange_all(stream).await?;
        let number = |entry: redis::streams::StreamId| entry.get("n").expect("a number");
        stored.extend(entries.ids.into_iter().map(|entry| (stream.clone(), number(entry))));
    }
    let lost: Vec<_> = acknowledged.iter().filter(|one| !stored.contains(*one)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let ends = Instant::now() + PATIENCE;
    while !acknowledged.iter().all(|one| seen.lock().unwrap().contains(one)) {
        assert!(Instant::now() < ends, "the workers have not everything");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    open.store(false, Ordering::SeqCst);
    for worker in workers {
        worker.await.expect("it ends well");
    }
    together(&mut connection, &name).await?;
    hear(&mut connection, &mut heard, &channel, "after").await;
    println!("redis-rs 1.8.1 cluster: {} acknowledged, as expected", acknowledged.len());
    Ok(())
}
