//! The one thing about sled that can't be left as it is: how it syncs. Never anything else.
//!
//! On Linux sled 0.34.7 follows each write to its file by `sync_file_range`, which neither commits a
//! file's size and extents nor empties the disk's write cache, and it trusts that call when it uses
//! a freed segment again. Power cuts then lose or empty whole stores, even when the file is synced
//! after each flush. Where the call answers ENOSYS, sled falls back to `File::sync_all` on every
//! write, and the losses are gone. So this crate defines the symbol: the linker takes it before
//! libc's, in a dynamic binary as in a static one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::layout::format;

/// Stands in for libc's `sync_file_range` in the whole program and always fails with ENOSYS, which
/// every caller must expect: kernels may lack it.
#[expect(unsafe_code, reason = "sled can be made to sync only by the symbol that it calls")]
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(
    fd: libc::c_int,
    _offset: libc::off64_t,
    _bytes: libc::off64_t,
    _flags: libc::c_uint,
) -> libc::c_int {
    #[cfg(not(test))]
    let _ = fd;
    #[cfg(test)]
    tests::watched(fd);
    // SAFETY: libc gives each thread its own errno, valid as long as the thread lives.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

/// Whether sled's calls end at the function above: asks by the name that sled uses. The kernel
/// would say EBADF to this. [`crate::Sled::open`] refuses to work without it, which also keeps the
/// symbol in the binary.
#[expect(unsafe_code, reason = "asks the symbol that sled calls")]
pub fn is_in_effect() -> bool {
    // SAFETY: no memory is passed; -1 is no file.
    let answer = unsafe { libc::sync_file_range(-1, 0, 0, 0) };
    answer == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}

/// Our own handle of sled's file: `Db::flush` hands everything to the file, [`Synced::sync`] makes
/// it durable. Both handles have one inode, so one sync covers what the other wrote.
#[derive(Debug)]
pub(crate) struct Synced {
    file: File,
    blobs: PathBuf,
}

impl Synced {
    /// Opens the file of the store in `dir`.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(dir.join("db"))?;
        Ok(Self { file, blobs: dir.join("blobs") })
    }

    /// Makes durable what was flushed. After an error nothing is certain.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("syncing the store: {error}"));
        self.file.sync_data().map_err(named)
    }

    /// Blob files: values too big for a page, which sled never syncs. There must be none.
    pub(crate) fn blobs_count(&self) -> io::Result<usize> {
        match std::fs::read_dir(&self.blobs) {
            Ok(entries) => Ok(entries.count()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Syncs what exists only once: the directory's names and the files beside `db`.
pub(crate) fn sync_made(dir: &Path) -> io::Result<()> {
    for name in ["conf", "db", "blobs", format::FILE] {
        File::open(dir.join(name))?.sync_all()?;
    }
    sync_dir(dir)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    /// Writes to this file are slow, and counted: one test at a time.
    pub(crate) static WATCHED: Mutex<Option<PathBuf>> = Mutex::new(None);
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    /// How many of them were under way at one time, at most.
    pub(crate) static MOST_UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn watched(fd: libc::c_int) {
        let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let file = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
        if watched.is_some() && watched == file {
            let now = UNDER_WAY.fetch_add(1, Ordering::SeqCst) + 1;
            MOST_UNDER_WAY.fetch_max(now, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_fence_is_in_effect() {
        assert!(super::is_in_effect());
    }
}
