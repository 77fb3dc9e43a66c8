//! A connection that speaks RESP: requests out together, replies in as they come.

use std::io;

use bytes::BytesMut;
use resp::{ReplyParser, Value, write_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room asked for with each read: many small replies, or a good part of a large one.
const READ_BYTES: usize = 64 * 1024;

/// A client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    parser: ReplyParser,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            parser: ReplyParser::new(),
        })
    }

    /// Puts a request behind those that wait to be sent.
    pub(crate) fn queue<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        write_request(&mut self.output, args);
    }

    /// Puts a request that is encoded already behind those that wait to be sent.
    pub(crate) fn queue_encoded(&mut self, request: &[u8]) {
        self.output.extend_from_slice(request);
    }

    /// Sends everything that waits.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.output).await;
        self.output.clear();
        sent
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self) -> io::Result<Value> {
        loop {
            if let Some(value) = self.reply_at_hand()? {
                return Ok(value);
            }
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next reply, where it has come whole already.
    pub(crate) fn reply_at_hand(&mut self) -> io::Result<Option<Value>> {
        self.parser.next(&mut self.input).map_err(io::Error::other)
    }

    /// One request, one reply.
    pub(crate) async fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        self.queue(args);
        self.flush().await?;
        self.reply().await
    }
}
