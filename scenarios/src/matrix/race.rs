//! A row of the matrix: a scenario on one machine.

use crate::library::Loaded;
use crate::scenario::{Case, Expect, KernelSpec, MachineSpec, Scenario};

/// A scenario on one machine.
#[derive(Clone, Debug)]
pub struct Race<'l> {
    /// The topic under which the library has it. Empty for a file.
    pub topic: &'static str,
    /// The scenario.
    pub scenario: &'l Scenario,
    /// The machine.
    pub machine: MachineSpec,
    /// The case that has this machine, if it is not the scenario's own.
    pub of_case: Option<&'l str>,
}

impl<'l> Race<'l> {
    /// The rows of a scenario: one for its machine, and one for each other machine on which a case expects a violation by its release alone.
    pub fn of(topic: &'static str, loaded: &'l Loaded) -> Vec<Race<'l>> {
        let scenario = &loaded.scenario;
        let mut races = vec![Race { topic, scenario, machine: scenario.machine, of_case: None }];
        for case in scenario.cases.iter().filter(|case| is_by_release(case)) {
            let machine = scenario.machine.changed(&case.machine);
            if races.iter().all(|race| race.machine != machine) {
                races.push(Race { topic, scenario, machine, of_case: Some(&case.name) });
            }
        }
        races
    }

    /// `NAME`, or `NAME (CASE)` for the machine of a case.
    pub fn name(&self) -> String {
        match self.of_case {
            None => self.scenario.name.clone(),
            Some(case) => format!("{} ({case})", self.scenario.name),
        }
    }

    /// Whether the oracle of a finding is one by which some case of the scenario knows the race.
    pub fn is_known_by(&self, oracle: &str) -> bool {
        self.scenario.cases.iter().any(|case| match &case.expect {
            Expect::NoViolation => false,
            Expect::Violation { any_of, .. } => any_of.iter().any(|each| each == oracle),
        })
    }
}

/// Whether a case expects a violation, and changes nothing of the kernel but its release.
fn is_by_release(case: &Case) -> bool {
    let KernelSpec { version, without, with, design } = &case.kernel;
    let is_plain = without.is_empty() && with.is_empty() && *design == Default::default();
    version.is_some() && is_plain && case.expect != Expect::NoViolation
}
