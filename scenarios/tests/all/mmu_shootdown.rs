//! The cost of a TLB flush: the shape of the curve, which follows from the model, and the command that shows it.

use std::path::Path;
use std::process::Output;

use crate::common::text;
use std::rc::Rc;

use mmsim::hardware::fit::Line;
use mmsim::hardware::profile::{self, known};
use mmsim::hardware::shootdown::{IN_USE, Measured, Shootdown, Transport};
use mmsim::hardware::sweep::Sweep;
use sim_mm::arch::tlb::SINGLE_PAGE_FLUSH_CEILING;
use sim_mmu::{Profile, Spent};

const CPUS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

fn profile(name: &str) -> Rc<Profile> {
    profile::open(name).expect("a profile of the binary").profile
}

fn sweep(transport: Transport, cpus: &[u64], pages: &[u64]) -> Sweep {
    Sweep::measure(transport, cpus, pages, &profile("zen5"), || ())
}

fn measure(transport: Transport, cpus: usize, pages: u64) -> Measured {
    Shootdown::new(transport, cpus, profile("zen5")).measure(pages)
}

#[track_caller]
fn is_a_line(line: Option<Line>, what: &str) -> Line {
    let line = line.expect("more than one point");
    assert!(line.residual < 0.05, "{what}: {line:?}");
    line
}

#[test]
fn by_interrupt_it_is_affine_in_cpus() {
    for name in known() {
        // If acknowledgements come faster than they can be read, the line bends. It bends the sooner, the more a line of
        // another core costs.
        let cpus = if name == "zen5" { &CPUS[..] } else { &CPUS[..6] };
        let profile = profile(name);
        let sweep = Sweep::measure(Transport::Ipi, cpus, &[1, 16, 33, 64], &profile, || ());
        for column in 0..4 {
            let line = is_a_line(sweep.by_cpus(column), name);
            // Each costs at least the register write and two lines: its csd and its queue.
            let least = profile.latency.ipi_send + 2 * profile.data.other_core_cycles;
            assert!(line.base > 0.0 && line.slope > least as f64, "{name}: {line:?}");
        }
    }
}

/// Each more CPU costs at least as much as the one before.
#[test]
fn the_line_bends_upwards_only() {
    for name in known() {
        let cpus: Vec<u64> = (2..=64).collect();
        let sweep = Sweep::measure(Transport::Ipi, &cpus, &[1], &profile(name), || ());
        let costs: Vec<u64> = sweep.measured.iter().map(|row| row[0].flush).collect();
        let more: Vec<u64> = costs.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(more.is_sorted_by(|one, next| next + 50 >= *one), "{name}: {more:?}");
    }
}

#[test]
fn by_interrupt_it_is_linear_in_pages_up_to_the_ceiling_and_flat_beyond() {
    let pages: Vec<u64> = (1..=64).collect();
    let sweep = sweep(Transport::Ipi, &CPUS, &pages);
    let invlpg = profile("zen5").latency.invlpg as f64;
    for (row, cpus) in CPUS.into_iter().enumerate() {
        let line = is_a_line(sweep.by_requests(row), &format!("{cpus} CPUs"));
        // The page is invalidated here first, then, at the same time, on all others.
        let each = if cpus == 1 { invlpg } else { 2.0 * invlpg };
        assert!((0.9 * each..=1.01 * each).contains(&line.slope), "{cpus} CPUs: {line:?}");
        let (least, most) = sweep.beyond_ceiling(row).expect("pages beyond the ceiling");
        assert!(most - least <= most / 50, "{cpus} CPUs: {least} to {most}");
    }
}

/// Above the ceiling no CPU flushes page by page, neither the one that sends the interrupt nor those that get it.
#[test]
fn above_the_ceiling_everything_is_flushed() {
    let each = |pages| {
        let at = measure(Transport::Ipi, 3, pages);
        let times = |what| [&at.initiator, &at.others[0], &at.others[1]].map(|account| account.times(what));
        (times(Spent::Invlpg), times(Spent::Cr3))
    };
    let ceiling = SINGLE_PAGE_FLUSH_CEILING;
    assert_eq!(each(ceiling), ([ceiling; 3], [0; 3]));
    assert_eq!(each(ceiling + 1), ([0; 3], [1; 3]));
}

