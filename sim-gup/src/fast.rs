//! The lockless walk.
//!
//! Two protocols protect it. First, the walk takes its reference and then looks at the entry again. Code that
//! changes the table does the opposite: it clears the entry, and then looks for references. So at least one of
//! the two sees the other. Second, the walk runs with interrupts off. Code that frees a page table first waits,
//! by an interrupt or by a grace period, for every CPU that could be inside the walk.

use sim_core::Routine;
use sim_mm::{
    Cpu, Event, HugePte, P4d, Page, Pgd, Pgdp, Pmd, Pmdp, Pte, Ptep, Pud, check, compound_head, entries,
    page_is_secretmem, pgd_offset, ptep_get_lockless, set_page_referenced,
};
use sim_mmu::VirtAddr;

use crate::cow::gup_must_unshare;
use crate::devmap::{gup_pte_devmap, put_walks_pagemap};
use crate::flags::FollFlags;
use crate::grab::{Fallback, is_refused_for_long, put_compound_head, try_grab_compound_head};
use crate::huge::{gup_huge_pmd, gup_huge_pud};
use crate::pages::Pages;
use crate::safeguards::{
    GUP_DEVMAP_PERMITTED, GUP_GET_PTE_LOW_AGAIN, GUP_HEAD_FIRST, GUP_P4D_NONE, GUP_P4D_ONCE, GUP_PMD_LEAF,
    GUP_PMD_ONCE, GUP_PMD_PRESENT, GUP_PMD_PROTNONE, GUP_PTE_PERMITTED, GUP_PTE_PROTNONE, GUP_PTE_RECHECK,
    GUP_PTE_SPECIAL, GUP_PUD_LEAF, GUP_PUD_NONE, GUP_PUD_ONCE, GUP_PUD_PRESENT, GUP_RECHECK_PUT,
    GUP_REF_THEN_RECHECK, GUP_SECRETMEM, GUP_STOPS, GUP_STORE_LAST, GUP_TABLE_RECHECK,
};

/// Pins the pages that one page table maps: `gup_pte_range()`.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function has its arguments twice: as such, and as variables of its body"
)]
fn gup_pte_range<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    (pmdp, pmd): (Pmdp, Pmd),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &'a mut Pages,
) -> impl Future<Output = Result<(), Fallback>> + use<'a, 'm> {
    async move {
        let _routine = cpu.enter(Routine::lockless("gup_pte_range"));
        let geometry = cpu.mmu.geometry;
        for (ptep, addr, _) in entries(geometry, pmd.pte_offset(geometry, addr), addr, end) {
            // gup_get_pte()
            let pte = ptep_get_lockless(cpu, ptep, || cpu.has(GUP_GET_PTE_LOW_AGAIN)).await;
            // Such an entry allows nobody anything, and so the next test would end here as well.
            if check!(cpu, GUP_PTE_PROTNONE, pte.protnone()) {
                return Err(Fallback);
            }
            if check!(cpu, GUP_PTE_PERMITTED, !pte.access_permitted(cpu, flags.contains(FollFlags::WRITE)))
                && (!pte.devmap() || check!(cpu, GUP_DEVMAP_PERMITTED, true))
            {
                return Err(Fallback);
            }
            if pte.special() && pte.devmap() {
                Box::pin(gup_pte_devmap(cpu, flags, addr, pages)).await?;
            } else if check!(cpu, GUP_PTE_SPECIAL, pte.special()) {
                return Err(Fallback);
            }
            if !cpu.mmu.phys.contains(pte.pfn()) {
                // compound_head() reads the struct page of the frame, and there is none.
                cpu.note(Event::KernelBug { what: "VM_BUG_ON(!pfn_valid(pte_pfn(pte)))" });
                return Err(Fallback);
            }
            let page = Page(pte.pfn());
            // The references to all pages of a folio are counted in its head.
            let head = if cpu.has(GUP_HEAD_FIRST) { compound_head(cpu, page).await } else { page };

            // The reference keeps the page from being freed. The second look tells whether it was freed before
            // the reference was there, and perhaps became another's. If the entry is read too early, the page may be
            // freed and reused between the two, and what was read does not show it.
            let early = if cpu.has(GUP_REF_THEN_RECHECK) { None } else { Some(has_changed(cpu, ptep, pte).await) };
            if !try_grab_compound_head(cpu, page, head, flags).await {
                return Err(Fallback);
            }
            let too_soon = !cpu.has(GUP_STORE_LAST);
            if too_soon {
                pages.push_own(cpu, page, addr, flags);
            }
            // Behind the reference, which keeps the page from becoming another's.
            if check!(cpu, GUP_SECRETMEM, page_is_secretmem(cpu, head).await) {
                put_compound_head(cpu, head, flags).await;
                return Err(Fallback);
            }
            // khugepaged takes the whole table out of reach, and leaves its entries as they are until it has copied the pages.
            if check!(cpu, GUP_TABLE_RECHECK, cpu.read_once(pmdp).await != pmd) {
                put_compound_head(cpu, head, flags).await;
                return Err(Fallback);
            }
            if check!(
                cpu,
                GUP_PTE_RECHECK,
                match early {
                    Some(changed) => changed,
                    None => has_changed(cpu, ptep, pte).await,
                }
            ) {
                if cpu.has(GUP_RECHECK_PUT) {
                    put_compound_head(cpu, head, flags).await;
                }
                return Err(Fallback);
            }
            if flags.contains(FollFlags::LONGTERM) && is_refused_for_long(cpu, head, flags).await {
                put_compound_head(cpu, head, flags).await;
                return Err(Fallback);
            }
            // A pin for reading needs the page for this address space alone, like one that holds mmap_lock.
            if !pte.write() && gup_must_unshare(cpu, None, pte.page(), flags).await {
                put_compound_head(cpu, head, flags).await;
                return Err(Fallback);
            }

            set_page_referenced(cpu, page).await;
            if !too_soon {
                pages.push_own(cpu, page, addr, flags);
            }
        }
        Ok(())
    }
}

