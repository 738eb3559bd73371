//! What the operating system says of this process.
#![allow(clippy::disallowed_methods)]

use rustix::process::Signal;

/// Resident memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resident {
    /// The process's own.
    pub anon_bytes: u64,
    /// Pages of files, which the kernel can drop.
    pub file_bytes: u64,
}

/// Resident memory at this moment; zeros where the system does not tell.
pub fn resident() -> Resident {
    std::fs::read_to_string("/proc/self/status").map(|text| parse(&text)).unwrap_or_default()
}

/// Descriptors of this process: how many are open, and how many may be; zeros where the system does not tell.
pub fn descriptors() -> (u64, u64) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    // One of them is the look itself.
    (open.saturating_sub(1), descriptors_max())
}

/// How many descriptors this process may hold. Cost: one system call.
pub fn descriptors_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether SIGHUP is ignored, as under `nohup`; false where the system does not tell.
pub fn ignores_hang_up() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|text| is_ignored(&text, Signal::HUP))
}

/// Whether some process holds a `flock` on the file or folder with this inode; false where the system does not tell.
pub fn is_locked(device: u64, inode: u64) -> bool {
    std::fs::read_to_string("/proc/locks").is_ok_and(|text| holds_lock(&text, device, inode))
}

/// The lines are such as `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`: kind, how, what, who, where.
fn holds_lock(locks: &str, device: u64, inode: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let is_it = |place: &str| {
        let mut parts = place.split(':');
        let hex = |part: Option<&str>| part.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let found = (hex(parts.next()), hex(parts.next()));
        // Devices without a number of their own (btrfs, overlay) are told under another one here.
        let same_device = major == 0 || found == (Some(major), Some(minor));
        same_device && parts.next().and_then(|number| number.parse().ok()) == Some(inode)
    };
    locks.lines().any(|line| {
        // Who only waits for a lock has an arrow behind the number.
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"FLOCK") && words.get(5).copied().is_some_and(is_it)
    })
}

fn is_ignored(status: &str, signal: Signal) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    ignored >> (signal.as_raw() - 1) & 1 == 1
}

fn parse(status: &str) -> Resident {
    Resident { anon_bytes: status_bytes(status, "RssAnon:"), file_bytes: status_bytes(status, "RssFile:") }
}

/// A line of `/proc/PID/status` in bytes; 0 where it is not there.
pub(super) fn status_bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
    line.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_kernel_are_read() {
        let status = "Name:\tweir\nRssAnon:\t     300 kB\nRssFile:\t      12 kB\nThreads:\t3\n";
        assert_eq!(parse(status), Resident { anon_bytes: 300 << 10, file_bytes: 12 << 10 });
        assert_eq!(parse(""), Resident::default());
    }

    #[test]
    fn locks_are_found_by_device_and_inode() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 7 fe:01:99 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF
2: -> FLOCK  ADVISORY  WRITE 12 fe:01:77 0 EOF
3: OFDLCK ADVISORY  READ -1 00:06:99 0 EOF
4: FLOCK
";
        let device = rustix::fs::makedev(0xfe, 1);
        assert!(holds_lock(locks, device, 1234));
        assert!(!holds_lock(locks, device, 99), "of another kind");
        assert!(!holds_lock(locks, device, 77), "only waits");
        assert!(!holds_lock(locks, rustix::fs::makedev(0xfe, 2), 1234));
        assert!(holds_lock(locks, rustix::fs::makedev(0, 42), 1234), "a device without a number of its own");
        assert!(!holds_lock("", device, 1234));
    }

    #[test]
    fn ignored_signals_are_bits() {
        let ignored = |line| is_ignored(line, Signal::HUP);
        assert!(ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignored("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignored("") && !ignored("SigIgn:\tnone"));
    }
}
