//! PUD entries that map memory: those of a device, which is mapped by itself (`/dev/dax`). Nobody else has such entries, but for the pool of huge pages.
//!
//! An entry has no reference to the pages, and no table is deposited for it. So it is never split into smaller ones: it goes, and faults set it again.

use sim_core::Held;
use sim_mmu::{Entry, Level, VirtAddr};

use super::fault::touch_pmd;
use crate::huge_pte::{HugePte, HugePtep, huge_pte_lock};
use crate::kernel::Cpu;
use crate::memory::find_leaf_pud;
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_gather::MmuGather;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::pgtable::{Pmd, maybe_mkwrite, mkdirty, vma_page_prot};
use crate::pgtable_generic::{flush_pmd_tlb_range, mkinvalid, pmdp_huge_clear_flush};
use crate::pgtable_huge::{pmdp_huge_get_and_clear, pmdp_set_wrprotect};
use crate::vm_flags::VmFlags;

/// `__pud_trans_huge_lock()`: the lock of a PUD entry, if it maps memory, and what it is.
async fn pud_trans_huge_lock<'m>(cpu: Cpu<'m>, mm: &MmStruct, pudp: HugePtep) -> Option<(Held<'m>, HugePte)> {
    let ptl = huge_pte_lock(cpu, mm, pudp).await;
    let pud = cpu.read_once(pudp).await;
    pud.leaf().then_some((ptl, pud))
}

/// `vmf_insert_pfn_pud()`: the entry maps the frames from now on. One that is there stays, and allows writes if the fault is one.
pub(crate) async fn insert_pfn_pud<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    (pudp, address): (HugePtep, VirtAddr),
    new: Entry,
    is_write: bool,
) {
    let _routine = cpu.enter("insert_pfn_pud");
    let _ptl = huge_pte_lock(cpu, mm, pudp).await;
    let pud = cpu.read_once(pudp).await;
    let written = Entry::ACCESSED | mkdirty(cpu) | maybe_mkwrite(cpu, vma);
    if pud.none() {
        let entry = if is_write { new.with(written) } else { new };
        cpu.set_pmd_at(mm, address, pudp, entry).await;
    } else if is_write && pud.pfn() == new.pfn() {
        cpu.update_pmd(mm, address, pudp, move |entry| entry.with(written)).await;
    }
}

/// `huge_pud_set_accessed()`: a spurious fault.
pub(crate) async fn huge_pud_set_accessed<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (pudp, orig): (HugePtep, HugePte),
    address: VirtAddr,
    is_write: bool,
) {
    let _ptl = huge_pte_lock(cpu, mm, pudp).await;
    if cpu.read_once(pudp).await == orig {
        touch_pmd(cpu, mm, address, pudp, orig.entry, is_write).await;
    }
}

/// `zap_huge_pud()`: the entry is empty, unless it maps no memory any more.
pub(crate) async fn zap_huge_pud<'m>(cpu: Cpu<'m>, tlb: &mut MmuGather<'m>, pudp: HugePtep, address: VirtAddr) {
    let _routine = cpu.enter("zap_huge_pud");
    let Some(_locked) = pud_trans_huge_lock(cpu, tlb.mm, pudp).await else { return };
    pmdp_huge_get_and_clear(cpu, tlb.mm, address, pudp).await;
    // tlb_remove_pud_tlb_entry()
    let (start, end) = pudp.range(cpu, address);
    tlb.remove_tlb_entry(start);
    tlb.remove_tlb_entry(VirtAddr(end.0 - VirtAddr::PAGE_SIZE));
}

/// `__split_huge_pud()`: the entry is empty when this returns, if it mapped memory.
pub(crate) async fn split_huge_pud<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    pudp: HugePtep,
    address: VirtAddr,
) {
    let _routine = cpu.enter("__split_huge_pud");
    let (start, end) = pudp.range(cpu, address);
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (start, end)).await;
    if let Some(_locked) = pud_trans_huge_lock(cpu, mm, pudp).await {
        cpu.vm_bug_on(
            vma.start(cpu) > start || vma.end(cpu) < end,
            "VM_BUG_ON_VMA(vma->vm_end < haddr + HPAGE_PUD_SIZE)",
        );
        pmdp_huge_clear_flush(cpu, mm, start, pudp).await;
    }
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
}

/// `split_huge_pud()` of all that a range meets: for a walk that goes through smaller entries. Such entries are looked for without a step.
pub(crate) async fn split_huge_puds<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) {
    let mut addr = start;
    while addr < end {
        let vma = mm.vmas.look(cpu.core).iter().copied().find(|vma| vma.contains(cpu, addr));
        if let (Some(pudp), Some(vma)) = (find_leaf_pud(cpu, mm, addr), vma) {
            split_huge_pud(cpu, (mm, vma), pudp, addr).await;
        }
        addr = cpu.mmu.geometry.addr_end(Level::Pud, addr, end);
    }
}

/// `copy_huge_pud()`: the child maps what the parent maps, and both learn of writes, although the mapping is shared. A device may use the pages.
pub(crate) async fn copy_huge_pud<'m>(
    cpu: Cpu<'m>,
    (dst, dst_pudp): (&'m MmStruct, HugePtep),
    (src, src_pudp): (&'m MmStruct, HugePtep),
    address: VirtAddr,
) {
    let _routine = cpu.enter("copy_huge_pud");
    let _dst_ptl = huge_pte_lock(cpu, dst, dst_pudp).await;
    let Some((_src_ptl, pud)) = pud_trans_huge_lock(cpu, src, src_pudp).await else { return };
    pmdp_set_wrprotect(cpu, src, address, src_pudp).await;
    cpu.set_pmd_at(dst, address, dst_pudp, pud.entry.without(Entry::RW | Entry::ACCESSED)).await;
}

/// `change_huge_pud()`: the entry gets the protection of a mapping with these flags. False if it maps no memory any more.
///
/// It is not empty in between: whoever unmaps the device would take it for gone.
pub(crate) async fn change_huge_pud<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pudp: HugePtep,
    address: VirtAddr,
    flags: VmFlags,
) -> bool {
    let _routine = cpu.enter("change_huge_pud");
    let Some(_locked) = pud_trans_huge_lock(cpu, mm, pudp).await else { return false };
    // pudp_invalidate()
    let old = cpu.update_pmd(mm, address, pudp, mkinvalid).await;
    flush_pmd_tlb_range(cpu, mm, address, Level::Pud).await;
    cpu.set_pmd_at(mm, address, pudp, Pmd::modify(old.entry, vma_page_prot(cpu, flags))).await;
    true
}
