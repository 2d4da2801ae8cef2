//! A translation in one go, with empty caches and no other CPU on the machine.

use crate::addr::{Level, Pfn, PhysAddr, VirtAddr};
use crate::control::{Controls, Cr0, Cr3};
use crate::entry::Entry;
use crate::fault::Fault;
use crate::geometry::Geometry;
use crate::paging::rights::Access;
use crate::paging::walk::{Next, Walk};

/// The memory that holds the paging structures.
pub trait TableMemory {
    /// Entry `index` of the table in frame `table`, which is read at `level`.
    fn read(&mut self, level: Level, table: Pfn, index: u32) -> Entry;
    /// Sets `flags` in that entry.
    fn mark(&mut self, level: Level, table: Pfn, index: u32, flags: u64);
    /// The walk judged the entry. An implementation that shows the walk notes it here. By default nothing happens.
    fn judged(&mut self, _level: Level, _entry: Entry, _next: &Next) {}
}

/// Translates one access, and sets A and D as a walk does.
///
/// # Errors
/// The exception that the access raises.
#[inline]
pub fn translate(
    controls: &Controls,
    cr3: Cr3,
    va: VirtAddr,
    access: Access,
    memory: &mut impl TableMemory,
) -> Result<PhysAddr, Fault> {
    let geometry = Geometry::default();
    if !controls.cr0.has(Cr0::PG) {
        return Ok(PhysAddr(va.0));
    }
    // SDM 4.5.3: the address is checked before anything is read.
    if !geometry.is_canonical(va, controls.root_level()) {
        return Err(Fault::GeneralProtection);
    }
    let mut walk = Walk::new(controls, geometry, cr3.root(), va, Some(access));
    loop {
        let (level, table, index) = (walk.level(), walk.table(), walk.index());
        let entry = memory.read(level, table, index);
        let next = walk.judge(entry);
        memory.judged(level, entry, &next);
        match next {
            Next::Descend => {}
            Next::Mark(flags) => memory.mark(level, table, index, flags),
            Next::Mapped(_) => {
                let base = Walk::page_frame(geometry, level, entry).base();
                return Ok(PhysAddr(base.0 | va.0 & (geometry.span(level) - 1)));
            }
            Next::Fault(fault) => return Err(Fault::Page(fault)),
            Next::Nothing => unreachable!("the walk is for an access"),
        }
    }
}
