//! A fault on an entry for NUMA hinting: `do_numa_page()`.

use sim_mmu::Entry;

use crate::folio::page_is_anon;
use crate::huge_memory::is_huge_zero_pmd;
use crate::kernel::Cpu;
use crate::migrate::{migrate_misplaced_page, mpol_misplaced};
use crate::mm_types::Page;
use crate::page::get_page;
use crate::pgtable::{Pmd, Pte, Ptep, vma_page_prot, vma_soft_dirty_enabled};
use crate::pgtable_set::ptep_get_and_clear;
use crate::rmap::page_anon_exclusive;
use crate::settings::{NumaMove, NumaWrite};
use crate::vm_fault::{Fault, VmFault};
use crate::vm_flags::VmFlags;

/// `do_numa_page()`: the entry allows again what the mapping allows. On a machine with several nodes the page goes to that of this CPU: since
/// v5.13 instead, before that when the entry is present again.
pub(super) async fn do_numa_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, ptep: Ptep, orig: Pte) -> VmFault {
    let _routine = cpu.enter("do_numa_page");
    let Some(mut locked) = vmf.map_lock_same(cpu, (ptep, orig)).await else { return VmFault::default() };
    let misplaced = orig.page().and_then(|page| Some((page, mpol_misplaced(cpu, page)?)));
    let maps_first = cpu.setting::<NumaMove>() == NumaMove::Copied;
    if let Some((page, node)) = misplaced {
        // numa_migrate_prep()
        get_page(cpu, page).await;
        if !maps_first {
            drop(locked);
            if Box::pin(migrate_misplaced_page(cpu, page, node)).await {
                return VmFault::default();
            }
            locked = match vmf.map_lock_same(cpu, (ptep, orig)).await {
                Some(locked) => locked,
                None => return VmFault::default(),
            };
        }
    }
    map_again(cpu, vmf, ptep, orig).await;
    drop(locked);
    if let Some((page, node)) = misplaced.filter(|_| maps_first) {
        Box::pin(migrate_misplaced_page(cpu, page, node)).await;
    }
    VmFault::default()
}

/// The entry is present again. The caller holds its lock.
async fn map_again<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, ptep: Ptep, orig: Pte) {
    let flags = vmf.vma.flags(cpu);
    let old = ptep_get_and_clear(cpu, vmf.mm, vmf.address, ptep, orig).await;
    let private = flags.contains(VmFlags::WRITE) && !flags.contains(VmFlags::SHARED);
    let writable =
        if saves_write(cpu) { old.write() } else { private && can_change_pte_writable(cpu, flags, old).await };
    let new = Pte::modify(old.entry, vma_page_prot(cpu, flags)).with(Entry::ACCESSED);
    let new = if writable { new.with(Entry::RW) } else { new };
    cpu.set_pte_at(vmf.mm, vmf.address, ptep, new).await;
}

/// `can_change_pmd_writable()`.
pub(crate) async fn can_change_pmd_writable(cpu: Cpu<'_>, flags: VmFlags, pmd: Pmd) -> bool {
    let private = flags.contains(VmFlags::WRITE) && !flags.contains(VmFlags::SHARED);
    if !private || vma_soft_dirty_enabled(cpu, flags) && !pmd.soft_dirty() || pmd.uffd_wp() {
        return false;
    }
    let head = Page(pmd.pfn());
    if is_huge_zero_pmd(cpu, pmd) || !page_is_anon(cpu, head) {
        return false;
    }
    page_anon_exclusive(cpu, head).await
}

/// Whether an entry for NUMA hinting says if it was writable. Since v6.2 that is found out anew.
pub(crate) fn saves_write(cpu: Cpu<'_>) -> bool {
    cpu.setting::<NumaWrite>() == NumaWrite::Saved
}

/// `can_change_private_pte_writable()`: nobody else can see the page, so a write need not be caught.
pub(crate) async fn can_change_pte_writable(cpu: Cpu<'_>, flags: VmFlags, pte: Pte) -> bool {
    let page = Page(pte.pfn());
    // pte_needs_soft_dirty_wp(): the next write has to be noticed.
    if vma_soft_dirty_enabled(cpu, flags) && !pte.soft_dirty() || pte.uffd_wp() {
        return false;
    }
    if pte.special() || !page_is_anon(cpu, page) {
        return false;
    }
    page_anon_exclusive(cpu, page).await
}
