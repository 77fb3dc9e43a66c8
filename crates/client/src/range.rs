//! Reading entries by id, page after page.

use bytes::Bytes;
use futures::Stream;
use rpc::v1;
use tonic::Streaming;

use crate::call::Patience;
use crate::connect::Chosen;
use crate::error::{Effect, Verdict, verdict};
use crate::{Client, Entry, EntryId, Error};

/// Which entries of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub stream: Bytes,
    /// Itself included.
    pub start: Option<EntryId>,
    /// Itself included.
    pub end: Option<EntryId>,
    /// At most so many entries.
    pub limit: Option<u64>,
    /// From the greatest id to the smallest.
    pub reverse: bool,
}

impl Range {
    /// All entries of a stream.
    pub fn of(stream: impl Into<Bytes>) -> Self {
        Self { stream: stream.into(), ..Self::default() }
    }

    /// From this id, itself included.
    #[must_use]
    pub fn start(mut self, id: EntryId) -> Self {
        self.start = Some(id);
        self
    }

    /// Up to this id, itself included.
    #[must_use]
    pub fn end(mut self, id: EntryId) -> Self {
        self.end = Some(id);
        self
    }

    /// At most so many entries.
    #[must_use]
    pub fn limit(mut self, entries: u64) -> Self {
        self.limit = Some(entries);
        self
    }

    /// From the greatest id to the smallest.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// What is left after `last`; `None` if nothing is.
    fn after(mut self, last: EntryId) -> Option<Self> {
        self.limit = self.limit.map(|limit| limit - 1);
        if self.reverse {
            self.end = Some(last.previous()?);
        } else {
            self.start = Some(last.next()?);
        }
        Some(self)
    }

    fn is_empty(&self) -> bool {
        self.limit == Some(0) || matches!((self.start, self.end), (Some(a), Some(b)) if a > b)
    }

    fn message(&self) -> v1::RangeRequest {
        v1::RangeRequest {
            stream: self.stream.clone(),
            start: self.start.map(v1::EntryId::from),
            end: self.end.map(v1::EntryId::from),
            limit: self.limit.unwrap_or(0),
            reverse: self.reverse,
        }
    }
}

/// Where a read has got to.
struct Reading {
    client: Client,
    /// What is left.
    range: Option<Range>,
    call: Option<(Chosen, Streaming<v1::RangeResponse>)>,
    page: std::vec::IntoIter<v1::Entry>,
}

impl Client {
    /// Reads entries in order. When a node goes away, another one goes on behind the last entry.
    ///
    /// The stream ends after its first error.
    pub fn range(
        &self,
        range: Range,
    ) -> impl Stream<Item = Result<Entry, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        let reading =
            Reading { client, range: Some(range), call: None, page: Vec::new().into_iter() };
        Box::pin(futures::stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|entry| (entry, reading)))
        }))
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(entry) = self.page.next() {
                let entry = Entry::from(entry);
                self.range = self.range.take().and_then(|range| range.after(entry.id));
                return Ok(Some(entry));
            }
            if self.range.as_ref().is_none_or(Range::is_empty) {
                return Ok(None);
            }
            match self.turn().await? {
                Some(page) => self.page = page.entries.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The next page, from this node or another one.
    async fn turn(&mut self) -> Result<Option<v1::RangeResponse>, Error> {
        let mut patience = Patience::new(&self.client);
        loop {
            let chosen = self.call.as_ref().map_or_else(|| self.client.chosen(), |it| it.0.clone());
            let page = tokio::time::timeout_at(patience.deadline, self.page_of(&chosen)).await;
            let Ok(page) = page else { return Err(patience.late(Effect::Read)) };
            let status = match page {
                Ok(page) => return Ok(page),
                Err(status) => status,
            };
            self.call = None;
            match verdict(&status, Effect::Read) {
                Verdict::Final(error) => return Err(error),
                Verdict::Again { error, leader, pause } => {
                    self.client.leave(&chosen, leader.as_deref());
                    patience.wait(pause, error).await?;
                }
            }
        }
    }

    async fn page_of(
        &mut self,
        chosen: &Chosen,
    ) -> Result<Option<v1::RangeResponse>, tonic::Status> {
        if self.call.is_none() {
            let Some(range) = &self.range else { return Ok(None) };
            let request = self.client.request(range.message());
            let response = chosen.streams().range(request).await?;
            self.call = Some((chosen.clone(), response.into_inner()));
        }
        match &mut self.call {
            Some((_, pages)) => pages.message().await,
            None => Ok(None),
        }
    }
}
