//! The costs of flushes, as a document for programs.

use serde_json::{Value, json};
use sim_mm::arch::tlb::SINGLE_PAGE_FLUSH_CEILING;
use sim_mmu::Profile;

use crate::hardware::account;
use crate::hardware::fit::Line;
use crate::hardware::shootdown::Measured;
use crate::hardware::sweep::Sweep;

pub(super) fn document(sweeps: &[Sweep], profile: &Profile) -> Value {
    json!({
        "profile": profile.name, "mhz": profile.mhz, "ceiling": SINGLE_PAGE_FLUSH_CEILING,
        "transports": sweeps.iter().map(|sweep| transport(sweep, profile)).collect::<Vec<_>>(),
    })
}

fn transport(sweep: &Sweep, profile: &Profile) -> Value {
    let rows = sweep.cpus.iter().zip(&sweep.measured);
    let flushes = rows
        .flat_map(|(cpus, row)| sweep.pages.iter().zip(row).map(|(pages, at)| flush(*cpus, *pages, at, profile)));
    let by_cpus = sweep
        .pages
        .iter()
        .enumerate()
        .filter_map(|(column, pages)| Some(json!({ "pages": pages, "line": line(sweep.by_cpus(column)?) })));
    let by_requests = sweep.cpus.iter().enumerate().filter_map(|(row, cpus)| {
        let beyond = sweep.beyond_ceiling(row);
        Some(json!({ "cpus": cpus, "line": line(sweep.by_requests(row)?), "beyond_ceiling": beyond }))
    });
    json!({
        "transport": sweep.transport.name(), "pages_a_request": sweep.batch(),
        "flushes": flushes.collect::<Vec<_>>(), "by_cpus": by_cpus.collect::<Vec<_>>(),
        "by_requests": by_requests.collect::<Vec<_>>(),
    })
}

fn flush(cpus: u64, pages: u64, at: &Measured, profile: &Profile) -> Value {
    json!({
        "cpus": cpus, "pages": pages, "cycles": at.flush, "ns": at.flush as f64 * 1000.0 / f64::from(profile.mhz),
        "call_cycles": at.call, "refill_cycles": at.refill, "initiator": account::json(&at.initiator),
        "taken_from_others": (1..cpus as usize).map(|cpu| at.taken_from(cpu)).sum::<u64>(),
    })
}

fn line(line: Line) -> Value {
    json!({ "base": line.base, "slope": line.slope, "residual": line.residual })
}
