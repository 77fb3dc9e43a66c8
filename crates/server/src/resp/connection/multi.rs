//! What a connection does with MULTI, EXEC and their kin, and with requests that wait for EXEC.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use resp::Writer;
use streams::command::{Command, Step};
use streams::reply::Reply;

use super::super::error::{Asked, SyntaxError};
use super::super::reply::Nothing;
use super::super::route::way;
use super::super::session::Turn;
use super::super::socket::Socket;
use super::super::table::{Control, Run, Spec};
use super::super::transaction::{Executed, Item, Plan, Told, nothing_of, plan, written_error};
use super::{Connection, Tell, fitting};
use crate::dispatch::Call;

/// What is to be done with a request that belongs to a transaction.
pub(super) enum Part {
    Control(Control),
    /// It waits for EXEC.
    Queued,
}

impl<S: Socket> Connection<S> {
    /// Whether a request belongs to a transaction. QUIT and RESET never wait for EXEC.
    pub(super) fn control(&self, spec: &Spec) -> Option<Part> {
        let open = self.session.queued.is_open();
        match spec.run {
            Run::Transact(Control::Unwatch) if open => Some(Part::Queued),
            Run::Transact(control) => Some(Part::Control(control)),
            _ if open && !matches!(spec.name, "QUIT" | "RESET") => Some(Part::Queued),
            _ => None,
        }
    }

    pub(super) fn transact(&mut self, spec: &'static Spec, part: Part) {
        self.take_part(spec, part);
        let (queued_count, watched_count) = self.session.queued.counts();
        self.session.client.say(|said| {
            said.queued_count = queued_count;
            said.watched_count = watched_count;
        });
    }

    fn take_part(&mut self, spec: &'static Spec, part: Part) {
        let queued = &mut self.session.queued;
        let done = match part {
            Part::Queued => return self.enqueue(spec),
            Part::Control(Control::Exec) => return self.exec(spec),
            Part::Control(Control::Watch) => return self.watch(spec),
            Part::Control(Control::Multi) => queued.open(),
            Part::Control(Control::Discard) => queued.discard(),
            Part::Control(Control::Unwatch) => {
                queued.unwatch();
                Ok(())
            }
        };
        self.say(spec, done.map(|()| "OK"));
    }

    fn enqueue(&mut self, spec: &'static Spec) {
        let bytes = self.args.iter().map(Bytes::len).sum();
        self.args = compact(&self.args);
        let taken = way(&self.door, &self.session, spec, &self.args).and_then(|_| {
            let item = self.item(spec);
            self.session.queued.push(item, bytes)
        });
        if taken.is_err() {
            self.session.queued.break_off();
        }
        self.say(spec, taken.map(|()| "QUEUED"));
    }

    /// What a request comes to when EXEC comes. One that is wrong is told so then.
    fn item(&self, spec: &'static Spec) -> Item {
        let (args, protocol) = (&self.args, self.session.protocol);
        let read = |query| Item::Step(Step::Query(query), Nothing::Array);
        let write = |command| {
            let nothing = nothing_of(&command);
            Item::Step(Step::Command(command), nothing)
        };
        let item = match &spec.run {
            Run::Local(_) | Run::Choose(_) => Ok(Item::Here(spec, args.clone())),
            Run::Read(parse) => parse(args).map(read),
            Run::ReadAlone(parse) => parse(args).map(|(query, _)| read(query)),
            Run::ReadGroup(parse) => parse(args).map(|(it, _)| write(Command::ReadGroup(it))),
            Run::Write(parse) => parse(args)
                .and_then(|command| fitting(command, self.door.options.entry_bytes_max))
                .map(write),
            Run::Transact(_) => {
                let mut written = BytesMut::new();
                Writer::new(&mut written, protocol).simple("OK");
                Ok(Item::Written(written))
            }
            Run::Hold(_) | Run::InSlot(_) => Err(SyntaxError::NotInMulti),
            Run::Container(_) => Err(SyntaxError::Syntax),
        };
        item.unwrap_or_else(|error| Item::Written(written_error(&error, protocol)))
    }

    fn watch(&mut self, spec: &'static Spec) {
        let checked = way(&self.door, &self.session, spec, &self.args);
        let keys = compact(&self.args[1..]);
        match checked.and_then(|_| self.session.queued.watch(&keys)) {
            Ok(watched) => {
                let call = Call::watch(&self.door.shards, keys, watched);
                let tell = Tell { nothing: Nothing::String, changes: false, executed: None };
                self.expect(spec, call, Asked::Write, tell);
            }
            Err(error) => self.reject(spec, &error),
        }
    }

