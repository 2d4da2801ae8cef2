//! What a sentence calls things: by the names of the scenario, and by the lines of a diagram.

use sim_mm::MmId;
use sim_mmu::VirtAddr;

use crate::operation::Statement;
use crate::oracle::{Finding, Names};
use crate::world::World;

/// The names for the sentence on one finding.
pub(super) struct Called<'a> {
    world: &'a World<'a>,
    /// The place that the finding is about, and what the scenario calls it.
    place: Option<(VirtAddr, String)>,
    /// The step of each line of the diagram beside the sentence, if there is one.
    lines: Option<Vec<u64>>,
}

impl<'a> Called<'a> {
    pub(super) fn of(world: &'a World<'a>, finding: &Finding, lines: Option<Vec<u64>>) -> Called<'a> {
        let place = finding.page().and_then(|(mm, va)| Some((va, world.page_name(mm, va)?)));
        Called { world, place, lines }
    }
}

impl Names for Called<'_> {
    fn mm(&self, mm: MmId) -> String {
        let named = self.world.process_names().into_iter().find(|(of, _)| *of == mm);
        named.map_or_else(|| format!("mm{}", mm.0), |(_, name)| name)
    }

    fn page(&self, va: VirtAddr) -> String {
        let named = self.place.as_ref().filter(|(place, _)| *place == va);
        named.map_or_else(|| va.to_string(), |(_, name)| name.clone())
    }

    /// The reader sees the numbers of lines. A step that is not shown is not named.
    fn at_step(&self, step: u64) -> String {
        match &self.lines {
            None => format!(" at step {step}"),
            Some(lines) => {
                let line = lines.iter().position(|line| *line == step);
                line.map_or_else(String::new, |line| format!(" at {}", line + 1))
            }
        }
    }

    fn operation(&self, thread: &str, op: usize) -> String {
        let routine = operation(self.world, thread, op).and_then(Statement::routine);
        routine.map_or_else(|| format!("run[{op}]"), |routine| format!("{routine}()"))
    }
}

/// An operation of a thread.
pub(super) fn operation<'w>(world: &World<'w>, thread: &str, op: usize) -> Option<&'w Statement> {
    world.scenario.threads.iter().find(|t| t.name == thread)?.run.get(op)
}
