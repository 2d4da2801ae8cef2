//! All runs of a program, or some of them: which outcomes there were, which of them are not allowed, and which allowed
//! outcomes are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sim_core::source::{Random, Replay, Source};
use sim_mmu::{Policy, Profile};

use super::machine::{Machine, Run, State};
use super::program::{Action, Program, Step};

/// Which runs of a program are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many runs. The choices are drawn from seeds, and the second number is the first seed.
    Sampled(u64, u64),
    /// All runs that there are, unless there are more than this.
    Exhaustive(u64),
}

/// The result of a program.
#[derive(Clone, Debug)]
pub struct Report {
    /// Runs that were made.
    pub runs: u64,
    /// Whether every choice was tried.
    pub complete: bool,
    /// For each access, the outcomes that were seen.
    pub accesses: Vec<StepReport>,
    /// For each entry that the program looks at, the A and D that were seen.
    pub flags: Vec<StepReport>,
    /// The tuples of outcomes that were seen and that are not in the program's `joint_allowed`.
    pub not_joint: BTreeSet<Vec<String>>,
    /// Steps whose instruction was refused and should not have been, or was not refused and should have been.
    pub refusals: BTreeSet<usize>,
}

/// What was seen of one step.
#[derive(Clone, Debug, Default)]
pub struct StepReport {
    /// The step, from 0.
    pub step: usize,
    /// What was seen and is allowed.
    pub reached: BTreeSet<String>,
    /// What was seen and is not allowed.
    pub outside: BTreeSet<String>,
    /// The number of outcomes that an adversarial machine must reach: the allowed ones that are not doubtful.
    pub demanded: usize,
    /// The outcomes that are allowed and demanded, and that were not seen.
    pub missing: BTreeSet<String>,
}

impl Report {
    /// The number of things that were seen and are not allowed.
    pub fn outside(&self) -> usize {
        let of_steps: usize = self.accesses.iter().chain(&self.flags).map(|step| step.outside.len()).sum();
        of_steps + self.not_joint.len() + self.refusals.len()
    }

    /// How many of the outcomes that are demanded were seen, and how many there are.
    pub fn reached(&self) -> (usize, usize) {
        let all = || self.accesses.iter().chain(&self.flags);
        let demanded = all().map(|step| step.demanded).sum();
        (demanded - all().map(|step| step.missing.len()).sum::<usize>(), demanded)
    }
}

/// Runs a program as often as the budget says. Under a policy without choices one run is enough. `profile` is the processor
/// whose caches [`Policy::Profile`] has.
pub fn explore(program: &Program, policy: Policy, profile: Option<Rc<Profile>>, budget: Budget) -> Report {
    let machine = Machine::new(program, policy, profile);
    let mut seen = BTreeSet::new();
    let (runs, complete) = match budget {
        Budget::Exhaustive(most) => every_run(&machine, most, &mut seen),
        Budget::Sampled(runs, first) => {
            for seed in first..first.saturating_add(runs) {
                machine.mmu.core.set_source(Source::Random(Random::new(seed)));
                seen.extend(machine.run(|_| true));
            }
            (runs, false)
        }
    };
    let duplicates = matches!(policy, Policy::Adversarial { duplicates: true });
    judge(program, duplicates, &seen, runs, complete)
}

/// Every combination of choices, in the order of the numbers that stand for them. A run ends when it comes to a state in
/// which an earlier run was, because it is known what may follow.
fn every_run(machine: &Machine<'_>, most: u64, seen: &mut BTreeSet<Run>) -> (u64, bool) {
    let core = &machine.mmu.core;
    core.keep_decisions(true);
    let mut prefix: Vec<(u32, u32)> = Vec::new();
    // Each state that was seen, with the answers that led there first.
    let mut known: BTreeMap<State, Vec<u32>> = BTreeMap::new();
    for runs in 1..=most {
        core.set_source(Source::Replay(Replay::lenient(prefix)));
        seen.extend(machine.run(|moment| {
            let way = core.decisions().iter().map(|decision| decision.chosen).collect::<Vec<_>>();
            *known.entry(moment.state()).or_insert_with(|| way.clone()) == way
        }));
        let decisions = core.decisions();
        let Some(last) = decisions.iter().rposition(|decision| decision.chosen + 1 < decision.of) else {
            return (runs, true);
        };
        prefix = decisions[..=last].iter().map(|decision| (decision.chosen, decision.of)).collect();
        prefix[last].0 += 1;
    }
    (most, false)
}

fn judge(program: &Program, duplicates: bool, seen: &BTreeSet<Run>, runs: u64, complete: bool) -> Report {
    let numbered = || program.steps.iter().enumerate();
    let demanded = |allowed: &BTreeSet<String>, step: &Step| -> BTreeSet<String> {
        if program.doubtful.is_some() { BTreeSet::new() } else { allowed - &step.doubtful }
    };
    let accesses = numbered().filter(|(_, step)| matches!(step.what, Action::Access { .. })).enumerate();
    let accesses = accesses.filter_map(|(nth, (n, step))| {
        let allowed = step.allowed.as_ref()?;
        let mut may = allowed.clone();
        if duplicates {
            may.extend(step.if_duplicates.iter().cloned());
        }
        let outcomes = seen.iter().map(|run| run.outcomes[nth].clone());
        Some(StepReport::new(n, outcomes.collect(), &may, &demanded(allowed, step)))
    });
    let looks = numbered().flat_map(|(n, step)| step.flags.iter().map(move |flags| (n, step, flags))).enumerate();
    let flags = looks.map(|(nth, (n, step, flags))| {
        let values = seen.iter().map(|run| run.flags[nth].to_owned());
        StepReport::new(n, values.collect(), &flags.allowed, &demanded(&flags.allowed, step))
    });
    let refusable = numbered().filter(|(_, step)| may_be_refused(&step.what)).enumerate();
    let refusals = refusable.filter(|(nth, (_, step))| seen.iter().any(|run| run.refused[*nth] != step.refused));
    let joint = seen.iter().map(|run| &run.outcomes);
    let joint = joint.filter(|tuple| program.joint.as_ref().is_some_and(|joint| !joint.contains(*tuple)));
    Report {
        runs,
        complete,
        accesses: accesses.collect(),
        flags: flags.collect(),
        not_joint: joint.cloned().collect(),
        refusals: refusals.map(|(_, (n, _))| n).collect(),
    }
}

fn may_be_refused(what: &Action) -> bool {
    matches!(
        what,
        Action::MovCr0(_) | Action::MovCr3(..) | Action::MovCr4(_) | Action::Invpcid(_) | Action::Invlpgb(_)
    )
}

impl StepReport {
    fn new(
        step: usize,
        seen: BTreeSet<String>,
        may: &BTreeSet<String>,
        demanded: &BTreeSet<String>,
    ) -> StepReport {
        let demands = demanded.len();
        StepReport {
            step,
            reached: &seen & may,
            outside: &seen - may,
            demanded: demands,
            missing: demanded - &seen,
        }
    }
}