/// After a flush page by page, other pages in use stay cached. After a flush of everything, the CPU walks for them again.
#[test]
fn what_else_is_in_use_is_walked_for_again_above_the_ceiling() {
    let refill = |transport, pages| measure(transport, 2, pages).refill;
    assert_eq!(refill(Transport::Ipi, SINGLE_PAGE_FLUSH_CEILING), 0);
    for transport in [Transport::Ipi, Transport::Invlpgb] {
        let all = refill(transport, SINGLE_PAGE_FLUSH_CEILING + 1);
        assert!(all >= IN_USE * profile("zen5").data.l1.cycles, "{} for {IN_USE} pages: {all}", transport.name());
    }
}

#[test]
fn one_cpu_pays_for_no_interrupt() {
    let alone = measure(Transport::Ipi, 1, 1);
    for what in [Spent::IpiSend, Spent::Interrupt, Spent::Wait, Spent::OtherCore] {
        assert_eq!(alone.initiator.times(what), 0, "{}", what.name());
    }
    let two = measure(Transport::Ipi, 2, 1);
    let latency = profile("zen5").latency;
    let least = latency.ipi_send + latency.ipi_flight + latency.interrupt + latency.invlpg;
    assert!(two.flush - alone.flush > least, "{} and {} cycles", alone.flush, two.flush);
    assert_eq!(two.initiator.times(Spent::IpiSend), 1);
}

/// Every CPU but the first is interrupted once, and loses as much as the others.
#[test]
fn each_of_the_others_is_interrupted_once() {
    let at = measure(Transport::Ipi, 64, 8);
    assert_eq!((at.others.len(), at.initiator.times(Spent::IpiSend)), (63, 63));
    let latency = profile("zen5").latency;
    for (n, other) in at.others.iter().enumerate() {
        let cycles = other.cycles(Spent::Interrupt);
        assert_eq!(cycles, latency.interrupt + latency.interrupt_return, "CPU {}", n + 1);
        assert_eq!(other.times(Spent::Invlpg), 8, "CPU {}", n + 1);
        assert!(at.taken_from(n + 1).abs_diff(at.taken_from(1)) < 100, "CPU {}", n + 1);
    }
}

#[test]
fn what_was_spent_is_what_the_clock_shows() {
    for (transport, cpus, pages) in
        [(Transport::Ipi, 1, 5), (Transport::Ipi, 7, 5), (Transport::Ipi, 64, 64), (Transport::Invlpgb, 7, 20)]
    {
        let at = measure(transport, cpus, pages);
        assert_eq!(at.initiator.total(), at.flush, "{transport:?}, {cpus} CPUs, {pages} pages");
        assert!(at.flush < at.call, "the flush is a part of the call: {} of {}", at.flush, at.call);
    }
}

#[test]
fn by_broadcast_it_hardly_grows_with_cpus() {
    let pages = [1, 8, 9, 33, 34, 64];
    let broadcast = sweep(Transport::Invlpgb, &[2, 64], &pages);
    let interrupts = sweep(Transport::Ipi, &[2, 64], &pages);
    for (column, pages) in pages.into_iter().enumerate() {
        let growth =
            |sweep: &Sweep| sweep.measured[1][column].flush as f64 / sweep.measured[0][column].flush as f64;
        assert!(growth(&broadcast) < 1.1, "{pages} pages by broadcast: {}", growth(&broadcast));
        assert!(growth(&interrupts) > 2.0, "{pages} pages by interrupt: {}", growth(&interrupts));
    }
    for at in broadcast.measured.iter().flatten() {
        assert_eq!(at.initiator.times(Spent::IpiSend), 0);
        assert!(at.others.iter().all(|other| other.total() == other.cycles(Spent::Wait)), "nobody is disturbed");
    }
}

