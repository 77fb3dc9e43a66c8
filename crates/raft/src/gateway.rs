//! Exactly once, from this node to a shard's leader, wherever that is: every command gets a number,
//! numbers are dense, and until it is answered a command is sent again under the same number when
//! the leader changes. The shard answers a number it has applied with the reply it kept. So a
//! failover is latency to whoever waits, up to the deadline.
//!
//! ```text
//! slots    lowest unanswered ................ next
//!          |  answered or sent  |  not sent  |
//! ```
//!
//! Never a decision about who leads: that is the group's; a receiver never forwards on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::planted::{Bug, is};
use base::{NodeId, ShardId};
use streams::command::{Command, Stamp};
use streams::query::Query;
use streams::reply::{Entry, Reply};
use streams::{Batch, Origin, Run};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::network::{CallError, Content, Method, Router};
use crate::propose::{Waiting, command_bytes, out_of_order};
use crate::read::Asked;
use crate::route::{Change, Route};
use crate::shards::{Outcome, ProposeError};

pub(crate) mod codec;

/// Numbers that may be unanswered at once: below what the shard keeps replies of.
const NUMBERS_MAX: u64 = 4000;

/// Calls to a remote leader under way: what arrives meanwhile goes together into the next.
const CALLS_UNDER_WAY: usize = 4;

/// Commands in one run, in bytes.
const RUN_BYTES: usize = 512 << 10;

/// How long a remote leader may keep a run before it is sent again: it is answered by its commit,
/// which takes as long as an election at worst.
const CALL_PATIENCE: Duration = Duration::from_secs(4);

/// Why a run has no replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It was surely not proposed: that node may lead.
    NotLeader(Option<NodeId>),
    /// It may be in the log.
    Lost,
}

/// The replies to the commands of a run, or why there are none.
pub(crate) type RunOutcome = Result<Vec<Reply<Entry>>, Failed>;

/// The answers to queries asked together.
pub(crate) type ReadOutcome = Result<Vec<Reply<Entry>>, Failed>;

/// What a gateway is given to do.
pub(crate) enum Work {
    Write { command: Command, answer: oneshot::Sender<Outcome>, bytes: usize },
    Read { query: Query, answer: oneshot::Sender<Outcome> },
}

/// What a command that waits takes beside its own bytes: its request and what is owed for it at the door, its slot
/// here, its place in a run. Measured as what a leader without followers grows by, for each of 50,000 XADD of 100 bytes
/// at 100 connections: 1,404 bytes, those of the command included.
const WAITING_BYTES: usize = 1_300;

/// Bytes of commands that wait in all gateways of a node.
pub(crate) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most })
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.most {
            self.give_back(bytes);
            return false;
        }
        true
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Hands work to a gateway.
#[derive(Clone)]
pub(crate) struct Handle {
    work: mpsc::UnboundedSender<Work>,
    budget: Arc<Budget>,
}

impl Handle {
    pub(crate) fn new(budget: Arc<Budget>) -> (Self, mpsc::UnboundedReceiver<Work>) {
        let (work, receiver) = mpsc::unbounded_channel();
        (Self { work, budget }, receiver)
    }

    pub(crate) fn write(&self, command: Command, answer: oneshot::Sender<Outcome>) {
        let bytes = command_bytes(&command);
        if !self.budget.take(bytes + WAITING_BYTES) {
            let over = ProposeError::Overloaded("too many bytes of commands wait on this node");
            drop(answer.send(Err(over)));
            return;
        }
        if self.work.send(Work::Write { command, answer, bytes }).is_err() {
            // The sender of the answer is dropped with it: the node is stopping.
            self.budget.give_back(bytes + WAITING_BYTES);
        }
    }

    pub(crate) fn read(&self, query: Query, answer: oneshot::Sender<Outcome>) {
        drop(self.work.send(Work::Read { query, answer }));
    }
}

struct Slot {
    command: Command,
    bytes: usize,
    /// What the budget holds for it.
    held: usize,
    waiter: Option<oneshot::Sender<Outcome>>,
    deadline: Instant,
    /// Attempts in which it was sent and not surely refused: it may have been proposed.
    sent: u32,
    answered: bool,
}

struct Question {
    query: Query,
    waiter: oneshot::Sender<Outcome>,
    deadline: Instant,
}

