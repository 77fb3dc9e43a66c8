//! One GET over HTTP/1.1, enough to ask a node how it is.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers to the questions asked here are short; more is something else that listens there.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks `address` (`HOST:PORT`) for `path`. The caller bounds the time.
pub(crate) async fn get(address: &str, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text).await?;
    parse(&text).ok_or_else(|| io::Error::other("what listens there does not speak HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nforming\n").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "forming\n".to_owned() });
        assert_eq!(parse("-ERR unknown command\r\n"), None);
    }
}
