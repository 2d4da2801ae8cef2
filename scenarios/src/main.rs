//! The binary.

fn main() -> std::process::ExitCode {
    mmsim::cli::main()
}