/// What came of something that was sent.
enum Sent {
    Run { attempt: u64, first: u64, count: usize, outcome: RunOutcome },
    Reads { attempt: u64, questions: Vec<Question>, outcome: ReadOutcome },
}

/// What a gateway is made of.
pub(crate) struct GatewaySetup {
    pub(crate) origin: Origin,
    pub(crate) shard: ShardId,
    pub(crate) route: Route,
    pub(crate) router: Arc<Router>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) timeout: Duration,
    pub(crate) work: mpsc::UnboundedReceiver<Work>,
}

/// One shard's gateway on this node.
pub(crate) struct Gateway {
    setup: GatewaySetup,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    lowest: u64,
    /// The first number not sent in this attempt.
    unsent: u64,
    /// The first number that was never sent in any attempt: nobody else knows it.
    never_sent: u64,
    attempt: u64,
    calls: usize,
    questions: VecDeque<Question>,
    /// Queries are under way. Only one call at a time: where the answers are large it gives the first of them, and what
    /// was asked behind must not be answered from an earlier state, nor lie here until those in front of it are.
    is_asking: bool,
    sent: mpsc::UnboundedSender<Sent>,
    came: mpsc::UnboundedReceiver<Sent>,
}

impl Gateway {
    pub(crate) fn new(setup: GatewaySetup) -> Self {
        let (sent, came) = mpsc::unbounded_channel();
        Self {
            setup,
            slots: VecDeque::new(),
            lowest: 1,
            unsent: 1,
            never_sent: 1,
            attempt: 0,
            calls: 0,
            questions: VecDeque::new(),
            is_asking: false,
            sent,
            came,
        }
    }

    /// Works until nobody can hand anything in any more.
    pub(crate) async fn run(mut self) {
        loop {
            if self.setup.route.aim() {
                self.restart();
            }
            self.pump();
            let wake = self.wake_at();
            tokio::select! {
                biased;
                sent = self.came.recv() => {
                    let sent = sent.expect("this gateway holds a sender");
                    self.take(sent);
                    while let Ok(sent) = self.came.try_recv() {
                        self.take(sent);
                    }
                }
                work = self.setup.work.recv() => {
                    let Some(work) = work else { return };
                    self.accept(work);
                    while let Ok(work) = self.setup.work.try_recv() {
                        self.accept(work);
                    }
                }
                change = self.setup.route.changed() => match change {
                    Change::Leader => {}
                    Change::Group => self.restart(),
                    Change::End => return,
                },
                () = tokio::time::sleep_until(wake) => self.expire(),
            }
        }
    }

    fn accept(&mut self, work: Work) {
        let deadline = Instant::now() + self.setup.timeout;
        match work {
            Work::Write { command, answer, bytes } => {
                let waiter = Some(answer);
                let held = bytes + WAITING_BYTES;
                let slot =
                    Slot { command, bytes, held, waiter, deadline, sent: 0, answered: false };
                self.slots.push_back(slot);
            }
            Work::Read { query, answer } => {
                self.questions.push_back(Question { query, waiter: answer, deadline });
            }
        }
    }

    /// Everything that is unanswered is sent again, from the lowest number.
    fn restart(&mut self) {
        self.attempt += 1;
        if is(Bug::RetryWithoutNumber) {
            self.lowest = self.never_sent;
        }
        self.unsent = self.lowest;
        self.calls = 0;
        self.is_asking = false;
    }

    fn restart_later(&mut self) {
        self.restart();
        self.setup.route.pause();
    }

    fn next(&self) -> u64 {
        self.lowest + self.slots.len() as u64
    }

    /// When the loop must look again though nothing came.
    fn wake_at(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let oldest = self.slots.iter().find(|slot| slot.waiter.is_some()).map(|slot| slot.deadline);
        let question = self.questions.front().map(|question| question.deadline);
        let waits = self.unsent < self.next() || !self.questions.is_empty();
        let retry = self.setup.route.retry_at().filter(|_| waits);
        [oldest, question, retry].into_iter().flatten().fold(far, Instant::min)
    }

    /// Sends what may be sent.
    fn pump(&mut self) {
        let Some(target) = self.setup.route.target() else { return };
        let here = self.setup.route.here().is_some();
        while self.unsent < self.next()
            && self.unsent - self.lowest < NUMBERS_MAX
            && (here || self.calls < CALLS_UNDER_WAY)
        {
            self.send_run(target);
        }
        if !self.questions.is_empty() && !self.is_asking {
            self.send_reads(target);
        }
    }

