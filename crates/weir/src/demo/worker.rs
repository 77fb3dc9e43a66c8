//! A worker of the group: reads, counts, acknowledges. When its node dies it goes to the next one
//! and first asks for what it was given and did not acknowledge.

use std::io;
use std::time::Duration;

use tokio::time::sleep;

use super::{COMMITS, FILES, GROUP, Shared, WORKERS};
use crate::bench::commands::{self, Delivered};
use crate::bench::wire::Connection;
use crate::failed::Failed;

/// Entries asked for at a time.
const READ_COUNT: usize = 100;
/// Nothing new: look again after this.
const IDLE_PAUSE: Duration = Duration::from_millis(20);
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    name: &'static str,
    addresses: Vec<String>,
    place: usize,
    shared: Shared,
}

/// Makes the group on both streams.
pub(super) async fn make_groups(address: &str) -> Result<(), Failed> {
    let made = async {
        let mut connection = Connection::open(address).await?;
        commands::make_group(&mut connection, COMMITS, GROUP).await?;
        commands::make_group(&mut connection, FILES, GROUP).await
    };
    made.await.map_err(|error| Failed::machine(format!("{address}: {error}")))
}

impl Worker {
    pub(super) fn new(
        name: &'static str,
        addresses: &[String],
        place: usize,
        shared: Shared,
    ) -> Self {
        debug_assert!(WORKERS.contains(&name));
        Self { name, addresses: addresses.to_vec(), place, shared }
    }

    /// Works until all is done.
    pub(super) async fn run(mut self) {
        while !self.shared.borrow().done {
            // An error is a node that died: the next one answers for the same keys.
            if self.work().await.is_err() {
                self.place += 1;
                sleep(RECONNECT_PAUSE).await;
            }
        }
    }

    async fn work(&self) -> io::Result<()> {
        let address = &self.addresses[self.place % self.addresses.len()];
        let mut connection = Connection::open(address).await?;
        for stream in [COMMITS, FILES] {
            while self.turn(&mut connection, stream, false).await? > 0 {}
        }
        while !self.shared.borrow().done {
            let mut read = 0;
            for stream in [COMMITS, FILES] {
                read += self.turn(&mut connection, stream, true).await?;
            }
            if read == 0 {
                sleep(IDLE_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Reads, counts, acknowledges; says how many entries it was given.
    async fn turn(
        &self,
        connection: &mut Connection,
        stream: &str,
        new: bool,
    ) -> io::Result<usize> {
        let consumer = (GROUP, self.name);
        let entries = commands::read_group(connection, stream, consumer, READ_COUNT, new).await?;
        if entries.is_empty() {
            return Ok(0);
        }
        self.count(&entries, new);
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        commands::acknowledge(connection, stream, GROUP, &ids).await?;
        Ok(entries.len())
    }

    /// An entry that was given before an acknowledgement got lost is given again: it is told by its
    /// number. A number that comes as new twice is counted twice, so that it shows.
    fn count(&self, entries: &[Delivered], new: bool) {
        let mut progress = self.shared.borrow_mut();
        for entry in entries {
            let Some(number) = field(entry, "n").and_then(|text| text.parse::<u64>().ok()) else {
                continue;
            };
            if new {
                progress.delivered += 1;
            } else {
                progress.redelivered += 1;
            }
            let times = progress.counted.entry(number).or_default();
            if !new && *times > 0 {
                continue;
            }
            *times += 1;
            match (field(entry, "directory"), field(entry, "lines")) {
                (Some(directory), Some(lines)) => {
                    let lines = lines.parse::<u64>().unwrap_or(0);
                    *progress.lines.entry(directory).or_default() += lines;
                }
                _ => progress.commits += 1,
            }
        }
    }
}

fn field(entry: &Delivered, name: &str) -> Option<String> {
    let found = entry.fields.iter().find(|(found, _)| found == name.as_bytes());
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entry(number: u64) -> Delivered {
        let pair = |name: &'static str, value: String| (Bytes::from(name), Bytes::from(value));
        let fields = vec![
            pair("n", number.to_string()),
            pair("directory", "src".to_owned()),
            pair("lines", "10".to_owned()),
        ];
        Delivered { id: format!("{number}-0"), fields }
    }

    #[test]
    fn what_is_given_again_is_counted_once_and_what_comes_as_new_twice_shows() {
        let shared = Shared::default();
        let worker = Worker::new("ann", &[], 0, Shared::clone(&shared));
        worker.count(&[entry(1), entry(2)], true);
        worker.count(&[entry(2), entry(3)], false);
        assert_eq!(shared.borrow().lines["src"], 30);
        assert_eq!((shared.borrow().delivered, shared.borrow().redelivered), (2, 2));
        worker.count(&[entry(1)], true);
        assert_eq!(shared.borrow().lines["src"], 40);
        assert_eq!(shared.borrow().counted[&1], 2);
    }
}