/// Each request names up to so many pages. Above the ceiling, one request names all pages.
#[test]
fn a_broadcast_goes_by_requests() {
    let each = profile("zen5").broadcasts.expect("zen5 has INVLPGB").pages;
    for pages in 1..=64 {
        let expected = if pages > SINGLE_PAGE_FLUSH_CEILING { 1 } else { pages.div_ceil(each) };
        let at = measure(Transport::Invlpgb, 4, pages);
        let times = |what| at.initiator.times(what);
        assert_eq!((times(Spent::Invlpgb), times(Spent::Tlbsync)), (expected, 1), "{pages} pages");
    }
}

#[test]
fn the_same_again() {
    let machine = Shootdown::new(Transport::Ipi, 9, profile("zen5"));
    let first: Vec<Measured> = [3, 40, 1].map(|pages| machine.measure(pages)).into();
    let again: Vec<Measured> = [3, 40, 1].map(|pages| machine.measure(pages)).into();
    assert_eq!(first, again, "on one machine");
    let fresh: Vec<Measured> = [3, 40, 1].map(|pages| measure(Transport::Ipi, 9, pages)).into();
    assert_eq!(first, fresh, "each on a machine of its own");
}

fn mmsim(folder: &Path, args: &[&str]) -> Output {
    crate::common::mmsim(folder, &[&["mmu", "shootdown"], args].concat())
}

#[test]
fn what_cannot_be_measured_is_wrong_usage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (args, says) in [
        (&["--cpus", "0"][..], "0 is not within 1 and 64"),
        (&["--cpus", "65"], "65 is not within 1 and 64"),
        (&["--pages", "1..65"], "65 is not within 1 and 64"),
        (&["--pages", "8..2"], "8..2 runs backwards"),
        (&["--pages", ""], "`` is not a number"),
        (&["--cpus", "two"], "`two` is not a number"),
        (&["--step", "0"], "0 is not in"),
        (&["--transport", "smoke"], "invlpgb"),
        (&["--profile", "skylake", "--transport", "invlpgb"], "skylake has no INVLPGB"),
    ] {
        let output = mmsim(folder.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?} does not say {says:?}, but\n{stderr}");
    }
    let output = mmsim(folder.path(), &["--profile", "abacus"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

#[test]
fn the_command_shows_tables_lines_and_accounts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output =
        mmsim(folder.path(), &["--cpus", "1..4", "--pages", "1,2,33,34", "--cycles", "--svg", "flush.svg"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    for part in [
        "zen5",
        "CPUs \\ pages",
        "x CPUs, from 2 CPUs on",
        "x pages, up to 33 pages",
        "beyond 33 pages",
        "walking again for 64 other pages",
        "ipi-send",
    ] {
        assert!(stdout.contains(part), "nothing says {part:?} in\n{stdout}");
    }
    let drawing = std::fs::read_to_string(folder.path().join("flush.svg")).expect("the drawing is written");
    assert!(drawing.starts_with("<svg") && drawing.contains("invlpgb, 34 pages"), "{drawing}");
    assert_eq!(
        text(&mmsim(folder.path(), &["--cpus", "1..4", "--pages", "1,2,33,34", "--cycles"]).stdout),
        stdout
    );
}

#[test]
fn the_document_holds_what_the_table_shows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["--cpus", "1..64", "--pages", "1..33", "--transport", "ipi", "--format", "json"];
    let output = mmsim(folder.path(), &args);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ipi = &document["transports"][0];
    assert_eq!((&ipi["transport"], &document["ceiling"]), (&"ipi".into(), &33.into()));
    let flushes = ipi["flushes"].as_array().expect("flushes");
    // 1 2 4 8 16 32 64 CPUs, 1 2 4 8 16 32 33 pages.
    assert_eq!(flushes.len(), 49);
    let sweep = sweep(Transport::Ipi, &CPUS, &[1, 2, 4, 8, 16, 32, 33]);
    for (flush, at) in flushes.iter().zip(sweep.measured.iter().flatten()) {
        assert_eq!(flush["cycles"], at.flush, "{flush}");
        assert_eq!(flush["initiator"]["total"], at.flush, "{flush}");
    }
}
