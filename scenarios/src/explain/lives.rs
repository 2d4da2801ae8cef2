//! The last allocation and the last free, before a finding, of the frame or the object that it is about.

use sim_core::Event as Core;
use sim_mm::Event as Mm;

use super::called::Called;
use super::spaces::Spaces;
use crate::explore::Trace;
use crate::oracle::{Finding, Logged, Names as _, OracleId, Violation, What};
use crate::world::World;

/// The last allocation and the last free of what a finding is about.
pub(super) struct Lives<'t> {
    /// The last allocation. `None` for an object, because no event tells of its allocation, and for a frame that was
    /// there before the run.
    pub(super) allocated: Option<&'t Logged>,
    pub(super) freed: Option<&'t Logged>,
    /// The name of the frame or the object.
    what: String,
    is_frame: bool,
}

impl<'t> Lives<'t> {
    /// The lives of what the finding is about, if that is a frame or an object.
    pub(super) fn of(world: &World<'_>, trace: &'t Trace, finding: &Finding) -> Option<Lives<'t>> {
        let last = trace.log.last().map_or(0, |entry| entry.step);
        let end = if finding.is_at_rest() { u64::MAX } else { last };
        let before = || trace.log.iter().rev().filter(|entry| entry.step < end);
        let last_that =
            |is: &dyn Fn(&Mm) -> bool| before().find(|e| matches!(&e.what, What::Mm(event) if is(event)));
        if let Some(frame) = finding.frame() {
            return Some(Lives {
                allocated: last_that(
                    &|event| matches!(event, Mm::FrameAllocated { pfn, order, .. } if order.has(*pfn, frame)),
                ),
                freed: last_that(&|event| {
                    matches!(event, Mm::FrameFreed { pfn, order } if order.has(*pfn, frame))
                        || matches!(event, Mm::FrameRetired { pfn } if *pfn == frame)
                }),
                what: format!("F{}", frame.0),
                is_frame: true,
            });
        }
        let Violation::ObjectUsed { .. } = &finding.violation else { return None };
        let memory = &world.kernel().core().memory;
        let used = trace.log.iter().rev().find_map(|entry| match entry.what {
            What::Core(Core::Access { loc, .. }) if entry.step == last => Some(memory.record_of(loc)),
            _ => None,
        });
        let freed = last_that(&|event| matches!(event, Mm::ObjectFreed { first } if Some(*first) == used));
        Some(Lives { allocated: None, freed, what: "The object".to_owned(), is_frame: false })
    }

    /// Whether it is known that the frame was there before the run, or never allocated.
    pub(super) fn begin_before(&self) -> bool {
        self.is_frame && self.allocated.is_none()
    }

    /// The allocation and the free in sentences, in the order in which they happened.
    fn told(&self, spaces: &Spaces<'_>, called: &Called<'_>) -> String {
        let by = |Logged { step, cpu, stack, .. }: &Logged| {
            let thread =
                spaces.thread(*cpu, *step).map_or_else(String::new, |thread| format!("{} on ", thread.name));
            let routines: Vec<String> = stack.iter().map(|routine| format!("{routine}()")).collect();
            let within =
                if routines.is_empty() { String::new() } else { format!(", in {}", routines.join(" > ")) };
            format!("by {thread}CPU {}{within}{}", cpu.0, called.at_step(*step))
        };
        let mut events: Vec<(u64, String)> = Vec::new();
        events.extend(self.allocated.map(|at| (at.step, format!("allocated {}", by(at)))));
        events.extend(self.freed.map(|at| (at.step, format!("freed {}", by(at)))));
        events.sort_by_key(|(step, _)| *step);
        let mut clauses: Vec<String> = events.into_iter().map(|(_, clause)| clause).collect();
        if self.begin_before() {
            clauses.insert(0, "allocated before the run, or never".to_owned());
        }
        let sentences: Vec<String> = clauses
            .iter()
            .enumerate()
            .map(|(n, clause)| match n {
                0 => format!("{} was last {clause}.", self.what),
                _ => format!("It was last {clause}."),
            })
            .collect();
        sentences.join(" ")
    }
}

/// For a use after free, sentences on the last allocation and the last free of what was used. `lines` are the steps of the
/// lines of the diagram.
pub(super) fn told(world: &World<'_>, trace: &Trace, lines: Vec<u64>) -> Option<String> {
    let is_use = |finding: &&Finding| {
        use OracleId::{FrameUseAfterFree, ObjectUseAfterFree, PageTableUseAfterFree};
        [FrameUseAfterFree, ObjectUseAfterFree, PageTableUseAfterFree].contains(&finding.oracle())
    };
    let finding = trace.findings.iter().find(is_use)?;
    let lives = Lives::of(world, trace, finding)?;
    let told = lives.told(&Spaces::of(world, trace), &Called::of(world, Some(lines)));
    Some(told).filter(|told| !told.is_empty())
}
