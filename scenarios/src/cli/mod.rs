//! The command line.

mod bench;
mod cases;
mod configure;
mod conform;
mod coverage;
mod exit;
mod explain;
mod explore;
mod formats;
mod generate;
mod input;
mod interrupt;
mod list;
mod litmus;
mod matrix;
mod merge;
mod mmu;
mod output;
mod race;
mod replay;
mod reports;
mod run;
mod run_args;
mod safeguards;
mod setting_options;
mod shrink;
mod test;
mod vary;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tracing_subscriber::fmt::format::FmtSpan;

pub(crate) use exit::{Exit, Failure};
use interrupt::Interrupts;
pub(crate) use output::{Format, Output};

/// Finds, replays and explains races of lockless GUP and its relatives on a simulated x86-64 machine.
#[derive(Debug, Parser)]
#[command(name = "mmsim", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Args {
    /// What to print on stdout; each command lists what it has.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// When to colour the text.
    #[arg(long, global = true, value_enum, default_value_t = clap::ColorChoice::Auto)]
    color: clap::ColorChoice,
    /// Reports more of the work on stderr. Given twice, it reports everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 as expected; 1 a violation, or an expectation that did not hold; \
2 wrong usage; 3 a bad scenario or record; 4 nothing ran; 5 a replay that diverged; \
6 inconclusive (budget spent, or interrupted); 101 a defect of the simulator.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario: all its cases, or one kernel that the options make.
    Run(run::Args),
    /// Explores a scenario and counts its distinct findings.
    Explore(explore::Args),
    /// Says what exploring covers: safeguards, lines, races, schedules.
    Coverage(coverage::Args),
    /// Runs all cases of scenarios, and their records, for CI.
    Test(test::Args),
    /// Merges the results of `test --shard`.
    Merge(merge::Args),
    /// Replays a record: the same run, step by step.
    Replay(replay::Args),
    /// Makes the scenario and the schedule of a record as simple as possible.
    Shrink(shrink::Args),
    /// Draws the race in a record as a diagram.
    Explain(explain::Args),
    /// Replays programs that were recorded on a real kernel, and counts in how many the simulated one does the same.
    Conform(conform::Args),
    /// Runs litmus tests of memory order, and compares what comes of them with what x86 allows.
    Litmus(litmus::Args),
    /// Runs races against releases, and shows which kernels have which.
    Matrix(matrix::Args),
    /// Prints or runs variants of a scenario: on another machine, and by others who do the same.
    Vary(vary::Args),
    /// Lists the scenarios of the library.
    List,
    /// Describes a scenario: its history, its threads, its cases.
    Describe(list::DescribeArgs),
    /// Lists the safeguards that a kernel can be run without, or the cases that show that each is needed.
    Safeguards(safeguards::Args),
    /// Prints the JSON schema of scenario files, or their documentation.
    Schema(list::SchemaArgs),
    /// Prints a script with which a shell completes the command line.
    Completions(generate::CompletionsArgs),
    /// Prints the manual page of mmsim, or of one of its commands.
    Man(generate::ManArgs),
    /// Measures runs and steps a second, or how soon races are found.
    Bench(bench::Args),
    /// The hardware alone: translations, walks, translation caches, cycles.
    Mmu(mmu::Args),
}

/// Runs the command line; answers the exit code.
pub fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let format = args.format;
    trace_to_stderr(args.verbose, args.color);
    report_defects();
    let interrupts = Interrupts::default();
    let mut output = Output::new(args.format, args.color);
    // Before the command, every format is accepted. After it, only the formats of that command are.
    let command = matches.subcommand_name().unwrap_or_default();
    let formats = formats::of(command);
    if !formats.contains(&format) {
        let (name, all) = (formats::names(&[format]), formats::names(formats));
        output.error(&format!("`{command}` has no `--format {name}`; it has {all}"));
        return ExitCode::from(Exit::Usage as u8);
    }
    let result = match &args.command {
        Command::Run(args) => run::run(args, &mut output, &interrupts),
        Command::Explore(args) => explore::run(args, &mut output, &interrupts),
        Command::Coverage(args) => coverage::run(args, &mut output, &interrupts),
        Command::Test(args) => test::run(args, format, &mut output, &interrupts),
        Command::Merge(args) => merge::run(args, format, &mut output),
        Command::Replay(args) => replay::replay(args, &mut output),
        Command::Shrink(args) => shrink::run(args, &mut output, &interrupts),
        Command::Explain(args) => explain::run(args, format, &mut output),
        Command::Conform(args) => conform::run(args, &mut output, &interrupts),
        Command::Litmus(args) => litmus::run(args, &mut output, &interrupts),
        Command::Matrix(args) => matrix::run(args, format, &mut output, &interrupts),
        Command::Vary(args) => vary::run(args, &mut output, &interrupts),
        Command::List => list::list(&mut output),
        Command::Describe(args) => list::describe(args, &mut output),
        Command::Safeguards(args) => safeguards::run(args, &mut output, &interrupts),
        Command::Schema(args) => list::schema(args, &mut output),
        Command::Completions(args) => generate::completions(args, command_line()),
        Command::Man(args) => generate::man(args, command_line()),
        Command::Bench(args) => bench::run(args, &mut output),
        Command::Mmu(args) => mmu::run(args, &mut output),
    };
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            output.error(&failure.message);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// The command line with everything that it accepts.
fn command_line() -> clap::Command {
    formats::narrowed(Args::command())
}

fn trace_to_stderr(verbose: u8, color: clap::ColorChoice) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let ansi = match color {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto => {
            anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
        }
    };
    // A span says at its end how long it took. No line has a time of day.
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(FmtSpan::CLOSE)
        .with_timer(())
        .with_target(false)
        .with_ansi(ansi)
        .with_writer(std::io::stderr)
        .init();
}

/// A panic is a defect of the simulator, and its message says so. It never counts as a finding.
fn report_defects() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        #[allow(clippy::print_stderr, reason = "there may be nothing else left to report with")]
        {
            eprintln!("mmsim: this is a defect of the simulator, not a finding");
        }
    }));
}
