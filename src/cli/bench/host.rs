//! What the machine is, for whoever reads a result elsewhere.

use serde_json::{Value, json};

/// Processor, memory and system, as far as they tell.
pub(super) fn host() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = read("/proc/loadavg");
    let machine = crate::cli::machine::this_machine();
    json!({
        "cpu": model.map(|(_, name)| name),
        "cores": machine.cores,
        "memory_bytes": machine.memory_bytes,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
    })
}
