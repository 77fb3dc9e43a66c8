//! redis-rs, blocking: a connection for the producer and one for each worker.

use std::sync::atomic::Ordering;
use std::time::Duration;

use clients::{CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails};
use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamInfoGroupsReply, StreamMaxlen,
    StreamPendingCountReply, StreamPendingReply, StreamReadOptions, StreamReadReply,
};
use redis::{Commands, Connection, RedisResult};

fn number(entry: &StreamId) -> u64 {
    entry.get("n").expect("a number")
}

fn work(client: &redis::Client, name: &str, consumer: &str, outcome: &Outcome) -> RedisResult<()> {
    let mut connection = client.get_connection()?;
    let options = StreamReadOptions::default().group("workers", consumer).count(10).block(200);
    while outcome.is_open() {
        let found: Option<StreamReadReply> = connection.xread_options(&[name], &[">"], &options)?;
        let entries: Vec<StreamId> =
            found.into_iter().flat_map(|it| it.keys).flat_map(|key| key.ids).collect();
        for entry in &entries {
            if !fails(number(entry)) {
                let acknowledged: u64 = connection.xack(name, "workers", &[&entry.id])?;
                assert_eq!(acknowledged, 1);
                outcome.note_done(number(entry));
            }
        }
        claim(&mut connection, name, consumer, outcome)?;
    }
    Ok(())
}

fn claim(
    connection: &mut Connection,
    name: &str,
    consumer: &str,
    outcome: &Outcome,
) -> RedisResult<()> {
    let options = StreamAutoClaimOptions::default().count(10);
    let claimed: StreamAutoClaimReply =
        connection.xautoclaim_options(name, "workers", consumer, CLAIM_IDLE_MS, "0-0", options)?;
    for entry in claimed.claimed {
        let rows: StreamPendingCountReply =
            connection.xpending_count(name, "workers", &entry.id, &entry.id, 1)?;
        let deliveries = rows.ids.first().map_or(0, |row| row.times_delivered as u64);
        if deliveries >= DELIVERIES_MAX {
            let number = number(&entry);
            let _: String = connection.xadd(format!("{name}:dead"), "*", &[("n", number)])?;
            let acknowledged: u64 = connection.xack(name, "workers", &[&entry.id])?;
            if acknowledged == 1 {
                outcome.note_dead(number);
            }
        }
    }
    Ok(())
}

fn main() -> RedisResult<()> {
    let (port, name, seconds) = arguments();
    let outcome = Outcome::new(seconds);
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection()?;
    let _: () = connection.xgroup_create_mkstream(&name, "workers", "0")?;
    std::thread::scope(|scope| {
        for consumer in ["w0", "w1"] {
            let (client, name, outcome) = (&client, &name, &outcome);
            scope.spawn(move || work(client, name, consumer, outcome).expect("answers"));
        }
        while outcome.goes_on() {
            let number = outcome.produced.load(Ordering::SeqCst);
            let _: String = connection.xadd(&name, "*", &[("n", number)])?;
            outcome.produced.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(10));
        }
        RedisResult::Ok(())
    })?;
    let groups: StreamInfoGroupsReply = connection.xinfo_groups(&name)?;
    let lag = groups.groups[0].lag.map(|lag| lag as u64);
    let _: u64 = connection.xtrim(&name, StreamMaxlen::Equals(10))?;
    let pending: StreamPendingReply = connection.xpending(&name, "workers")?;
    let length: u64 = connection.xlen(&name)?;
    outcome.check("redis-rs 1.8.1", pending.count() as u64, lag, length);
    Ok(())
}
