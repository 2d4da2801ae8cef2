//! A fault on an entry for NUMA hinting: `do_numa_page()`.

use sim_mmu::Entry;

use crate::folio::page_is_anon;
use crate::huge_memory::is_huge_zero_pmd;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::pgtable::{Pmd, Pte, Ptep, ptep_get_and_clear, vma_page_prot, vma_soft_dirty_enabled};
use crate::settings::NumaWrite;
use crate::vm_fault::{Fault, VmFault};
use crate::vm_flags::VmFlags;

/// `do_numa_page()`: the entry allows again what the mapping allows. No page is moved for it.
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

/// `do_huge_pmd_numa_page()`: the same for a huge page.
pub(super) async fn do_huge_pmd_numa_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd) -> VmFault {
    let _routine = cpu.enter("do_huge_pmd_numa_page");
    let _ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if cpu.read_once(vmf.pmdp).await != orig {
        return VmFault::default();
    }
    let flags = vmf.vma.flags(cpu);
    let writable = if saves_write(cpu) { orig.write() } else { can_change_pmd_writable(cpu, flags, orig).await };
    let new = Pmd::modify(orig.entry, vma_page_prot(cpu, flags)).with(Entry::ACCESSED);
    let new = if writable { new.with(Entry::RW) } else { new };
    cpu.set_pmd_at(vmf.mm, cpu.pmd_base(vmf.address), vmf.pmdp, new).await;
    VmFault::default()
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
    cpu.load(cpu.kernel.own_flags(head)).await.contains(PageFlags::ANON_EXCLUSIVE)
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
    cpu.load(cpu.kernel.own_flags(page)).await.contains(PageFlags::ANON_EXCLUSIVE)
}
