//! The load over gRPC: every connection is a client of its own with one long call, and keeps so
//! many appends in flight on it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use client::{Append, Client};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::load::{DRAIN_WAIT, Load, RECONNECT_PAUSE, stream_of};
use super::report::Report;
use crate::failed::Failed;

/// Runs the load to its end. What it appends stays: this API cannot remove a stream yet.
pub(crate) async fn run(load: &Load) -> Result<Report, Failed> {
    let begin = Instant::now() + load.warmup;
    let report = Rc::new(RefCell::new(Report::new(load.duration)));
    let work = (0..load.connections).map(|index| {
        let report = Rc::clone(&report);
        async move { worker(load, index, begin, &report).await }
    });
    futures::future::join_all(work).await;
    Ok(Rc::try_unwrap(report).expect("the workers have ended").into_inner())
}

async fn worker(load: &Load, index: usize, begin: Instant, report: &RefCell<Report>) {
    let end = begin + load.duration;
    while Instant::now() < end {
        let ended = match connect(load, index) {
            Ok(client) => drive(load, index, &client, begin, report).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            report.borrow_mut().error(&error);
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

fn connect(load: &Load, index: usize) -> Result<Client, String> {
    let mut builder = Client::builder([&load.addresses[index % load.addresses.len()]]);
    if let Some(password) = &load.password {
        builder = builder.password(password);
    }
    builder.build().map_err(|error| error.to_string())
}

async fn drive(
    load: &Load,
    index: usize,
    client: &Client,
    begin: Instant,
    report: &RefCell<Report>,
) -> Result<(), String> {
    let append = Append::to(stream_of(load, index)).field("data", "x".repeat(load.payload_bytes));
    let end = begin + load.duration;
    let (sender, receiver) = mpsc::channel(load.pipeline);
    let appends = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Append>| async {
        receiver.recv().await.map(|append| (append, receiver))
    });
    let mut results = client.append_many(appends);
    let mut sent = VecDeque::with_capacity(load.pipeline);
    loop {
        while Instant::now() < end && sent.len() < load.pipeline {
            if sender.try_send(append.clone()).is_err() {
                break;
            }
            sent.push_back(Instant::now());
        }
        if sent.is_empty() {
            return Ok(());
        }
        let next = timeout_at(end + DRAIN_WAIT, results.next()).await;
        let result = next.map_err(|_| "timed out")?.ok_or("the call ended")?;
        let asked: Instant = sent.pop_front().expect("a result belongs to an append");
        let now = Instant::now();
        match result {
            Ok(_) if asked >= begin && now <= end => {
                report.borrow_mut().done(now - begin, now - asked);
            }
            Ok(_) => {}
            Err(error) => report.borrow_mut().error(&error.to_string()),
        }
    }
}
