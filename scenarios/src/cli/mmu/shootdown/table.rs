//! The costs of flushes, as tables for people.

use sim_mm::arch::tlb::SINGLE_PAGE_FLUSH_CEILING;
use sim_mmu::Profile;

use super::super::super::output::{HEAD, styled, thousands};
use super::super::Output;
use crate::hardware::account;
use crate::hardware::fit::Line;
use crate::hardware::shootdown::{IN_USE, Transport};
use crate::hardware::sweep::Sweep;
use crate::table::{Side, Table};

/// Cycles, or nanoseconds of a clock.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// The clock of the processor, if nanoseconds are shown.
    mhz: Option<u32>,
}

impl Unit {
    pub(super) fn new(ns: bool, profile: &Profile) -> Unit {
        Unit { mhz: ns.then_some(profile.mhz) }
    }

    pub(super) fn headline(self, profile: &Profile) -> String {
        let unit = if self.mhz.is_some() { "nanoseconds" } else { "cycles" };
        format!("{}, {} MHz: {unit} of the CPU that flushes", profile.name, thousands(profile.mhz.into()))
    }

    fn show(self, cycles: f64) -> String {
        let value = self.mhz.map_or(cycles, |mhz| cycles * 1000.0 / f64::from(mhz)).round();
        format!("{}{}", if value < 0.0 { "-" } else { "" }, thousands(value.abs() as u64))
    }
}

/// The table of one transport, and the lines through it.
pub(super) fn tell(sweep: &Sweep, unit: Unit, output: &mut Output) {
    let title = match sweep.transport {
        Transport::Ipi => "ipi: an interrupt to each of the others",
        Transport::Invlpgb => "invlpgb: a broadcast by the hardware",
    };
    output.text(&format!("\n{}", styled(HEAD, title)));
    let mut table = Table::new(0, std::iter::repeat_n(Side::Right, sweep.pages.len() + 1));
    let pages = sweep.pages.iter().map(u64::to_string);
    table.row(std::iter::once("CPUs \\ pages".to_owned()).chain(pages));
    for (cpus, row) in sweep.cpus.iter().zip(&sweep.measured) {
        table.row(std::iter::once(cpus.to_string()).chain(row.iter().map(|at| unit.show(at.flush as f64))));
    }
    table.lines().iter().for_each(|line| output.text(line));
    for line in lines(sweep, unit) {
        output.text(&format!("  {line}"));
    }
}

/// The lines below the table, which sum it up.
fn lines(sweep: &Sweep, unit: Unit) -> Vec<String> {
    let fitted = |line: &Line, what: &str| {
        let sign = if line.slope < 0.0 { "-" } else { "+" };
        format!("{} {sign} {} x {what}", unit.show(line.base), unit.show(line.slope.abs()))
    };
    let off = |line: &Line| format!("at most {:.1} % off", line.residual * 100.0);
    let last = sweep.cpus.len() - 1;
    let cpus = counted(sweep.cpus[last], "CPU");
    let mut lines = Vec::new();
    if let Some(line) = sweep.by_cpus(0) {
        let pages = counted(sweep.pages[0], "page");
        lines.push(format!("{}, from 2 CPUs on, {pages}; {}", fitted(&line, "CPUs"), off(&line)));
    }
    if let Some(line) = sweep.by_requests(last) {
        let what = match sweep.batch() {
            1 => "pages".to_owned(),
            batch => format!("INVLPGBs of up to {batch} pages"),
        };
        let ceiling = SINGLE_PAGE_FLUSH_CEILING;
        lines.push(format!("{}, up to {ceiling} pages, {cpus}; {}", fitted(&line, &what), off(&line)));
    }
    if let Some((least, most)) = sweep.beyond_ceiling(last) {
        let [least, most] = [least, most].map(|cycles| unit.show(cycles as f64));
        let range = if least == most { least } else { format!("{least} to {most}") };
        lines.push(format!("{range} beyond {SINGLE_PAGE_FLUSH_CEILING} pages, {cpus}"));
    }
    if let Some((by_page, all)) = sweep.refills(last) {
        let [by_page, all] = [by_page, all].map(|cycles| unit.show(cycles as f64));
        lines.push(format!(
            "walking again for {IN_USE} other pages in use: {by_page} after a flush page by page, {all} after one of everything"
        ));
    }
    lines
}

/// What the cycles of the largest flush were spent on, on some of its CPUs.
pub(super) fn tell_cycles(sweep: &Sweep, output: &mut Output) {
    let Some((cpus, pages)) = sweep.cpus.last().zip(sweep.pages.last()) else { return };
    let Some(largest) = sweep.measured.last().and_then(|row| row.last()) else { return };
    let title = format!("{}, {}: where the cycles went", counted(*pages, "page"), counted(*cpus, "CPU"));
    output.text(&format!("\n  {title}"));
    let mut shown = vec![("cpu0".to_owned(), &largest.initiator, 1)];
    let others = largest.others.len();
    for other in 0..others {
        // The first two that are interrupted, the one in the middle, and the last.
        if other < 2 || other == others / 2 || other + 1 == others {
            shown.push((format!("cpu{}", other + 1), &largest.others[other], 1));
        }
    }
    for line in account::table(&shown) {
        output.text(&format!("  {line}"));
    }
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
