//! What surrounds the broker's process, and is not as it should be: a stderr that takes nothing, limits, the clock.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use weir::base::Outcome;
use weir::client::{Client, Record};

use super::process::binary;

/// Longer than any start or stop takes.
const LONG: Duration = Duration::from_secs(60);

/// A running `weir serve` whose stderr is the test's. Killed when dropped.
struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    fn start(data_dir: &Path, settings: &[&str], stderr: impl Into<Stdio>) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "-J", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        command.args(settings.iter().flat_map(|setting| ["-X", setting]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let greeting: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let address = greeting["address"].as_str().unwrap_or_else(|| panic!("no greeting but '{line}'"));
        Self { child, address: address.to_owned() }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.address).await.unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal and waits for the end.
    async fn stop(&mut self, signal: Signal) -> ExitStatus {
        kill_process(self.pid(), signal).unwrap();
        let end = async {
            loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => return status,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        tokio::time::timeout(LONG, end).await.expect("a signal ends the broker")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a topic and sends it a record.
async fn use_it(broker: &Broker) {
    let client = broker.client().await;
    client.admin().create_topic("t").partitions(1).await.unwrap();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("hello")).await.unwrap().await.unwrap();
}

/// A broker that says much on `stderr` serves, and ends well.
async fn serves_with(stderr: impl Into<Stdio>) {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(&folder.path().join("data"), &["log.level=debug"], stderr);
    use_it(&broker).await;
    let end = broker.stop(Signal::TERM).await;
    assert_eq!(end.code(), Some(0), "{end}");
}

#[tokio::test]
async fn a_stderr_that_takes_nothing_costs_nothing() {
    serves_with(OpenOptions::new().write(true).open("/dev/full").unwrap()).await;
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    serves_with(writer).await;
}

/// A pipe that is full, and whose reader does not read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[tokio::test]
async fn a_stderr_that_nobody_reads_holds_nothing_up() {
    let (_reader, writer) = full_pipe();
    serves_with(OwnedFd::from(writer)).await;
}

/// A test that panics on purpose where this variable is set: in a process of its own.
const PANICS: &str = "PANIC_ON_PURPOSE";
const PANICKING: &str = "surroundings::a_panic_is_told_with_its_place_and_what_to_do";

/// Runs the test [`PANICKING`] so that it panics, with this stderr.
fn run_panics(stderr: impl Into<Stdio>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // WHY not captured: the harness would keep what the standard library says of a panic from stderr.
    command.args(["--exact", PANICKING, "--nocapture"]).env(PANICS, "1").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap()
}

#[tokio::test]
async fn a_panic_that_nobody_reads_ends_the_process() {
    let (_reader, writer) = full_pipe();
    let (gone, to_nobody) = io::pipe().unwrap();
    drop(gone);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for stderr in [Stdio::from(writer), Stdio::from(to_nobody), Stdio::from(full)] {
        let mut child = run_panics(stderr);
        let end = async {
            loop {
                match child.try_wait().unwrap() {
                    Some(status) => return status,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let ended = tokio::time::timeout(LONG, end).await;
        // It may hang, and then nobody else ends it.
        let _ = child.kill();
        assert!(!ended.expect("a panic ends the process").success(), "the test failed in there");
    }
}

#[test]
fn a_panic_is_told_with_its_place_and_what_to_do() {
    if std::env::var_os(PANICS).is_some() {
        weir::cli::stderr::tell_panics();
        panic!("a broken invariant");
    }
    let told = run_panics(Stdio::piped()).wait_with_output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    let begins =
        format!("weir {} has a bug and ends: thread '{PANICKING}' panicked at ", env!("CARGO_PKG_VERSION"));
    assert!(told.contains(&begins), "{told}");
    for words in ["surroundings.rs:", ":\na broken invariant\nplease report it", "RUST_BACKTRACE=1 tells"] {
        assert!(told.contains(words), "lacks {words}: {told}");
    }
}

#[tokio::test]
async fn a_limit_of_file_sizes_is_an_error_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(&folder.path().join("data"), &[], Stdio::null());
    use_it(&broker).await;
    let limit = |bytes| Rlimit { current: bytes, maximum: None };
    prlimit(Some(broker.pid()), Resource::Fsize, limit(Some(10_000))).unwrap();
    let client = broker.client().await;
    let producer = client.producer().delivery_timeout(Duration::from_secs(1)).build().await.unwrap();
    let long = Record::to("t").value(vec![7; 20_000]);
    let error = producer.send(long.clone()).await.unwrap().await.unwrap_err();
    assert_eq!(error.outcome, Outcome::NotWritten, "{error}");
    assert!(error.message.contains("File too large") && error.message.contains("[STORAGE_ERROR]"), "{error}");
    // What fits goes on, and so does everything once the limit is lifted.
    producer.send(Record::to("t").value("short")).await.unwrap().await.unwrap();
    prlimit(Some(broker.pid()), Resource::Fsize, limit(None)).unwrap();
    assert_eq!(producer.send(long).await.unwrap().await.unwrap().offset, 2);
    assert_eq!(broker.stop(Signal::TERM).await.code(), Some(0));
}

#[tokio::test]
async fn a_terminal_that_goes_stops_the_broker_cleanly() {
    if weir::env::process::ignores_hang_up() {
        return println!("not run: this process, and so the broker, ignores SIGHUP");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(&folder.path().join("data"), &[], Stdio::null());
    assert_eq!(broker.stop(Signal::HUP).await.code(), Some(0));
}

#[tokio::test]
async fn a_stop_without_a_data_directory_is_not_called_clean() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut broker = Broker::start(&data_dir, &[], Stdio::null());
    use_it(&broker).await;
    std::fs::remove_dir_all(&data_dir).unwrap();
    assert_eq!(broker.stop(Signal::TERM).await.code(), Some(1));
}

#[tokio::test]
async fn a_directory_in_use_is_kept_though_its_lock_file_goes_and_pipes_in_it_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut broker = Broker::start(&data_dir, &[], Stdio::null());
    use_it(&broker).await;
    std::fs::remove_file(data_dir.join("weir.lock")).unwrap();
    let told = refused(&data_dir, Some(1));
    assert!(told.contains("is locked by another process"), "{told}");
    assert_eq!(broker.stop(Signal::TERM).await.code(), Some(0));
    for name in ["weir.meta", "flush-journal", "__cluster_metadata-0/partition.meta"] {
        let (path, aside) = (data_dir.join(name), folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let told = refused(&data_dir, Some(78));
        assert!(
            told.contains(path.to_str().unwrap()) && told.contains("not a regular file; move it"),
            "{told}"
        );
        std::fs::rename(&aside, &path).unwrap();
    }
    let mut broker = Broker::start(&data_dir, &[], Stdio::null());
    assert_eq!(broker.stop(Signal::TERM).await.code(), Some(0));
}

/// What a start says that does not come about.
fn refused(data_dir: &Path, code: Option<i32>) -> String {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), code, "{told}");
    told
}
