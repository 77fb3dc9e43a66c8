//! Arguments of any kind for every command: no panic, errors that echo little and no line end, and an
//! accepted command or query that survives its encoding and is answered by a state that has entries.
//! Never a judgement on what is accepted.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use ::fuzz::{Random, Target};
use base::{ManualClock, NodeId, ShardId};
use bytes::BytesMut;
use raft::{NodeStatus, Outcome, Pending, Shards, Watch};
use resp::{Protocol, ReplyParser, RequestParser, Value, Writer};
use streams::command::{Stamp, Step, Transaction};
use streams::error::Fault;
use streams::{Blocks, State};

use super::*;
use crate::dispatch::Call;
use crate::resp::reply::{self, Nothing};
use crate::resp::session::Session;
use crate::resp::{Client, Door, Options, Port};

/// Between two arguments of an input; an argument has any other byte.
const BETWEEN: u8 = 0xff;
/// Of one argument, as the errors promise.
const ECHO_BYTES_MAX: usize = 128;
const ERROR_BYTES_MAX: usize = 512;
const NOW: Stamp = Stamp { now_ms: 1_700_000_000_000 };

/// One shard with a little in it. What comes is encoded, decoded, and done to a copy.
pub(crate) struct Little(State);

impl Little {
    pub(crate) fn new() -> Arc<Self> {
        let mut state = State::new();
        for line in [
            "XADD s 1-1 f 1",
            "XADD s 2-1 f 2 g 3",
            "XADD s 3-1 f 4",
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
            "XDEL s 1-1",
            "XADD t 18446744073709551615-18446744073709551615 f v",
        ] {
            let args = crate::commands::args(line);
            let command = match find(&args).unwrap().run {
                Write(parse) => parse(&args).unwrap(),
                Run::ReadGroup(parse) => Command::ReadGroup(parse(&args).unwrap().0),
                _ => panic!("{line} is no command"),
            };
            apply(&mut state, &command).unwrap();
        }
        Arc::new(Self(state))
    }
}

fn apply(state: &mut State, command: &Command) -> Outcome {
    let fetch = |_| Ok::<_, Fault>(Blocks::new());
    let applied = state.apply_steps(NOW, command, fetch).expect("no fault");
    Ok(state.resolve(&Blocks::new(), applied.reply).expect("no fault"))
}

fn survives(command: &Command) {
    let read = Command::decode(&command.encode());
    assert_eq!(read.as_ref(), Ok(command), "it did not survive its encoding");
}

impl Shards for Little {
    fn write(&self, _: ShardId, command: Command) -> Pending {
        survives(&command);
        Pending::ready(apply(&mut self.0.clone(), &command))
    }

    fn read(&self, _: ShardId, query: Query) -> Pending {
        let read = Query::decode(&query.encode());
        assert_eq!(read.as_ref(), Ok(&query), "it did not survive its encoding");
        let reply = self.0.answer(&Blocks::new(), NOW, &query).expect("no fault");
        Pending::ready(Ok(self.0.resolve(&Blocks::new(), reply).expect("no fault")))
    }

    fn watch(&self, _: ShardId, _: Query) -> Watch {
        Watch::never()
    }

    fn settings(&self) -> raft::settings::Settings {
        raft::settings::Settings::default()
    }

    fn choose(&self, _: BTreeMap<String, u64>) -> Pending {
        Pending::ready(Err(raft::ProposeError::Stopped))
    }

    fn shard_of(&self, _: &[u8]) -> ShardId {
        ShardId(0)
    }

    fn shards(&self) -> Vec<ShardId> {
        vec![ShardId(0)]
    }

    fn status(&self) -> NodeStatus {
        NodeStatus { node: NodeId(1), ready: true, ..NodeStatus::default() }
    }
}

/// How often each row took what it was given, and how often not.
type Figures = BTreeMap<String, [u64; 2]>;

/// One thread's port.
struct Checker<'a> {
    door: Arc<Door>,
    shards: Arc<dyn Shards>,
    figures: Figures,
    all: &'a Mutex<Figures>,
}

impl Drop for Checker<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap();
        for (name, [taken, refused]) in std::mem::take(&mut self.figures) {
            let figures = all.entry(name).or_default();
            *figures = [figures[0] + taken, figures[1] + refused];
        }
    }
}

