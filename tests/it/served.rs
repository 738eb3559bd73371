//! A broker of its own folder and free port, and the command line against it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use crate::cli::schemas::check_output;

/// The command line under test.
pub(crate) const WEIR: &str = env!("CARGO_BIN_EXE_weir");
/// The folder of this package.
pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A broker in a folder of its own, in which `data` leads to the samples; killed on drop.
pub(crate) struct Served {
    process: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// The folder that commands run in.
    pub(crate) folder: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) out: String,
    /// What it said.
    pub(crate) err: String,
}

impl Served {
    /// Starts a broker.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// Starts a broker on what `weir-data` in the folder holds.
    pub(crate) fn start_in(folder: tempfile::TempDir) -> Self {
        let samples = std::os::unix::fs::symlink(Path::new(ROOT).join("data"), folder.path().join("data"));
        assert!(samples.is_ok() || folder.path().join("data").is_symlink(), "{samples:?}");
        let mut process = command(WEIR, folder.path())
            .args(["serve", "-J", "--data-dir", "weir-data", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        check_output(&line);
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = told["address"].as_str().unwrap().to_owned();
        Self { process, address, folder }
    }

    /// A command line against this broker, not started yet.
    pub(crate) fn weir(&self, arguments: &[&str]) -> Command {
        let mut weir = command(WEIR, self.folder.path());
        weir.args(arguments).env("WEIR_BOOTSTRAP", &self.address);
        weir
    }

    /// Runs `weir` with these arguments and nothing on stdin.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        checked(arguments, self.weir(arguments).output().unwrap())
    }

    /// Runs `weir` with these arguments and `input` on stdin.
    pub(crate) fn pipe(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut weir = self.weir(arguments);
        let mut process =
            weir.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that reads no further closes the pipe.
        let _ = process.stdin.take().unwrap().write_all(input);
        checked(arguments, process.wait_with_output().unwrap())
    }

    /// What the command prints; it must succeed.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out
    }

    /// Kills the broker, changes what it left behind, and starts it again.
    pub(crate) fn restart_after(&mut self, change: impl FnOnce(&Path)) {
        self.kill();
        change(&self.folder.path().join("weir-data"));
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        *self = Self::start_in(folder);
    }

    /// Signals the broker.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.process), signal).unwrap();
    }

    /// Kills the broker, as a power cut would; its folder stays.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

/// JSON that it printed fits its schema.
fn checked(arguments: &[&str], output: Output) -> Ran {
    let ran = Ran::from(output);
    if arguments.contains(&"-J") {
        check_output(&ran.out);
    }
    ran
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: code_of(output.status), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// The exit code; a process that a signal ended has none, and fails the test.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("it ended by a signal: {status}"))
}

/// A command that knows nothing of the settings of whoever runs the tests.
pub(crate) fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", folder.join("config")).current_dir(folder).stdin(Stdio::null());
    command
}
