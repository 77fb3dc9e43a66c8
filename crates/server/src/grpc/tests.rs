//! The door over real loopback sockets, on shards that answer from a script.

mod codes;
mod double;
mod known_bugs;
mod limits;
mod many;
mod nodes;
mod range;

use std::sync::Arc;
use std::time::Duration;

use rpc::v1;
use rpc::v1::cluster_client::ClusterClient;
use rpc::v1::streams_client::StreamsClient;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::{ErrorInfo, StatusExt};

use super::{Error, NodeMembers, Options, serve};
use double::Double;

/// Nothing here takes long; what takes longer hangs.
const HANGS: Duration = Duration::from_secs(20);

struct Door {
    double: Arc<Double>,
    address: String,
    stopping: CancellationToken,
    served: JoinHandle<Result<(), Error>>,
}

fn options() -> Options {
    Options { entry_bytes_max: 1 << 20, connections_max: 100, password: None }
}

impl Door {
    async fn open() -> Self {
        Self::with(options()).await
    }

    async fn with(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (double, stopping) = (Double::new(), CancellationToken::new());
        let members = Arc::new(NodeMembers(Arc::clone(&double)));
        let shards: Arc<dyn raft::Shards> = double.clone();
        let served = tokio::spawn(serve(listener, shards, members, options, stopping.clone()));
        Self { double, address, stopping, served }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn streams(&self) -> StreamsClient<Channel> {
        StreamsClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    async fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel().await)
    }
}

fn append(stream: &'static str, value: impl Into<bytes::Bytes>) -> v1::AppendRequest {
    v1::AppendRequest {
        stream: stream.into(),
        fields: vec![v1::Field { name: "n".into(), value: value.into() }],
        ..v1::AppendRequest::default()
    }
}

fn info(status: &Status) -> ErrorInfo {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no info: {status:?}"));
    assert_eq!(info.domain, "weir");
    info
}

/// A bound for what would hang.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, work).await.expect("it hangs")
}
