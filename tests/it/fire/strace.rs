//! System calls that fail, do less than they were asked for, or take long: `strace` puts them into a real broker.
//!
//! A call that is made to fail is not carried out, so bytes are not lost as by a disk: what shows is how the broker behaves.
//! `strace` counts the calls of each thread apart, so one fault may hit several threads, each once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::process::{BrokerProcess, Manner};

/// `strace` that has not taken hold of every thread after this long will not.
const ATTACH_WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// One fault: which calls, what becomes of them, and at which of them.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Names of system calls with commas between.
    pub(crate) calls: String,
    /// In the words of `strace`, such as `error=EIO` or `delay_exit=200ms`.
    pub(crate) effect: String,
    /// The same: `7` is the seventh call of a thread alone, `7..9` three of them, `7+` all from there on.
    pub(crate) when: String,
    /// More injections, whole, that take effect at once.
    pub(crate) with: Vec<String>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:when={}", self.calls, self.effect, self.when)?;
        self.with.iter().try_for_each(|other| write!(f, " and {other}"))
    }
}

impl Fault {
    fn options(&self, notes: &Path) -> Vec<String> {
        let of = |other: &String| other.split(':').next().unwrap_or_default().to_owned();
        let mut traced: Vec<String> =
            std::iter::once(self.calls.clone()).chain(self.with.iter().map(of)).collect();
        if self.calls.contains("sync") {
            // What is done to a file whose sync failed.
            traced.extend(["fdatasync", "pwritev"].map(str::to_owned));
        }
        let mut options = ["-f", "-y", "-s", "0", "--quiet=all", "-o"].map(str::to_owned).to_vec();
        options.push(notes.display().to_string());
        options.extend(["-e".to_owned(), format!("trace={}", traced.join(","))]);
        options
            .extend(["-e".to_owned(), format!("inject={}:{}:when={}", self.calls, self.effect, self.when)]);
        options.extend(self.with.iter().flat_map(|other| ["-e".to_owned(), format!("inject={other}")]));
        options
    }

    /// A broker that has this fault from its first instruction on; the calls that were traced are noted in a file.
    pub(crate) fn manner(&self, notes: &Path) -> Manner {
        let program = ["strace", "-D", "--seccomp-bpf"].map(str::to_owned);
        let under = program.into_iter().chain(self.options(notes)).collect();
        Manner { under, settings: Vec::new() }
    }

    /// Waits until a broker that was started with this fault answers, or has ended and said why. Says whether it ended.
    pub(crate) async fn comes_up_or_says_why(&self, broker: &mut BrokerProcess) -> bool {
        let has_ended = broker.answers_or_ends().await.is_some();
        let said = broker.said_itself();
        assert!(!said.contains("panicked"), "{self}: it said\n{said}");
        assert!(!has_ended || is_refusal(&said), "{self}: ended without a reason:\n{said}");
        has_ended
    }

    /// Puts the fault into a process that runs.
    pub(crate) async fn attach(&self, pid: u32, notes: &Path) -> Attached {
        self.attach_with(pid, notes, &[]).await
    }

    /// The same for calls that have to do with one file or folder only.
    pub(crate) async fn attach_on(&self, pid: u32, notes: &Path, path: &Path) -> Attached {
        self.attach_with(pid, notes, &["-P", path.to_str().expect("temporary folders have plain names")])
            .await
    }

