//! Ends a node whose one thread for everything has stood still: a disk that hangs, or a fault of our own. Its
//! peers can do nothing for it, and whoever supervises the process takes it for alive. Never runs while data is
//! opened, and never counts time in which the whole process was stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::threads_of;

/// How often the thread is to show that it goes on, and is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks without a sign of life before it is told.
const LOOKS_UNTIL_TOLD: u32 = 10;

/// Looks without a sign of life before the process ends: what the installing of a large snapshot may take at most.
const LOOKS_MAX: u32 = 120;

/// Watches the thread that it was started on until it is dropped.
pub(crate) struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    beating: tokio::task::JoinHandle<()>,
}

impl Watchdog {
    /// Watches this thread's runtime; after 120 s of standstill the process is aborted.
    pub(crate) fn start() -> std::io::Result<Self> {
        Self::start_with(LOOK_EVERY, |looks| match looks {
            LOOKS_UNTIL_TOLD => {
                tracing::warn!(threads = %threads_of("self"), "nothing was done for {LOOKS_UNTIL_TOLD} s");
            }
            LOOKS_MAX => {
                tracing::error!(
                    threads = %threads_of("self"),
                    "nothing was done for {LOOKS_MAX} s: the node ends, so that it is started again; if that \
                     happens again, look at the disk"
                );
                std::process::abort();
            }
            _ => {}
        })
    }

    /// Tells `stalled` at each look how many looks in a row there was no sign of life.
    fn start_with(
        every: Duration,
        stalled: impl Fn(u32) + Send + 'static,
    ) -> std::io::Result<Self> {
        let beats = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::channel();
        let seen = Arc::clone(&beats);
        let look = move || {
            let (mut last, mut looks) = (seen.load(Ordering::Relaxed), 0);
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let now = seen.load(Ordering::Relaxed);
                looks = if now == last { looks + 1 } else { 0 };
                last = now;
                stalled(looks);
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(look)?;
        let beating = tokio::spawn(async move {
            loop {
                beats.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(every / 2).await;
            }
        });
        Ok(Self { stop: Some(stop), thread: Some(thread), beating })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.beating.abort();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(20);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_thread_that_stands_still_is_told_of_and_one_that_goes_on_again_is_not() {
        let (tell, told) = mpsc::channel();
        runtime().block_on(async {
            let watchdog = Watchdog::start_with(EVERY, move |looks| {
                let _ = tell.send(looks);
            });
            let watchdog = watchdog.unwrap();
            // Not awaited: nothing else runs on this thread until three looks were in vain.
            while told.recv_timeout(Duration::from_secs(60)).expect("it looks") < 3 {}
            let alive = async {
                while !told.try_iter().any(|looks| looks == 0) {
                    tokio::time::sleep(EVERY).await;
                }
            };
            let alive = tokio::time::timeout(Duration::from_secs(60), alive).await;
            alive.expect("a sign of life is seen");
            drop(watchdog);
        });
    }
}
