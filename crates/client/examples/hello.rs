//! Appends to a stream and reads it back: `cargo run -p client --example hello`, with a cluster of
//! `weir dev` running. `WEIR_NODE` names other nodes, separated by commas.

use client::{Append, Client, Error, Range};
use futures::{StreamExt, TryStreamExt};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Error> {
    let nodes = std::env::var("WEIR_NODE")
        .unwrap_or_else(|_| "127.0.0.1:6381,127.0.0.1:6391,127.0.0.1:6401".to_owned());
    let client = Client::connect(nodes.split(','))?;

    // One entry. The id comes back when it is on disk, on a majority of the nodes.
    let first = client.append(Append::to("hello").field("text", "good morning")).await?;
    println!("appended {first}");

    // Many, without waiting for each: one result for each, in order.
    let entries = (1..=1000).map(|number| Append::to("hello").field("number", number.to_string()));
    let mut results = client.append_many(futures::stream::iter(entries));
    let mut last = first;
    while let Some(result) = results.next().await {
        match result {
            Ok(id) => last = id,
            // It may be there, or come yet: only the program knows whether a second one does harm.
            Err(Error::Unknown(detail)) => println!("unknown: {detail}"),
            Err(error) => return Err(error),
        }
    }
    println!("and more, up to {last}");

    // Read them back, from any node.
    let mut entries = client.range(Range::of("hello").start(first));
    let mut count = 0;
    while let Some(entry) = entries.try_next().await? {
        count += 1;
        if count <= 3 {
            println!("read {} {:?}", entry.id, entry.fields);
        }
    }
    println!("{count} entries since {first}");

    let stream = client.describe("hello").await?;
    println!("the stream has {} entries, in shard {}", stream.length, stream.shard);
    Ok(())
}
