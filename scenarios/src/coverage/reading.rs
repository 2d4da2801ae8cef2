//! Reading the event log of a run: its order, its races, its lines.

use std::collections::BTreeMap;
use std::panic::Location;

use sim_core::{Event as Core, Loc, OpKind};
use sim_mm::{Event as Mm, MemoryOrder, Page};
use sim_mmu::{Event as Hardware, Level};

use super::Coverage;
use super::order::{Access, Order, Raced};
use crate::oracle::{Logged, What};
use crate::world::World;

/// The end of the names of the words at which the waiters of a semaphore look. The name of the semaphore stands before it.
const GRANTED: &str = ".granted[";

/// Reads the logs of a world's runs.
pub(super) struct Reader<'w> {
    world: &'w World<'w>,
    buffers: bool,
    names: BTreeMap<Loc, String>,
}

impl<'w> Reader<'w> {
    pub(super) fn new(world: &'w World<'w>) -> Reader<'w> {
        let buffers = world.kernel().config.setting::<MemoryOrder>() == MemoryOrder::Tso;
        Reader { world, buffers, names: BTreeMap::new() }
    }

    /// Adds the lines and races of a run to `coverage`. Answers the digest of its order.
    pub(super) fn read(&mut self, log: &[Logged], coverage: &mut Coverage) -> u64 {
        let mut order = Order::new(self.world.kernel().config.cpus);
        let mut raced = Vec::new();
        for (i, entry) in log.iter().enumerate() {
            match &entry.what {
                What::Core(event) => {
                    if let Core::Access { place, .. } = event {
                        coverage.lines.note(place);
                    }
                    self.event(&mut order, entry, event, level(&log[i..]), &mut raced);
                }
                // The allocator sets the count in the step that takes the frame.
                What::Mm(Mm::FrameAllocated { pfn, .. }) => {
                    let loc = self.world.kernel().refcount(Page(*pfn)).loc();
                    let set = Access { writes: true, ..access(entry, loc, pfn.0, None) };
                    order.access(set, &mut raced);
                }
                What::Mm(_) | What::Hardware(_) => {}
            }
        }
        for (first, second) in raced {
            coverage.races.note(self.object(&first, &second), first.routine, second.routine);
        }
        order.digest()
    }

    fn event(
        &mut self,
        order: &mut Order,
        entry: &Logged,
        event: &Core,
        level: Option<Level>,
        raced: &mut Vec<Raced>,
    ) {
        let cpu = entry.cpu;
        match *event {
            Core::Access { kind, loc, old, new, place } => {
                let what = old.wrapping_mul(31).wrapping_add(new).wrapping_mul(31).wrapping_add(kind as u64);
                if self.buffers && kind.drains() {
                    order.drained(cpu);
                }
                if loc == Loc::NONE {
                    return order.act(cpu, what);
                }
                let access = Access {
                    routine: routine(entry, Some(place)),
                    entry: level,
                    writes: kind.writes(),
                    waits: matches!(kind, OpKind::Acquire | OpKind::Wait),
                    ..access(entry, self.semaphore(loc), what, Some(place))
                };
                match kind {
                    OpKind::Write if self.buffers => order.store(access),
                    OpKind::Read if self.buffers => order.load(access, raced),
                    _ => order.access(access, raced),
                }
            }
            Core::Drain { loc, .. } => order.drain(cpu, loc, raced),
            Core::Release { loc } => {
                let release = Access { writes: true, waits: true, ..access(entry, loc, 0, None) };
                if self.buffers {
                    order.store(release);
                }
                order.access(release, raced);
            }
            Core::Raise { target, .. } => order.raise(cpu, target),
            Core::Interrupt(vector) => order.interrupt(cpu, u64::from(vector.0)),
            Core::Switch(task) => order.act(cpu, u64::from(task.0)),
            // IRET is serialising.
            Core::Return if self.buffers => order.drained(cpu),
            Core::Return | Core::Enter(_) | Core::Exit => {}
        }
    }

    fn name(&mut self, loc: Loc) -> &str {
        self.names.entry(loc).or_insert_with(|| self.world.kernel().core().memory.describe(loc))
    }

    /// The word of the semaphore, for a word that tells a waiter that it has the semaphore.
    fn semaphore(&mut self, loc: Loc) -> Loc {
        let name = self.name(loc);
        let Some((semaphore, slot)) = name.split_once(GRANTED) else { return loc };
        let (semaphore, slot) = (semaphore.to_owned(), slot.trim_end_matches(']').parse().unwrap_or(0_u32));
        // The slots come right after the semaphore.
        let count = Loc(loc.0 - slot - 1);
        assert_eq!(self.name(count), semaphore, "simulator defect: the slots of a semaphore are elsewhere");
        count
    }

    /// The name of the word of a race, which is the same for all words of its kind.
    fn object(&mut self, first: &Access, second: &Access) -> String {
        match second.entry.or(first.entry) {
            Some(level) => entry_of(level).to_owned(),
            None if self.world.kernel().mmu.phys.locate(first.loc).is_some() => "page contents".to_owned(),
            None => any_of_its_kind(self.name(first.loc)),
        }
    }
}

fn access(entry: &Logged, loc: Loc, what: u64, place: Option<&Location<'_>>) -> Access {
    let routine = routine(entry, place);
    Access { cpu: entry.cpu, routine, loc, entry: None, writes: false, waits: false, what }
}

/// The level of the entry that the first event of a log accessed. The next event of the step says it.
fn level(log: &[Logged]) -> Option<Level> {
    let (first, rest) = log.split_first()?;
    let same_step = rest.iter().take_while(|entry| (entry.step, entry.cpu) == (first.step, first.cpu));
    let events = same_step.take_while(|entry| !matches!(entry.what, What::Core(Core::Access { .. })));
    events.into_iter().find_map(|entry| match entry.what {
        What::Hardware(Hardware::TableAccess { level, .. }) => Some(level),
        _ => None,
    })
}

/// Who made an access: the innermost routine, or outside the kernel user code, the page walker or a device.
fn routine(entry: &Logged, place: Option<&Location<'_>>) -> &'static str {
    match (entry.stack.last(), place.map(Location::file)) {
        (Some(routine), _) => routine.name,
        (None, Some(file)) if file.ends_with("sim-mmu/src/access.rs") => "(user access)",
        (None, Some(file)) if file.contains("sim-mmu/src/") => "(page walk)",
        (None, Some(_)) => "(device)",
        (None, None) => "(user)",
    }
}

/// The kernel's name of an entry.
fn entry_of(level: Level) -> &'static str {
    match level {
        Level::Pgd => "pgd",
        Level::P4d => "p4d",
        Level::Pud => "pud",
        Level::Pmd => "pmd",
        Level::Pte => "pte",
    }
}

/// `page[7]._refcount` as `page[*]._refcount`, `mm0.mm_users` as `mm*.mm_users`.
fn any_of_its_kind(name: &str) -> String {
    let mut text = String::new();
    for part in name.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits.len() < part.len() {
            text.push('*');
        }
        text.push_str(digits);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_matter() {
        assert_eq!(any_of_its_kind("page[17]._refcount"), "page[*]._refcount");
        assert_eq!(any_of_its_kind("mm0.mm_users"), "mm*.mm_users");
        assert_eq!(any_of_its_kind("slot[2]"), "slot[*]");
        assert_eq!(any_of_its_kind("mm3"), "mm*");
    }
}
