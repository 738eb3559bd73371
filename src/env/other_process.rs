//! What the operating system says of another process of this machine.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::time::Duration;

/// What a process has taken since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Time on a processor, its own and the kernel's for it.
    pub cpu: Duration,
    /// Memory of its own at this moment, in bytes.
    pub anon_bytes: u64,
    /// The most memory that it ever had, files it maps included, in bytes.
    pub peak_bytes: u64,
}

/// What this process or another one has taken; `None` where the system does not tell.
pub fn usage(pid: u32) -> Option<Usage> {
    let cpu = cpu(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes_of = |name| super::process::status_bytes(&status, name);
    Some(Usage { cpu, anon_bytes: bytes_of("RssAnon:"), peak_bytes: bytes_of("VmHWM:") })
}

/// Time that all processors of this machine were busy since it began, for whomever, what the host took from them included;
/// `None` where the system does not tell.
pub fn busy() -> Option<Duration> {
    busy_of(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line is `cpu user nice system idle iowait irq softirq steal …`, in hundredths of a second.
fn busy_of(stat: &str) -> Option<Duration> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum::<u64>();
    Some(Duration::from_millis(busy * 10))
}

/// The process that listens on this TCP port of this machine; `None` where there is none, or it is somebody else's.
pub fn listener(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().find_map(|table| listening_inode(table, port))?;
    let link = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| target.to_str() == Some(&link))
    })
}

/// Fields 14 and 15, in hundredths of a second. The name before them may hold anything, so they are counted from its end.
fn cpu(stat: &str) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// The lines are such as `0: 0100007F:1B9E 00000000:0000 0A … inode`: where, with whom, in what state.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTENS: &str = "0A";
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, of_line) = words.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(of_line, 16) == Ok(port) && words.get(3) == Some(&LISTENS);
        if is_it { words.get(9)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_is_found_by_its_port() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let pid = listener(port).expect("it listens");
        assert_eq!(pid, std::process::id());
        let usage = usage(pid).expect("it is there");
        assert!(usage.anon_bytes > 0 && usage.peak_bytes >= usage.anon_bytes, "{usage:?}");
        drop(socket);
        assert_eq!(listener(port), None);
    }

    #[test]
    fn names_of_processes_may_hold_anything() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 25 17 0 0 20";
        assert_eq!(cpu(stat), Some(Duration::from_millis(420)));
        assert_eq!(cpu("7 (a"), None);
        assert_eq!(busy_of("cpu  1 2 4 1000 1000 8 16 32 64 64\ncpu0 1"), Some(Duration::from_millis(630)));
        assert_eq!(listening_inode("sl local\n 0: nonsense\n", 1), None);
    }
}
