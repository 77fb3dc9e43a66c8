//! Many appends on one call: sent without waiting, answered in order.
//!
//! Every append that was taken gets exactly one result. A call that ends saying that what it has
//! not answered never was (a node that stops in good order, one that was never reached) is followed
//! by another one at another node, with the same appends in the same order. Any other end leaves
//! the unanswered ones unknown, and nothing is sent after them.

use std::collections::VecDeque;
use std::pin::Pin;

use futures::{FutureExt, Stream, StreamExt};
use rpc::v1;
use rpc::v1::append_result::Result as Became;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::call::Patience;
use crate::connect::Chosen;
use crate::error::{Effect, Verdict, failure, verdict};
use crate::{Append, Client, Detail, EntryId, Error, limits};

type Appends = Pin<Box<dyn Stream<Item = Append> + Send>>;
type Results = mpsc::Sender<Result<EntryId, Error>>;
type Messages = mpsc::Sender<v1::AppendManyRequest>;

impl Client {
    /// Appends entries as they come, without waiting for each; one result for each, in order.
    /// Entries of one stream are appended in their order. An append that is refused does not stop
    /// those after it; after an [`Error::Unknown`] that is the connection's, no more are taken and
    /// the results end.
    ///
    /// Results that nobody takes hold the appends back. Must be called within a tokio runtime.
    pub fn append_many<S: Stream<Item = Append> + Send + 'static>(
        &self,
        appends: S,
    ) -> impl Stream<Item = Result<EntryId, Error>> + Send + Unpin + use<S> {
        let (results, receiver) = mpsc::channel(limits::RESULTS);
        let many = Many {
            client: self.clone(),
            appends: Box::pin(appends),
            ended: false,
            unanswered: VecDeque::new(),
            bytes: 0,
            answered_count: 0,
            results,
        };
        tokio::spawn(many.run());
        ReceiverStream::new(receiver)
    }
}

struct Many {
    client: Client,
    appends: Appends,
    /// There are no more appends.
    ended: bool,
    /// Taken and not yet answered, in order.
    unanswered: VecDeque<Waiting>,
    /// Of those, in bytes.
    bytes: usize,
    answered_count: u64,
    results: Results,
}

struct Waiting {
    append: Append,
    bytes: usize,
}

/// How a call ended.
enum End {
    /// Everything is answered, or nobody listens.
    Done,
    /// Unanswered appends never were.
    Nothing { error: Error, leader: Option<String> },
    /// Unanswered appends may have been.
    Lost(Error),
}

impl Many {
    async fn run(mut self) {
        let mut patience = Patience::new(&self.client);
        while self.has_work().await {
            let chosen = self.client.chosen();
            let answered = self.answered_count;
            let (error, leader) = match self.call(&chosen).await {
                End::Done => return,
                // Nothing was under way, so nothing is unknown.
                End::Lost(Error::Unknown(_)) if self.unanswered.is_empty() => continue,
                End::Lost(error) => return self.fail(error).await,
                End::Nothing { error, leader } => (error, leader),
            };
            self.client.leave(&chosen, leader.as_deref());
            if self.answered_count > answered {
                // It went on for a while: the time begins anew.
                patience = Patience::new(&self.client);
            }
            if let Err(error) = patience.wait(None, error).await {
                return self.fail(error).await;
            }
        }
    }

    /// Waits until something is to be sent; `false` if nothing will be.
    async fn has_work(&mut self) -> bool {
        if self.unanswered.is_empty() && !self.ended {
            tokio::select! {
                () = self.results.closed() => {}
                first = self.appends.next() => match first {
                    Some(first) => drop(self.taken(&first)),
                    None => self.ended = true,
                },
            }
        }
        !self.unanswered.is_empty()
    }

    /// Answers all that is left, and the next append if nothing is.
    async fn fail(mut self, error: Error) {
        if !self.has_work().await {
            return;
        }
        for _ in 0..self.unanswered.len() {
            if self.results.send(Err(error.clone())).await.is_err() {
                return;
            }
        }
    }

    async fn call(&mut self, chosen: &Chosen) -> End {
        let (messages, receiver) = mpsc::channel(limits::WAITING_APPENDS);
        for message in self.repeated() {
            // There is room: no more messages than appends wait.
            drop(messages.try_send(message));
        }
        let request = self.client.request(ReceiverStream::new(receiver));
        let mut streams = chosen.streams();
        let limit = Instant::now() + self.client.0.timeout;
        let answer = tokio::time::timeout_at(limit, streams.append_many(request));
        match answer.await {
            Ok(Ok(response)) => self.pump(messages, response.into_inner()).await,
            Ok(Err(status)) => end(&status),
            Err(_) => End::Lost(late()),
        }
    }

