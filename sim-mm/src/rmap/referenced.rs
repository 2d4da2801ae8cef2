//! `page_referenced()`: whether anybody has accessed a page lately.

use sim_mmu::Entry;

use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_vma_mapped::{Find, PageVmaMappedWalk, pmd_mapped_walk};
use crate::vm_flags::VmFlags;

use super::walk::{Place, RmapLock, rmap_walk};

/// What the mappings of a page say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Referenced {
    /// The entries by which the page was accessed since this was asked last.
    pub(crate) entries: u64,
    /// Whether some mapping of it is locked.
    pub(crate) locked: bool,
}

/// `page_referenced()`, of a page that is locked, or of an anonymous one that need not be: the entries are old when this returns. Their translations are not flushed: that
/// costs more than a page that is taken for old although somebody uses it.
pub(crate) async fn page_referenced(cpu: Cpu<'_>, page: Page) -> Referenced {
    let _routine = cpu.enter("page_referenced");
    let mut found = Referenced::default();
    let one = async |place| page_referenced_one(cpu, page, place, &mut found).await;
    rmap_walk(cpu, page, RmapLock::OfMapped, one).await;
    found
}

/// `page_referenced_one()`.
async fn page_referenced_one<'m>(cpu: Cpu<'m>, page: Page, place: Place<'m>, found: &mut Referenced) -> bool {
    let Place { vma, run } = place;
    let locked = vma.flags(cpu).contains(VmFlags::LOCKED);
    if run.pages > 1
        && let Some((pmdp, pmd, _ptl)) = Box::pin(pmd_mapped_walk(cpu, page, run.mm, run.address)).await
    {
        found.locked |= locked;
        if !locked && pmd.young() {
            // pmdp_clear_flush_young_notify()
            cpu.update_pmd(run.mm, run.address, pmdp, |entry| entry.without(Entry::ACCESSED)).await;
            found.entries += 1;
        }
        return !locked;
    }
    let mut walk = PageVmaMappedWalk::new(run, Find::Mapping);
    while let Some(mapped) = walk.next(cpu).await {
        if locked {
            found.locked = true;
            return false;
        }
        // ptep_clear_flush_young_notify()
        if mapped.pte.entry.has(Entry::ACCESSED) {
            let clear = |entry: Entry| entry.without(Entry::ACCESSED);
            let old = cpu.update_pte(run.mm, mapped.address, mapped.ptep, clear).await;
            found.entries += u64::from(old.entry.has(Entry::ACCESSED));
        }
    }
    true
}
