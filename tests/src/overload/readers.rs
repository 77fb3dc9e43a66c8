//! Readers that ask for much and read nothing. One that is closed comes again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use resp::write_request;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Requests that each sends at once, and what each of them asks for.
const REQUESTS: usize = 40;
const COUNT: &str = "20000";
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Readers under way.
pub(super) struct Deaf {
    readers: Vec<JoinHandle<()>>,
    closed: Rc<Cell<u64>>,
}

/// Lets so many begin.
pub(super) fn start(addresses: &[String], count: usize) -> Deaf {
    let closed = Rc::new(Cell::new(0));
    let reader = |index: usize| {
        let (address, closed) = (addresses[index % addresses.len()].clone(), Rc::clone(&closed));
        tokio::task::spawn_local(async move {
            loop {
                drop(deaf(&address, index).await);
                closed.set(closed.get() + 1);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    };
    let readers = (0..count).map(reader).collect();
    Deaf { readers, closed }
}

impl Deaf {
    /// Ends them; how often one was closed.
    pub(super) async fn end(self) -> u64 {
        for reader in self.readers {
            reader.abort();
            drop(reader.await);
        }
        self.closed.get()
    }
}

/// Asks, and reads nothing until the node closes the connection.
async fn deaf(address: &str, index: usize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let mut bytes = BytesMut::new();
    for number in 0..REQUESTS {
        match (index + number) % 3 {
            0 => write_request(&mut bytes, &["XRANGE", "hot", "-", "+", "COUNT", COUNT]),
            1 => write_request(&mut bytes, &["XREVRANGE", "hot", "+", "-", "COUNT", COUNT]),
            _ => write_request(&mut bytes, &["XREAD", "COUNT", COUNT, "STREAMS", "hot", "0"]),
        }
    }
    stream.write_all_buf(&mut bytes).await?;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
        if ready.is_read_closed() || ready.is_write_closed() {
            return Ok(());
        }
    }
}
