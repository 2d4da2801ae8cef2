//! Where an entry of the paging structures stands in its address space.
//!
//! The entries that a walk reads give the answer. The root stands for address 0, and each entry that leads to a
//! table gives the table its place.

use std::collections::BTreeMap;

use sim_core::{Event as Core, Loc};
use sim_mm::{Event as Mm, MmId, Order};
use sim_mmu::{Entry, Event as Hardware, Level, Pfn, VirtAddr};

use super::fact::maps_huge_page;
use super::spaces::Spaces;
use crate::explore::Trace;
use crate::oracle::{Logged, What};
use crate::world::World;

/// An entry that a step read or wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableEntry {
    pub(super) level: Level,
    pub(super) table: Pfn,
    pub(super) loc: Loc,
    pub(super) old: Entry,
    pub(super) new: Entry,
}

/// The entry of a step, if it touched one, and the root under which it did.
pub(super) fn touched(step: &[Logged]) -> Option<(TableEntry, Pfn)> {
    let (level, table, root) = step.iter().find_map(|entry| match entry.what {
        What::Hardware(Hardware::TableAccess { root, level, table, .. }) => Some((level, table, root)),
        _ => None,
    })?;
    step.iter().find_map(|entry| match entry.what {
        What::Core(Core::Access { loc, old, new, .. }) => {
            Some((TableEntry { level, table, loc, old: Entry(old), new: Entry(new) }, root))
        }
        _ => None,
    })
}

/// The pages of entries that map pages, as far as a run shows them.
#[derive(Default)]
pub(super) struct Places {
    /// By the step that touched the entry.
    at_step: BTreeMap<u64, (MmId, VirtAddr)>,
    /// By the location of the entry, as it was last.
    at_loc: BTreeMap<Loc, (MmId, VirtAddr)>,
}

impl Places {
    pub(super) fn of(spaces: &Spaces<'_>, world: &World<'_>, trace: &Trace) -> Places {
        let (memory, geometry) = (&world.kernel().mmu.phys, world.kernel().mmu.geometry);
        let mut bases: BTreeMap<(Pfn, Pfn), u64> = BTreeMap::new();
        let mut places = Places::default();
        for step in trace.log.chunk_by(|a, b| a.step == b.step && a.cpu == b.cpu) {
            let Some((entry, root)) = touched(step) else { continue };
            let base = if entry.table == root { Some(0) } else { bases.get(&(root, entry.table)).copied() };
            let first = memory.word(entry.table, 0);
            if let (Some(base), Some(index)) = (base, entry.loc.0.checked_sub(first.0)) {
                let place = base + u64::from(index) * geometry.span(entry.level);
                let maps_page =
                    entry.level == Level::Pte || [entry.old, entry.new].into_iter().any(maps_huge_page);
                if !maps_page {
                    let leads_to = [entry.old, entry.new].into_iter().filter(|entry| entry.is_present());
                    bases.extend(leads_to.map(|entry| ((root, entry.pfn()), place)));
                } else if let Some(mm) = spaces.of_root(root, step[0].step) {
                    places.note(step[0].step, entry.loc, (mm, VirtAddr(place)));
                }
            }
            // If the kernel says itself which page an entry is for, that is more certain.
            for logged in step {
                // It says so of small entries as well when the entry above them changes.
                if let What::Mm(Mm::PteChanged { mm, va, order, .. }) = logged.what
                    && (entry.level == Level::Pte || order > Order::PTE)
                {
                    places.note(logged.step, entry.loc, (mm, va));
                }
            }
        }
        places
    }

    fn note(&mut self, step: u64, loc: Loc, place: (MmId, VirtAddr)) {
        self.at_step.insert(step, place);
        self.at_loc.insert(loc, place);
    }

    /// The page of the entry at `loc` that a step touched.
    pub(super) fn at(&self, step: u64, loc: Loc) -> Option<(MmId, VirtAddr)> {
        self.at_step.get(&step).or_else(|| self.at_loc.get(&loc)).copied()
    }
}