    fn exec(&mut self, spec: &'static Spec) {
        let (mut steps, mut requests) = (Vec::new(), Vec::new());
        let planned = self.session.queued.take().and_then(|(items, watched)| {
            for item in items {
                requests.push(match item {
                    Item::Step(step, nothing) => {
                        steps.push(step);
                        Request::Told(Told::Step(nothing))
                    }
                    Item::Written(written) => Request::Told(Told::Written(written)),
                    Item::Here(spec, args) => Request::Here(spec, args),
                });
            }
            plan(watched, steps)
        });
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => return self.reject(spec, &error),
        };
        let Some(told) = self.told(requests) else { return };
        let shards = &self.door.shards;
        let (call, alone) = match plan {
            Plan::Nothing => return self.tell_now(spec, &Executed { told, alone: false }),
            Plan::Together(transaction) => {
                (Call::write(shards, Command::Transaction(transaction)), false)
            }
            Plan::Alone(Step::Query(query)) => (Call::read(shards, query), true),
            Plan::Alone(Step::Command(Command::ReadGroup(read))) => {
                (Call::read_group(shards, read), true)
            }
            Plan::Alone(Step::Command(command)) => (Call::write(shards, command), true),
        };
        let executed = Some(Executed { told, alone });
        let tell = Tell { nothing: Nothing::Array, changes: true, executed };
        self.expect(spec, call, Asked::Write, tell);
    }

    /// What each request is told, those that this connection answers done; nothing where that is more
    /// than may wait for a client: it is ended, and no shard is asked.
    fn told(&mut self, requests: Vec<Request>) -> Option<Vec<Told>> {
        let mut room = self.door.output_bytes_max(true);
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            all.push(match request {
                Request::Told(told) => told,
                Request::Here(spec, args) => {
                    let written = self.written_here(spec, &args);
                    let Some(left) = room.checked_sub(written.len()) else {
                        self.session.client.inbox.overflow();
                        return None;
                    };
                    room = left;
                    Told::Written(written)
                }
            });
        }
        Some(all)
    }

    /// What this connection answers by itself.
    fn written_here(&mut self, spec: &'static Spec, args: &[Bytes]) -> BytesMut {
        let mut written = BytesMut::new();
        let out = Writer::new(&mut written, self.session.protocol);
        let mut turn = Turn { door: &self.door, session: &mut self.session, out };
        let done = match spec.run {
            Run::Local(run) => run(&mut turn, args),
            // What concerns the whole cluster is no step of a shard's.
            Run::Choose(parse) => parse(turn.door, args).and_then(|choice| {
                if choice.is_shared() {
                    return Err(SyntaxError::NotInMulti);
                }
                choice.settle(turn.door);
                turn.out.simple("OK");
                Ok(())
            }),
            _ => return written,
        };
        if let Err(error) = &done {
            let text = error.to_string();
            turn.out.error(&text);
            self.door.note_error(&text);
        }
        self.note_done(spec, Duration::ZERO, done.is_err());
        written
    }

    /// Answers EXEC where no shard is asked.
    fn tell_now(&mut self, spec: &'static Spec, executed: &Executed) {
        self.note_done(spec, Duration::ZERO, false);
        if self.session.wants_reply() {
            let protocol = self.session.protocol;
            let mut out = Writer::new(self.queue.end(&mut self.output), protocol);
            executed.write(&mut out, &Reply::Transaction(Vec::new()));
        }
    }

    pub(super) fn say(&mut self, spec: &'static Spec, said: Result<&str, SyntaxError>) {
        match said {
            Ok(word) => {
                self.note_done(spec, Duration::ZERO, false);
                if self.session.wants_reply() {
                    let protocol = self.session.protocol;
                    Writer::new(self.queue.end(&mut self.output), protocol).simple(word);
                }
            }
            Err(error) => self.reject(spec, &error),
        }
    }
}

/// Copies, for what is kept: the arguments at hand are slices of all that came with them.
fn compact(args: &[Bytes]) -> Vec<Bytes> {
    let mut all = BytesMut::with_capacity(args.iter().map(Bytes::len).sum());
    args.iter().for_each(|arg| all.extend_from_slice(arg));
    let mut all = all.freeze();
    args.iter().map(|arg| all.split_to(arg.len())).collect()
}

/// A request that EXEC executes.
enum Request {
    Told(Told),
    Here(&'static Spec, Vec<Bytes>),
}
