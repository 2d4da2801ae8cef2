//! The contents of a record.

use serde::{Deserialize, Serialize};

use super::config::{KernelRecord, MachineRecord};
use crate::explore::Strategy;

/// The format that this build writes and reads.
pub const FORMAT: &str = "mmsim-record-3";

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format and its version.
    pub format: String,
    /// The title of the finding, which a replay must have too.
    pub expect: String,
    /// The consequence, in a sentence.
    pub message: String,
    /// The machine.
    pub machine: MachineRecord,
    /// The kernel.
    pub kernel: KernelRecord,
    /// Where it came from.
    pub provenance: Provenance,
    /// Steps of the run.
    pub steps: u64,
    /// The steps that the finding needs, as ranges from first to last. If nobody asked for them, these are all steps.
    pub matters: Vec<(u64, u64)>,
    /// `ANSWER/OF LABEL` of each decision.
    pub decisions: Vec<String>,
    /// The digest of the machine after every 16 steps, and at the end.
    pub digests: Vec<String>,
    /// SHA-256 of the scenario.
    pub scenario_digest: String,
    /// The scenario.
    pub scenario: serde_json::Value,
}

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The case of the scenario, if it was one.
    pub case: Option<String>,
    /// The strategy.
    pub strategy: String,
    /// For a sample, the seed of the run that found it, before the run was made simpler. Older records also have the number
    /// of a run of a search here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// For a search, the number of that run. The number alone does not lead to the run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

impl Provenance {
    /// The origin of the run of that number by a strategy.
    pub fn of(case: Option<String>, strategy: Strategy, number: u64) -> Provenance {
        let samples = strategy.samples();
        let (seed, run) = (samples.then_some(number), (!samples).then_some(number));
        Provenance { case, strategy: strategy.to_string(), seed, run }
    }
}
