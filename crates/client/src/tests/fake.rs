//! A node that does as it is told, on a thread of its own, so that it can die with all its
//! connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use rpc::v1;
use rpc::v1::append_result::Result as Became;
use rpc::v1::streams_server::{Streams, StreamsServer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

/// What a call is answered with, instead of success.
#[derive(Clone, Debug)]
pub(super) enum Say {
    Failure(Status),
    /// Nothing, for ever.
    Silence,
}

impl Say {
    fn failure(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut details = ErrorDetails::with_error_info(
            reason,
            "weir",
            metadata.iter().map(owned).collect::<std::collections::HashMap<_, _>>(),
        );
        if reason == "OVERLOADED" {
            details.set_retry_info(Some(std::time::Duration::from_millis(1)));
        }
        Self::Failure(Status::with_error_details(code, reason, details))
    }

    pub(super) fn nothing_happened(reason: &str) -> Self {
        Self::failure(Code::Unavailable, reason, &[("outcome", "NONE")])
    }

    pub(super) fn unknown() -> Self {
        Self::failure(Code::Unavailable, "UNKNOWN", &[("outcome", "UNKNOWN")])
    }

    pub(super) fn leader_is(address: &str) -> Self {
        let metadata = [("outcome", "NONE"), ("leader_address", address)];
        Self::failure(Code::Unavailable, "NOT_LEADER", &metadata)
    }

    pub(super) fn over(reason: &str) -> Self {
        Self::failure(Code::ResourceExhausted, reason, &[("outcome", "NONE")])
    }
}

#[derive(Default)]
struct Inner {
    script: VecDeque<Say>,
    values: Vec<String>,
    passwords: Vec<Option<String>>,
    ranges: usize,
    /// Messages of a stream after which it ends as that of a stopping node does.
    stop_after: Option<usize>,
    /// Messages after which nothing is answered any more.
    silent_after: Option<usize>,
}

#[derive(Clone)]
struct Node {
    inner: Arc<Mutex<Inner>>,
    asked: watch::Sender<usize>,
}

/// See the file's head.
pub(super) struct Fake {
    pub(super) address: String,
    node: Node,
    alive: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Fake {
    pub(super) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let node = Node { inner: Arc::default(), asked: watch::Sender::new(0) };
        let service = StreamsServer::new(node.clone());
        let (alive, mut killed) = watch::channel(true);
        let (end, ended) = watch::channel(false);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
                let mut server = tonic::transport::Server::builder();
                tokio::select! {
                    served = server.add_service(service).serve_with_incoming(incoming) => served.unwrap(),
                    _ = killed.wait_for(|alive| !alive) => {}
                }
            });
            // With it go the connections.
            drop(runtime);
            end.send_replace(true);
        });
        Self { address, node, alive, ended }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.node.inner.lock().unwrap())
    }

    /// Answers the next call so.
    pub(super) fn say(&self, say: Say) {
        self.with(|inner| inner.script.push_back(say));
    }

    pub(super) fn stop_after(&self, messages: usize) {
        self.with(|inner| inner.stop_after = Some(messages));
    }

    pub(super) fn silent_after(&self, messages: usize) {
        self.with(|inner| inner.silent_after = Some(messages));
    }

    pub(super) fn kill(&self) {
        self.alive.send_replace(false);
        let mut ended = self.ended.clone();
        // The port must be closed when this returns.
        while !*ended.borrow_and_update() {
            std::thread::yield_now();
        }
    }

    /// Waits until so many calls, or messages of `append_many`, have come.
    pub(super) async fn asked(&self, count: usize) {
        self.node.asked.subscribe().wait_for(|asked| *asked >= count).await.unwrap();
    }

    /// What was appended.
    pub(super) fn values(&self) -> Vec<String> {
        self.with(|inner| inner.values.clone())
    }

    pub(super) fn passwords(&self) -> Vec<Option<String>> {
        self.with(|inner| inner.passwords.clone())
    }

    pub(super) fn ranges(&self) -> usize {
        self.with(|inner| inner.ranges)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.alive.send_replace(false);
    }
}

