//! Keys that somebody presses while `weir top` draws.

use std::io::{self, IsTerminal, Read};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::sync::mpsc;

/// Most keys that wait to be looked at.
const WAITING_MAX: usize = 16;

/// The terminal that stdin is, set to give each key at once and to show none; given back on drop.
pub(super) struct Keys {
    before: Termios,
    pressed: mpsc::Receiver<u8>,
}

impl Keys {
    /// Listens from now on; nothing where stdin is no terminal, or another command has it. Needs a tokio runtime.
    pub(super) fn open() -> Option<Self> {
        let stdin = io::stdin();
        // WHY: a command in the background that changes its terminal is stopped.
        let is_ours = tcgetpgrp(&stdin).map_or(true, |foreground| foreground == getpgrp());
        let before = tcgetattr(&stdin).ok().filter(|_| stdin.is_terminal() && is_ours)?;
        let mut at_once = before.clone();
        at_once.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &at_once).ok()?;
        let (sender, pressed) = mpsc::channel(WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let mut key = [0];
            while io::stdin().read(&mut key).is_ok_and(|count| count > 0) {
                if sender.blocking_send(key[0]).is_err() {
                    return;
                }
            }
        });
        Some(Self { before, pressed })
    }

    /// Resolves when `q` is pressed.
    pub(super) async fn quit(&mut self) {
        while let Some(key) = self.pressed.recv().await {
            if matches!(key, b'q' | b'Q') {
                return;
            }
        }
        // A terminal that gives no keys any more ends nothing.
        std::future::pending().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be given back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
