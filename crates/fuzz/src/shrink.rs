//! The fewest bytes that still fail. Never asks more often than a bounded number of times.

use std::cell::Cell;
use std::sync::Once;

/// How often a check is asked.
const TRIALS_MAX: usize = 5_000;

/// Leaves bytes out, in pieces that get smaller, as long as what is left fails.
pub(crate) fn shrink(mut input: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut size, mut trials) = (input.len().div_ceil(2), 0);
    while size > 0 {
        let before = input.len();
        let mut at = 0;
        while at < input.len() && trials < TRIALS_MAX {
            let mut fewer = input.clone();
            fewer.drain(at..(at + size).min(input.len()));
            trials += 1;
            if fails(&fewer) {
                input = fewer;
            } else {
                at += size;
            }
        }
        // Once more with single bytes, as long as that helps.
        let again = size == 1 && input.len() < before && trials < TRIALS_MAX;
        size = if again { 1 } else { size / 2 };
    }
    input
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does something on this thread without a word about its panics.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let speaks = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                speaks(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = work();
    QUIET.set(before);
    done
}