    async fn attach_with(&self, pid: u32, notes: &Path, more: &[&str]) -> Attached {
        let mut command = Command::new("strace");
        command.args(self.options(notes)).args(more).args(["-p", &pid.to_string()]);
        let said = std::fs::File::create(notes.with_extension("said")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        let attached = Attached(child);
        let begun = Instant::now();
        while !is_traced(pid) {
            assert!(begun.elapsed() < ATTACH_WAIT, "strace does not take hold of process {pid}");
            sleep(PAUSE).await;
        }
        attached
    }
}

/// A `strace` at work on a running process. Lets go of it when dropped.
pub(crate) struct Attached(Child);

impl Drop for Attached {
    fn drop(&mut self) {
        // It ends by itself with the process that it traces.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

impl Attached {
    /// Lets go of a process that was killed. WHY not left to `strace`: now and then it does not hear of a dead thread, and the process
    /// stays undead as long as that one is its tracer's.
    pub(crate) fn give_up_dead(&mut self, pid: u32) -> bool {
        let is_dead = is_dead(pid);
        if is_dead {
            // It may have ended by itself.
            let _ = self.0.kill();
        }
        is_dead
    }
}

/// Whether a process is gone but for being waited for.
fn is_dead(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// Whether every thread of a process is traced; one that is gone needs nothing more.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        std::fs::read_to_string(thread.path().join("status"))
            .map_or(true, |text| !text.lines().any(|line| line == "TracerPid:\t0"))
    })
}

/// Whether the broker said why it can't start; the loader of the system may be the one who can't.
pub(crate) fn is_refusal(said: &str) -> bool {
    said.contains("error: ") || said.contains("error while loading shared libraries")
}

/// Why there can be no such faults here, if so.
pub(crate) fn missing() -> Option<String> {
    let tried = Command::new("strace").args(["-qqq", "-o", "/dev/null", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            Some(format!("strace may not trace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => Some(format!("strace can't be run: {error}")),
    }
}

/// The calls that a fault has hit so far.
pub(crate) fn hits(notes: &Path) -> Vec<String> {
    let text = std::fs::read(notes).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // A call during which another thread was noted has two lines: what it had to do with is in the first.
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut hits = Vec::new();
    for line in text.lines() {
        let thread = line.split(' ').next().unwrap_or_default();
        if line.ends_with("<unfinished ...>") {
            begun.insert(thread, line);
        }
        if line.contains("(INJECTED)") || line.contains("(DELAYED)") {
            let first = if line.contains(" resumed>") { begun.get(thread) } else { None };
            hits.push(format!("{}{line}", first.unwrap_or(&"")));
        }
    }
    hits
}

/// The log file that a line is about.
fn log_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once('<')?;
    rest.split_once('>').map(|(path, _)| path).filter(|path| path.ends_with(".log"))
}

/// How often log files whose sync had failed were synced and written to from then on, by path.
pub(crate) fn after_failed_syncs(notes: &Path) -> BTreeMap<String, (usize, usize)> {
    let text = std::fs::read(notes).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (mut begun, mut after) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        let thread = line.split(' ').next().unwrap_or_default();
        let (is_sync, is_write) = (line.contains(" fdatasync("), line.contains(" pwritev("));
        let path = if line.contains(" resumed>") { begun.get(thread).copied() } else { log_of(line) };
        if is_sync || is_write {
            begun.remove(thread);
            let counts: Option<&mut (usize, usize)> = path.and_then(|path| after.get_mut(path));
            if let Some((syncs, writes)) = counts {
                *syncs += usize::from(is_sync);
                *writes += usize::from(is_write);
            }
            begun.extend(log_of(line).map(|path| (thread, path)));
        }
        if let Some(path) = path
            && line.contains("fdatasync")
            && line.contains("(INJECTED)")
        {
            after.entry(path.to_owned()).or_default();
        }
    }
    after
}

/// Folders that a running broker could not sync at a roll. A checkpoint that it could not write ends in the sync of its folder, too: that
/// comes behind the sync of the checkpoint itself.
pub(crate) fn failed_rolls(notes: &Path) -> Vec<String> {
    let text = std::fs::read(notes).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (mut before, mut begun, mut failed) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let thread = line.split(' ').next().unwrap_or_default();
        if line.contains(" fdatasync(") {
            before.insert(thread, line);
        }
        if line.contains(" fsync(") {
            begun.insert(thread, line);
        }
        if line.contains("fsync") && line.contains("(INJECTED)") {
            let is_checkpoint = before.get(thread).is_none_or(|line| !line.contains(".log>"));
            failed.extend(begun.get(thread).filter(|_| !is_checkpoint).map(|line| (*line).to_owned()));
        }
    }
    failed
}

/// What a call that was hit had to do with.
pub(crate) fn place_of(hit: &str) -> &'static str {
    let places = [
        ("__cluster_metadata", "metadata log"),
        ("flush-journal", "journal"),
        (".index", "index"),
        (".timeindex", "index"),
        (".snapshot", "snapshot"),
        (".log", "user log"),
        ("/data", "folder or other file"),
    ];
    places.iter().find(|(part, _)| hit.contains(part)).map_or("outside the data", |(_, name)| name)
}

/// A file for the notes of one life.
pub(crate) fn notes_in(folder: &Path, life: usize) -> PathBuf {
    folder.join(format!("life-{life}.strace"))
}
