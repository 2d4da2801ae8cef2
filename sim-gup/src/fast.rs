//! The lockless walk.
//!
//! Two protocols protect it. First, the walk takes its reference and then looks at the entry again. Code that
//! changes the table does the opposite: it clears the entry, and then looks for references. So at least one of
//! the two sees the other. Second, the walk runs with interrupts off. Code that frees a page table first waits,
//! by an interrupt or by a grace period, for every CPU that could be inside the walk.

use sim_core::{BoxFuture, IrqGuard, PreemptGuard, RcuReadGuard, Routine};
use sim_mm::{
    Cpu, Errno, Event, HugePte, P4d, Page, Pgd, Pmd, Pmdp, Pte, Ptep, Pud, check, compound_head, entries,
    page_is_secretmem, pgd_offset, ptep_get_lockless, set_page_referenced,
};
use sim_mmu::VirtAddr;

use crate::cow::{gup_must_unshare, should_force_cow_break};
use crate::devmap::{gup_pte_devmap, put_walks_pagemap};
use crate::flags::FollFlags;
use crate::grab::{Fallback, is_refused_for_long, put_compound_head, try_grab_compound_head};
use crate::gup::get_user_pages_unlocked;
use crate::huge::{gup_huge_pmd, gup_huge_pud};
use crate::pages::{Pages, put_pin};
use crate::safeguards::{
    GUP_ACCESS_OK, GUP_ADVANCE_START, GUP_DEVMAP_PERMITTED, GUP_GET_PTE_LOW_AGAIN, GUP_HEAD_FIRST, GUP_IRQ_OFF,
    GUP_MERGE_RESULT, GUP_NR_PAGES, GUP_P4D_NONE, GUP_PGD_ONCE, GUP_PMD_LEAF, GUP_PMD_ONCE, GUP_PMD_PRESENT,
    GUP_PMD_PROTNONE, GUP_PTE_PERMITTED, GUP_PTE_PROTNONE, GUP_PTE_RECHECK, GUP_PTE_SPECIAL, GUP_PUD_LEAF,
    GUP_PUD_NONE, GUP_PUD_ONCE, GUP_PUD_PRESENT, GUP_RANGE_WRAPS, GUP_RECHECK_PUT, GUP_REF_THEN_RECHECK,
    GUP_SECRETMEM, GUP_SLOW_FALLBACK, GUP_STOPS, GUP_STORE_LAST, GUP_TABLE_RECHECK, GUP_WRITE_PROTECT_SEQ,
};
use crate::settings::GupProtect;

