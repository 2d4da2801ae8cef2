//! The command line.

/// A run makes and drops some dozens of small boxes: for system calls, for events, for lists of the ghost. With the allocator
/// of the C library, this took a sixth of the time of exploring.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mmsim::cli::main()
}
