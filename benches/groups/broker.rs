//! A broker as a process of its own, on a folder that goes with it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const PAUSE: Duration = Duration::from_millis(1);

/// A running `weir serve`; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Broker {
    /// Starts one with default settings, and waits until it takes connections.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let address = free.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["serve", "--listen", &address, "--data-dir"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the broker's binary runs");
        while TcpStream::connect(&address).is_err() {
            assert!(child.try_wait().is_ok_and(|ended| ended.is_none()), "the broker ended");
            std::thread::sleep(PAUSE);
        }
        Self { child, address, _folder: folder }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}