/// Pins the pages that one page table maps: `gup_pte_range()`.
async fn gup_pte_range(
    cpu: Cpu<'_>,
    (pmdp, pmd): (Pmdp, Pmd),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
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

/// The second look at an entry: whether it is no longer what it was.
async fn has_changed(cpu: Cpu<'_>, ptep: Ptep, pte: Pte) -> bool {
    cpu.read_once(ptep).await != pte
}

/// `gup_pmd_range()`. Each entry is read once, and the value passed on: what is tested is followed.
async fn gup_pmd_range(
    cpu: Cpu<'_>,
    pud: Pud,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
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

/// `gup_pud_range()`.
async fn gup_pud_range(
    cpu: Cpu<'_>,
    p4d: P4d,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
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

/// `gup_p4d_range()`. Folded: the entry is the one that [`gup_pgd_range`] read.
async fn gup_p4d_range(
    cpu: Cpu<'_>,
    pgd: Pgd,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let p4d = pgd.p4d();
    if check!(cpu, GUP_P4D_NONE, p4d.none()) {
        return Err(Fallback);
    }
    gup_pud_range(cpu, p4d, addr, end, flags, pages).await
}

/// `gup_pgd_range()`: the tables of `current->mm`, for only they are loaded on this CPU, so that a
/// flush of theirs interrupts it.
async fn gup_pgd_range(cpu: Cpu<'_>, addr: VirtAddr, end: VirtAddr, flags: FollFlags, pages: &mut Pages) {
    let _routine = cpu.enter("gup_pgd_range");
    let Some(mm) = cpu.current_mm() else { return };
    for (pgdp, addr, next) in entries(cpu.mmu.geometry, pgd_offset(cpu, mm, addr), addr, end) {
        let mut pgd = cpu.read_once(pgdp).await;
        // With tables of four levels this is never so, and the entry is tested as a P4D entry.
        if pgd.none() {
            return;
        }
        if !cpu.has(GUP_PGD_ONCE) {
            pgd = cpu.read_once(pgdp).await;
        }
        if gup_p4d_range(cpu, pgd, addr, next, flags, pages).await.is_err() {
            return;
        }
    }
}

/// What is disabled around the walk.
enum Protected<'m> {
    Irq(#[allow(dead_code, reason = "held for its drop")] IrqGuard<'m>),
    Preempt(#[allow(dead_code, reason = "held for its drop")] PreemptGuard<'m>),
    Rcu(#[allow(dead_code, reason = "held for its drop")] RcuReadGuard<'m>),
    Nothing,
}

/// `local_irq_save()`, or what a careless patch might take for enough.
///
/// Disabled interrupts hold up both the grace period after which tables are freed and the interrupt of
/// a TLB flush; disabled preemption holds up only the first; `rcu_read_lock()` the first since v4.20.
fn protect<'m>(cpu: Cpu<'m>) -> Protected<'m> {
    cpu.consulted(GUP_IRQ_OFF);
    match cpu.setting::<GupProtect>() {
        GupProtect::Irq => Protected::Irq(cpu.irq_save()),
        GupProtect::Preempt => Protected::Preempt(cpu.preempt_disable()),
        GupProtect::Rcu => Protected::Rcu(cpu.rcu_read_lock()),
        GupProtect::Nothing => Protected::Nothing,
    }
}

/// `access_ok()`: the whole range is in the user half.
fn access_ok(cpu: Cpu<'_>, start: VirtAddr, len: u64) -> bool {
    let limit = cpu.mmu.geometry.task_size().0;
    let below = start.0.checked_add(len).is_some_and(|end| end <= limit);
    if check!(cpu, GUP_ACCESS_OK, !below) {
        return false;
    }
    true
}

/// `gup_fast_permitted()`.
fn gup_fast_permitted(cpu: Cpu<'_>, start: VirtAddr, len: u64) -> bool {
    if check!(cpu, GUP_RANGE_WRAPS, start.0.wrapping_add(len) < start.0) {
        return false;
    }
    true
}

/// `lockless_pages_from_mm()`. A pin that overlaps a fork is given back: fork may have looked for it too early.
async fn lockless_pages_from_mm(
    cpu: Cpu<'_>,
    start: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) {
    let pins = flags.contains(FollFlags::PIN) && cpu.has(GUP_WRITE_PROTECT_SEQ);
    let seq = match cpu.current_mm().filter(|_| pins) {
        Some(mm) => Some((mm.write_protect_seq(), cpu.read_seq(mm.write_protect_seq()).await)),
        None => None,
    };
    if seq.is_some_and(|(_, seq)| seq % 2 == 1) {
        return;
    }
    {
        let _protected = protect(cpu);
        let walk = if should_force_cow_break(cpu) { flags | FollFlags::WRITE } else { flags };
        gup_pgd_range(cpu, start, end, walk, pages).await;
    }
    if let Some((counter, before)) = seq
        && cpu.read_seq(counter).await != before
    {
        for pin in pages.take() {
            put_pin(cpu, pin).await;
        }
    }
}

/// `__get_user_pages_fast()`: like [`get_user_pages_fast`], but never sleeps: what the lockless walk
/// cannot pin stays unpinned. Answers how many pages were pinned.
///
/// It does not look at `nr_pages`, which is signed in C. A negative number is a range that wraps, and is refused.
/// For none the walk begins all the same, past the end of its range, and pins what it finds up to the first entry
/// that it cannot.
pub fn __get_user_pages_fast<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    write: bool,
    pages: &'m mut Pages,
) -> BoxFuture<'m, u64> {
    Box::pin(fast_only(cpu, start, nr_pages, write, pages))
}

async fn fast_only(cpu: Cpu<'_>, start: VirtAddr, nr_pages: u64, write: bool, pages: &mut Pages) -> u64 {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("__get_user_pages_fast"));
    let start = start.page_base();
    let len = nr_pages << 12;
    if !access_ok(cpu, start, len) {
        return 0;
    }
    if gup_fast_permitted(cpu, start, len) {
        let _protected = protect(cpu);
        let flags = FollFlags::GET | if write { FollFlags::WRITE } else { FollFlags::empty() };
        gup_pgd_range(cpu, start, VirtAddr(start.0.wrapping_add(len)), flags, pages).await;
    }
    pages.nr()
}

/// `get_user_pages_fast()`: pins pages without a lock, and what is left with one.
///
/// Answers the number of pages pinned, which may be fewer than asked for. For none, and for a negative number, it
/// is none.
///
/// # Errors
/// `EFAULT` or `ENOMEM`, if not a single page could be pinned.
pub fn get_user_pages_fast<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    write: bool,
    pages: &'m mut Pages,
) -> BoxFuture<'m, Result<u64, Errno>> {
    let flags = if write { FollFlags::WRITE } else { FollFlags::empty() };
    Box::pin(internal_get_user_pages_fast(cpu, start, nr_pages, flags, pages))
}

/// `pin_user_pages_fast()`: like [`get_user_pages_fast`], with pins instead of references.
///
/// # Errors
/// As [`get_user_pages_fast`].
pub fn pin_user_pages_fast<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    flags: FollFlags,
    pages: &'m mut Pages,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(internal_get_user_pages_fast(cpu, start, nr_pages, flags | FollFlags::PIN, pages))
}

/// `internal_get_user_pages_fast()`.
async fn internal_get_user_pages_fast(
    cpu: Cpu<'_>,
    start: VirtAddr,
    nr_pages: u64,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<u64, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("get_user_pages_fast"));
    let start = start.page_base();
    let len = nr_pages << 12;
    if check!(cpu, GUP_NR_PAGES, nr_pages.cast_signed() <= 0) {
        return Ok(0);
    }
    if !access_ok(cpu, start, len) {
        return Err(Errno::Efault);
    }
    if flags.contains(FollFlags::PIN)
        && let Some(mm) = cpu.current_mm()
    {
        // mm_set_has_pinned_flag(): before the first pin, so that a fork that sees no flag has seen no pin.
        cpu.store(mm.has_pinned(), true).await;
    }
    if gup_fast_permitted(cpu, start, len) {
        lockless_pages_from_mm(cpu, start, VirtAddr(start.0.wrapping_add(len)), flags, pages).await;
    }
    let nr = pages.nr();
    let wanted = (start, nr_pages);
    let got = if nr >= nr_pages || !cpu.has(GUP_SLOW_FALLBACK) {
        Ok(nr)
    } else {
        let start = if check!(cpu, GUP_ADVANCE_START, nr > 0) { start.plus_pages(nr) } else { start };
        match get_user_pages_unlocked(cpu, start, nr_pages - nr, pages, flags).await {
            Ok(more) => Ok(nr + more),
            Err(_) if nr > 0 && cpu.has(GUP_MERGE_RESULT) => Ok(nr),
            Err(errno) => Err(errno),
        }
    };
    pages.returned(cpu, wanted, 0, got);
    got
}
