//! The end of a connection, so that its last bytes arrive. Never what they say.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// For how long what a client still sends is read, for the sake of the last reply.
const WITHIN: Duration = Duration::from_millis(500);

/// Bytes that are read, and thrown away, at once.
const SCRATCH_BYTES: usize = 4096;

/// A connection that ends: no more is written, and what the client sends before it sees the end is
/// read. A socket that is closed with something left to read sends a reset instead; for that, and
/// for what it writes afterwards, a client takes the whole connection for broken, its last replies
/// included (RFC 9112, 9.6).
#[derive(Debug, Default)]
pub(crate) struct Parting {
    until: Option<Pin<Box<Sleep>>>,
}

impl Parting {
    /// Ready when the client has closed its side, too, or had the time to.
    pub(crate) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(WITHIN)));
        while until.as_mut().poll(context).is_pending() {
            let mut scratch = [0; SCRATCH_BYTES];
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
