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
/// `strace` that has not let go after this long never does.
const LET_GO_WAIT: Duration = Duration::from_secs(5);
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
            traced.extend(["fdatasync", "fsync", "syncfs", "pwritev"].map(str::to_owned));
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
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if begun.elapsed() > LET_GO_WAIT {
                // WHY: of a process that was killed it may wait for a thread that is dead, for ever (see `give_up_dead`).
                let _ = self.0.kill();
            }
            std::thread::sleep(PAUSE);
        }
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

/// A call that a line begins, and the file or folder that it has to do with.
fn begun(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(' ')?.1.trim_start().split_once('(')?;
    let path = rest.split_once('<')?.1.split_once('>')?.0;
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some((name, path))
}

/// Whether a sync of this is there to make records durable: of a log file, of the whole file system.
fn is_for_records(call: &str, path: &str) -> bool {
    (call == "fdatasync" && path.ends_with(".log")) || call == "syncfs"
}

/// How often what had been synced in vain, log files, the file system, or folders at a roll, was synced again from then on, and how often
/// it, or a log file in such a folder, was written to; by path.
pub(crate) fn after_failed_syncs(notes: &Path) -> BTreeMap<String, (usize, usize)> {
    let text = std::fs::read(notes).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let rolls = failed_rolls(notes);
    let (mut last, mut after) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        let thread = line.split(' ').next().unwrap_or_default();
        if let Some((call, path)) = begun(line) {
            last.insert(thread, (call, path, line));
            let folder = path.rsplit_once('/').map(|(folder, _)| folder).filter(|_| path.ends_with(".log"));
            for place in [Some(path), folder].into_iter().flatten() {
                let counts: Option<&mut (usize, usize)> = after.get_mut(place);
                if let Some((syncs, writes)) = counts {
                    *syncs += usize::from(call != "pwritev" && place == path);
                    *writes += usize::from(call == "pwritev");
                }
            }
        }
        let in_vain = last
            .get(thread)
            .filter(|(call, path, line)| is_for_records(call, path) || rolls.iter().any(|roll| roll == line));
        if let Some((_, path, _)) = in_vain.filter(|_| line.contains("(INJECTED)")) {
            after.entry((*path).to_owned()).or_default();
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