/// The second look at an entry: whether it is no longer what it was.
async fn has_changed(cpu: Cpu<'_>, ptep: Ptep, pte: Pte) -> bool {
    cpu.read_once(ptep).await != pte
}

/// `gup_pmd_range()`. Each entry is read once, and the value passed on: what is tested is followed.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function has its arguments twice: as such, and as variables of its body"
)]
fn gup_pmd_range<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    pud: Pud,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &'a mut Pages,
) -> impl Future<Output = Result<(), Fallback>> + use<'a, 'm> {
    async move {
        let _routine = cpu.enter("gup_pmd_range");
        let geometry = cpu.mmu.geometry;
        for (pmdp, addr, next) in entries(geometry, pud.pmd_offset(geometry, addr), addr, end) {
            let mut pmd = cpu.read_once(pmdp).await;
            if check!(cpu, GUP_PMD_PRESENT, !pmd.present()) {
                return Err(Fallback);
            }
            if check!(cpu, GUP_PMD_LEAF, pmd.leaf()) {
                // Such an entry allows nobody anything, and so gup_huge_pmd() would end here as well.
                if check!(cpu, GUP_PMD_PROTNONE, pmd.protnone()) {
                    return Err(Fallback);
                }
                Box::pin(gup_huge_pmd(cpu, (pmdp, pmd), addr, next, flags, pages)).await?;
                continue;
            }
            if !cpu.has(GUP_PMD_ONCE) {
                pmd = cpu.read_once(pmdp).await;
            }
            let pinned = gup_pte_range(cpu, (pmdp, pmd), addr, next, flags, pages).await;
            if pages.has_pgmap() {
                Box::pin(put_walks_pagemap(cpu, pages)).await;
            }
            // The array has no holes: what comes later would take the place of what could not be had.
            if cpu.has(GUP_STOPS) {
                pinned?;
            }
        }
        Ok(())
    }
}

/// `gup_pud_range()`.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function has its arguments twice: as such, and as variables of its body"
)]
fn gup_pud_range<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    p4d: P4d,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &'a mut Pages,
) -> impl Future<Output = Result<(), Fallback>> + use<'a, 'm> {
    async move {
        let _routine = cpu.enter("gup_pud_range");
        let geometry = cpu.mmu.geometry;
        for (pudp, addr, next) in entries(geometry, p4d.pud_offset(geometry, addr), addr, end) {
            let mut pud = cpu.read_once(pudp).await;
            if check!(cpu, GUP_PUD_NONE, pud.none()) {
                return Err(Fallback);
            }
            // The page that a PUD entry maps may be moved, or be broken. Then the entry says so, and leads nowhere.
            if check!(cpu, GUP_PUD_PRESENT, !pud.present()) {
                return Err(Fallback);
            }
            let huge = HugePte::from(pud);
            if check!(cpu, GUP_PUD_LEAF, huge.leaf()) {
                Box::pin(gup_huge_pud(cpu, (pudp, huge), addr, next, flags, pages)).await?;
                continue;
            }
            if !cpu.has(GUP_PUD_ONCE) {
                pud = cpu.read_once(pudp).await;
            }
            gup_pmd_range(cpu, pud, addr, next, flags, pages).await?;
        }
        Ok(())
    }
}

/// `gup_p4d_range()`. Folded: the entry is the one that [`gup_pgd_range`] read.
async fn gup_p4d_range(
    cpu: Cpu<'_>,
    (pgdp, pgd): (Pgdp, Pgd),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let mut p4d = pgd.p4d();
    if check!(cpu, GUP_P4D_NONE, p4d.none()) {
        return Err(Fallback);
    }
    if !cpu.has(GUP_P4D_ONCE) {
        p4d = cpu.read_once(pgdp).await.p4d();
    }
    gup_pud_range(cpu, p4d, addr, end, flags, pages).await
}

/// `gup_pgd_range()`, of the tables of `current->mm`.
pub(crate) async fn gup_pgd_range(
    cpu: Cpu<'_>,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) {
    let _routine = cpu.enter("gup_pgd_range");
    let Some(mm) = pages.walked(cpu) else { return };
    for (pgdp, addr, next) in entries(cpu.mmu.geometry, pgd_offset(cpu, mm, addr), addr, end) {
        let pgd = cpu.read_once(pgdp).await;
        // With tables of four levels this is never so, and the entry is tested as a P4D entry.
        if pgd.none() {
            return;
        }
        if gup_p4d_range(cpu, (pgdp, pgd), addr, next, flags, pages).await.is_err() {
            return;
        }
    }
}