    fn send_run(&mut self, target: NodeId) {
        let first = self.unsent;
        let from = place(first - self.lowest);
        let most = place(NUMBERS_MAX - (first - self.lowest));
        let mut commands = Vec::new();
        let mut bytes = 0;
        for slot in self.slots.iter_mut().skip(from).take(most) {
            if bytes >= RUN_BYTES {
                break;
            }
            bytes += slot.bytes;
            slot.sent += 1;
            commands.push(slot.command.clone());
        }
        let count = commands.len();
        self.unsent += count as u64;
        self.never_sent = self.never_sent.max(self.unsent);
        self.calls += 1;
        let origin = self.setup.origin;
        let run = Run { origin, first, lowest_unanswered: self.lowest, commands };
        let (sent, attempt) = (self.sent.clone(), self.attempt);
        let outcome = if let Some(here) = self.setup.route.here() {
            let (answer, outcome) = oneshot::channel();
            drop(here.proposer.send(Waiting { run, bytes, answer }));
            futures::future::Either::Left(async move { outcome.await.unwrap_or(Err(Failed::Lost)) })
        } else {
            let (router, shard) = (self.setup.router.clone(), self.setup.shard);
            futures::future::Either::Right(call_run(router, target, shard, run))
        };
        crate::runtime::spawn(async move {
            let outcome = outcome.await;
            drop(sent.send(Sent::Run { attempt, first, count, outcome }));
        });
    }

    fn send_reads(&mut self, target: NodeId) {
        // Whose client has gone are not worth a look.
        self.questions.retain(|question| !question.waiter.is_closed());
        let most = self.questions.len().min(QUESTIONS_MAX);
        let questions: Vec<Question> = self.questions.drain(..most).collect();
        if questions.is_empty() {
            return;
        }
        let queries: Vec<Query> = questions.iter().map(|one| one.query.clone()).collect();
        self.is_asking = true;
        let (sent, attempt) = (self.sent.clone(), self.attempt);
        let outcome = if let Some(here) = self.setup.route.here() {
            let (answer, outcome) = oneshot::channel();
            drop(here.reader.send(Asked { queries, answer }));
            futures::future::Either::Left(async move { outcome.await.unwrap_or(Err(Failed::Lost)) })
        } else {
            let (router, shard) = (self.setup.router.clone(), self.setup.shard);
            futures::future::Either::Right(call_reads(router, target, shard, queries))
        };
        crate::runtime::spawn(async move {
            let outcome = outcome.await;
            drop(sent.send(Sent::Reads { attempt, questions, outcome }));
        });
    }

    fn take(&mut self, sent: Sent) {
        match sent {
            Sent::Run { attempt, first, count, outcome } => {
                if matches!(outcome, Err(Failed::NotLeader(_))) {
                    self.surely_refused(first, count);
                }
                self.take_run(attempt, first, outcome);
            }
            Sent::Reads { attempt, questions, outcome } => {
                // A call of an earlier attempt is waited for no longer.
                self.is_asking &= attempt != self.attempt;
                self.take_reads(questions, outcome);
            }
        }
    }

    fn surely_refused(&mut self, first: u64, count: usize) {
        for number in first..first + count as u64 {
            let Some(at) = number.checked_sub(self.lowest) else { continue };
            if let Some(slot) = self.slots.get_mut(place(at)) {
                slot.sent = slot.sent.saturating_sub(1);
            }
        }
    }

    fn take_run(&mut self, attempt: u64, first: u64, outcome: RunOutcome) {
        let current = attempt == self.attempt;
        if current {
            self.calls = self.calls.saturating_sub(1);
        }
        match outcome {
            Ok(replies) => {
                let mut again = false;
                for (number, reply) in (first..).zip(replies) {
                    again |= !self.settle(number, reply);
                }
                self.drop_answered();
                if again && current {
                    self.restart_later();
                }
            }
            Err(failed) if current => {
                self.setup.route.refused(match failed {
                    Failed::NotLeader(leader) => leader,
                    Failed::Lost => None,
                });
                self.restart_later();
            }
            Err(_) => {}
        }
    }

