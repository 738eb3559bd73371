//! The `weir` command.

use std::process::ExitCode;

/// WHY: the system's allocator keeps memory of bursts for ever, which an idle broker must not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    weir::cli::main()
}
