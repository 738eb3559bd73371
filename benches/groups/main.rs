//! What consumer groups cost and what their members feel, through a broker as a process of its own.
//!
//! `cargo bench --bench groups -- rebalance`: what members feel while others join and leave, beside the same without, and beside Apache
//! Kafka. `cargo bench --bench groups -- crowd`: many groups, and one large one. Without a word both. `cargo test` runs a short form of
//! each, so that none can rot: every record must be delivered, every partition assigned.
#![allow(clippy::disallowed_methods)]

mod broker;
mod crowd;
mod rebalance;

/// The allocator of the bundled programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scale {
    Full,
    /// To be run as a test.
    Small,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Cargo passes `--bench` to a benchmark that it runs as one, and nothing of its own to one that it tests.
    let scale = if args.iter().any(|arg| arg == "--bench") { Scale::Full } else { Scale::Small };
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    if is_chosen("rebalance") {
        rebalance::measure(scale);
    }
    if is_chosen("crowd") {
        crowd::measure(scale);
    }
}
