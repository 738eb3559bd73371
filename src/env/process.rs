//! What the operating system says of this process.
#![allow(clippy::disallowed_methods)]

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
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    // One of them is the look itself.
    (open.saturating_sub(1), limit.unwrap_or(u64::MAX))
}

fn parse(status: &str) -> Resident {
    let bytes_of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
        line.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
    };
    Resident { anon_bytes: bytes_of("RssAnon:"), file_bytes: bytes_of("RssFile:") }
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
}
