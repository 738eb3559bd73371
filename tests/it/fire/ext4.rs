//! A file system of a scenario's own: ext4 in a file, mounted through a loop device, that can lose its power.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from then on nothing reaches the disk, its journal included.
const SHUTDOWN: &str = "import fcntl, os, struct, sys; \
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A mounted file system. Unmounted and removed when dropped.
pub(crate) struct Ext4 {
    folder: TempDir,
}

impl Ext4 {
    /// Makes and mounts one of `megabytes`. Errors: who we are may not do that. What fails for root is a failure of the test.
    pub(crate) fn new(megabytes: u32) -> Result<Self, String> {
        Self::with(megabytes, &[])
    }

    /// The same with room for about so many files and folders.
    pub(crate) fn with_files(megabytes: u32, files: u32) -> Result<Self, String> {
        Self::with(megabytes, &["-N", &files.to_string()])
    }

    /// One that the system makes read-only at the first error of its own, as [`Self::fail`] brings it about.
    pub(crate) fn that_fails_safe(megabytes: u32) -> Result<Self, String> {
        let this = Self::new(megabytes)?;
        run("umount", &[text(&this.path())]).unwrap();
        run("tune2fs", &["-e", "remount-ro", text(&this.image())]).unwrap();
        this.mount().unwrap();
        match this.trigger().exists() {
            true => Ok(this),
            false => Err("this system has no trigger_fs_error".to_owned()),
        }
    }

    fn with(megabytes: u32, options: &[&str]) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting needs root".to_owned());
        }
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        std::fs::create_dir(this.path()).unwrap();
        run("truncate", &["-s", &format!("{megabytes}M"), text(&this.image())]).unwrap();
        // WHY no lazy parts: they would be written while the load runs.
        let at_once = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        let image = this.image();
        run("mkfs.ext4", &[&at_once, options, &[text(&image)]].concat()).unwrap();
        this.mount().unwrap();
        Ok(this)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// A folder beside it, that loses nothing.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image()), text(&self.path())])
    }

    /// The file that a word written to makes an error of.
    fn trigger(&self) -> PathBuf {
        let found = Command::new("findmnt").args(["-no", "SOURCE", text(&self.path())]).output().unwrap();
        let device = String::from_utf8(found.stdout).unwrap();
        let name = device.trim().rsplit('/').next().unwrap_or_default().to_owned();
        Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error")
    }

    /// Becomes read-only under whoever uses it, as after an error of the device. [`Self::come_back`] makes it writable again.
    pub(crate) fn fail(&self) {
        std::fs::write(self.trigger(), "a test").unwrap();
    }

    /// Loses everything that is not durable, at once, under whoever uses it.
    pub(crate) fn cut_power(&self) -> Result<(), String> {
        run("python3", &["-c", SHUTDOWN, text(&self.path())])
    }

    /// Mounts it anew, when nobody uses it any more.
    pub(crate) fn come_back(&self) -> Result<(), String> {
        run("umount", &[text(&self.path())])?;
        self.mount()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // It may never have been mounted.
        let _ = run("umount", &[text(&self.path())]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let said = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let said = said.map_err(|error| format!("{program}: {error}"))?;
    if said.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&said.stderr).trim()))
}
