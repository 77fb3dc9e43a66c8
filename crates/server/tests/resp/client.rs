//! A client that speaks RESP byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use resp::{ReplyParser, Value, write_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    parser: ReplyParser,
    input: BytesMut,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, parser: ReplyParser::new(), input: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends bytes that the server may not want to hear to their end.
    pub(crate) async fn send_anyway(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    /// The next reply; none when the server closed the connection.
    pub(crate) async fn reply(&mut self) -> Option<Value> {
        let reply = async {
            loop {
                if let Some(value) = self.parser.next(&mut self.input).expect("RESP") {
                    return Some(value);
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, reply).await.expect("a reply in time")
    }

    /// The next reply as text; `closed` when the server closed the connection.
    pub(crate) async fn said(&mut self) -> String {
        self.reply().await.map_or_else(|| "closed".to_owned(), |value| value.to_string())
    }

    /// Sends words as an array and tells the reply.
    pub(crate) async fn ask(&mut self, words: &str) -> String {
        self.send(request(words)).await;
        self.said().await
    }

    /// Sends a line, which may have quotes, and tells the reply.
    pub(crate) async fn ask_inline(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.said().await
    }
}

/// Words as an array of bulks.
pub(crate) fn request(words: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    write_request(&mut bytes, &words.split(' ').collect::<Vec<_>>());
    bytes
}
