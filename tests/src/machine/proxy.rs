//! A TCP proxy in front of a node that can be told to be slow, silent or shut. Bounded in memory;
//! never looks at what it carries.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wait;

/// What is read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// To [`Rule::pause`] a message has at most so many bytes.
const MESSAGE_BYTES: usize = 2 * 1024;

/// Chunks of one direction that are on their way: a megabyte.
const CHUNKS: usize = 64;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToNode,
    FromNode,
    Both,
}

/// What is done to everything that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Every byte arrives so much later.
    pub latency: Duration,
    /// Between a message and the next.
    pub pause: Duration,
    /// What goes this way stays where it is; connections stay open.
    pub hold: Option<Way>,
    /// Open connections end, new ones are not taken.
    pub shut: bool,
}

/// A listener, and everything that goes through it. Ends with the value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    rule: Mutex<Rule>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens on a free port of `host` and carries everything to `target`.
    ///
    /// # Errors
    /// `host` is no address of this machine.
    pub fn start(host: &str, target: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind((host, 0))?;
        let address = listener.local_addr()?;
        let shared = Shared {
            target,
            rule: Mutex::default(),
            changed: Condvar::new(),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        let accepting = shared.clone();
        std::thread::spawn(move || accepting.accept(&listener));
        Ok(Self { address, shared })
    }

    /// `HOST:PORT` where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Follows a rule from now on.
    pub fn set(&self, rule: Rule) {
        *lock(&self.shared.rule) = rule;
        self.shared.changed.notify_all();
        if rule.shut {
            self.cut();
        }
    }

    /// Ends every open connection, in the middle of whatever is on its way.
    pub fn cut(&self) {
        for stream in lock(&self.shared.open).drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.set(Rule { shut: true, ..Rule::default() });
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            // One that can't be carried is closed: the node behind may be down.
            drop(self.carry(client));
        }
    }

    fn carry(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(&self.target)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        {
            let mut open = lock(&self.open);
            open.retain(|stream| stream.peer_addr().is_ok());
            open.extend([client.try_clone()?, server.try_clone()?]);
        }
        if lock(&self.rule).shut {
            client.shutdown(Shutdown::Both)?;
            return server.shutdown(Shutdown::Both);
        }
        self.pump(Way::ToNode, client.try_clone()?, server.try_clone()?);
        self.pump(Way::FromNode, server, client);
        Ok(())
    }

    /// Carries one direction, by a thread that reads and one that writes when it is time.
    fn pump(self: &Arc<Self>, way: Way, from: TcpStream, to: TcpStream) {
        let (sender, receiver) = sync_channel(CHUNKS);
        let shared = self.clone();
        std::thread::spawn(move || read(from, &sender));
        std::thread::spawn(move || shared.write(way, to, &receiver));
    }

    fn write(&self, way: Way, mut to: TcpStream, chunks: &Receiver<Chunk>) {
        for chunk in chunks {
            let rule = self.wait_through(way);
            wait::pause((chunk.read_at + rule.latency).saturating_sub(wait::now()));
            if write_slowly(&mut to, &chunk.bytes, rule.pause).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    }

    /// Waits while what goes this way is held.
    fn wait_through(&self, way: Way) -> Rule {
        let rule = lock(&self.rule);
        let held = |rule: &mut Rule| {
            !rule.shut && rule.hold.is_some_and(|held| held == way || held == Way::Both)
        };
        *self.changed.wait_while(rule, held).unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_slowly(to: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    if pause.is_zero() {
        return to.write_all(bytes);
    }
    bytes.chunks(MESSAGE_BYTES).try_for_each(|message| {
        wait::pause(pause);
        to.write_all(message)
    })
}

struct Chunk {
    read_at: Duration,
    bytes: Vec<u8>,
}

fn read(mut from: TcpStream, chunks: &SyncSender<Chunk>) {
    loop {
        let mut bytes = vec![0; CHUNK_BYTES];
        let Ok(count @ 1..) = from.read(&mut bytes) else { break };
        bytes.truncate(count);
        if chunks.send(Chunk { read_at: wait::now(), bytes }).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection through a proxy to one that sends everything back.
    fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut back = stream.try_clone().unwrap();
            drop(std::io::copy(&mut stream, &mut back));
        });
        let proxy = Proxy::start("127.0.0.1", target).unwrap();
        let client = TcpStream::connect(proxy.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        (proxy, client)
    }

    fn turn(client: &mut TcpStream) -> std::io::Result<Duration> {
        let began = wait::now();
        client.write_all(b"x")?;
        client.read_exact(&mut [0])?;
        Ok(wait::now() - began)
    }

    #[test]
    fn what_passes_is_delayed_both_ways() {
        let (proxy, mut client) = echo();
        turn(&mut client).unwrap();
        let latency = Duration::from_millis(50);
        proxy.set(Rule { latency, ..Rule::default() });
        assert!(turn(&mut client).unwrap() >= 2 * latency);
    }

    #[test]
    fn what_is_held_stays_and_goes_on_later() {
        let (proxy, mut client) = echo();
        proxy.set(Rule { hold: Some(Way::FromNode), ..Rule::default() });
        assert!(turn(&mut client).is_err(), "the answer is held");
        proxy.set(Rule::default());
        client.read_exact(&mut [0]).unwrap();
        turn(&mut client).unwrap();
    }

    #[test]
    fn shut_it_ends_what_is_open_and_takes_nothing() {
        let (proxy, mut client) = echo();
        turn(&mut client).unwrap();
        proxy.set(Rule { shut: true, ..Rule::default() });
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
        let mut other = TcpStream::connect(proxy.address()).unwrap();
        assert!(turn(&mut other).is_err());
    }
}
