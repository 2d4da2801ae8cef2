//! `mmsim mmu translate`: reads cases of one access from a file or stdin, and writes the answers to stdout.

use std::path::PathBuf;

use sim_mmu::Vendor;

use super::{Exit, Failure, Output};
use crate::cli::configure::threads;
use crate::cli::input;
use crate::cli::output::{BAD, GOOD, styled, thousands};
use crate::hardware::translate::batch::{Batch, Score};
use crate::hardware::translate::lines::in_order;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cases, a JSON object a line; may be compressed with gzip. `-` is stdin.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The maker of the processor.
    #[arg(long, value_enum, default_value_t = Maker::Intel)]
    vendor: Maker,
    /// Prints no answers; compares them with what the lines expect.
    #[arg(long)]
    check: bool,
    /// The number of threads, which never changes the output. The default is one for each processor.
    #[arg(long, short, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

/// The makers of processors, as options name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Maker {
    Intel,
    Amd,
}

impl From<Maker> for Vendor {
    fn from(maker: Maker) -> Vendor {
        match maker {
            Maker::Intel => Vendor::Intel,
            Maker::Amd => Vendor::Amd,
        }
    }
}

/// The sums over all lines so far.
#[derive(Debug, Default)]
struct Total {
    lines: u64,
    cases: u64,
    bad: u64,
    score: Score,
    differing: Vec<serde_json::Value>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let jobs = threads(args.jobs);
    let stream = input::open(&args.file)?;
    let name = input::name(&args.file);
    let vendor = args.vendor.into();
    let mut total = Total::default();
    let work = if args.check { Batch::judge } else { Batch::answer };
    let take = |batch: Batch| total.add(&name, batch, output);
    let read = in_order(stream, jobs, |chunk| work(chunk, vendor), take);
    read.map_err(|error| Failure::bad_input(format!("{name}: {error}")))?;
    if args.check {
        total.tell(vendor, output);
    }
    Ok(match &total {
        Total { differing, .. } if !differing.is_empty() => Exit::Violation,
        Total { bad: 1.., .. } => Exit::BadInput,
        Total { cases: 0, .. } => Exit::NothingRan,
        Total { score, .. } if args.check && score.expected == score.other_vendor => Exit::NothingRan,
        _ => Exit::AsExpected,
    })
}

impl Total {
    fn add(&mut self, name: &str, batch: Batch, output: &mut Output) {
        output.bytes(&batch.answers);
        for (line, error) in &batch.bad {
            output.error(&format!("{name}:{}:{}: error: {error}", self.lines + line, error.column));
        }
        for (line, id, what) in batch.differing {
            let line = self.lines + line;
            output.text(&format!("{name}:{line}: {id}: {what}"));
            self.differing.push(serde_json::json!({ "line": line, "id": id, "what": what }));
        }
        self.lines += batch.lines;
        self.cases += batch.cases;
        self.bad += batch.bad.len() as u64;
        self.score.expected += batch.score.expected;
        self.score.other_vendor += batch.score.other_vendor;
        self.score.agree += batch.score.agree;
    }

    fn tell(&self, vendor: Vendor, output: &mut Output) {
        let Score { expected, other_vendor, agree } = self.score;
        let style = if self.differing.is_empty() { GOOD } else { BAD };
        output.text(&format!(
            "{} cases, {} with an expected outcome, {}",
            thousands(self.cases),
            thousands(expected),
            styled(style, &format!("{} agree", thousands(agree)))
        ));
        if other_vendor > 0 {
            output.text(&format!(
                "{} left out: what they expect is Intel's outcome, and the vendor is {}",
                thousands(other_vendor),
                if vendor == Vendor::Amd { "AMD" } else { "Intel" }
            ));
        }
        output.json(&serde_json::json!({
            "cases": self.cases, "bad_lines": self.bad, "expected": expected, "agree": agree,
            "left_out": other_vendor, "differing": self.differing,
        }));
    }
}
