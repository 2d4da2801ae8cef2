//! A search for all schedules finds everything that a sample finds, and says when it has done all.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use mmsim::explore::{Campaign, Exhaustive, Explored, Extent, Goal, Strategy, Trace};
use mmsim::library::open;
use mmsim::scenario::{KernelSpec, MachineChange};
use sim_core::systematic::Reduction;
use sim_gup::CATALOGUE;
use sim_mm::{Choices, Flush};

/// A kernel that lacks a safeguard, on a machine whose flushes are broadcast or not.
struct Kernel {
    scenario: &'static str,
    without: &'static str,
    flush: Flush,
}

const fn kernel(scenario: &'static str, without: &'static str, flush: Flush) -> Kernel {
    Kernel { scenario, without, flush }
}

const KERNELS: [Kernel; 7] = [
    kernel("spec-ref-vs-reuse", "gup-pte-recheck", Flush::NoIpi),
    kernel("spec-ref-vs-reuse", "gup-ref-unless-zero", Flush::NoIpi),
    kernel("slow-gup-vs-zap", "follow-ptl", Flush::NoIpi),
    kernel("vmsplice-child-reads-parent", "cow-reuse-counts", Flush::Ipi),
    kernel("fork-vs-cached-writes", "fork-flush", Flush::Ipi),
    kernel("shootdown-acknowledged", "gather-flush-first", Flush::NoIpi),
    kernel("freed-table", "table-invalidate", Flush::NoIpi),
];

fn explore(kernel: &Kernel, strategy: Strategy, runs: u64) -> Explored {
    explore_with(kernel, strategy, runs, 1, Goal::All)
}

fn explore_with(kernel: &Kernel, strategy: Strategy, runs: u64, jobs: usize, goal: Goal<'_>) -> Explored {
    let scenario = open(kernel.scenario).unwrap_or_else(|error| panic!("{error}")).scenario;
    let without = vec![CATALOGUE.safeguard(kernel.without).expect("a safeguard")];
    let platform = Choices::default().with(kernel.flush);
    let machine = scenario.machine.changed(&MachineChange { platform, ..MachineChange::default() });
    let kernel = scenario.kernel.changed(&KernelSpec { without, ..KernelSpec::default() }).resolve();
    let campaign = Campaign { jobs, ..Campaign::new(&scenario, machine, kernel, strategy, runs) };
    campaign.explore(goal, &AtomicBool::new(false), &|_| ()).unwrap_or_else(|error| panic!("{error}"))
}

fn titles(explored: &Explored) -> BTreeSet<&str> {
    explored.found.iter().map(|found| found.title.as_str()).collect()
}

#[test]
fn finds_what_a_sample_finds() {
    for kernel in &KERNELS {
        let all = explore(kernel, Strategy::Exhaustive(Exhaustive::TRACES), 100_000);
        assert!(all.extent.is_verified(), "{} without {}: {}", kernel.scenario, kernel.without, all.extent);
        let sample = explore(kernel, Strategy::Portfolio, 5_000);
        let missed: Vec<_> = titles(&sample).difference(&titles(&all)).map(ToString::to_string).collect();
        assert!(missed.is_empty(), "{} without {}: {missed:?}", kernel.scenario, kernel.without);
    }
}

/// Two reductions that work quite differently find the same.
#[test]
fn traces_and_states_agree() {
    for kernel in KERNELS.iter().filter(|kernel| kernel.scenario == "fork-vs-cached-writes") {
        let by_state = Strategy::Exhaustive(Exhaustive { reduction: Reduction::States, preemptions: None });
        let (traces, states) = (
            explore(kernel, Strategy::Exhaustive(Exhaustive::TRACES), 100_000),
            explore(kernel, by_state, 500_000),
        );
        assert!(states.extent.is_verified(), "{}", states.extent);
        assert_eq!(titles(&traces), titles(&states), "{} without {}", kernel.scenario, kernel.without);
    }
}

/// A search that runs out of its budget verifies nothing. With more preemptions there are more schedules.
#[test]
fn bounds() {
    let kernel = &KERNELS[0];
    let cut = explore(kernel, Strategy::Exhaustive(Exhaustive::TRACES), 10);
    assert!(
        matches!(cut.extent, Extent::Cut { progress, .. } if progress > 0.0 && progress < 1.0),
        "{}",
        cut.extent
    );
    let with = |preemptions| {
        let how = Exhaustive { reduction: Reduction::States, preemptions: Some(preemptions) };
        explore(kernel, Strategy::Exhaustive(how), 100_000)
    };
    let found: Vec<usize> = (0..3).map(|preemptions| with(preemptions).found.len()).collect();
    assert_eq!(found, [0, 1, 2], "findings with 0, 1 and 2 preemptions");
}

/// The number of threads changes nothing: not what was done, nor the first run of each finding. It does not change either
/// where a search ends that runs out of its budget, or that reaches its goal.
#[test]
fn threads_change_nothing() {
    let kernel = &KERNELS[6];
    let traces = Strategy::Exhaustive(Exhaustive::TRACES);
    let whole = explore_with(kernel, traces, 100_000, 1, Goal::All);
    assert!(whole.extent.is_verified() && whole.runs > 5_000 && !whole.found.is_empty(), "{}", whole.extent);
    let last = whole.found.last().map(|found| found.title.clone()).unwrap_or_default();
    let accepts = |trace: &Trace| trace.findings.iter().any(|finding| finding.title() == last);
    let never = |_: &Trace| false;
    for (runs, goal) in
        [(100_000, Goal::All), (3_001, Goal::All), (100_000, Goal::First(&accepts)), (2_500, Goal::First(&never))]
    {
        let told = |jobs| format!("{:?}", explore_with(kernel, traces, runs, jobs, goal));
        let alone = told(1);
        assert!(alone == told(2) && alone == told(3), "{runs} runs");
    }
    let cut = explore_with(kernel, traces, 3_001, 2, Goal::All);
    assert!((1_978..=3_001).contains(&cut.runs) && !cut.extent.is_verified(), "{} runs, {}", cut.runs, cut.extent);
}
