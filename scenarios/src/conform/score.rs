//! What is counted over the programs of traces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::program::Program;
use super::run::{Ended, Verdict};

/// The score.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Programs that were compared.
    pub programs: u64,
    /// The programs that are identical to the end, or as far as the recording is reproducible.
    pub identical: u64,
    /// The programs that are identical up to their first operation that is not modelled.
    pub identical_to_first_unmodelled: u64,
    /// The steps of all programs, as far as they are reproducible.
    pub steps: u64,
    /// The steps before the first that differs or is not modelled.
    pub steps_identical: u64,
    /// The numbers for each operation.
    pub by_operation: BTreeMap<String, OperationScore>,
}

/// The results of the steps of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationScore {
    /// All of them.
    pub steps: u64,
    /// The steps that are identical.
    pub identical: u64,
    /// The programs that ended here because it is not modelled.
    pub not_modelled: u64,
    /// The programs that diverged here, by kind.
    pub diverged: BTreeMap<String, u64>,
}

impl Score {
    /// Adds a program.
    pub fn add(&mut self, program: &Program, verdict: &Verdict) {
        self.programs += 1;
        self.steps += program.compared as u64;
        self.steps_identical += verdict.identical as u64;
        for (nth, step) in program.steps[..program.compared].iter().enumerate() {
            let operation = self.by_operation.entry(step.op.clone()).or_default();
            operation.steps += 1;
            operation.identical += u64::from(nth < verdict.identical);
            if nth == verdict.identical {
                match (&verdict.ended, verdict.ended.kind()) {
                    (Ended::NotModelled, _) => operation.not_modelled += 1,
                    (_, Some(kind)) => *operation.diverged.entry(kind.to_string()).or_default() += 1,
                    _ => {}
                }
            }
        }
        match verdict.ended {
            Ended::AtTheEnd => self.identical += 1,
            Ended::NotModelled => self.identical_to_first_unmodelled += 1,
            Ended::Diverged(_) => {}
        }
    }

    /// Programs that diverged.
    pub fn diverged(&self) -> u64 {
        self.programs - self.identical - self.identical_to_first_unmodelled
    }
}