    /// Answers a slot; false when it has to be sent again.
    fn settle(&mut self, number: u64, reply: Reply<Entry>) -> bool {
        let Some(at) = number.checked_sub(self.lowest) else { return true };
        let Some(slot) = self.slots.get_mut(place(at)) else { return true };
        if slot.answered {
            return true;
        }
        if out_of_order(&reply) {
            return false;
        }
        slot.answered = true;
        if let Some(waiter) = slot.waiter.take() {
            drop(waiter.send(Ok(reply)));
        }
        true
    }

    fn drop_answered(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.answered) {
            if let Some(slot) = self.slots.pop_front() {
                self.setup.budget.give_back(slot.held);
                self.lowest += 1;
            }
        }
        self.unsent = self.unsent.max(self.lowest);
    }

    fn take_reads(&mut self, mut questions: Vec<Question>, outcome: ReadOutcome) {
        match outcome {
            Ok(replies) if (1..=questions.len()).contains(&replies.len()) => {
                // Where the answers are large, they are to the first questions only.
                let unanswered = questions.split_off(replies.len());
                for (question, reply) in questions.into_iter().zip(replies) {
                    drop(question.waiter.send(Ok(reply)));
                }
                unanswered.into_iter().rev().for_each(|one| self.questions.push_front(one));
            }
            failed => {
                if let Err(Failed::NotLeader(leader)) = failed {
                    self.setup.route.refused(leader);
                }
                questions.into_iter().rev().for_each(|one| self.questions.push_front(one));
                self.setup.route.pause();
            }
        }
    }

    /// Answers what is past its deadline.
    fn expire(&mut self) {
        let now = Instant::now();
        let numbered = place(self.never_sent - self.lowest);
        self.setup.budget.give_back(expire_slots(&mut self.slots, numbered, now));
        while self.questions.front().is_some_and(|question| question.deadline <= now) {
            if let Some(question) = self.questions.pop_front() {
                drop(question.waiter.send(Err(ProposeError::Expired)));
            }
        }
    }
}

/// Answers the slots that are past their deadline; gives the bytes that this frees, so that a shard
/// without a leader does not hold the memory of the others. The first `numbered` may be known to a
/// leader: they stay, each with a command that does nothing in its place, so that what was sent is
/// applied by now or never. Those behind them go, and so do their numbers.
fn expire_slots(slots: &mut VecDeque<Slot>, numbered: usize, now: Instant) -> usize {
    let void_bytes = command_bytes(&Command::Void);
    let mut freed = 0;
    let mut gone = 0;
    // Deadlines are in the order of the slots.
    for (at, slot) in slots.iter_mut().enumerate().take_while(|(_, slot)| slot.deadline <= now) {
        let Some(waiter) = slot.waiter.take() else { continue };
        let error = if slot.sent > 0 { ProposeError::Unknown } else { ProposeError::Expired };
        drop(waiter.send(Err(error)));
        let kept = if at < numbered { void_bytes } else { 0 };
        freed += slot.held - kept;
        slot.bytes = kept;
        slot.held = kept;
        slot.command = Command::Void;
        gone += usize::from(at >= numbered);
    }
    slots.drain(numbered..numbered + gone);
    freed
}

/// Queries asked together: one answer holds all their replies.
const QUESTIONS_MAX: usize = 1024;

fn place(number: u64) -> usize {
    usize::try_from(number).expect("numbers under way are few")
}

async fn call_run(router: Arc<Router>, leader: NodeId, shard: ShardId, run: Run) -> RunOutcome {
    let content = Batch { stamp: Stamp::default(), runs: vec![run] }.encode();
    let called = router.call(leader, shard, Method::Run, content, CALL_PATIENCE).await;
    outcome_of(called)
}

async fn call_reads(
    router: Arc<Router>,
    leader: NodeId,
    shard: ShardId,
    queries: Vec<Query>,
) -> ReadOutcome {
    let content = codec::encode_queries(&queries);
    let called = router.call(leader, shard, Method::Read, content, CALL_PATIENCE).await;
    outcome_of(called)
}

fn outcome_of(called: Result<Content, CallError>) -> RunOutcome {
    match called {
        Ok(content) => codec::decode_outcome(content.head).unwrap_or(Err(Failed::Lost)),
        Err(CallError::NotSent(_) | CallError::Refused(_)) => Err(Failed::NotLeader(None)),
        Err(CallError::Down | CallError::Late) => Err(Failed::Lost),
    }
}

#[cfg(test)]
mod tests;