    /// What was not answered by the call before, as messages.
    fn repeated(&self) -> Vec<v1::AppendManyRequest> {
        let waiting: Vec<&Waiting> = self.unanswered.iter().collect();
        let mut messages = Vec::new();
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |waiting: &&&Waiting| {
                bytes += waiting.bytes;
                bytes <= limits::BATCH_BYTES
            };
            let count = rest.iter().take(limits::BATCH_APPENDS).take_while(fits).count().max(1);
            let (batch, left) = rest.split_at(count);
            let appends = batch.iter().map(|waiting| waiting.append.clone().into()).collect();
            messages.push(v1::AppendManyRequest { appends });
            rest = left;
        }
        messages
    }

    /// Sends and receives until the call ends.
    async fn pump(
        &mut self,
        messages: Messages,
        mut responses: Streaming<v1::AppendManyResponse>,
    ) -> End {
        let mut messages = Some(messages);
        let mut heard = Instant::now();
        loop {
            if self.ended && self.unanswered.is_empty() {
                messages = None;
            }
            let room = self.bytes < limits::WAITING_BYTES
                && self.unanswered.len() < limits::WAITING_APPENDS;
            let idle = self.unanswered.is_empty();
            tokio::select! {
                biased;
                () = self.results.closed() => return End::Done,
                response = responses.message() => {
                    if let Err(end) = self.heard(response).await {
                        return end;
                    }
                    // Whoever takes the results may have taken long.
                    heard = Instant::now();
                }
                first = self.appends.next(), if room && !self.ended => {
                    if idle {
                        heard = Instant::now();
                    }
                    match (first, &messages) {
                        (Some(first), Some(messages)) => {
                            let message = self.batch(first);
                            // Refused only when the call is over, which its responses will tell.
                            drop(messages.try_send(message));
                        }
                        _ => self.ended = true,
                    }
                }
                () = sleep_until(heard + self.client.0.timeout), if !idle => {
                    return End::Lost(late());
                }
            }
        }
    }

    /// This append and those that are ready behind it, as one message.
    fn batch(&mut self, first: Append) -> v1::AppendManyRequest {
        let mut appends = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(append) = next.take() {
            bytes += self.taken(&append);
            appends.push(append.into());
            if bytes >= limits::BATCH_BYTES || appends.len() >= limits::BATCH_APPENDS {
                break;
            }
            match self.appends.next().now_or_never() {
                Some(None) => self.ended = true,
                Some(some) => next = some,
                None => {}
            }
        }
        v1::AppendManyRequest { appends }
    }

    fn taken(&mut self, append: &Append) -> usize {
        let bytes = append.bytes();
        self.bytes += bytes;
        self.unanswered.push_back(Waiting { append: append.clone(), bytes });
        bytes
    }

    async fn heard(
        &mut self,
        response: Result<Option<v1::AppendManyResponse>, Status>,
    ) -> Result<(), End> {
        match response {
            Ok(Some(response)) => self.answered(response).await,
            Ok(None) if self.ended && self.unanswered.is_empty() => Err(End::Done),
            Ok(None) => Err(End::Lost(cut())),
            Err(status) => Err(end(&status)),
        }
    }

    async fn answered(&mut self, response: v1::AppendManyResponse) -> Result<(), End> {
        for result in response.results {
            let Some(waiting) = self.unanswered.pop_front() else {
                let detail = Detail::new("more results than appends");
                return Err(End::Lost(Error::Unexpected(detail)));
            };
            self.bytes -= waiting.bytes;
            self.answered_count += 1;
            let result = match result.result {
                Some(Became::Appended(appended)) => Ok(appended.id.unwrap_or_default().into()),
                Some(Became::Failure(of)) => Err(failure(of)),
                None => Err(Error::Unexpected(Detail::new("a result without a result"))),
            };
            self.results.send(result).await.map_err(|_| End::Done)?;
        }
        Ok(())
    }
}

fn end(status: &Status) -> End {
    match verdict(status, Effect::Write) {
        Verdict::Again { error, leader, .. } => End::Nothing { error, leader },
        Verdict::Final(error) => End::Lost(error),
    }
}

fn cut() -> Error {
    Error::Unknown(Detail::new("the node ended the call"))
}

fn late() -> Error {
    Error::Unknown(Detail::new("no answer within the time allowed"))
}
