//! One client: bytes to requests, requests to calls, answers to bytes. One task, one read and one
//! write a turn, replies in the order of the requests.
//!
//! Writes are handed to the shards without waiting for each other. A read waits for the
//! connection's earlier writes and a write for its earlier reads, so that a client sees its own
//! order. What waits is bounded in count and bytes: beyond that nothing more is taken from the
//! socket. Never a task or a timer for a command.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use base::ShardId;
use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use resp::{Protocol, RequestParser, Writer};
use streams::command::{Command, ReadFrom};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clients::Unblock;
use super::door::{Done, Door};
use super::error::{Asked, SyntaxError};
use super::inbox::Order;
use super::queue::{Question, Queue};
use super::reply::Nothing;
use super::route::{Way, way};
use super::session::{Replies, Session, Turn};
use super::socket::Socket;
use super::table::{Run, Spec, by_path, find, is_for_listeners};
use super::transaction::Executed;
use super::unread::Unread;
use super::{limits, shown};
use crate::commands::{Args, is_word};
use crate::dispatch::{Call, Ending, Reading};
use crate::parting::Parting;

mod multi;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    #[error("the client took too little of its output")]
    OutputTooBig,
    #[error("the client took nothing of its output for too long")]
    OutputStalled,
    #[error("the client did not authenticate in time")]
    NotAuthenticated,
    #[error("another client ended it")]
    Killed,
    #[error("the node stopped before all answers were there")]
    NotDrained,
}

/// One client's connection.
pub(super) struct Connection<S> {
    door: Arc<Door>,
    stream: S,
    session: Session,
    parser: RequestParser,
    input: BytesMut,
    output: BytesMut,
    /// The request that was parsed last.
    args: Vec<Bytes>,
    /// Its row, where it has to wait for earlier ones.
    held: Option<&'static Spec>,
    queue: Queue,
    /// Requests may be left in the input, for which there was no room.
    starved: bool,
    /// No further request is taken; the connection ends when all replies are sent.
    closing: bool,
    /// Since when the client has had to say who it is.
    strange: Option<Instant>,
    stalled: Option<Instant>,
    unread: Unread,
    /// Until when `held` has to wait, because somebody paused the port.
    paused: Option<Instant>,
    draining: Option<Instant>,
}

impl<S: Socket> Connection<S> {
    pub(super) fn new(door: Arc<Door>, stream: S, session: Session) -> Self {
        Self {
            unread: Unread::of(&door.unread),
            door,
            stream,
            session,
            parser: RequestParser::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            args: Vec::new(),
            held: None,
            queue: Queue::default(),
            starved: false,
            closing: false,
            strange: None,
            stalled: None,
            paused: None,
            draining: None,
        }
    }

