//! The costs of flushes, as a drawing: against CPUs on the left, and against pages on the right.

use sim_mm::arch::tlb::SINGLE_PAGE_FLUSH_CEILING;
use sim_mmu::Profile;

use crate::hardware::plot::{Chart, Curve, Panel};
use crate::hardware::shootdown::Transport;
use crate::hardware::sweep::Sweep;

pub(super) fn svg(sweeps: &[Sweep], profile: &Profile) -> String {
    let by_cpus = sweeps.iter().flat_map(|sweep| {
        let ceiling = sweep.pages.iter().rposition(|pages| *pages <= SINGLE_PAGE_FLUSH_CEILING);
        some(&sweep.pages, ceiling).into_iter().map(|(column, pages)| Curve {
            label: label(sweep, pages, "page"),
            colour: colour(sweep),
            points: sweep.cpus.iter().zip(&sweep.measured).map(|(cpus, row)| (*cpus, row[column].flush)).collect(),
        })
    });
    let by_pages = sweeps.iter().flat_map(|sweep| {
        some(&sweep.cpus, Some(sweep.cpus.len() / 2)).into_iter().map(|(row, cpus)| Curve {
            label: label(sweep, cpus, "CPU"),
            colour: colour(sweep),
            points: sweep.pages.iter().zip(&sweep.measured[row]).map(|(pages, at)| (*pages, at.flush)).collect(),
        })
    });
    let chart = Chart {
        title: "The cost of a TLB flush".to_owned(),
        subtitle: format!("{}, {} MHz; cycles of the CPU that flushes", profile.name, profile.mhz),
        panels: [
            Panel { x: "CPUs".to_owned(), y: "cycles".to_owned(), curves: by_cpus.collect() },
            Panel { x: "pages".to_owned(), y: "cycles".to_owned(), curves: by_pages.collect() },
        ],
    };
    chart.svg()
}

/// The first number of a list, that at `middle`, and the last, with their places.
fn some(numbers: &[u64], middle: Option<usize>) -> Vec<(usize, u64)> {
    let last = numbers.len() - 1;
    let mut places = vec![0, middle.unwrap_or(last), last];
    places.dedup();
    places.into_iter().map(|place| (place, numbers[place])).collect()
}

fn label(sweep: &Sweep, n: u64, what: &str) -> String {
    format!("{}, {n} {what}{}", sweep.transport.name(), if n == 1 { "" } else { "s" })
}

fn colour(sweep: &Sweep) -> usize {
    match sweep.transport {
        Transport::Ipi => 0,
        Transport::Invlpgb => 1,
    }
}
