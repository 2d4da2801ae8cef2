//! Where an entry of the paging structures stands in its address space.
//!
//! The entries that a walk reads say it: the root stands for address 0, and each entry that leads to a table
//! gives the table its place.

use std::collections::BTreeMap;

use sim_core::{Event as Core, Loc};
use sim_mm::{Event as Mm, MmId};
use sim_mmu::{Entry, Event as Hardware, Level, Pfn, VirtAddr};

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

/// The pages of entries of the lowest level, by location, as far as the run shows them.
pub(super) fn pages(world: &World<'_>, trace: &Trace) -> BTreeMap<Loc, (MmId, VirtAddr)> {
    let (memory, geometry) = (&world.kernel().mmu.phys, world.kernel().mmu.geometry);
    let core = world.kernel().core();
    let mut mms: BTreeMap<Pfn, MmId> =
        world.kernel().mms().map(|mm| (Pfn(core.memory.get(mm.pgd().loc())), mm.id)).collect();
    let mut places: BTreeMap<(Pfn, Pfn), u64> = BTreeMap::new();
    let mut pages = BTreeMap::new();
    for step in trace.log.chunk_by(|a, b| a.step == b.step && a.cpu == b.cpu) {
        mms.extend(step.iter().filter_map(|entry| match entry.what {
            What::Mm(Mm::MmCreated { mm, root, .. }) => Some((root, mm)),
            _ => None,
        }));
        let Some((entry, root)) = touched(step) else { continue };
        let base = if entry.table == root { Some(0) } else { places.get(&(root, entry.table)).copied() };
        let first = memory.word(entry.table, 0);
        if let (Some(base), Some(index)) = (base, entry.loc.0.checked_sub(first.0)) {
            let place = base + u64::from(index) * geometry.span(entry.level);
            if entry.level != Level::Pte {
                let leads_to = [entry.old, entry.new].into_iter().filter(|entry| entry.is_present());
                places.extend(leads_to.map(|entry| ((root, entry.pfn()), place)));
            } else if let Some(mm) = mms.get(&root) {
                pages.insert(entry.loc, (*mm, VirtAddr(place)));
            }
        }
        // What the kernel says of itself is surer.
        pages.extend(step.iter().filter_map(|logged| match logged.what {
            What::Mm(Mm::PteChanged { mm, va, .. }) => Some((entry.loc, (mm, va))),
            _ => None,
        }));
    }
    pages
}
