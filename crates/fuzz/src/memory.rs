//! The allocator of every test binary that has a target: the machine's, which counts what a thread
//! holds. Never another way of keeping memory.
//!
//! What a thread frees that another one allocated makes its count wrong; a check is done by one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

/// A thread whose check asks for more than this is not given it: the process ends, and says for which
/// input.
const GIVEN_BYTES_MAX: usize = 2 << 30;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    /// The number of the input that is being checked.
    static INPUT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What [`of`] found.
pub(crate) struct Measured<T> {
    pub(crate) done: T,
    /// The most that was held at a time beyond what was held before.
    pub(crate) bytes: usize,
}

/// Does something for an input, and says what memory it took.
pub(crate) fn of<T>(input: u64, work: impl FnOnce() -> T) -> Measured<T> {
    let before = HELD.get();
    MOST.set(before);
    INPUT.set(Some(input));
    let done = work();
    INPUT.set(None);
    let bytes = usize::try_from(MOST.get() - before).unwrap_or(0);
    Measured { done, bytes }
}

/// Counts, unless the thread is ending and has no counter any more.
fn count(bytes: isize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(bytes));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

/// Whether so much more is too much for the input that is being checked; then says so.
fn is_refused(bytes: usize) -> bool {
    let Some(input) = INPUT.try_with(Cell::get).ok().flatten() else { return false };
    let refused = HELD.get().saturating_add(signed(bytes)) > signed(GIVEN_BYTES_MAX);
    if refused {
        // Nothing here may allocate.
        INPUT.set(None);
        let _ = writeln!(std::io::stderr(), "WEIR_TEST_SEED={input} asks for {bytes} more bytes");
    }
    refused
}

struct Counting;

// SAFETY: every call is handed on as it came; counting allocates nothing. A null pointer is how an
// allocator refuses.
#[expect(unsafe_code, reason = "what each thread holds is known to the allocator alone")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return std::ptr::null_mut();
        }
        count(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return std::ptr::null_mut();
        }
        count(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if bytes > layout.size() && is_refused(bytes - layout.size()) {
            return std::ptr::null_mut();
        }
        count(signed(bytes) - signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_is_held_at_a_time_is_told() {
        let measured = of(1, || {
            drop(vec![1u8; 1 << 20]);
            let mut grown = Vec::with_capacity(10);
            grown.resize(1 << 19, 1u8);
            grown.len()
        });
        assert_eq!(measured.done, 1 << 19);
        assert!((1 << 20..1 << 21).contains(&measured.bytes), "{}", measured.bytes);
        assert_eq!(of(2, || ()).bytes, 0);
    }
}
