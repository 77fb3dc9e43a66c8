//! fred: a client for the producer and one for each worker, RESP3.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clients::{CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails};
use fred::prelude::*;
use fred::types::RespVersion;
use fred::types::streams::XReadResponse;

type Fields = HashMap<String, u64>;

async fn open(port: u16) -> Result<Client, Error> {
    let mut config = Config::from_url(&format!("redis://127.0.0.1:{port}"))?;
    config.version = RespVersion::RESP3;
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    Ok(client)
}

async fn work(port: u16, name: &str, consumer: &str, outcome: &Outcome) -> Result<(), Error> {
    let client = open(port).await?;
    while outcome.is_open() {
        let found: XReadResponse<String, String, String, u64> = client
            .xreadgroup_map("workers", consumer, Some(10), Some(200), false, name, ">")
            .await?;
        let entries = found.into_values().next().unwrap_or_default();
        for (id, fields) in &entries {
            if !fails(fields["n"]) {
                let acknowledged: u64 = client.xack(name, "workers", id).await?;
                assert_eq!(acknowledged, 1);
                outcome.note_done(fields["n"]);
            }
        }
        claim(&client, name, consumer, outcome).await?;
    }
    client.quit().await
}

async fn claim(
    client: &Client,
    name: &str,
    consumer: &str,
    outcome: &Outcome,
) -> Result<(), Error> {
    let (_, claimed): (String, Vec<(String, Fields)>) = client
        .xautoclaim_values(name, "workers", consumer, CLAIM_IDLE_MS, "0-0", Some(10), false)
        .await?;
    for (id, fields) in claimed {
        let rows: Vec<(String, String, u64, u64)> =
            client.xpending(name, "workers", (id.as_str(), id.as_str(), 1)).await?;
        if rows.first().is_some_and(|row| row.3 >= DELIVERIES_MAX) {
            let dead = format!("{name}:dead");
            let _: String = client.xadd(dead, false, None::<()>, "*", ("n", fields["n"])).await?;
            let acknowledged: u64 = client.xack(name, "workers", id).await?;
            if acknowledged == 1 {
                outcome.note_dead(fields["n"]);
            }
        }
    }
    Ok(())
}

async fn produce(client: &Client, name: &str, outcome: &Outcome) -> Result<(), Error> {
    while outcome.goes_on() {
        let number = outcome.produced.load(Ordering::SeqCst);
        let _: String = client.xadd(name, false, None::<()>, "*", ("n", number)).await?;
        outcome.produced.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (port, name, seconds) = arguments();
    let outcome = Outcome::new(seconds);
    let client = open(port).await?;
    let _: () = client.xgroup_create(&name, "workers", "0", true).await?;
    tokio::try_join!(
        produce(&client, &name, &outcome),
        work(port, &name, "w0", &outcome),
        work(port, &name, "w1", &outcome),
    )?;
    let groups: Vec<HashMap<String, Value>> = client.xinfo_groups(&name).await?;
    let lag = groups[0].get("lag").and_then(Value::as_u64);
    let _: u64 = client.xtrim(&name, ("MAXLEN", "=", 10)).await?;
    let pending: (u64, Value, Value, Value) = client.xpending(&name, "workers", ()).await?;
    let length: u64 = client.xlen(&name).await?;
    outcome.check("fred 10.1.0", pending.0, lag, length);
    client.quit().await
}
