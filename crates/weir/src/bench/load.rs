//! The load over RESP: every connection keeps so many appends in flight and sends the next ones as
//! answers come, all that are due in one write.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use resp::{Value, write_request};
use tokio::time::Instant;

use super::report::Report;
use super::wire::Connection;
use crate::failed::Failed;

/// After the time is up, answers that are still due are waited for this long.
pub(super) const DRAIN_WAIT: Duration = Duration::from_secs(10);
/// A connection that was refused or broke is opened again after this.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What is done.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Connection i goes to address i, in turn.
    pub(crate) addresses: Vec<String>,
    pub(crate) connections: usize,
    /// Appends in flight on each connection.
    pub(crate) pipeline: usize,
    pub(crate) payload_bytes: usize,
    pub(crate) streams: usize,
    /// Not counted: caches fill, connections are made.
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    /// Follow each append with its own wait for so many replicas, sent together with it (Redis).
    pub(crate) wait_replicas: Option<u32>,
    pub(crate) password: Option<String>,
}

/// Runs the load to its end. The streams it makes are removed before and after.
pub(crate) async fn run(load: &Load) -> Result<Report, Failed> {
    remove_streams(load).await?;
    let begin = Instant::now() + load.warmup;
    let report = Rc::new(RefCell::new(Report::new(load.duration)));
    let work = (0..load.connections).map(|index| {
        let report = Rc::clone(&report);
        async move { worker(load, index, begin, &report).await }
    });
    futures::future::join_all(work).await;
    remove_streams(load).await?;
    Ok(Rc::try_unwrap(report).expect("the workers have ended").into_inner())
}

pub(super) fn stream_of(load: &Load, index: usize) -> String {
    format!("weir-bench:{}", index % load.streams)
}

async fn remove_streams(load: &Load) -> Result<(), Failed> {
    let address = &load.addresses[0];
    let refused = |error: io::Error| {
        Failed::machine(format!("{address}: {error}: is a server there? `weir dev` starts one"))
    };
    let mut connection = open(load, address).await.map_err(refused)?;
    for index in 0..load.streams {
        let stream = stream_of(load, index);
        let reply = connection.call(&["DEL", &stream]).await.map_err(refused)?;
        if let Some(error) = reply.as_error() {
            return Err(Failed::machine(format!("{address}: {error}")));
        }
    }
    Ok(())
}

async fn open(load: &Load, address: &str) -> io::Result<Connection> {
    let mut connection = Connection::open(address).await?;
    if let Some(password) = &load.password {
        let reply = connection.call(&["AUTH", password.as_str()]).await?;
        if let Some(error) = reply.as_error() {
            return Err(io::Error::other(error.to_owned()));
        }
    }
    Ok(connection)
}

/// One connection's share of the load, opened again whenever it breaks.
async fn worker(load: &Load, index: usize, begin: Instant, report: &RefCell<Report>) {
    let address = &load.addresses[index % load.addresses.len()];
    let end = begin + load.duration;
    while Instant::now() < end {
        let ended = match open(load, address).await {
            Ok(connection) => drive(load, index, connection, begin, report).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            report.borrow_mut().error(&error.to_string());
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

async fn drive(
    load: &Load,
    index: usize,
    mut connection: Connection,
    begin: Instant,
    report: &RefCell<Report>,
) -> io::Result<()> {
    let request = request(load, index);
    let end = begin + load.duration;
    let mut sent: VecDeque<Instant> = VecDeque::with_capacity(load.pipeline);
    let mut answers = Answers { wanted: load.wait_replicas, added: None };
    loop {
        let now = Instant::now();
        if now < end {
            while sent.len() < load.pipeline {
                connection.queue_encoded(&request);
                sent.push_back(now);
            }
            connection.flush().await?;
        }
        if sent.is_empty() {
            return Ok(());
        }
        let mut value = tokio::time::timeout_at(end + DRAIN_WAIT, connection.reply())
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        loop {
            if let Some(answer) = answers.take(value) {
                let asked = sent.pop_front().expect("an answer belongs to a request");
                record(report, &answer, asked, begin, end);
            }
            match connection.reply_at_hand()? {
                Some(next) => value = next,
                None => break,
            }
        }
    }
}

fn record(
    report: &RefCell<Report>,
    answer: &Result<(), String>,
    asked: Instant,
    begin: Instant,
    end: Instant,
) {
    let now = Instant::now();
    match answer {
        Ok(()) if asked >= begin && now <= end => {
            report.borrow_mut().done(now - begin, now - asked);
        }
        Ok(()) => {}
        Err(error) => report.borrow_mut().error(error),
    }
}

/// An append, with its wait where one is wanted.
fn request(load: &Load, index: usize) -> Bytes {
    let mut request = BytesMut::new();
    let payload = "x".repeat(load.payload_bytes);
    write_request(&mut request, &["XADD", &stream_of(load, index), "*", "data", &payload]);
    if let Some(replicas) = load.wait_replicas {
        write_request(&mut request, &["WAIT", &replicas.to_string(), "0"]);
    }
    request.freeze()
}

/// Puts replies together: of an append alone, or of an append and the wait behind it.
struct Answers {
    wanted: Option<u32>,
    added: Option<Value>,
}

impl Answers {
    /// The outcome of an append, once everything about it has come.
    fn take(&mut self, value: Value) -> Option<Result<(), String>> {
        let Some(wanted) = self.wanted else { return Some(outcome(&value)) };
        let Some(added) = self.added.take() else {
            self.added = Some(value);
            return None;
        };
        Some(outcome(&added).and_then(|()| match value.as_integer() {
            Some(reached) if reached >= i64::from(wanted) => Ok(()),
            reached => Err(format!("only {} of {wanted} replicas have it", reached.unwrap_or(0))),
        }))
    }
}

fn outcome(added: &Value) -> Result<(), String> {
    added.as_error().map_or(Ok(()), |error| Err(error.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_without_enough_replicas_is_an_error() {
        let mut answers = Answers { wanted: Some(1), added: None };
        assert_eq!(answers.take(Value::bulk("1-0")), None);
        assert_eq!(answers.take(Value::Integer(2)), Some(Ok(())));
        assert_eq!(answers.take(Value::bulk("1-1")), None);
        assert!(answers.take(Value::Integer(0)).unwrap().unwrap_err().contains("0 of 1"));
    }

    #[test]
    fn without_a_wait_every_reply_is_an_answer() {
        let mut answers = Answers { wanted: None, added: None };
        assert_eq!(answers.take(Value::bulk("1-0")), Some(Ok(())));
        assert!(answers.take(Value::Error("BUSY x".into())).unwrap().is_err());
    }
}
