//! What the defaults of broker settings depend on, asked from the machine.

use std::path::{Path, PathBuf};

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
    let (groups, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    let limits = limit_files(&groups.unwrap_or_default(), &mounts.unwrap_or_default());
    // A group without a limit says `max`, or a number above every memory.
    let limits = limits.iter().filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    limits.fold(ram, u64::min)
}

/// Files that hold the memory limits of the groups that a process is in, and of all groups around those. `groups` is
/// its `/proc/self/cgroup`, `mounts` its `/proc/self/mountinfo`.
fn limit_files(groups: &str, mounts: &str) -> Vec<PathBuf> {
    mounts.lines().filter_map(|mount| limit_files_of(groups, mount)).flatten().collect()
}

/// Those of one mount, if it is one of groups that limit memory.
fn limit_files_of(groups: &str, mount: &str) -> Option<Vec<PathBuf>> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, Path::new(place.next()?));
    let mut kind = kind.split(' ');
    let (controller, file) = match kind.next()? {
        "cgroup2" => ("", "memory.max"),
        "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => {
            ("memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let group = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    // A group outside what is mounted here is seen from within a container: the mount itself is its group.
    let inside = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
    Some(inside.ancestors().map(|group| point.join(group).join(file)).collect())
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

    fn files(groups: &str, mounts: &str) -> Vec<String> {
        limit_files(groups, mounts).into_iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_group_is_limited_by_itself_and_by_all_around_it() {
        let mount = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let groups = "4:memory:/old\n0::/system.slice/weir.service\n";
        let expected = ["/system.slice/weir.service", "/system.slice", ""];
        assert_eq!(files(groups, mount), expected.map(|group| format!("/sys/fs/cgroup{group}/memory.max")));
        let mount = "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                     35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let expected =
            ["/old", ""].map(|group| format!("/sys/fs/cgroup/memory{group}/memory.limit_in_bytes"));
        assert_eq!(files(groups, mount), expected);
    }

    #[test]
    fn in_a_container_the_mount_is_the_group() {
        for (root, group) in [("/docker/4711", "/docker/4711"), ("/docker/4711", "/"), ("/", "/")] {
            let mount = format!("41 31 0:38 {root} /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
            assert_eq!(files(&format!("0::{group}\n"), &mount), ["/sys/fs/cgroup/memory.max"]);
        }
        assert_eq!(
            files("0::/a\n", "23 1 0:28 / / rw - ext4 /dev/root rw\nnonsense\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            files("nonsense", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn this_machine_has_something_of_everything() {
        let machine = this_machine();
        assert!(machine.memory_bytes > 0 && machine.cores > 0 && machine.descriptors_max > 0);
    }
}
