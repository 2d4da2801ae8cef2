//! One run in full: its decisions, its event log, its digests, what was found.

use sim_core::source::{Divergence, Source};
use sim_core::{Decision, Executor, Touched};
use sim_mm::Kernel;

use crate::oracle::{Finding, Logged};
use crate::world::{STEP_BOUND, World};

/// A run that was watched closely.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its decisions, in order.
    pub decisions: Vec<Decision>,
    /// The findings of the oracles. The first is the one to speak of.
    pub findings: Vec<Finding>,
    /// Everything that happened.
    pub log: Vec<Logged>,
    /// What each of its steps touched. The list is empty if that was not kept.
    pub footprints: Vec<Vec<Touched>>,
    /// Its steps.
    pub steps: u64,
    /// The digest of the machine after every [`sim_core::DIGEST_EVERY`] steps, and at the end.
    pub digests: Vec<u64>,
    /// Where a strict replay left its record.
    pub divergence: Option<Divergence>,
}

impl Trace {
    /// Runs `world` once with decisions from `source`, with the event log, digests, decisions and footprints kept.
    pub fn record<'m>(world: &'m World<'_>, executor: &mut Executor<'m, Kernel>, source: Source) -> Trace {
        let core = world.kernel().core();
        core.keep_footprints(true);
        let trace = Trace::glance(world, executor, source);
        core.keep_footprints(false);
        trace
    }

    /// Runs `world` in the same way, but keeps no footprints. They are needed only to make a run simpler, and a run that is too long for
    /// that has none.
    pub fn glance<'m>(world: &'m World<'_>, executor: &mut Executor<'m, Kernel>, source: Source) -> Trace {
        let core = world.kernel().core();
        world.set_traced(true);
        core.set_digested(true);
        core.keep_decisions(true);
        core.set_source(source);
        let summary = world.run(executor, STEP_BOUND);
        let mut digests = core.digests();
        digests.push(core.digest());
        let divergence = core.with_source(|source| match source {
            Source::Replay(replay) => replay.divergence(),
            _ => None,
        });
        let trace = Trace {
            decisions: core.decisions(),
            findings: world.findings(),
            log: world.watch().take_log(),
            footprints: core.footprints(),
            steps: summary.steps,
            digests,
            divergence,
        };
        core.keep_decisions(false);
        core.set_digested(false);
        world.set_traced(false);
        trace
    }

    /// Makes the finding of that title the one to speak of. `false`, if there is none.
    pub fn put_first(&mut self, title: &str) -> bool {
        self.bring_first(|finding| finding.title() == title)
    }

    /// Makes the first finding of that kind the one to speak of. `false`, if there is none.
    pub fn bring_first(&mut self, wanted: impl Fn(&Finding) -> bool) -> bool {
        let place = self.findings.iter().position(wanted);
        if let Some(place) = place {
            self.findings[..=place].rotate_right(1);
        }
        place.is_some()
    }

    /// The decisions as a replay takes them.
    pub fn answers(&self) -> Vec<(u32, u32)> {
        self.decisions.iter().map(|decision| (decision.chosen, decision.of)).collect()
    }
}
