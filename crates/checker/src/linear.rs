//! Check 7 on one stream: there is one order of all appends, reads and lengths that explains every
//! answer and contradicts no clock. Searched by a library, in windows between moments at which nothing
//! was under way. An append that nobody was told of counts as under way until somebody saw what is not
//! before it; one that was never seen is left out.
//! Streams of which entries were removed are left to the other checks.

use std::collections::BTreeMap;
use std::time::Duration;

use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};

use crate::Found;
use crate::history::{Id, Op, Outcome, Seen, Stream, What};

/// Operations of a window at most: what is longer is not searched, and counted.
const WINDOW_OPS_MAX: usize = 20_000;

/// Operations from which on a window ends at the next such moment.
const WINDOW_OPS: usize = 2_000;

/// How long one window may be searched.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much was searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Operations for which an order was found.
    pub ops_explained: usize,
    /// Operations of windows that were too long, or took too long.
    pub ops_left_out: usize,
}

impl Windows {
    pub(crate) fn add(&mut self, other: Self) {
        self.ops_explained += other.ops_explained;
        self.ops_left_out += other.ops_left_out;
    }
}

/// A stream as far as answers tell of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    length: u64,
    last: Id,
    /// Of all entries, in their order.
    chain: u64,
}

impl State {
    fn with(self, (id, value): Seen) -> Self {
        let mut chain = self.chain;
        for number in [id.0, id.1, value] {
            // Odd constants of a multiplicative hash: any would do.
            chain = (chain ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        }
        Self { length: self.length + 1, last: id, chain }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// How things stand when the window begins.
    Begin(State),
    Add(Seen),
    Length(u64),
    /// The whole stream.
    Whole(State),
    /// From an id on, to the end.
    End {
        start: Id,
        last: Option<Id>,
    },
}

#[derive(Clone, Debug)]
struct Log;

impl Model for Log {
    type State = State;
    type Op = Step;
    type Metadata = ();

    fn init() -> State {
        State::default()
    }

    fn step(state: &State, op: &Step) -> (bool, State) {
        match *op {
            Step::Begin(state) => (true, state),
            Step::Add(seen) => (seen.0 > state.last, state.with(seen)),
            Step::Length(count) => (count == state.length, *state),
            Step::Whole(whole) => (whole == *state, *state),
            Step::End { last: Some(last), .. } => (last == state.last, *state),
            Step::End { start, last: None } => (state.last < start || state.length == 0, *state),
        }
    }
}

/// A call with its step.
#[derive(Clone, Copy, Debug)]
struct Call {
    call: Duration,
    ret: Duration,
    step: Step,
}

pub(crate) fn check(stream: Stream, ops: &[&Op], last: &[Seen], found: &mut Found) -> Windows {
    let removes = |op: &&Op| matches!(op.what, What::Trim { .. } | What::Delete { .. });
    let mut windows = Windows::default();
    if ops.iter().any(removes) {
        return windows;
    }
    let mut state = State::default();
    for window in split(calls(ops, last)) {
        let count = window.len();
        if count > WINDOW_OPS_MAX {
            windows.ops_left_out += count;
        } else {
            match search(state, &window) {
                CheckResult::Ok => windows.ops_explained += count,
                CheckResult::Unknown => windows.ops_left_out += count,
                CheckResult::Illegal => {
                    let (from, to) = (window[0].call, window.iter().map(|one| one.ret).max());
                    found.add(7, || {
                        format!(
                            "stream {stream}: no order explains the {count} calls from {from:?} to \
                             {to:?}"
                        )
                    });
                }
            }
        }
        let mut added: Vec<Seen> = window.iter().filter_map(added_by).collect();
        added.sort_unstable();
        state = added.into_iter().fold(state, State::with);
    }
    windows
}

fn added_by(call: &Call) -> Option<Seen> {
    match call.step {
        Step::Add(seen) => Some(seen),
        _ => None,
    }
}

impl Call {
    /// The greatest id that its answer told of.
    fn newest(&self) -> Option<Id> {
        match self.step {
            Step::Add((id, _)) => Some(id),
            Step::Whole(State { last, .. }) => Some(last),
            Step::End { last, .. } => last,
            Step::Begin(_) | Step::Length(_) => None,
        }
    }
}

/// Every call, by when it was made. Of an append that was asked again the first call and the first
/// answer count.
fn calls(ops: &[&Op], last: &[Seen]) -> Vec<Call> {
    let mut adds: BTreeMap<u64, (Duration, Option<(Duration, Id)>)> = BTreeMap::new();
    let mut calls = Vec::new();
    for op in ops {
        let step = match &op.what {
            What::Add { value, outcome, .. } => {
                let known = adds.entry(*value).or_insert((op.call, None));
                known.0 = known.0.min(op.call);
                if let Outcome::Ok(id) = outcome {
                    let first = known.1.map_or(op.ret, |(ret, _)| ret.min(op.ret));
                    known.1 = Some((first, *id));
                }
                continue;
            }
            What::Length { count } => Step::Length(*count),
            What::Range { start: (0, 0), entries, whole: true } => {
                Step::Whole(entries.iter().copied().fold(State::default(), State::with))
            }
            What::Range { start, entries, whole: true } => {
                Step::End { start: *start, last: entries.last().map(|(id, _)| *id) }
            }
            _ => continue,
        };
        calls.push(Call { call: op.call, ret: op.ret, step });
    }
    let there: BTreeMap<u64, Id> = last.iter().map(|(id, value)| (*value, *id)).collect();
    let mut untold = Vec::new();
    for (value, (call, answer)) in adds {
        match (answer, there.get(&value)) {
            (Some((ret, id)), _) => calls.push(Call { call, ret, step: Step::Add((id, value)) }),
            (None, Some(id)) => untold.push((call, *id, value)),
            (None, None) => {}
        }
    }
    let proofs = Proofs::of(&calls);
    calls.extend(untold.into_iter().map(|(call, id, value)| Call {
        call,
        ret: proofs.of_having(id).max(call),
        step: Step::Add((id, value)),
    }));
    calls.sort_by_key(|one| one.call);
    calls
}

/// By when an id must have been there: ids ascend, so whoever was told of one that is not below it
/// has proved it.
struct Proofs(Vec<(Id, Duration)>);

impl Proofs {
    fn of(calls: &[Call]) -> Self {
        let mut proofs: Vec<(Id, Duration)> =
            calls.iter().filter_map(|call| Some((call.newest()?, call.ret))).collect();
        proofs.sort_unstable();
        let mut earliest = Duration::MAX;
        for (_, ret) in proofs.iter_mut().rev() {
            earliest = earliest.min(*ret);
            *ret = earliest;
        }
        Self(proofs)
    }

    fn of_having(&self, id: Id) -> Duration {
        let at = self.0.partition_point(|(other, _)| *other < id);
        self.0.get(at).map_or(Duration::MAX, |(_, ret)| *ret)
    }
}

/// Windows between moments at which nothing was under way.
fn split(calls: Vec<Call>) -> Vec<Vec<Call>> {
    let mut windows: Vec<Vec<Call>> = Vec::new();
    let mut end = Duration::ZERO;
    for call in calls {
        match windows.last_mut() {
            Some(window) if call.call <= end || window.len() < WINDOW_OPS => window.push(call),
            _ => windows.push(vec![call]),
        }
        end = end.max(call.ret);
    }
    windows
}

fn search(state: State, window: &[Call]) -> CheckResult {
    let nanos = |at: Duration| i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    let operation = |client: usize, call: i64, ret: i64, op: Step| Operation::<Log> {
        client_id: u32::try_from(client).ok(),
        call_time: call,
        return_time: ret,
        op,
        metadata: None,
    };
    let mut history = vec![operation(0, -2, -1, Step::Begin(state))];
    let calls = window.iter().enumerate();
    history.extend(
        calls.map(|(at, one)| operation(at + 1, nanos(one.call), nanos(one.ret), one.step)),
    );
    check_operations_timeout(&history, PATIENCE)
}
