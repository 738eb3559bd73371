//! What the kernel says of the broker's process.

use std::time::Duration;

/// CPU time is told in ticks of a hundredth of a second on Linux, whatever the kernel's own.
const TICK: Duration = Duration::from_millis(10);

/// Memory that is its own, in KiB.
pub(crate) fn rss_anon_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel tells RssAnon");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// CPU time that it has used, in steps of 10 ms.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // WHY after the bracket: the name before it may hold spaces.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().expect("a number"));
    TICK * ticks.sum::<u32>()
}
