//! Running a row on a release.

use mmsim::case::configuration;
use mmsim::scenario::{Scenario, load};
use mmsim::world::{STEP_BOUND, Tally, World};
use sim_core::source::Source;
use sim_mm::{Kernel, MmId, Release};
use sim_mmu::Pfn;

use super::expected::Came;
use super::program::Program;

/// What came of a row.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Values that are not what they must be: the name, what was read, what must be.
    wrong: Vec<(String, Option<u64>, u64)>,
    /// What the oracles say of the same run. They stop it at the first that they find.
    findings: Vec<String>,
    /// Operations that failed.
    failed: Vec<String>,
}

impl Outcome {
    /// What that is in the table. A run of which only oracles say that it is wrong is wrong as well.
    pub(super) fn came(&self) -> Came {
        if !self.wrong.is_empty() || !self.findings.is_empty() {
            Came::Wrong
        } else if !self.failed.is_empty() {
            Came::Refused
        } else {
            Came::Right
        }
    }

    /// The same in words.
    pub(super) fn told(&self) -> String {
        let value = |(name, is, must): &(String, Option<u64>, u64)| match is {
            Some(is) => format!("{name} is {is} and must be {must}"),
            None => format!("{name} was never read and must be {must}"),
        };
        let mut told: Vec<String> = self.wrong.iter().map(value).collect();
        told.extend(self.findings.iter().map(|finding| format!("an oracle finds: {finding}")));
        told.extend(self.failed.iter().cloned());
        if told.is_empty() { "all values are right".to_owned() } else { told.join("; ") }
    }
}

fn loaded(program: &Program, release: Release) -> Scenario {
    let text = program.scenario(&release.to_string()).to_string();
    load("row.json", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn world(scenario: &Scenario) -> World<'_> {
    let (machine, kernel) = configuration(scenario, &scenario.cases[0]);
    World::new(scenario, machine, kernel).unwrap_or_else(|error| panic!("{error}"))
}

/// One run, without a choice: each thread runs until it ends. No oracle watches, so that the run comes to its end and reads all its values,
/// whatever they are.
fn run_unwatched(world: &World<'_>) {
    world.kernel().set_observer(None);
    world.kernel().core().set_source(Source::First);
    world.run(&mut world.executor(), STEP_BOUND);
}

/// Runs a program twice, the second time with oracles.
pub(super) fn run(program: &Program, release: Release) -> Outcome {
    let scenario = loaded(program, release);
    let mut world = world(&scenario);
    world.count_outcomes();

    run_unwatched(&world);
    let mut tally = Tally::default();
    world.count_in(&mut tally);
    let values = tally.outcomes.keys().next().expect("the run comes to its end");
    let names = scenario.values();
    let value = |name: &str| names.iter().zip(values).find(|(is, _)| **is == name).and_then(|(_, value)| *value);
    let wrong = program.expected().iter().filter(|(name, must)| value(name) != Some(*must));
    let wrong = wrong.map(|(name, must)| (name.clone(), value(name), *must)).collect();

    world.kernel().set_observer(Some(world.watch().clone()));
    world.kernel().core().set_source(Source::First);
    world.run(&mut world.executor(), STEP_BOUND);
    let findings = world.findings().iter().map(|finding| finding.violation.to_string()).collect();
    Outcome { wrong, findings, failed: tally.failed_how(&scenario).into_keys().collect() }
}

/// Runs a program, and shows the machine and the root of its first process as they are then.
pub(super) fn prepared(program: &Program, release: Release, look: impl FnOnce(&Kernel, Pfn)) {
    let scenario = loaded(program, release);
    let world = world(&scenario);
    run_unwatched(&world);
    let kernel = world.kernel();
    let first: MmId = world.process_names().first().expect("there is a process").0;
    look(kernel, Pfn(kernel.core().memory.get(kernel.mm(first).pgd().loc())));
}
