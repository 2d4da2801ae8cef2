//! A fault on an entry for NUMA hinting: `do_numa_page()`.

use sim_mmu::Entry;

use super::vm_fault::{Fault, VmFault};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::page_is_anon;
use crate::page_flags::PageFlags;
use crate::pgtable::{Pte, Ptep, ptep_get_and_clear, vma_page_prot, vma_soft_dirty_enabled};
use crate::settings::NumaWrite;
use crate::vm_flags::VmFlags;

/// `do_numa_page()`: the entry allows again what the mapping allows. All memory is of one node, so no page moves.
pub(super) async fn do_numa_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, ptep: Ptep, orig: Pte) -> VmFault {
    let _routine = cpu.enter("do_numa_page");
    let _locked = vmf.lock(cpu, ptep).await;
    if cpu.read_once(ptep).await != orig {
        return VmFault::default();
    }
    let flags = vmf.vma.flags(cpu);
    let old = ptep_get_and_clear(cpu, vmf.mm, vmf.address, ptep, orig).await;
    let private = flags.contains(VmFlags::WRITE) && !flags.contains(VmFlags::SHARED);
    let writable =
        if saves_write(cpu) { old.write() } else { private && can_change_pte_writable(cpu, flags, old).await };
    let new = Pte::modify(old.entry, vma_page_prot(cpu, flags)).with(Entry::ACCESSED);
    let new = if writable { new.with(Entry::RW) } else { new };
    cpu.set_pte_at(vmf.mm, vmf.address, ptep, new).await;
    VmFault::default()
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
    cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::ANON_EXCLUSIVE)
}
