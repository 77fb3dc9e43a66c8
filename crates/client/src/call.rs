//! One call: tried at one node after the other until it is answered, may have happened, or the time
//! is up.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Response, Status};

use crate::connect::Chosen;
use crate::error::{Effect, Verdict, verdict};
use crate::{Append, Client, Description, Detail, EntryId, Error, limits};

impl Client {
    /// Appends one entry; its id means: on disk, on a majority.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] if it may have been appended. Any other: it surely was not.
    pub async fn append(&self, append: Append) -> Result<EntryId, Error> {
        let message = rpc::v1::AppendRequest::from(append);
        let response = self.call(Effect::Write, |chosen| {
            let request = self.request(message.clone());
            async move { chosen.streams().append(request).await }
        });
        Ok(response.await?.id.unwrap_or_default().into())
    }

    /// What there is to know of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such stream; or as any read.
    pub async fn describe(&self, stream: impl Into<bytes::Bytes>) -> Result<Description, Error> {
        let message = rpc::v1::DescribeRequest { stream: stream.into() };
        let response = self.call(Effect::Read, |chosen| {
            let request = self.request(message.clone());
            async move { chosen.streams().describe(request).await }
        });
        Ok(response.await?.into())
    }

    pub(crate) async fn call<T, F>(
        &self,
        effect: Effect,
        attempt: impl Fn(Chosen) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut patience = Patience::new(self);
        loop {
            let chosen = self.chosen();
            let status = match timeout_at(patience.deadline, attempt(chosen.clone())).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => return Err(patience.late(effect)),
            };
            match verdict(&status, effect) {
                Verdict::Final(error) => return Err(error),
                Verdict::Again { error, leader, pause } => {
                    self.leave(&chosen, leader.as_deref());
                    patience.wait(pause, error).await?;
                }
            }
        }
    }
}

/// How often and how long a call is still tried.
pub(crate) struct Patience {
    pub(crate) deadline: Instant,
    nodes_count: usize,
    attempts: usize,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            deadline: Instant::now() + client.0.timeout,
            nodes_count: client.nodes_count(),
            attempts: 0,
            pause: limits::PAUSE_FIRST,
        }
    }

    /// Waits before the next attempt, if there is time for one: else `error` is the answer. The
    /// first round over all nodes has no pauses.
    pub(crate) async fn wait(
        &mut self,
        asked: Option<Duration>,
        error: Error,
    ) -> Result<(), Error> {
        self.attempts += 1;
        let mut pause = asked.unwrap_or_default();
        if self.attempts.is_multiple_of(self.nodes_count) {
            pause = pause.max(self.pause);
            self.pause = (2 * self.pause).min(limits::PAUSE_MAX);
        }
        let until = Instant::now() + pause;
        if until >= self.deadline {
            return Err(error);
        }
        sleep_until(until).await;
        Ok(())
    }

    /// The time is up in the middle of an attempt.
    pub(crate) fn late(&self, effect: Effect) -> Error {
        let detail = Detail::new("no answer within the time allowed");
        match effect {
            Effect::Write => Error::Unknown(detail),
            Effect::Read => Error::Unavailable(detail),
        }
    }
}
