//! Looking a page up with `mmap_lock` held: `follow_page_mask()`.

use sim_core::Held;
use sim_mm::{
    Cpu, MmStruct, P4dp, Page, PageFlags, Pmdp, Pte, Pudp, check, get_page, pgd_offset, set_page_referenced,
};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::safeguards::{FOLLOW_PTE_PRESENT, FOLLOW_PTE_WRITE, FOLLOW_PTL, GUP_READ_BREAKS_COW};

/// `should_force_cow_break()`, only in v5.8: a reader of private memory is treated as a writer.
pub(crate) fn should_force_cow_break(cpu: Cpu<'_>) -> bool {
    cpu.has(GUP_READ_BREAKS_COW)
}

/// `follow_page_mask()`: the page behind an address, with a reference if `FOLL_GET` asks for one.
/// `None` if the access has to be faulted in.
pub(crate) async fn follow_page_mask(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    flags: FollFlags,
) -> Option<Page> {
    let _routine = cpu.enter("follow_page_mask");
    let pgdp = pgd_offset(cpu, mm, address);
    follow_p4d_mask(cpu, address, pgdp.p4d_offset(), flags).await
}

/// `follow_p4d_mask()`.
async fn follow_p4d_mask(cpu: Cpu<'_>, address: VirtAddr, p4dp: P4dp, flags: FollFlags) -> Option<Page> {
    let p4d = cpu.read_once(p4dp).await;
    if p4d.none() {
        return None;
    }
    follow_pud_mask(cpu, address, p4d.pud_offset(cpu.mmu.geometry, address), flags).await
}

/// `follow_pud_mask()`.
async fn follow_pud_mask(cpu: Cpu<'_>, address: VirtAddr, pudp: Pudp, flags: FollFlags) -> Option<Page> {
    let pud = cpu.read_once(pudp).await;
    if pud.none() {
        return None;
    }
    follow_pmd_mask(cpu, address, pud.pmd_offset(cpu.mmu.geometry, address), flags).await
}

/// `follow_pmd_mask()`.
async fn follow_pmd_mask(cpu: Cpu<'_>, address: VirtAddr, pmdp: Pmdp, flags: FollFlags) -> Option<Page> {
    let pmdval = cpu.read_once(pmdp).await;
    if pmdval.none() || !pmdval.present() {
        return None;
    }
    follow_page_pte(cpu, address, pmdp, flags).await
}

/// `can_follow_write_pte()`: a forced write follows an entry that is not writable, but only after a
/// COW cycle, whose mark is the dirty bit.
fn can_follow_write_pte(cpu: Cpu<'_>, pte: Pte, flags: FollFlags) -> bool {
    let forced = flags.contains(FollFlags::FORCE) || should_force_cow_break(cpu);
    let can = pte.write() || (forced && flags.contains(FollFlags::COW) && pte.dirty());
    if check!(cpu, FOLLOW_PTE_WRITE, !can) {
        return false;
    }
    true
}

/// `follow_page_pte()`. The PTE lock is held from the read to the reference: the reference is
/// unconditional, so the page must not be freed between.
async fn follow_page_pte(cpu: Cpu<'_>, address: VirtAddr, pmdp: Pmdp, flags: FollFlags) -> Option<Page> {
    let _routine = cpu.enter("follow_page_pte");
    let pmd = cpu.read_once(pmdp).await;
    if pmd.bad() {
        return None;
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    let _ptl: Option<Held<'_>> =
        if cpu.has(FOLLOW_PTL) { Some(cpu.lock(cpu.kernel.ptl(ptep.table())).await) } else { None };
    let pte = cpu.read_once(ptep).await;
    if check!(cpu, FOLLOW_PTE_PRESENT, !pte.present()) {
        return None;
    }
    if flags.contains(FollFlags::WRITE) && !can_follow_write_pte(cpu, pte, flags) {
        return None;
    }
    // vm_normal_page() has no page for a special entry, but the zero page is handed out all the same.
    let page = Page(pte.pfn());
    if flags.contains(FollFlags::GET) {
        get_page(cpu, page).await;
    }
    if flags.contains(FollFlags::TOUCH) {
        if flags.contains(FollFlags::WRITE) && !pte.dirty() {
            // set_page_dirty()
            cpu.rmw(cpu.kernel.page_flags(page), |old| old | PageFlags::DIRTY).await;
        }
        // mark_page_accessed(), rather than rewriting the entry and losing a hardware dirty bit.
        set_page_referenced(cpu, page).await;
    }
    Some(page)
}
