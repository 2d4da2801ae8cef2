//! What a campaign explored: safeguards, lines of kernel code, races, schedules.
//!
//! Every run is traced, and only its trace is looked at. The coverage of several campaigns adds up. The schedules
//! of two kernels are the exception, because they have nothing in common.

mod lines;
mod order;
mod races;
mod reading;
mod safeguards;
mod schedules;
mod survey;

pub use lines::{FileLines, Lines, Place};
pub use races::{RacePair, Races};
pub use safeguards::{Safeguards, Tally};
pub use schedules::Schedules;
pub use survey::{Survey, survey};

/// What the runs of one campaign or of several covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Runs.
    pub runs: u64,
    /// Their steps.
    pub steps: u64,
    /// Runs in which an oracle found something.
    pub violations: u64,
    /// Safeguards that were consulted, and those that decided.
    pub safeguards: Safeguards,
    /// Lines that were stepped.
    pub lines: Lines,
    /// Routines that raced.
    pub races: Races,
}

impl Coverage {
    /// Adds what other runs covered.
    pub fn add(&mut self, other: &Coverage) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.violations += other.violations;
        self.safeguards.add(&other.safeguards);
        self.lines.add(&other.lines);
        self.races.add(&other.races);
    }
}
