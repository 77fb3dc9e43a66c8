//! A file system in a file, mounted by a loop device, that can be shut down as if the power went.
//! Unmounted and gone when it is dropped.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Bytes of an image with room for everything: sparse, so that only what is written counts.
pub const ROOMY_BYTES: u64 = 2 << 30;

/// `_IOR('X', 125, u32)`: shuts a file system down; ext4 and xfs know it.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Neither data nor the file system's log is written back.
const WITHOUT_LOG_FLUSH: u32 = 2;

/// Why there can be no cuts here.
pub struct Skipped(pub String);

/// A mounted image.
#[derive(Debug)]
pub struct Mounted {
    image: PathBuf,
    dir: PathBuf,
}

impl Mounted {
    /// Makes an image of so many bytes with a file system of kind `fs` and mounts it at `dir`.
    ///
    /// # Errors
    /// There is no room for the image. A machine that can't mount it is no error.
    pub fn make(fs: &str, bytes: u64, image: &Path, dir: &Path) -> Result<Result<Self, Skipped>> {
        fs::create_dir_all(dir)?;
        File::create(image)?.set_len(bytes)?;
        let quiet = if fs == "xfs" { "-qf" } else { "-qF" };
        if let Err(error) = command(&format!("mkfs.{fs}"), &[quiet.as_ref(), image]) {
            return Ok(Err(Skipped(format!("{error:#}"))));
        }
        let mounted = Self { image: image.to_owned(), dir: dir.to_owned() };
        Ok(match mounted.mount() {
            Ok(()) => Ok(mounted),
            Err(error) => Err(Skipped(format!("{error:#}"))),
        })
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn mount(&self) -> Result<()> {
        command("mount", &["-o".as_ref(), "loop".as_ref(), self.image.as_ref(), self.dir.as_ref()])
    }

    /// Cuts the power: from now on nothing reaches the image.
    ///
    /// # Errors
    /// The file system doesn't know how.
    #[expect(unsafe_code, reason = "no safe wrapper has this ioctl")]
    pub fn cut(&self) -> Result<()> {
        let dir = File::open(&self.dir)?;
        let flag = WITHOUT_LOG_FLUSH;
        // SAFETY: the descriptor is open, and the call only reads the u32 behind the pointer.
        let result = unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &raw const flag) };
        if result != 0 {
            bail!("shutting the file system down: {}", io::Error::last_os_error());
        }
        Ok(())
    }

    /// Brings the power back: what the image holds is all there is.
    ///
    /// # Errors
    /// Somebody still has files open there, or the image can't be mounted any more.
    pub fn mount_again(&self) -> Result<()> {
        // A killed process may need a moment to let go of its files.
        let mut result = Ok(());
        for _ in 0..100 {
            result = command("umount", &[self.dir.as_ref()]);
            if result.is_ok() {
                return self.mount();
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        result
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, in case somebody still looks: it must not stay.
        let _ = command("umount", &["-l".as_ref(), self.dir.as_ref()]);
    }
}

fn command(name: &str, arguments: &[&Path]) -> Result<()> {
    let output = Command::new(name).args(arguments).output().with_context(|| name.to_owned())?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
