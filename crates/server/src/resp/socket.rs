//! The way of bytes to and from a client: a TCP connection, or what stands for one in a simulation.
//! Never what the bytes mean.

use std::future::Future;
use std::io;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A client's end, as a connection uses it.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Waits until reading may give something.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until writing may take something.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Takes what it can at once; `WouldBlock` when that is nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// What is written from now on leaves together with the end.
    fn hold_for_the_end(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.writable()
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn hold_for_the_end(&self) -> io::Result<()> {
        SockRef::from(self).set_tcp_cork(true)
    }
}
