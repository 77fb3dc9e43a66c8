//! The monotonic clock as openraft sees it: tokio's, which in a simulation may run fast or slow on
//! one node and not on another. Never the wall clock.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use super::gate::Gate;

/// A moment on the clock of the node that the running task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(tokio::time::Instant);

/// How much a clock is fast, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drift {
    /// In 1000.
    permille: i64,
    /// When it began to be, and what the clock showed then.
    began: tokio::time::Instant,
    shown: tokio::time::Instant,
}

impl Drift {
    /// As much as tokio's.
    pub(super) fn none() -> Self {
        let now = tokio::time::Instant::now();
        Self { permille: 0, began: now, shown: now }
    }

    /// From now on so much.
    pub(super) fn turned(self, permille: i64) -> Self {
        Self { permille, began: tokio::time::Instant::now(), shown: self.now() }
    }

    fn now(self) -> tokio::time::Instant {
        self.shown + self.began.elapsed().mul_f64(self.rate())
    }

    /// How long it takes until this clock has gone on by so much.
    fn takes(self, time: Duration) -> Duration {
        time.div_f64(self.rate())
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred in 1000")]
    fn rate(self) -> f64 {
        (1000 + self.permille) as f64 / 1000.0
    }
}

/// How long the runtime has to wait until the clock of this node has gone on by so much.
pub(super) fn takes(time: Duration) -> Duration {
    Gate::drift().map_or(time, |drift| drift.takes(time))
}

/// How long the runtime has to wait until the clock of this node shows this.
pub(super) fn until(deadline: Instant) -> Duration {
    takes(deadline - Instant::shown())
}

impl Instant {
    /// What the clock of this node shows.
    fn shown() -> Self {
        Self(Gate::drift().map_or_else(tokio::time::Instant::now, Drift::now))
    }
}

impl openraft_rt::Instant for Instant {
    fn now() -> Self {
        Self::shown()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, time: Duration) {
        self.0 += time;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0 - time)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, time: Duration) {
        self.0 -= time;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Nothing where `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use openraft_rt::{AsyncRuntime, Instant as _};

    use super::*;
    use crate::runtime::Runtime;

    #[tokio::test(start_paused = true)]
    async fn a_fast_clock_shows_more_and_waits_less() {
        let (fast, slow, second) = (Gate::new(1), Gate::new(2), Duration::from_secs(1));
        fast.set_drift(250);
        slow.set_drift(-200);
        let passes = |gate: &Gate| {
            let gate = gate.clone();
            async move {
                let (began, real) = (Instant::now(), tokio::time::Instant::now());
                Runtime::sleep(second).await;
                let waited = real.elapsed();
                let until = Instant::now() + second;
                Runtime::sleep_until(until).await;
                drop(gate);
                (waited, began.elapsed())
            }
        };
        let (waited, shown) = fast.run(passes(&fast)).await;
        assert!((795..810).contains(&waited.as_millis()), "{waited:?}");
        assert!((1990..2020).contains(&shown.as_millis()), "{shown:?}");
        let (waited, shown) = slow.run(passes(&slow)).await;
        assert!((1245..1260).contains(&waited.as_millis()), "{waited:?}");
        assert!((1990..2020).contains(&shown.as_millis()), "{shown:?}");
    }
}
