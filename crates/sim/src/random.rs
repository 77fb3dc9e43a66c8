//! The kernel's randomness, replaced for this program: hash maps of the standard library and tokio's
//! choice of whom to wake draw from it, and equal seeds must give equal lives. Never linked into
//! anything else.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// What `getrandom(2)` gives from now on.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed, Ordering::SeqCst);
}

/// Stands for libc's: the linker takes the first definition that it finds.
///
/// # Safety
/// `buffer` must take `length` bytes, as for libc's.
#[expect(unsafe_code, reason = "a symbol of libc is defined, with its raw buffer")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _: c_uint) -> isize {
    for at in 0..length {
        let number = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let byte = (number ^ (number >> 29)).to_be_bytes()[0];
        // SAFETY: the caller's buffer has `length` bytes.
        unsafe { buffer.cast::<u8>().add(at).write(byte) };
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