impl<'a> Checker<'a> {
    fn new(all: &'a Mutex<Figures>) -> Self {
        let options = Options {
            port: Port::Any,
            node: NodeId(1),
            password: None,
            entry_bytes_max: 1 << 20,
            connections_max: 10,
            memory_bytes: 1 << 30,
            output_bytes_max: 1 << 20,
        };
        let shards: Arc<dyn Shards> = Little::new();
        let clock = Arc::new(ManualClock::at(NOW.now_ms));
        let address = "127.0.0.1:6379".parse().unwrap();
        let door = Arc::new(Door::new(options, address, Arc::clone(&shards), clock));
        Self { door, shards, figures: Figures::new(), all }
    }

    fn check(&mut self, input: &[u8]) {
        let args = args_of(input);
        let mut written = BytesMut::new();
        let done = match find(&args) {
            Ok(spec) => {
                let done = self.answer(spec, &args, input, &mut written);
                self.figures.entry(spec.path()).or_default()[usize::from(done.is_err())] += 1;
                done
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            check_error(&error.to_string(), &args);
            Writer::new(&mut written, Protocol::Resp2).error(&error.to_string());
        }
        check_written(written, &args);
    }

    /// What a connection does with one request, a waiting read aside.
    fn answer(
        &self,
        spec: &'static Spec,
        args: &[Bytes],
        input: &[u8],
        written: &mut BytesMut,
    ) -> Result<(), SyntaxError> {
        let in_transaction = |step| {
            let steps = vec![step];
            survives(&Command::Transaction(Transaction { watched: Vec::new(), steps }));
        };
        assert!(spec.keys.of(args).len() < args.len());
        let protocol =
            if input.len().is_multiple_of(2) { Protocol::Resp2 } else { Protocol::Resp3 };
        let (call, nothing) = match spec.run {
            Local(run) => return self.answer_here(run, args, protocol, written),
            Read(parse) => {
                let query = parse(args)?;
                in_transaction(Step::Query(query.clone()));
                (Call::read(&self.shards, query), Nothing::Array)
            }
            Run::ReadAlone(parse) => (Call::read(&self.shards, parse(args)?.0), Nothing::Array),
            Write(parse) => {
                let command = parse(args)?;
                in_transaction(Step::Command(command.clone()));
                (Call::write(&self.shards, command), Nothing::String)
            }
            Run::ReadGroup(parse) => {
                let (read, _) = parse(args)?;
                in_transaction(Step::Command(Command::ReadGroup(read.clone())));
                (Call::read_group(&self.shards, read), Nothing::Array)
            }
            Run::Hold(parse) => return parse(args).map(|_| ()),
            Choose(parse) => {
                parse(&self.door, args)?.settle(&self.door);
                return Ok(());
            }
            Run::InSlot(parse) => (Call::in_slot(&self.shards, parse(args)?), Nothing::Array),
            Transact(_) | Container(_) => return Ok(()),
        };
        let reply = answered(call).expect("a state that answers");
        reply::write(&mut Writer::new(written, protocol), &reply, nothing);
        Ok(())
    }

    fn answer_here(
        &self,
        run: fn(&mut Turn<'_>, Args<'_>) -> Result<(), SyntaxError>,
        args: &[Bytes],
        protocol: Protocol,
        written: &mut BytesMut,
    ) -> Result<(), SyntaxError> {
        let address = self.door.address;
        let client = Arc::new(Client::new(self.door.clients.next_id(), address, address, 0));
        self.door.clients.insert(Arc::clone(&client));
        let mut session = Session::new(&self.door, Arc::clone(&client));
        session.protocol = protocol;
        let out = Writer::new(written, protocol);
        let done = run(&mut Turn { door: &self.door, session: &mut session, out }, args);
        self.door.channels.unsubscribe_all(&client);
        self.door.clients.remove(&client);
        done
    }
}

fn answered(mut call: Call) -> Outcome {
    match Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a call waits, although every shard has answered"),
    }
}

