//! What somebody at a terminal does; a pseudo-terminal stands in for theirs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::served::Served;

/// Longest wait for anything: a hang is a failure, and no test is about time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both ends of a terminal: what a person sees and types, and what a command gets.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let command = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (person.into(), command.into())
}

#[test]
fn q_leaves_top_and_gives_the_terminal_back() {
    let served = Served::start();
    let (mut person, command) = terminal();
    let end = || Stdio::from(command.try_clone().unwrap());
    let mut weir = served.weir(&["top", "-d", "50ms"]);
    let mut top = weir.stdin(end()).stdout(end()).stderr(Stdio::null()).spawn().unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("broker 1 at ") {
        let mut bytes = [0; 1_024];
        let count = person.read(&mut bytes).unwrap();
        seen.extend_from_slice(&bytes[..count]);
    }
    let modes = || tcgetattr(&command).unwrap().local_modes;
    assert!(!modes().contains(LocalModes::ICANON) && !modes().contains(LocalModes::ECHO));
    person.write_all(b"xq").unwrap();
    let begun = Instant::now();
    let code = loop {
        match top.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if begun.elapsed() > PATIENCE => {
                top.kill().unwrap();
                top.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(code, Some(0), "it goes on, or a signal ended it");
    assert!(modes().contains(LocalModes::ICANON | LocalModes::ECHO));
}
