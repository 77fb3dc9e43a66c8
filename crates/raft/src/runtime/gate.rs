//! All tasks of one simulated node behind a gate: stopped and continued as by SIGSTOP and SIGCONT,
//! ended as by SIGKILL, and now and then made to wait a turn, since tokio's queue alone tries few
//! orders. Never there in production: a task that nobody put behind a gate has none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use base::{Entropy, SeededEntropy};

use super::instant::Drift;

thread_local! {
    static CURRENT: RefCell<Option<Gate>> = const { RefCell::new(None) };
}

/// Of so many polls one is put off.
const PUT_OFF_ONE_OF: u64 = 16;

/// What a node's tasks stand behind.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    drift: Mutex<Option<Drift>>,
    entropy: SeededEntropy,
}

struct State {
    way: Way,
    /// Of every task, so that each hears of a change.
    tasks: BTreeMap<u64, Waker>,
    task_next: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Closed,
    Dead,
}

impl Gate {
    /// An open gate whose delays follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State { way: Way::Open, tasks: BTreeMap::new(), task_next: 0 };
        let (state, drift) = (Mutex::new(state), Mutex::default());
        Self(Arc::new(Shared { state, drift, entropy: SeededEntropy::new(seed) }))
    }

    /// Its monotonic clock is fast (or slow) from now on, by so many in 1000.
    pub fn set_drift(&self, permille: i64) {
        let mut drift = self.0.drift.lock().unwrap_or_else(PoisonError::into_inner);
        *drift = Some(drift.unwrap_or_else(Drift::none).turned(permille));
    }

    /// How the clock of the running task's node runs; none where it is tokio's.
    pub(super) fn drift() -> Option<Drift> {
        CURRENT.with_borrow(|gate| {
            let drift = gate.as_ref()?.0.drift.lock();
            *drift.unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// The one that the running task stands behind.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Nothing behind it runs any more, until it is opened.
    pub fn close(&self) {
        self.turn(Way::Closed);
    }

    /// What waited goes on.
    pub fn open(&self) {
        self.turn(Way::Open);
    }

    /// Nothing behind it ever runs again: each task is dropped where it stands.
    pub fn kill(&self) {
        self.turn(Way::Dead);
    }

    /// Whether what stands behind it runs.
    pub fn is_open(&self) -> bool {
        self.state().way == Way::Open
    }

    fn turn(&self, way: Way) {
        let woken: Vec<Waker> = {
            let mut state = self.state();
            if state.way != Way::Dead {
                state.way = way;
            }
            state.tasks.values().cloned().collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something as a part of what stands behind the gate, at once.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self.clone()));
        let done = run();
        CURRENT.set(before);
        done
    }

    /// The future behind the gate. One that is killed never ends.
    pub fn run<F: Future>(&self, future: F) -> Behind<F> {
        let task = {
            let mut state = self.state();
            state.task_next += 1;
            state.task_next
        };
        Behind { gate: self.clone(), task, known: None, future: Some(Box::pin(future)) }
    }
}

/// A future behind a gate.
pub struct Behind<F: Future> {
    gate: Gate,
    task: u64,
    known: Option<Waker>,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Behind<F> {
    /// Notes who is to be woken, and tells the way.
    fn look(&mut self, context: &Context<'_>) -> Way {
        let mut state = self.gate.state();
        if !self.known.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            self.known = Some(context.waker().clone());
            state.tasks.insert(self.task, context.waker().clone());
        }
        state.way
    }
}

impl<F: Future> Future for Behind<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let gate = self.gate.clone();
        match self.look(context) {
            Way::Open => {}
            Way::Closed => return Poll::Pending,
            Way::Dead => {
                gate.within(|| self.future = None);
                return Poll::Pending;
            }
        }
        if gate.0.entropy.below(PUT_OFF_ONE_OF) == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(future) = &mut self.future else { return Poll::Pending };
        gate.within(|| future.as_mut().poll(context))
    }
}

impl<F: Future> Drop for Behind<F> {
    fn drop(&mut self) {
        self.gate.state().tasks.remove(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::runtime::spawn;

    /// Counts each millisecond, in a task that another task behind the gate started.
    fn counting(gate: &Gate) -> Arc<AtomicU64> {
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        tokio::spawn(gate.run(async move {
            spawn(async move {
                loop {
                    sleep(Duration::from_millis(1)).await;
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }));
        count
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_behind_a_gate_stops_goes_on_and_ends_with_it() {
        let (gate, other) = (Gate::new(1), Gate::new(2));
        let (here, there) = (counting(&gate), counting(&other));
        let get = |count: &AtomicU64| count.load(Ordering::SeqCst);
        sleep(Duration::from_millis(100)).await;
        assert!(get(&here) > 50, "{here:?}");
        gate.close();
        let (stopped, running) = (get(&here), get(&there));
        sleep(Duration::from_millis(100)).await;
        assert_eq!(get(&here), stopped);
        assert!(get(&there) > running + 50);
        gate.open();
        sleep(Duration::from_millis(100)).await;
        assert!(get(&here) > stopped + 50);
        gate.kill();
        gate.open();
        let killed = get(&here);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(get(&here), killed);
        assert_eq!(Arc::strong_count(&here), 1, "a killed task is dropped");
    }
}
