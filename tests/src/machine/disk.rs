//! A disk of a node's own: ext4 on a loop file on a tmpfs, so that it can be full, return errors
//! that nobody made up, or be slow. Needs root; unmounted with the value.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{is_root, run};
use crate::wait;

/// Room is taken within this, though processes write meanwhile.
const TAKE_WAIT: Duration = Duration::from_secs(20);

/// Where a group of processes is told how fast it may write to a device.
const THROTTLE: &str = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device";

/// A file system over a directory.
pub struct Disk {
    /// The tmpfs, with the file that the disk is.
    below: PathBuf,
    over: PathBuf,
    bytes: u64,
}

impl Disk {
    /// A disk of `bytes` over the directory `over`; `below` is an empty one beside it.
    ///
    /// # Errors
    /// Why the machine doesn't allow it.
    pub fn make(below: &Path, over: &Path, bytes: u64) -> Result<Self, String> {
        if !is_root() {
            return Err("disks of their own need root".into());
        }
        let made = Self { below: below.to_owned(), over: over.to_owned(), bytes };
        for dir in [below, over] {
            std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        }
        let size = format!("size={}", below_bytes(bytes));
        run("mount", &["-t", "tmpfs", "-o", &size, "weir-test", text(below)])?;
        let image = made.image();
        let file = File::create(&image).and_then(|file| file.set_len(bytes));
        file.map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)])?;
        made.mount()?;
        Ok(made)
    }

    /// Leaves only so much room.
    ///
    /// # Errors
    /// The room can't be taken.
    pub fn fill(&self, left: u64) -> Result<(), String> {
        use base::Disk as _;
        let filler = self.filler();
        let once = || {
            let free = base::RealDisk.free_bytes(&self.over).map_err(|error| error.to_string())?;
            let length = free.saturating_sub(left).to_string();
            run("fallocate", &["-l", &length, text(&filler)])
        };
        let taken = wait::until("room to be taken", TAKE_WAIT, once);
        taken.map(drop).map_err(|error| error.to_string())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// It can't be given back.
    pub fn empty(&self) -> Result<(), String> {
        std::fs::remove_file(self.filler()).map_err(|error| error.to_string())
    }

    /// What lies below has no room left: whatever is written to a new place comes back as EIO.
    ///
    /// # Errors
    /// The room can't be taken.
    pub fn spoil(&self) -> Result<(), String> {
        use base::Disk as _;
        let whole = below_bytes(self.bytes);
        let once = || {
            let free = base::RealDisk.free_bytes(&self.below).map_err(|error| error.to_string())?;
            self.resize(whole.saturating_sub(free))
        };
        // Refused where more was written in between.
        let taken = wait::until("room to be taken", TAKE_WAIT, once);
        taken.map_err(|error| error.to_string())
    }

    /// Whole again, checked and mounted anew. No process may use it meanwhile.
    ///
    /// # Errors
    /// It can't be repaired.
    pub fn mend(&self) -> Result<(), String> {
        self.resize(below_bytes(self.bytes))?;
        run("umount", &[text(&self.over)])?;
        // What it mended is no failure to us: it says so with an exit code.
        drop(run("e2fsck", &["-f", "-y", text(&self.image())]));
        self.mount()
    }

    /// So many writes a second, or as many as there are.
    ///
    /// # Errors
    /// The machine has no such limit.
    pub fn throttle(&self, writes_per_second: Option<u32>) -> Result<(), String> {
        let device = run("mountpoint", &["-d", text(&self.over)])?;
        let line = format!("{device} {}", writes_per_second.unwrap_or(0));
        std::fs::write(THROTTLE, line).map_err(|error| format!("{THROTTLE}: {error}"))
    }

    fn mount(&self) -> Result<(), String> {
        let (image, over) = (self.image(), text(&self.over));
        run("mount", &["-o", "loop,discard", text(&image), over])?;
        // A new node wants an empty directory; one with something in it stays.
        drop(std::fs::remove_dir(self.over.join("lost+found")));
        Ok(())
    }

    fn resize(&self, bytes: u64) -> Result<(), String> {
        let options = format!("remount,size={bytes}");
        run("mount", &["-o", &options, text(&self.below)]).map(drop)
    }

    fn filler(&self) -> PathBuf {
        self.over.join("filler")
    }

    fn image(&self) -> PathBuf {
        self.below.join("image")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.throttle(None));
        for mounted in [&self.over, &self.below] {
            drop(run("umount", &["-l", text(mounted)]));
        }
    }
}

/// Some room more than the disk: while it is whole, what lies below never lacks any.
fn below_bytes(bytes: u64) -> u64 {
    bytes + (bytes >> 3)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
