//! One check of one input, within its bounds. Never which inputs there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::Duration;

use crate::memory;

/// What one input may cost: processor time, which another program's load does not change.
const TIME_MAX: Duration = Duration::from_millis(50);
/// Slower is what nothing made faster: a build without optimisation.
const UNOPTIMISED: u32 = if cfg!(debug_assertions) { 10 } else { 1 };
/// Of [`TIME_MAX`], so many times: for code that a sanitizer makes slower (`WEIR_TEST_TIME_FACTOR`).
static FACTOR: LazyLock<u32> = LazyLock::new(|| {
    let given = std::env::var("WEIR_TEST_TIME_FACTOR").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(UNOPTIMISED)
});
/// What one input may hold at a time.
const BYTES_MAX: usize = 256 << 20;
/// The least of so many measures counts: the first may meet what the machine does once.
const MEASURES: usize = 3;

/// What an input cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    pub(crate) bytes: usize,
}

impl Cost {
    /// The greater of both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { time: self.time.max(other.time), bytes: self.bytes.max(other.bytes) }
    }
}

/// Checks an input.
///
/// # Errors
/// It panics or costs too much, in words.
pub(crate) fn check(
    number: u64,
    input: &[u8],
    check: &mut impl FnMut(&[u8]),
) -> Result<Cost, String> {
    let mut cost = once(number, input, check)?;
    for _ in 1..MEASURES {
        if cost.time <= TIME_MAX * *FACTOR {
            break;
        }
        cost.time = cost.time.min(once(number, input, check)?.time);
    }
    if cost.time > TIME_MAX * *FACTOR {
        return Err(format!("takes {:?}, at most {:?}", cost.time, TIME_MAX * *FACTOR));
    }
    if cost.bytes > BYTES_MAX {
        return Err(format!("holds {} bytes, at most {BYTES_MAX}", cost.bytes));
    }
    Ok(cost)
}

fn once(number: u64, input: &[u8], check: &mut impl FnMut(&[u8])) -> Result<Cost, String> {
    let before = base::thread_time();
    let measured = memory::of(number, || catch_unwind(AssertUnwindSafe(|| check(input))).is_err());
    let time = base::thread_time().saturating_sub(before);
    if measured.done {
        return Err("panics".to_owned());
    }
    Ok(Cost { time, bytes: measured.bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_refused_and_what_took_long_once_is_not() {
        let spin = |time: Duration| {
            let from = base::thread_time();
            while base::thread_time() - from < time {}
        };
        let refused = check(0, b"", &mut |_| spin(TIME_MAX * *FACTOR + Duration::from_millis(1)));
        assert!(refused.is_err_and(|told| told.starts_with("takes 5")));
        let mut first = true;
        let once = check(0, b"", &mut |_| {
            if std::mem::take(&mut first) {
                spin(2 * TIME_MAX * *FACTOR);
            }
        });
        assert!(once.is_ok_and(|cost| cost.time < TIME_MAX * *FACTOR));
    }

    #[test]
    fn what_holds_much_is_refused() {
        let hold = |bytes: usize| move |_: &[u8]| drop(Vec::<u8>::with_capacity(bytes));
        assert!(check(0, b"", &mut hold(BYTES_MAX + 1)).is_err_and(|told| told.contains("holds")));
        assert_eq!(check(0, b"", &mut hold(BYTES_MAX)).map(|cost| cost.bytes), Ok(BYTES_MAX));
    }
}
