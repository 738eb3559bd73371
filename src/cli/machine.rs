//! What the defaults of broker settings depend on, asked from the machine.

use crate::config::Machine;

/// Taken when the system does not tell: small enough for any machine.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;

/// This machine, or this container where that is smaller.
pub fn this_machine() -> Machine {
    Machine {
        memory_bytes: memory_bytes(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        descriptors_max: rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(u64::MAX),
    }
}

fn memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let ram = read("/proc/meminfo").and_then(|text| ram_bytes(&text)).unwrap_or(MEMORY_BYTES_UNKNOWN);
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(read)
        .filter_map(|text| text.trim().parse().ok());
    container.fold(ram, u64::min)
}

/// `MemTotal` of `/proc/meminfo`.
fn ram_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_is_read_from_meminfo() {
        let text = "MemTotal:       16384 kB\nMemFree:  1 kB\n";
        assert_eq!(ram_bytes(text), Some(16 << 20));
        assert_eq!(ram_bytes("MemFree: 1 kB"), None);
        assert_eq!(ram_bytes("MemTotal: lots"), None);
    }

    #[test]
    fn this_machine_has_something_of_everything() {
        let machine = this_machine();
        assert!(machine.memory_bytes > 0 && machine.cores > 0 && machine.descriptors_max > 0);
    }
}
