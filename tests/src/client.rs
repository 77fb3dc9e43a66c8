//! A client that blocks, one request or one pipeline at a time, as most programs use Redis.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use resp::{ReplyParser, Value, write_request};

/// Longer than the nodes' own deadline: a node always answers first, unless it is gone.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 64 * 1024;

/// A connection to one node.
pub struct Client {
    stream: TcpStream,
    input: BytesMut,
    parser: ReplyParser,
}

impl Client {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// Whatever the connection attempt gave.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        Ok(Self { stream, input: BytesMut::new(), parser: ReplyParser::new() })
    }

    /// Whether the node has closed it. Only meaningful with no request under way.
    pub fn is_closed(&self) -> bool {
        let mut byte = [0];
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let looked = self.stream.peek(&mut byte);
        let back = self.stream.set_nonblocking(false);
        let idle = matches!(&looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        !idle || back.is_err()
    }

    /// One request, one reply.
    ///
    /// # Errors
    /// The connection broke: what was asked may have happened.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        let mut output = BytesMut::new();
        write_request(&mut output, args);
        self.send(&output)?;
        self.reply()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply.
    ///
    /// # Errors
    /// The connection broke, or no reply came in time.
    pub fn reply(&mut self) -> io::Result<Value> {
        loop {
            if let Some(value) = self.parser.next(&mut self.input).map_err(io::Error::other)? {
                return Ok(value);
            }
            let before = self.input.len();
            self.input.resize(before + READ_BYTES, 0);
            let read = self.stream.read(&mut self.input[before..]);
            self.input.truncate(before + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// GET over HTTP: status and body.
///
/// # Errors
/// Nothing answers there, or not in HTTP.
pub fn http_get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let parsed = text
        .split_once("\r\n\r\n")
        .and_then(|(head, body)| Some((head.get(9..12)?.parse().ok()?, body.to_owned())));
    parsed.ok_or_else(|| io::Error::other("not HTTP"))
}
