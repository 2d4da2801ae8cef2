//! Checks what must hold at every step: a table is read only as the table that it is, free frames are not touched, and counts
//! do not fall below zero.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;

use sim_core::{Core, Cpu, CpuId, Loc};
use sim_mm::{Event, FrameUse, Kernel, Page, Reach, RefChange};
use sim_mmu::{Entry, Event as Hardware, Level, Pfn};

/// Frames that the kernel takes before anything runs: the zero page and its own root.
pub const BOOT_FRAMES: u64 = 2;
/// Events of the story that are shown.
const LAST: usize = 120;

/// Watches a machine, and keeps what happened on it if asked to tell it.
#[derive(Default)]
pub struct Watch {
    /// What each frame is allocated for.
    frames: RefCell<BTreeMap<Pfn, FrameUse>>,
    allocations: Cell<usize>,
    wrong: RefCell<Vec<String>>,
    story: RefCell<Vec<String>>,
    silent: Cell<bool>,
}

impl Watch {
    /// Keeps no story: for the many runs that go well.
    pub fn set_silent(&self, silent: bool) {
        self.silent.set(silent);
    }

    /// Adds to the story.
    pub fn tell(&self, cpu: Cpu<'_>, what: impl FnOnce() -> String) {
        if !self.silent.get() {
            let task = cpu.task().map_or(String::new(), |task| format!(" task {}", task.0));
            let line = format!("{:>5} {}{task}: {}", cpu.core.steps(), cpu.id, what());
            self.story.borrow_mut().push(line);
        }
    }

    /// Something is wrong: the run ends here.
    pub fn wrong(&self, cpu: Cpu<'_>, what: String) {
        self.tell(cpu, || format!("WRONG: {what}"));
        self.wrong.borrow_mut().push(format!("at step {} on {}: {what}", cpu.core.steps(), cpu.id));
        cpu.core.request_stop();
    }

    /// The first thing that went wrong.
    pub fn verdict(&self) -> Result<(), String> {
        self.wrong.borrow().first().map_or(Ok(()), |wrong| Err(wrong.clone()))
    }

    /// The end of what happened.
    pub fn story(&self) -> String {
        let story = self.story.borrow();
        let mut text = format!("what happened (step, CPU, task), the last of {} events:\n", story.len());
        for line in &story[story.len().saturating_sub(LAST)..] {
            writeln!(text, "{line}").expect("a string takes everything");
        }
        text
    }

    /// What a frame is allocated for.
    pub fn frame(&self, pfn: Pfn) -> Option<FrameUse> {
        self.frames.borrow().get(&pfn).copied()
    }

    /// Frames that are allocated, and what for.
    pub fn allocated(&self) -> Vec<(Pfn, FrameUse)> {
        self.frames.borrow().iter().map(|(pfn, used)| (*pfn, *used)).collect()
    }

    /// How many frames were ever allocated.
    pub fn allocations(&self) -> usize {
        self.allocations.get()
    }

    /// Every frame is back on the free list.
    pub fn all_free(&self, kernel: &Kernel) -> Result<(), String> {
        // A page that somebody had locked when its last entry went stays in the swap cache until reclaim comes by.
        let mut reach = Reach::default();
        reach.walk(kernel).map_err(|wrong| wrong.to_string())?;
        let left: Vec<_> = self
            .allocated()
            .into_iter()
            .filter(|(pfn, _)| reach.held(kernel.folio_frames(Page(*pfn))) == 0)
            .collect();
        if left.is_empty() { Ok(()) } else { Err(format!("never freed: {left:?}")) }
    }

    fn kernel_event(&self, cpu: Cpu<'_>, event: &Event) {
        match *event {
            Event::FrameAllocated { pfn: first, order, for_use } => {
                for pfn in order.frames(first) {
                    self.allocations.set(self.allocations.get() + 1);
                    let before = self.frames.borrow_mut().insert(pfn, for_use);
                    if pfn.0 < BOOT_FRAMES || before.is_some() {
                        self.wrong(cpu, format!("{pfn} is allocated for {for_use:?} while it is {before:?}"));
                    }
                }
            }
            Event::FrameFreed { pfn: first, order } => {
                for pfn in order.frames(first) {
                    let before = self.frames.borrow_mut().remove(&pfn);
                    if before.is_none() {
                        self.wrong(cpu, format!("{pfn} is freed, but is not allocated"));
                    }
                }
            }
            Event::RefChanged { pfn, how, old, new } => {
                let wrong = match how {
                    RefChange::Get | RefChange::Put => old == 0,
                    RefChange::Speculative => self.frame(pfn).is_none() && pfn.0 >= BOOT_FRAMES,
                    RefChange::Freeze => false,
                    RefChange::Unfreeze => old != 0,
                };
                if wrong {
                    self.wrong(cpu, format!("{how:?} takes the count of {pfn} from {old} to {new}"));
                }
            }
            Event::MapcountChanged { pfn, old, new }
                if self.frame(pfn) != Some(FrameUse::Data) || old == 0 && new != 1 =>
            {
                self.wrong(cpu, format!("the mappings of {pfn} go from {old} to {new}"));
            }
            Event::PteChanged { new, .. } if new.has(Entry::RW) && new.pfn() == Pfn(0) => {
                self.wrong(cpu, format!("the zero page becomes writable: {new}"));
            }
            _ => {}
        }
    }

    fn hardware_event(&self, cpu: Cpu<'_>, event: &Hardware) {
        match *event {
            Hardware::TableAccess { root, level, table, by } => {
                let expected = if level == Level::P4d { FrameUse::Root } else { FrameUse::Table { level, root } };
                let boot_root = table == Pfn(1) && level == Level::P4d;
                let actual = if boot_root { Some(FrameUse::Root) } else { self.frame(table) };
                if actual != Some(expected) {
                    self.wrong(cpu, format!("{by:?} takes {table} for {expected:?}, but it is {actual:?}"));
                }
            }
            Hardware::Retired { va, access, through, .. } => {
                let used = self.frame(through.pfn);
                let zero_page = through.pfn == Pfn(0) && !access.writes();
                if used != Some(FrameUse::Data) && !zero_page {
                    self.wrong(cpu, format!("{access:?} at {va} reaches {}, which is {used:?}", through.pfn));
                }
            }
            _ => {}
        }
    }
}

impl sim_mm::Observer for Watch {
    fn kernel(&self, cpu: sim_mm::Cpu<'_>, event: &Event) {
        self.tell(**cpu, || format!("{event:?}"));
        self.kernel_event(**cpu, event);
    }
}

impl sim_mmu::Observer for Watch {
    fn hardware(&self, cpu: sim_mmu::Cpu<'_>, event: &Hardware) {
        match event {
            Hardware::TableAccess { .. } => {}
            Hardware::Filled(found) => self.tell(*cpu, || format!("caches #{}: {}", found.id, found.leaf)),
            Hardware::Retired { va, access, through, value, .. } => {
                let what = access.kind;
                self.tell(*cpu, || {
                    format!("{what:?} of {value} at {va} through #{} to {}", through.id, through.pfn)
                });
            }
            other => self.tell(*cpu, || format!("{other:?}")),
        }
        self.hardware_event(*cpu, event);
    }
}

impl sim_core::Observer for Watch {
    fn observe(&self, _: &Core, _: CpuId, _: sim_core::Event) {}

    fn touched_dead(&self, core: &Core, cpu: CpuId, loc: Loc) {
        self.wrong(Cpu { core, id: cpu }, format!("{} is used after its end", core.memory.describe(loc)));
    }
}
