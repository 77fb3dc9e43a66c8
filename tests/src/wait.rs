//! Time in tests: bounded waits that say what was waited for.

use std::time::Duration;

use base::Clock;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time since some fixed moment, the same for all threads.
pub fn now() -> Duration {
    base::SystemClock.monotonic()
}

/// Lets time pass: for faults that have a length, never to wait for something.
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Looks until `look` gives something.
///
/// # Errors
/// After `limit`, with `what` and the reason of the last look.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let end = now() + limit;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(why) if now() >= end => {
                anyhow::bail!("waited {} s for {what}: {why}", limit.as_secs());
            }
            Err(_) => pause(LOOK_EVERY),
        }
    }
}