fn check_error(text: &str, args: &[Bytes]) {
    assert!(!text.contains(['\r', '\n']), "{text}");
    // Our own quote and space behind an echo may be what would have come next.
    let too_many = ECHO_BYTES_MAX + 4;
    for arg in args.iter().filter(|arg| arg.len() >= too_many) {
        let more = String::from_utf8_lossy(&arg[..too_many]).replace(['\r', '\n'], " ");
        assert!(!text.contains(&more), "more than a little is echoed: {text}");
    }
}

/// Whole replies, whose errors are in order.
fn check_written(mut written: BytesMut, args: &[Bytes]) {
    let mut parser = ReplyParser::new();
    while let Some(value) = parser.next(&mut written).expect("RESP") {
        if let Value::Error(text) = value {
            assert!(text.len() <= ERROR_BYTES_MAX, "an error of {} bytes", text.len());
            check_error(&String::from_utf8_lossy(&text), args);
        }
    }
    assert!(written.is_empty(), "a reply that doesn't end: {}", written.escape_ascii());
}

fn args_of(input: &[u8]) -> Vec<Bytes> {
    input.split(|byte| *byte == BETWEEN).map(Bytes::copy_from_slice).collect()
}

/// The requests of the commands' scripts: one that each row takes at least.
fn requests() -> Vec<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/commands");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines().filter_map(|it| it.strip_prefix("> ")));
    let limits = resp::Limits::authenticated(1 << 20, 1 << 20);
    let split = |line: &str| {
        let (mut input, mut args) = (BytesMut::from(format!("{line}\r\n").as_bytes()), Vec::new());
        RequestParser::new().next(&mut input, &limits, &mut args).unwrap();
        args.iter().map(|arg| arg.to_vec()).collect()
    };
    lines.map(split).collect()
}

/// An argument: one that some request has, a number, an id, or something odd.
fn word(random: &mut Random, requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    match random.below(10) {
        0..5 => {
            let request = random.pick(requests);
            random.pick(request).clone()
        }
        5 => random.number().into_bytes(),
        6 => format!("{}-{}", random.number(), random.number()).into_bytes(),
        7 => random
            .pick::<&[u8]>(&[b"s", b"g", b"c", b"t", b"", b"*", b">", b"$", b"-", b"+"])
            .to_vec(),
        8 => random.bytes(12),
        _ => [&b"\r\n+OK\r\n"[..], &random.byte().to_string().into_bytes().repeat(100)].concat(),
    }
}

fn make(random: &mut Random, requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut args = random.pick(requests).clone();
    match random.below(4) {
        0 => {
            let count = random.below(8);
            args.truncate(1 + random.below(2));
            args.extend((0..count).map(|_| word(random, requests)));
        }
        changes => {
            for _ in 0..changes {
                // Mostly not the name, without which nothing else is looked at.
                let names = usize::from(!random.one_in(20)).min(args.len() - 1);
                let at = names + random.below(args.len() - names);
                let one = word(random, requests);
                match random.below(6) {
                    0 => args.insert(at, one),
                    1 => drop(args.remove(at)),
                    2 => args[at].make_ascii_lowercase(),
                    3 => args.push(one),
                    _ => args[at] = one,
                }
                if args.is_empty() {
                    break;
                }
            }
        }
    }
    args.join(&BETWEEN)
}

#[test]
fn fuzz_arguments() {
    let requests = requests();
    let corpus = requests.iter().map(|args| args.join(&BETWEEN)).collect();
    let make = |random: &mut Random| make(random, &requests);
    let target = Target { name: "arguments", inputs_count: 100_000, corpus, make: &make };
    let figures = Mutex::new(Figures::new());
    target.run(|| {
        let mut checker = Checker::new(&figures);
        move |input: &[u8]| checker.check(input)
    });
    // A target that refuses everything would find nothing. Some commands refuse whatever they get.
    let figures = figures.into_inner().unwrap();
    for spec in rows().filter(|spec| !matches!(spec.run, Container(_))) {
        let [taken, refused] = figures.get(&spec.path()).copied().unwrap_or_default();
        let done = if matches!(spec.run, Local(_)) { taken + refused } else { taken };
        assert!(done > 0, "{} never took what it was given", spec.path());
    }
    let [taken, refused] =
        figures.values().fold([0, 0], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
    println!("{taken} requests were taken and {refused} refused by a parser");
}
