//! `mmsim mmu shootdown`.

mod document;
mod drawing;
mod table;

use std::path::PathBuf;

use clap::ValueEnum;
use sim_mm::arch::tlb::SINGLE_PAGE_FLUSH_CEILING;
use sim_mmu::Profile;

use super::numbers::Numbers;
use super::{Exit, Failure, Output};
use crate::hardware::profile;
use crate::hardware::shootdown::{MOST_CPUS, MOST_PAGES, Transport};
use crate::hardware::sweep::Sweep;

/// The cost of a TLB flush: cycles of the CPU that flushes, from the beginning of the kernel's
/// flush_tlb_mm_range() to its end, with a thread of the process on every CPU.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Numbers of CPUs that have the address space loaded: 1 to 64, such as 4 or 1,2,8..12. A range of
    /// more than 16 numbers goes by powers of two.
    #[arg(long, value_name = "LIST", default_value = "1..64", value_parser = cpus)]
    cpus: Numbers,
    /// Numbers of pages that are flushed: 1 to 64, written in the same way. A range of more than 16 numbers also has 33
    /// and 34, because above 33 pages the kernel flushes everything.
    #[arg(long, value_name = "LIST", default_value = "1..64", value_parser = pages)]
    pages: Numbers,
    /// Takes every N-th number of a range, however many it has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    step: Option<u64>,
    /// How the other CPUs hear of the flush. Both, if the processor has INVLPGB.
    #[arg(long, value_enum)]
    transport: Option<TransportArg>,
    /// The processor: zen5, skylake, golden-cove, or a file.
    #[arg(long, default_value = "zen5")]
    profile: String,
    /// Shows nanoseconds of the processor's clock instead of cycles.
    #[arg(long)]
    ns: bool,
    /// Shows where the cycles of the largest flush went.
    #[arg(long)]
    cycles: bool,
    /// Where to write the plot, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TransportArg {
    /// By an interrupt to each.
    Ipi,
    /// By INVLPGB and TLBSYNC.
    Invlpgb,
    /// By one, then by the other.
    Both,
}

fn cpus(text: &str) -> Result<Numbers, String> {
    Numbers::read(text, 1..=MOST_CPUS as u64)
}

fn pages(text: &str) -> Result<Numbers, String> {
    Numbers::read(text, 1..=MOST_PAGES)
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    let processor = profile::open(&args.profile).map_err(Failure::bad_input)?;
    let profile = &processor.profile;
    let cpus = args.cpus.list(args.step, &[]);
    let pages = args.pages.list(args.step, &[SINGLE_PAGE_FLUSH_CEILING, SINGLE_PAGE_FLUSH_CEILING + 1]);
    let mut sweeps = Vec::new();
    for transport in transports(args.transport, profile)? {
        let bar = output.progress(transport.name(), (cpus.len() * pages.len()) as u64);
        sweeps.push(Sweep::measure(transport, &cpus, &pages, profile, || bar.inc(1)));
        bar.finish_and_clear();
    }
    let unit = table::Unit::new(args.ns, profile);
    output.text(&unit.headline(profile));
    for sweep in &sweeps {
        table::tell(sweep, unit, output);
        if args.cycles {
            table::tell_cycles(sweep, output);
        }
    }
    output.json(&document::document(&sweeps, profile));
    if let Some(path) = &args.svg {
        std::fs::write(path, drawing::svg(&sweeps, profile))
            .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))?;
        output.note(&format!("written: {}", path.display()));
    }
    Ok(Exit::AsExpected)
}

fn transports(asked: Option<TransportArg>, profile: &Profile) -> Result<Vec<Transport>, Failure> {
    let has_broadcasts = profile.broadcasts.is_some();
    match asked {
        Some(TransportArg::Ipi) => Ok(vec![Transport::Ipi]),
        None if !has_broadcasts => Ok(vec![Transport::Ipi]),
        Some(_) if !has_broadcasts => {
            Err(Failure { exit: Exit::Usage, message: format!("{} has no INVLPGB", profile.name) })
        }
        Some(TransportArg::Invlpgb) => Ok(vec![Transport::Invlpgb]),
        Some(TransportArg::Both) | None => Ok(vec![Transport::Ipi, Transport::Invlpgb]),
    }
}
