//! The one that appends: paced, with many appends in flight, to one node at a time.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use resp::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::history::{Event, History};
use super::{COMMITS, FILES, LASTS, Shared};
use crate::bench::commands;
use crate::bench::wire::Connection;
use crate::failed::Failed;

/// Appends that wait for their answers at a time.
const IN_FLIGHT_MAX: usize = 256;
/// No more a second than this, so that a long history is a steady load and not a burst.
const RATE_MAX: u32 = 5_000;
/// A failover takes seconds; an answer that takes longer than the nodes' own deadline is lost.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Producer<'a> {
    history: &'a History,
    addresses: &'a [String],
    shared: Shared,
    /// The node to talk to.
    place: watch::Receiver<usize>,
    /// Numbers of entries that were refused for sure and are sent again.
    again: VecDeque<usize>,
    next: usize,
    in_flight: VecDeque<usize>,
}

impl<'a> Producer<'a> {
    pub(super) fn new(
        history: &'a History,
        addresses: &'a [String],
        shared: Shared,
        place: watch::Receiver<usize>,
    ) -> Self {
        let (again, in_flight) = (VecDeque::new(), VecDeque::new());
        Self { history, addresses, shared, place, again, next: 0, in_flight }
    }

    /// How long it is to last.
    pub(super) fn pace(&self) -> Duration {
        let count = u32::try_from(self.history.entries.len()).unwrap_or(u32::MAX);
        LASTS.max(Duration::from_secs(1) * count / RATE_MAX)
    }

    /// Appends every entry; ends when all are acknowledged.
    pub(super) async fn run(mut self) -> Result<(), Failed> {
        let began = Instant::now();
        loop {
            let place = *self.place.borrow_and_update();
            let address = &self.addresses[place];
            let ended = match Connection::open(address).await {
                Ok(connection) => self.drive(connection, began).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if self.in_flight.is_empty() => {
                    drop(error);
                    sleep(RECONNECT_PAUSE).await;
                }
                Err(error) => {
                    // Whether these happened cannot be known: a client would have to look.
                    let count = self.in_flight.len();
                    return Err(Failed::machine(format!(
                        "{address}: the connection of the producer broke with {count} appends \
                         unanswered: {error}"
                    )));
                }
            }
        }
    }

    /// True: all done. False: to go on at another node, with nothing in flight here.
    async fn drive(&mut self, mut connection: Connection, began: Instant) -> io::Result<bool> {
        let pace = self.pace();
        let all = self.history.entries.len();
        loop {
            let moving = self.place.has_changed().unwrap_or(false);
            if !moving {
                let due = due(all, began.elapsed(), pace);
                self.queue(&mut connection, due);
                connection.flush().await?;
            }
            if self.in_flight.is_empty() {
                if moving || (self.next == all && self.again.is_empty()) {
                    return Ok(!moving);
                }
                sleep(Duration::from_millis(2)).await;
                continue;
            }
            self.answers(&mut connection).await?;
        }
    }

    fn queue(&mut self, connection: &mut Connection, due: usize) {
        while self.in_flight.len() < IN_FLIGHT_MAX {
            let number = match self.again.pop_front() {
                Some(number) => number,
                None if self.next < due => {
                    self.next += 1;
                    self.shared.borrow_mut().appended += 1;
                    self.next - 1
                }
                None => return,
            };
            append(connection, number, &self.history.entries[number]);
            self.in_flight.push_back(number);
        }
    }

    /// Takes the answers that come within a moment.
    async fn answers(&mut self, connection: &mut Connection) -> io::Result<()> {
        let soon = Instant::now() + Duration::from_millis(2);
        let mut late = Instant::now() + ANSWER_WAIT;
        while !self.in_flight.is_empty() {
            let full = self.in_flight.len() == IN_FLIGHT_MAX;
            let until = if full { late } else { soon };
            match timeout_at(until, connection.reply()).await {
                Ok(reply) => self.answer(&reply?)?,
                Err(_) if full => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => return Ok(()),
            }
            late = Instant::now() + ANSWER_WAIT;
        }
        Ok(())
    }

    fn answer(&mut self, reply: &Value) -> io::Result<()> {
        let number = self.in_flight.pop_front().expect("an answer belongs to an append");
        match reply.as_error() {
            None => self.acknowledged(),
            // These say that surely nothing happened.
            Some(error)
                if ["BUSY", "TRYAGAIN", "CLUSTERDOWN"]
                    .iter()
                    .any(|code| error.starts_with(code)) =>
            {
                self.again.push_back(number);
            }
            Some(error) => {
                self.in_flight.push_front(number);
                return Err(io::Error::other(error.to_owned()));
            }
        }
        Ok(())
    }

    fn acknowledged(&self) {
        let mut progress = self.shared.borrow_mut();
        let now = Instant::now();
        progress.acknowledged += 1;
        let pause = progress.last_answer.map_or(Duration::ZERO, |last| now - last);
        progress.longest_pause = progress.longest_pause.max(pause);
        progress.last_answer = Some(now);
    }
}

/// How many entries are to be appended by now.
fn due(all: usize, elapsed: Duration, pace: Duration) -> usize {
    let share = elapsed.as_secs_f64() / pace.as_secs_f64();
    all.min((all as f64 * share) as usize + 1)
}

fn append(connection: &mut Connection, number: usize, event: &Event) {
    let number = number.to_string();
    let number = ("n", number.as_bytes());
    match event {
        Event::Commit { id, author, subject } => {
            let fields = [
                number,
                ("id", id.as_bytes()),
                ("author", author.as_bytes()),
                ("subject", subject.as_bytes()),
            ];
            commands::queue_append(connection, COMMITS, &fields);
        }
        Event::File { commit, path, directory, lines } => {
            let lines = lines.to_string();
            let fields = [
                number,
                ("commit", commit.as_bytes()),
                ("path", path.as_bytes()),
                ("directory", directory.as_bytes()),
                ("lines", lines.as_bytes()),
            ];
            commands::queue_append(connection, FILES, &fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_even_and_ends_with_everything() {
        let pace = Duration::from_secs(20);
        assert_eq!(due(100, Duration::ZERO, pace), 1);
        assert_eq!(due(100, Duration::from_secs(10), pace), 51);
        assert_eq!(due(100, Duration::from_secs(30), pace), 100);
    }
}
