//! A client's connection in memory, with the delay of a network: what a RESP port is given in place
//! of a socket. As over TCP, bytes arrive in order or not at all.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::Entropy;
use bytes::{Buf, BytesMut};
use server::resp::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes on their way or unread, in one direction.
const WAY_BYTES_MAX: usize = 64 << 10;

/// One direction.
struct Way(Mutex<State>);

#[derive(Default)]
struct State {
    arrived: BytesMut,
    /// Bytes that the sender still has in the air.
    flying: usize,
    /// Nothing more will come.
    ended: bool,
    /// Nobody is left to take anything.
    abandoned: bool,
    /// Nothing arrives any more.
    cut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn room(&self) -> usize {
        WAY_BYTES_MAX.saturating_sub(self.arrived.len() + self.flying)
    }
}

impl Way {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a message takes, each time anew.
pub(crate) type Delay = Arc<dyn Fn() -> Duration + Send + Sync>;

/// One end of a connection. Dropped, the other end reads what arrived and then the end.
pub(crate) struct End {
    comes: Arc<Way>,
    goes: Arc<Way>,
    /// None once this end has said that it sends no more.
    flight: Option<mpsc::UnboundedSender<(Instant, Vec<u8>)>>,
    delay: Delay,
}

/// What can cut a connection, from outside.
pub(crate) struct Cut([Weak<Way>; 2]);

impl Cut {
    /// What is on its way or unread is lost, in both directions; `false` where the connection was gone already.
    pub(crate) fn cut(&self) -> bool {
        let ways: Vec<Arc<Way>> = self.0.iter().filter_map(Weak::upgrade).collect();
        for way in &ways {
            let mut state = way.state();
            state.arrived.clear();
            (state.cut, state.ended, state.abandoned) = (true, true, true);
            state.wake();
        }
        !ways.is_empty()
    }
}

/// Both ends of a new connection, and what cuts it.
pub(crate) fn pair(delay: &Delay) -> (End, End, Cut) {
    let (to, fro) = (Arc::new(Way(Mutex::default())), Arc::new(Way(Mutex::default())));
    let end = |comes: &Arc<Way>, goes: &Arc<Way>| End {
        comes: comes.clone(),
        goes: goes.clone(),
        flight: Some(fly(goes.clone())),
        delay: delay.clone(),
    };
    (end(&fro, &to), end(&to, &fro), Cut([Arc::downgrade(&to), Arc::downgrade(&fro)]))
}

/// A delay between two times, from `entropy`.
pub(crate) fn delay_between(entropy: Arc<dyn Entropy>, least: Duration, most: Duration) -> Delay {
    let spread = u64::try_from((most - least).as_micros()).unwrap_or(u64::MAX);
    Arc::new(move || least + Duration::from_micros(entropy.below(spread + 1)))
}

/// Carries bytes, each when its time has come.
fn fly(way: Arc<Way>) -> mpsc::UnboundedSender<(Instant, Vec<u8>)> {
    let (sender, mut flight) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, bytes)) = flight.recv().await {
            tokio::time::sleep_until(at).await;
            let mut state = way.state();
            state.flying -= bytes.len();
            if !state.cut {
                state.arrived.extend_from_slice(&bytes);
            }
            state.wake();
        }
        let mut state = way.state();
        state.ended = true;
        state.wake();
    });
    sender
}

impl End {
    /// Waits for more to arrive; `false` at the end.
    pub(crate) async fn receive(&mut self, into: &mut BytesMut) -> bool {
        if self.readable().await.is_err() {
            return false;
        }
        let mut state = self.comes.state();
        if state.arrived.is_empty() {
            return false;
        }
        into.extend_from_slice(&state.arrived);
        state.arrived.clear();
        state.wake();
        true
    }

    /// Sends all of it; `false` where nobody takes it.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.writable().await.is_err() {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for way in [&self.comes, &self.goes] {
            let mut state = way.state();
            state.abandoned = true;
            state.wake();
        }
    }
}

impl Socket for End {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        poll_fn(|context| {
            let mut state = self.comes.state();
            if !state.arrived.is_empty() || state.ended {
                return Poll::Ready(Ok(()));
            }
            state.reader = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        poll_fn(|context| {
            let mut state = self.goes.state();
            if state.abandoned || state.room() > 0 {
                return Poll::Ready(Ok(()));
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(flight) = &self.flight else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let count = {
            let mut state = self.goes.state();
            if state.abandoned {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = bytes.len().min(state.room());
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.flying += count;
            count
        };
        let at = Instant::now() + (self.delay)();
        drop(flight.send((at, bytes[..count].to_vec())));
        Ok(count)
    }

    fn hold_for_the_end(&self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.comes.state();
        if state.arrived.is_empty() && !state.ended {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = state.arrived.len().min(buffer.remaining());
        buffer.put_slice(&state.arrived[..count]);
        state.arrived.advance(count);
        state.wake();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.goes.state().writer = Some(context.waker().clone());
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// What was sent before still arrives, and then the end.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flight = None;
        Poll::Ready(Ok(()))
    }
}
