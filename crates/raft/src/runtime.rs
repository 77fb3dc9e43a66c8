//! openraft's runtime: tokio, with randomness that is handed in. Never draws from the machine unless
//! nobody seeded the thread.
//!
//! Every runtime of Weir is single-threaded, so one generator per thread gives a sequence that
//! depends on the seed and the order of tasks alone: a simulation replays from its seed.

pub mod gate;
mod instant;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use base::{Entropy, OsEntropy};
use futures::FutureExt;
use openraft_rt::{AsyncRuntime, OptionalSend, Select2, Select3, Select4};
use openraft_rt_tokio::TokioRuntime;
use tokio::task::JoinHandle;

use gate::Gate;
pub use instant::Instant;

/// Is told what somebody said who panicked.
type Told = Rc<dyn Fn(&str)>;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    static ON_PANIC: RefCell<Option<Told>> = const { RefCell::new(None) };
}

/// Seeds the generator of this thread: call it on each thread that runs Raft groups, before the
/// first. A thread that nobody seeded seeds itself from the machine.
pub fn seed(entropy: &dyn Entropy) {
    STATE.set(Some(entropy.next_u64()));
}

/// Tells of every panic in a task that this crate starts on this thread: what the task held is lost, and whoever
/// waits for it would wait for ever. Not of those in openraft's own tasks: they end a group, which is built anew.
pub fn on_panic(tell: impl Fn(&str) + 'static) {
    ON_PANIC.set(Some(Rc::new(tell)));
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it said nothing")
}

/// A task of this crate, behind the gate of who starts it. Its panic is told ([`on_panic`]).
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_any(async move {
        AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|panic| {
            if let Some(tell) = ON_PANIC.with_borrow(Clone::clone) {
                tell(said(&*panic));
            }
            resume_unwind(panic)
        })
    })
}

fn spawn_any<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Gate::current() {
        None => tokio::spawn(future),
        Some(gate) => tokio::spawn(gate.run(future)),
    }
}

/// Tokio as openraft sees it; see the file's head.
#[derive(Debug)]
pub struct Runtime(TokioRuntime);

/// Randomness for election timeouts: SplitMix64 over the thread's state.
#[derive(Clone, Copy, Debug)]
pub struct ThreadRng(());

fn next() -> u64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = STATE.get().unwrap_or_else(|| OsEntropy.next_u64()).wrapping_add(GAMMA);
    STATE.set(Some(state));
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl rand_core::TryRng for ThreadRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(next() >> 32).expect("32 bits are left"))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = ThreadRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn_any(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(instant::takes(duration))
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep(instant::until(deadline))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(instant::takes(duration), future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(instant::until(deadline), future)
    }

    fn select2<A, B>(
        a: A,
        b: B,
    ) -> impl Future<Output = Select2<A::Output, B::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
    {
        TokioRuntime::select2(a, b)
    }

    fn select3<A, B, C>(
        a: A,
        b: B,
        c: C,
    ) -> impl Future<Output = Select3<A::Output, B::Output, C::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
        C: Future + OptionalSend,
    {
        TokioRuntime::select3(a, b, c)
    }

    fn select4<A, B, C, D>(
        a: A,
        b: B,
        c: C,
        d: D,
    ) -> impl Future<Output = Select4<A::Output, B::Output, C::Output, D::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
        C: Future + OptionalSend,
        D: Future + OptionalSend,
    {
        TokioRuntime::select4(a, b, c, d)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> ThreadRng {
        ThreadRng(())
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        TokioRuntime::spawn_blocking(f)
    }
}

#[cfg(test)]
mod tests {
    use base::SeededEntropy;
    use rand_core::Rng;

    use super::*;

    fn draw(seed_of_thread: u64) -> Vec<u64> {
        seed(&SeededEntropy::new(seed_of_thread));
        let mut rng = Runtime::thread_rng();
        let mut bytes = [0; 11];
        rng.fill_bytes(&mut bytes);
        vec![rng.next_u64(), u64::from(rng.next_u32()), u64::from(bytes[10]), rng.next_u64()]
    }

    #[test]
    fn a_seed_gives_its_sequence_again_and_no_other() {
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    /// What the tasks held was lost, and the node went on without them.
    #[tokio::test]
    async fn a_panic_in_a_task_of_ours_is_told_and_one_of_openrafts_is_not() {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let hears = heard.clone();
        on_panic(move |said| hears.borrow_mut().push(said.to_owned()));
        let panics = |what: &'static str| async move { panic!("{what}") };
        let ended: Result<(), _> = spawn(panics("ours")).await;
        assert!(ended.unwrap_err().is_panic());
        let ended: Result<(), _> = <Runtime as AsyncRuntime>::spawn(panics("openraft's")).await;
        assert!(ended.unwrap_err().is_panic());
        assert_eq!(*heard.borrow(), ["ours"]);
    }

    #[test]
    fn a_thread_that_nobody_seeded_still_draws() {
        let drawn = std::thread::spawn(|| {
            let mut rng = Runtime::thread_rng();
            (rng.next_u64(), rng.next_u64())
        });
        let (first, second) = drawn.join().unwrap();
        assert_ne!(first, second);
    }
}
