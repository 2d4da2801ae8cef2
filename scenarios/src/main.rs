//! The command line.

/// A run makes and drops some dozens of small boxes: system calls, events, lists of the ghost. The C library's
/// allocator took a sixth of the time of exploring.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mmsim::cli::main()
}
