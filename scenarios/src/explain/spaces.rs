//! Address spaces: to which one each line belongs, and the names of pages in a line.

use std::collections::BTreeMap;
use std::fmt;

use sim_core::{CpuId, Event as Core, TaskId};
use sim_mm::{Event as Mm, MmId};
use sim_mmu::{Pfn, VirtAddr, Vpn};

use crate::explore::Trace;
use crate::oracle::What;
use crate::scenario::Thread;
use crate::world::World;

/// A page of an address space, as one line calls it: `buf`, or `child's buf` in a line of another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageOf {
    mm: MmId,
    va: VirtAddr,
    /// The process, if the name alone does not say it.
    pub(super) owner: Option<String>,
    pub(super) name: String,
}

impl PageOf {
    /// The address space and the page, which are the same in every line.
    pub(super) fn key(&self) -> (MmId, Vpn) {
        (self.mm, self.va.vpn())
    }
}

impl fmt::Display for PageOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "{owner}'s {}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The address spaces of a run.
pub(super) struct Spaces<'a> {
    world: &'a World<'a>,
    /// The address spaces of each process, in turn.
    processes: Vec<(MmId, String)>,
    /// Where a process left one address space for another: the step, the old one and the new one.
    replaced: Vec<(u64, MmId, MmId)>,
    /// The tasks that ran on each CPU, in order, each with the step at which it began to run.
    turns: BTreeMap<CpuId, Vec<(u64, TaskId)>>,
    /// The roots that were made, each with the step at which it was made.
    roots: Vec<(u64, Pfn, MmId)>,
}

impl<'a> Spaces<'a> {
    pub(super) fn of(world: &'a World<'a>, trace: &Trace) -> Spaces<'a> {
        let memory = &world.kernel().core().memory;
        let mut spaces = Spaces {
            world,
            processes: world.process_names(),
            replaced: Vec::new(),
            turns: BTreeMap::new(),
            roots: world.kernel().mms().map(|mm| (0, Pfn(memory.get(mm.pgd().loc())), mm.id)).collect(),
        };
        for (task, thread) in world.scenario.threads.iter().enumerate() {
            spaces.turns.entry(CpuId(thread.cpu)).or_insert_with(|| vec![(0, TaskId(task as u8))]);
        }
        for entry in &trace.log {
            match entry.what {
                What::Core(Core::Switch(task)) => {
                    spaces.turns.entry(entry.cpu).or_default().push((entry.step, task));
                }
                What::Mm(Mm::MmCreated { mm, root, .. }) => spaces.roots.push((entry.step, root, mm)),
                What::Mm(Mm::MmReplaced { old, new }) => spaces.replaced.push((entry.step, old, new)),
                _ => {}
            }
        }
        spaces
    }

    /// The thread that is on a CPU at a step.
    pub(super) fn thread(&self, cpu: CpuId, step: u64) -> Option<&'a Thread> {
        let (_, TaskId(task)) = *self.turns.get(&cpu)?.iter().rev().find(|(since, _)| *since <= step)?;
        self.world.scenario.threads.get(usize::from(task))
    }

    /// The address space of that thread.
    pub(super) fn at(&self, cpu: CpuId, step: u64) -> Option<MmId> {
        let process = &self.thread(cpu, step)?.process;
        let mut had = self.processes.iter().filter(|(_, name)| name == process).map(|(mm, _)| *mm);
        let first = had.next()?;
        let replaced = |old, new| self.replaced.iter().any(|(at, o, n)| *at <= step && (*o, *n) == (old, new));
        Some(had.fold(first, |now, next| if replaced(now, next) { next } else { now }))
    }

    /// The address space whose root a frame is at a step.
    pub(super) fn of_root(&self, root: Pfn, step: u64) -> Option<MmId> {
        let made = self.roots.iter().rev().find(|(since, made, _)| *made == root && *since <= step);
        made.map(|(.., mm)| *mm)
    }

    pub(super) fn process(&self, mm: MmId) -> Option<&String> {
        self.processes.iter().find(|(of, _)| *of == mm).map(|(_, name)| name)
    }

    /// The process of an address space, if this is not the address space of the line.
    pub(super) fn owner(&self, line: Option<MmId>, mm: MmId) -> Option<String> {
        let owner = || self.process(mm).cloned().unwrap_or_else(|| format!("mm{}", mm.0));
        (line != Some(mm)).then(owner)
    }

    /// The name of a page of `mm` in a line of the address space `line`.
    pub(super) fn page(&self, line: Option<MmId>, mm: MmId, va: VirtAddr) -> PageOf {
        match self.world.page_name(mm, va) {
            Some(name) => PageOf { mm, va, owner: self.owner(line, mm), name },
            None => PageOf { mm, va, owner: self.owner(None, mm), name: unnamed(va) },
        }
    }

    /// The name, in a line of the address space `line`, of a page that another line has named.
    pub(super) fn again(&self, line: Option<MmId>, page: &PageOf) -> PageOf {
        self.page(line, page.mm, page.va)
    }
}

/// The name of a page that no mapping of its process names.
pub(super) fn unnamed(va: VirtAddr) -> String {
    format!("page {:#x}", va.vpn().0)
}