    /// Serves the client until it goes, misbehaves or is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Ended> {
        let mut stopped = pin!(stop.cancelled());
        loop {
            self.end_waits();
            self.advance().await;
            match self.session.client.inbox.order() {
                None => {}
                Some(Order::End) => return Err(Ended::Killed),
                Some(Order::Overflow) => {
                    self.door.counters.output_closed.add(1);
                    return Err(Ended::OutputTooBig);
                }
            }
            let authenticated = self.session.is_authenticated();
            if self.output.len() > self.door.output_bytes_max(authenticated) {
                self.door.counters.output_closed.add(1);
                return Err(Ended::OutputTooBig);
            }
            if self.should_part() {
                self.closing |= self.takes_nothing_more().await?;
                if !self.closing {
                    continue;
                }
            }
            self.send()?;
            if self.starved && self.has_room() {
                continue;
            }
            if self.closing && self.owes_nothing() && self.output.is_empty() {
                let mut parting = Parting::default();
                let parted = poll_fn(|context| parting.poll(&mut self.stream, context));
                return Ok(parted.await?);
            }
            self.forget_buffers();
            self.wait(stopped.as_mut()).await?;
        }
    }

    /// A client that went away, or is to be parted from, waits for nothing more; what another one
    /// unblocked waits no longer.
    fn end_waits(&mut self) {
        if !self.queue.is_waiting() {
            return;
        }
        if let Some(unblock) = self.session.client.inbox.take_unblock() {
            self.queue.end_waits(match unblock {
                Unblock::Timeout => Ending::Timeout,
                Unblock::Error => Ending::Unblocked,
            });
        }
        if self.closing {
            // What it sent behind its read is nobody's any more.
            self.session.quitting = true;
        }
        if self.closing || self.draining.is_some() {
            self.queue.end_waits(Ending::Timeout);
        }
    }

    /// Starts what may be started and takes what was answered, until neither goes on.
    async fn advance(&mut self) {
        loop {
            self.start_requests();
            let client = &self.session.client;
            let took = self.queue.take(&mut self.output, &self.door, client).await;
            self.door.clients.note_blocked(client, self.queue.blocked_on());
            self.unread.note(self.output.len());
            if !took {
                break;
            }
        }
        self.deliver();
    }

    /// Gives the client what others have for it, as much as it takes: never in front of a reply
    /// that is written. Where it can tell messages from replies, answers that are on their way may
    /// come later.
    fn deliver(&mut self) {
        let tells_apart = self.session.protocol == Protocol::Resp3;
        while (self.queue.is_empty() || (tells_apart && !self.queue.has_written()))
            && self.output.len() < limits::OUTPUT_BYTES_SOFT
            && let Some(mail) = self.session.client.inbox.take()
        {
            mail.write(&mut Writer::new(&mut self.output, self.session.protocol));
        }
    }

    /// Waits until something can go on.
    async fn wait(&mut self, stopped: Pin<&mut impl Future<Output = ()>>) -> Result<(), Ended> {
        let deadline = self.deadline();
        let at = deadline.as_ref().map_or_else(Instant::now, |(at, _)| *at);
        let wants_input = self.wants_input();
        tokio::select! {
            biased;
            () = self.queue.front_done(), if !self.queue.is_empty() => {}
            ready = self.stream.writable(), if !self.output.is_empty() => ready?,
            ready = self.stream.readable(), if wants_input => {
                ready?;
                self.receive()?;
            }
            () = self.session.client.inbox.rung() => {}
            () = stopped, if self.draining.is_none() => self.draining = Some(Instant::now()),
            () = tokio::time::sleep_until(at), if deadline.is_some() => {
                if let Some((_, Some(ended))) = deadline {
                    return Err(ended);
                }
            }
        }
        Ok(())
    }

    /// The first moment at which patience ends, and with which words; without any, it is only time
    /// to look again.
    fn deadline(&self) -> Option<(Instant, Option<Ended>)> {
        let taking = self.draining.filter(|since| since.elapsed() < limits::DRAIN_TAKING);
        [
            (taking, limits::DRAIN_TAKING, None),
            (self.paused, Duration::ZERO, None),
            (self.draining, limits::DRAIN_WITHIN, Some(Ended::NotDrained)),
            (self.stalled, self.door.output_stalled_max(), Some(Ended::OutputStalled)),
            (self.stalled.map(|_| Instant::now()), limits::OUTPUT_LOOK_EVERY, None),
            (self.strange, limits::AUTHENTICATE_WITHIN, Some(Ended::NotAuthenticated)),
        ]
        .into_iter()
        .filter_map(|(since, within, ended)| Some((since? + within, ended)))
        .min_by_key(|(at, _)| *at)
    }

    fn wants_input(&self) -> bool {
        let in_time = |since: Instant| since.elapsed() < limits::DRAIN_TAKING;
        // While it waits, only so that its end is noticed.
        let is_full = self.queue.is_waiting() && self.input.len() >= limits::READ_BYTES_MAX;
        !self.closing
            && self.held.is_none()
            && self.draining.is_none_or(in_time)
            && self.has_room()
            && !is_full
    }

    /// Whether every request that was taken has its reply written.
    fn owes_nothing(&self) -> bool {
        self.queue.is_empty() && self.held.is_none()
    }

    /// Whether the node stops and this is the turn to part from the client: with a reply, so that
    /// the end of the connection travels in the same packet and a client that asks one thing after
    /// the other never sends into it; without one when it asked nothing for so long.
    fn should_part(&self) -> bool {
        let Some(since) = self.draining else { return false };
        let idle = self.owes_nothing();
        let is_late = since.elapsed() >= limits::DRAIN_TAKING;
        idle && (is_late || (self.input.is_empty() && !self.output.is_empty()))
    }

    /// Whether the socket has nothing more either: what a client sent before it could know that
    /// the node stops is answered, too.
    async fn takes_nothing_more(&mut self) -> io::Result<bool> {
        if self.closing || !self.wants_input() {
            return Ok(true);
        }
        // Lets the runtime learn what the socket has.
        tokio::task::yield_now().await;
        let before = self.input.len();
        self.receive()?;
        Ok(self.input.len() == before)
    }

    /// Whether another request may be started, as far as what is unanswered and unsent decides.
    fn has_room(&self) -> bool {
        let output_max = self.door.output_bytes_max(self.session.is_authenticated());
        self.queue.has_room() && self.output.len() < self.door.output_soft().min(output_max / 2)
    }

    /// Takes what the socket has.
    fn receive(&mut self) -> io::Result<()> {
        let missing = self.parser.bytes_missing(&self.input);
        // Grows by what came already at most: a length that was only announced takes no memory.
        let most = self.input.len().clamp(limits::READ_BYTES, limits::READ_BYTES_MAX);
        self.input.reserve(missing.clamp(limits::READ_BYTES, most));
        // Not `try_read_buf`: it takes a socket that was just emptied for readable, which costs a
        // system call for each request.
        match self.stream.read_buf(&mut self.input).now_or_never().transpose()? {
            None => {}
            Some(0) => self.closing = true,
            Some(bytes) => {
                self.door.counters.input_bytes.add(bytes);
                self.session.client.note_active(self.door.now_ms());
            }
        }
        Ok(())
    }

    /// Gives the socket what it takes.
    fn send(&mut self) -> io::Result<()> {
        let before = self.output.len();
        if self.closing && self.queue.is_empty() && before > 0 {
            // The last reply and the end of the connection leave together, at the shutdown.
            self.stream.hold_for_the_end()?;
        }
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(bytes) => self.output.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let sent = before - self.output.len();
        self.unread.note(self.output.len());
        self.door.counters.output_bytes.add(sent);
        if self.output.is_empty() {
            self.stalled = None;
        } else if sent > 0 || self.stalled.is_none() {
            self.stalled = Some(Instant::now());
        }
        Ok(())
    }

    /// A connection that waits for its client holds no buffers.
    fn forget_buffers(&mut self) {
        if self.input.is_empty() && (self.owes_nothing() || self.queue.is_waiting()) {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() && self.output.capacity() > limits::READ_BYTES {
            self.output = BytesMut::new();
        }
    }

    /// Starts every complete request that there is room for.
    fn start_requests(&mut self) {
        let mut started = 0;
        self.paused = None;
        // What comes behind a read that waits is not even looked at.
        while !self.session.quitting && self.has_room() && !self.queue.is_waiting() {
            let Some(spec) = self.held.take().or_else(|| self.next_request()) else { break };
            if !self.queue.lets_start(&spec.run) {
                self.held = Some(spec);
                break;
            }
            if let Some(until) = self.door.pause.holds(spec) {
                (self.held, self.paused) = (Some(spec), Some(until));
                break;
            }
            started += 1;
            self.session.client.say(|said| said.last = Some(spec));
            self.start(spec);
            self.args.clear();
        }
        if self.args.is_empty() && self.args.capacity() > limits::IN_FLIGHT_COUNT_MAX {
            self.args = Vec::new();
        }
        self.starved = !self.session.quitting && !self.has_room();
        self.closing |= self.session.quitting;
        // RESET makes a stranger of a client that was known.
        self.strange = match self.session.is_authenticated() {
            true => None,
            false => self.strange.or_else(|| Some(Instant::now())),
        };
        self.door.counters.commands.add(started);
    }

    /// The row of the next request that has one and may be asked; those before it have their
    /// error. The arguments stand in `args`.
    fn next_request(&mut self) -> Option<&'static Spec> {
        loop {
            // A client that closed its side has its last requests answered; a bad one doesn't.
            if self.session.quitting || !self.has_room() {
                return None;
            }
            let limits = self.door.limits(self.session.is_authenticated());
            match self.parser.next(&mut self.input, &limits, &mut self.args) {
                Ok(false) => return None,
                Ok(true) => {}
                Err(error) => {
                    tracing::debug!(client = %self.session.client.address, %error, "bad request");
                    self.refuse(&format!("ERR {error}"));
                    self.session.quitting = true;
                    return None;
                }
            }
            match find(&self.args) {
                Ok(spec) if self.session.only_listens() && !is_for_listeners(spec) => {
                    self.note_rejected(spec);
                    self.refuse(&SyntaxError::Listening(spec.path()).to_string());
                }
                Ok(spec) if self.session.is_authenticated() || spec.flags.no_auth => {
                    return Some(spec);
                }
                Ok(spec) => {
                    self.note_rejected(spec);
                    self.refuse(&SyntaxError::NoAuth.to_string());
                }
                Err(SyntaxError::UnknownCommand { .. }) if is_http(&self.args) => {
                    if self.door.counters.http.is_worth_a_line() {
                        let client = self.session.client.address;
                        tracing::warn!(%client, "HTTP on the RESP port");
                    }
                    self.session.quitting = true;
                    return None;
                }
                Err(error) => {
                    if let SyntaxError::Arity(path) = &error
                        && let Some(spec) = by_path(path)
                    {
                        self.note_rejected(spec);
                    }
                    self.session.queued.break_off();
                    self.refuse(&error.to_string());
                }
            }
        }
    }

    fn note_rejected(&self, spec: &'static Spec) {
        self.door.statistics.of(spec).into_iter().for_each(|figures| figures.note_rejected());
    }

    /// Answers the request that was taken last with an error, if it wants an answer.
    fn refuse(&mut self, text: &str) {
        if self.session.wants_reply() {
            self.write_error(text);
        } else {
            self.door.note_error(text);
        }
    }

    fn write_error(&mut self, text: &str) {
        self.door.note_error(text);
        let protocol = self.session.protocol;
        Writer::new(self.queue.end(&mut self.output), protocol).error(text);
    }

    /// Starts a request that may start.
    fn start(&mut self, spec: &'static Spec) {
        let (shards, args) = (&self.door.shards, &self.args);
        if shown::is_public(spec) {
            let (clock, client) = (&self.door.clock, &self.session.client);
            self.door.clients.show(|| shown::line(clock.wall_ms(), client.address, args));
        }
        if let Some(part) = self.control(spec) {
            return self.transact(spec, part);
        }
        let mut changes = matches!(spec.run, Run::Write(_));
        let way = match way(&self.door, &self.session, spec, args) {
            Ok(way) => way,
            Err(error) => return self.reject(spec, &error),
        };
        let asked = match &spec.run {
            Run::Local(run) => return self.answer(spec, *run),
            Run::Read(parse) => parse(args).map(|query| {
                let call = match way {
                    Way::Shards => Call::read(shards, query),
                    Way::Here(shard) => Call::One(shards.read_here(shard, query)),
                };
                (call, Asked::Read, Nothing::Array)
            }),
            Run::Write(parse) => parse(args)
                .and_then(|command| fitting(command, self.door.options.entry_bytes_max))
                .map(|command| (Call::write(shards, command), Asked::Write, Nothing::String)),
            Run::ReadAlone(parse) => parse(args).map(|(query, block)| {
                let call = match block {
                    None => Call::read(shards, query),
                    Some(block) => Call::wait(shards, Reading::Alone(query), block.deadline()),
                };
                (call, Asked::Read, Nothing::Array)
            }),
            Run::ReadGroup(parse) => parse(args).map(|(read, block)| {
                changes = read.streams.iter().any(|(_, from)| *from == ReadFrom::New);
                let call = match block {
                    None => Call::read_group(shards, read),
                    Some(block) => Call::wait(shards, Reading::InGroup(read), block.deadline()),
                };
                (call, Asked::Write, Nothing::Array)
            }),
            Run::Hold(parse) => parse(args).map(|wanted| {
                let written = &self.session.written;
                let call = Call::hold(shards, written, wanted.replicas, wanted.block.deadline());
                (call, Asked::Read, wanted.shape)
            }),
            Run::InSlot(parse) => parse(args)
                .map(|question| (Call::in_slot(shards, question), Asked::Read, Nothing::Array)),
            Run::Choose(parse) => match parse(&self.door, args) {
                Ok(choice) => match choice.settle(&self.door) {
                    None => return self.say(spec, Ok("OK")),
                    Some(shared) => {
                        Ok((Call::choose(shards, shared), Asked::Write, Nothing::String))
                    }
                },
                Err(error) => Err(error),
            },
            Run::Transact(_) | Run::Container(_) => Err(SyntaxError::Syntax),
        };
        match asked {
            Ok((call, asked, nothing)) => {
                self.expect(spec, call, asked, Tell { nothing, changes, executed: None });
            }
            Err(error) => self.reject(spec, &error),
        }
    }

    /// The answer to the request in `args` is on its way.
    fn expect(&mut self, spec: &'static Spec, call: Call, asked: Asked, tell: Tell) {
        let Tell { nothing, changes, executed } = tell;
        if asked == Asked::Write {
            let written = shards_of(&*self.door.shards, spec.keys.of(&self.args));
            self.session.note_written(written.into_iter());
        }
        self.queue.push(Question {
            spec,
            call,
            asked,
            nothing,
            executed,
            changes,
            silent: !self.session.wants_reply(),
            protocol: self.session.protocol,
            bytes: self.args.iter().map(Bytes::len).sum(),
            args: std::mem::take(&mut self.args),
            asked_at: self.door.clock.monotonic(),
            outcome: None,
        });
    }

    /// Answers a request that asks nobody with what is wrong.
    fn reject(&mut self, spec: &'static Spec, error: &SyntaxError) {
        self.note_done(spec, Duration::ZERO, true);
        self.refuse(&self.door.worded(error));
    }

    /// The request in `args` was answered.
    fn note_done(&self, spec: &'static Spec, took: Duration, failed: bool) {
        let (args, client) = (&self.args, &self.session.client);
        self.door.note_done(&Done { spec, took, failed, args, client });
    }

    /// Answers a request without asking anybody.
    fn answer(
        &mut self,
        spec: &'static Spec,
        run: fn(&mut Turn<'_>, Args<'_>) -> Result<(), SyntaxError>,
    ) {
        let began = self.door.clock.monotonic();
        let protocol = self.session.protocol;
        let (were_off, wanted) = (self.session.replies == Replies::Off, self.session.wants_reply());
        let end = self.queue.end(&mut self.output);
        let before = end.len();
        let out = Writer::new(end, protocol);
        let mut turn = Turn { door: &self.door, session: &mut self.session, out };
        let done = run(&mut turn, &self.args);
        if let Err(error) = &done {
            let text = error.to_string();
            turn.out.error(&text);
            self.door.note_error(&text);
        }
        let failed = done.is_err();
        self.note_done(spec, self.door.clock.monotonic() - began, failed);
        // What turns replies on is the first to be answered.
        let turned_on = were_off && self.session.replies == Replies::On;
        if !wanted && !turned_on {
            self.queue.end(&mut self.output).truncate(before);
        }
    }
}

/// How an answer is told.
struct Tell {
    nothing: Nothing,
    changes: bool,
    executed: Option<Executed>,
}

/// An entry may have so many bytes, names and values together.
fn fitting(command: Command, entry_bytes_max: usize) -> Result<Command, SyntaxError> {
    match &command {
        Command::Add(add) if add.fields.iter().map(Bytes::len).sum::<usize>() > entry_bytes_max => {
            Err(SyntaxError::EntryTooBig)
        }
        _ => Ok(command),
    }
}

/// The shards of a request's keys; all where it names none.
fn shards_of(shards: &dyn raft::Shards, keys: &[Bytes]) -> Vec<ShardId> {
    match keys {
        [] => shards.shards(),
        keys => keys.iter().map(|key| shards.shard_of(key)).collect(),
    }
}

/// Whether a browser was led to send its requests here, as in Redis.
fn is_http(args: &[Bytes]) -> bool {
    args.first().is_some_and(|name| is_word(name, "POST") || is_word(name, "HOST:"))
}
