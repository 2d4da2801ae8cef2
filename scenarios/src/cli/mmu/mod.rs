//! `mmsim mmu`: the hardware alone, without a kernel.

mod chase;
mod litmus;
mod numbers;
mod shootdown;
mod translate;
mod walk;

use super::{Exit, Failure, Output};

#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Translates one access a line: cases from stdin, outcomes to stdout.
    Translate(translate::Args),
    /// Shows one walk, entry by entry, with the rule that decides at each.
    Walk(walk::Args),
    /// Runs programs on the translation caches, and compares their outcomes with those that are allowed.
    Litmus(litmus::Args),
    /// Latency of a pointer chase against the size of its working set.
    Chase(chase::Args),
    /// The cost of a TLB flush against CPUs and pages.
    Shootdown(shootdown::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        Command::Translate(args) => translate::run(args, output),
        Command::Walk(args) => walk::run(args, output),
        Command::Litmus(args) => litmus::run(args, output),
        Command::Chase(args) => chase::run(args, output),
        Command::Shootdown(args) => shootdown::run(args, output),
    }
}
