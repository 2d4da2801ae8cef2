//! The names that a sentence uses: those of the scenario, and the numbers of the lines of a diagram.

use sim_mm::MmId;
use sim_mmu::VirtAddr;

use super::spaces::unnamed;
use crate::operation::Statement;
use crate::oracle::Names;
use crate::world::World;

/// The names for a sentence on a finding.
pub(super) struct Called<'a> {
    world: &'a World<'a>,
    /// The step of each line of the diagram beside the sentence, if there is one.
    lines: Option<Vec<u64>>,
}

impl<'a> Called<'a> {
    pub(super) fn of(world: &'a World<'a>, lines: Option<Vec<u64>>) -> Called<'a> {
        Called { world, lines }
    }
}

impl Names for Called<'_> {
    fn mm(&self, mm: MmId) -> String {
        let named = self.world.process_names().into_iter().find(|(of, _)| *of == mm);
        named.map_or_else(|| format!("mm{}", mm.0), |(_, name)| name)
    }

    fn page(&self, mm: MmId, va: VirtAddr) -> String {
        self.world.page_name(mm, va).unwrap_or_else(|| unnamed(va))
    }

    /// The name alone, if no other process has a mapping of that name there.
    fn page_of(&self, mm: MmId, va: VirtAddr) -> String {
        let name = self.world.page_name(mm, va);
        let others = self.world.process_names().into_iter().filter(|(other, _)| *other != mm);
        let shared = others.map(|(other, _)| self.world.page_name(other, va)).any(|other| other == name);
        if shared || name.is_none() {
            return format!("{}'s {}", self.mm(mm), self.page(mm, va));
        }
        self.page(mm, va)
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
