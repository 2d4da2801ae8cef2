//! Comparing programs, each on its own, by several threads.

use std::sync::atomic::AtomicBool;

use sim_mm::{KernelConfig, Release};

use super::compare::{Difference, Kind, compare};
use super::machine::Machine;
use super::observe::{Eye, Moved};
use super::program::{Host, Program, Step};
use super::replay::{Done, Replay};
use super::trace::Returned;
use super::view::Observation;
use crate::in_order::in_order;

/// How far a program is identical.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The number of steps that are identical, from the first on.
    pub identical: usize,
    /// Why the comparison ended there.
    pub ended: Ended,
    /// The result of the last step that was replayed: what it returned and what was seen.
    pub last: Option<(Returned, Observation)>,
}

/// Why a comparison ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Everything that is reproducible is identical.
    AtTheEnd,
    /// The next operation is not modelled.
    NotModelled,
    /// The next step differs in this.
    Diverged(Vec<Difference>),
}

impl Ended {
    /// The kind under which a divergence is counted.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Ended::Diverged(differences) => differences.first().map(|difference| difference.kind),
            _ => None,
        }
    }
}

/// Replays a program as far as it is identical.
pub fn compare_one(machine: &Machine, program: &Program) -> Verdict {
    let mut replay = Replay::begin(machine, program.setting);
    let mut eye = Eye::new(program.setting, machine.kernel.config.frames, machine.files());
    let mut last = None;
    for (identical, step) in program.steps[..program.compared].iter().enumerate() {
        let returned = match replay.step(step) {
            Done::Returned(returned) => returned,
            Done::NotModelled => return Verdict { identical, ended: Ended::NotModelled, last },
            Done::Stuck(simulated) => {
                let recorded = super::compare::result(&step.returned);
                let process = Some(step.process);
                let stuck = Difference { kind: Kind::Stuck, process, recorded, simulated };
                return Verdict { identical, ended: Ended::Diverged(vec![stuck]), last };
            }
        };
        let seen = eye.look(&machine.kernel, &machine.processes(), moved(step, &returned));
        replay.was_looked_at(eye.pages());
        let differences = compare(step, &returned, &seen);
        last = Some((returned, seen));
        if !differences.is_empty() {
            return Verdict { identical, ended: Ended::Diverged(differences), last };
        }
    }
    Verdict { identical: program.compared, ended: Ended::AtTheEnd, last }
}

/// The pages that a step moved, if it moved any.
fn moved(step: &Step, returned: &Returned) -> Option<Moved> {
    if step.op != "mremap" {
        return None;
    }
    let to = u64::try_from(returned.ret?).ok()?;
    Some(Moved { process: step.process, from: step.args.pg?, to, pages: step.args.nn? })
}

/// Compares programs in the kernel of `release`, or each in the kernel of its trace. The verdicts come in the order of the
/// programs, with any number of threads. A program that was not begun when `stop` was set has `None`.
pub fn compare_all(
    programs: &[Program],
    release: Option<Release>,
    jobs: usize,
    stop: &AtomicBool,
    done: &(impl Fn() + Sync),
) -> Vec<Option<Verdict>> {
    let begin = || None::<((Release, Host), Machine)>;
    in_order(programs, jobs, stop, begin, |machine, program| {
        let kernel = (release.unwrap_or(program.setting.kernel), program.setting.host);
        let make = || Machine::new(KernelConfig::of_release(sim_gup::CATALOGUE, kernel.0), kernel.1);
        let same = machine.take().filter(|(of, _)| *of == kernel);
        let (_, machine) = machine.insert(same.unwrap_or_else(|| (kernel, make())));
        let verdict = compare_one(machine, program);
        done();
        verdict
    })
}