impl Node {
    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().unwrap())
    }

    fn note<T>(&self, request: &Request<T>) {
        let value = request.metadata().get("authorization");
        let password = value.map(|value| value.to_str().unwrap().to_owned());
        self.with(|inner| inner.passwords.push(password));
    }

    async fn begin<T>(&self, request: &Request<T>) -> Result<(), Status> {
        self.note(request);
        let said = self.with(|inner| inner.script.pop_front());
        self.asked.send_modify(|asked| *asked += 1);
        match said {
            None => Ok(()),
            Some(Say::Failure(status)) => Err(status),
            Some(Say::Silence) => std::future::pending().await,
        }
    }

    fn append(&self, append: v1::AppendRequest) -> v1::AppendResponse {
        let value = String::from_utf8(append.fields[0].value.to_vec()).unwrap();
        let seq = self.with(|inner| {
            inner.values.push(value);
            inner.values.len() as u64
        });
        v1::AppendResponse { id: Some(v1::EntryId { ms: 1, seq }) }
    }

    async fn answer(
        &self,
        at: usize,
        message: Result<v1::AppendManyRequest, Status>,
    ) -> Result<v1::AppendManyResponse, Status> {
        let (stop, silent) = self.with(|inner| (inner.stop_after, inner.silent_after));
        if stop.is_some_and(|stop| at >= stop) {
            let Say::Failure(status) = Say::nothing_happened("STOPPING") else { unreachable!() };
            return Err(status);
        }
        let appends = message?.appends;
        self.asked.send_modify(|asked| *asked += appends.len());
        if silent.is_some_and(|silent| at >= silent) {
            return std::future::pending().await;
        }
        let result =
            |append| v1::AppendResult { result: Some(Became::Appended(self.append(append))) };
        Ok(v1::AppendManyResponse { results: appends.into_iter().map(result).collect() })
    }
}

/// Messages that are handled at one time: those behind a silent one are taken, too.
const AT_ONCE: usize = 16;

#[tonic::async_trait]
impl Streams for Node {
    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        self.begin(&request).await?;
        Ok(Response::new(self.append(request.into_inner())))
    }

    type AppendManyStream = BoxStream<'static, Result<v1::AppendManyResponse, Status>>;

    async fn append_many(
        &self,
        request: Request<Streaming<v1::AppendManyRequest>>,
    ) -> Result<Response<Self::AppendManyStream>, Status> {
        self.note(&request);
        let node = self.clone();
        let answers = request.into_inner().enumerate().map(move |(at, message)| {
            let node = node.clone();
            async move { node.answer(at, message).await }
        });
        let mut ended = false;
        let answers = answers.buffered(AT_ONCE).take_while(move |answer| {
            let over = ended;
            ended |= answer.is_err();
            std::future::ready(!over)
        });
        Ok(Response::new(answers.boxed()))
    }

    type RangeStream = BoxStream<'static, Result<v1::RangeResponse, Status>>;

    async fn range(
        &self,
        request: Request<v1::RangeRequest>,
    ) -> Result<Response<Self::RangeStream>, Status> {
        self.note(&request);
        let request = request.into_inner();
        let start = request.start.map_or(1, |id| id.seq);
        let end = request.end.map_or(20, |id| id.seq.min(20));
        let mut ids: Vec<u64> = (start..=end).collect();
        if request.reverse {
            ids.reverse();
        }
        if request.limit > 0 {
            ids.truncate(usize::try_from(request.limit).unwrap());
        }
        let stop = self.with(|inner| {
            inner.ranges += 1;
            inner.stop_after.unwrap_or(usize::MAX)
        });
        let entry = |seq: &u64| v1::Entry {
            id: Some(v1::EntryId { ms: 1, seq: *seq }),
            fields: vec![v1::Field { name: "n".into(), value: Bytes::new() }],
        };
        let pages: Vec<_> = ids
            .chunks(5)
            .map(|ids| v1::RangeResponse { entries: ids.iter().map(entry).collect() })
            .enumerate()
            .map(|(at, page)| match Say::nothing_happened("STOPPING") {
                Say::Failure(status) if at >= stop => Err(status),
                _ => Ok(page),
            })
            .collect();
        Ok(Response::new(futures::stream::iter(pages).boxed()))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        self.begin(&request).await?;
        Ok(Response::new(v1::DescribeResponse { shard: 7, ..v1::DescribeResponse::default() }))
    }
}
