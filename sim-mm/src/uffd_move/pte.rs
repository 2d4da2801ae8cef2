//! Moving what page table entries map: `move_pages_pte()`.

use sim_mmu::{Entry, VirtAddr};

use super::swap::move_swap;
use super::types::{At, Holds, Move, Pause, Src, Stop, is_pte_pages_stable, marks_as_moved, pages_of_table};
use crate::arch::tlb::{flush_tlb_mm_range, flush_tlb_page};
use crate::check;
use crate::errno::Errno;
use crate::filemap::trylock_page;
use crate::folio::{is_large, page_is_anon};
use crate::huge_memory::{Tails, split_folio};
use crate::kernel::Cpu;
use crate::memory::ptep_clear_flush;
use crate::migrate::migration_entry_wait;
use crate::mm_types::Page;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{get_page, lock_page, page_maybe_dma_pinned, put_page, unlock_page, wait_on_page_locked};
use crate::pgtable::{Pmdp, Pte, Ptep, TablePtr, maybe_mkwrite, mkdirty, soft_dirty, vm_get_page_prot};
use crate::pgtable_generic::double_pt_lock;
use crate::release::Release;
use crate::rmap::types::AnonVma;
use crate::rmap::{
    anon_vma_lock_write_tree, anon_vma_trylock_write_tree, folio_move_anon_rmap, may_move_page, page_anon_vma,
    page_get_anon_vma, put_anon_vma,
};
use crate::safeguards::{UFFD_MOVE_FLUSH_LOCKED, UFFD_MOVE_INDEX_LAST, UFFD_MOVE_PIN_RECHECK};
use crate::swapops::MigrationEntry;

/// Since v6.18 pages of one table are moved together, with one flush.
fn moves_batches(cpu: Cpu<'_>) -> bool {
    cpu.kernel.config.kernel.version >= Release::v(6, 18)
}

/// `move_pages_pte()`, since v6.18 `move_pages_ptes()`: how many pages were moved. A hole counts as one.
pub(super) async fn move_pages_pte<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    (dst_pmdp, src_pmdp): (Pmdp, Pmdp),
) -> Result<u64, Stop> {
    let _routine = cpu.enter("move_pages_pte");
    let told = if moves_batches(cpu) { this.pages } else { 1 };
    let range = mmu_notifier_invalidate_range_start(cpu, this.mm, (this.src, this.src.plus_pages(told))).await;
    let mut holds = Holds::default();
    let done = loop {
        match attempt(cpu, this, (dst_pmdp, src_pmdp), &mut holds).await {
            Ok(pages) => break Ok(pages),
            Err(Pause::Stop(stop)) => break Err(stop),
            Err(pause) => {
                if let Err(stop) = Box::pin(wait(cpu, src_pmdp, pause, &mut holds)).await {
                    break Err(stop);
                }
            }
        }
    };
    let Holds { src, tree } = holds;
    if let Some((anon_vma, held)) = tree {
        drop(held);
        put_anon_vma(cpu, anon_vma).await;
    }
    if let Some(Src { folio, .. }) = src {
        unlock_page(cpu, folio).await;
        put_page(cpu, folio).await;
    }
    mmu_notifier_invalidate_range_end(cpu, this.mm, range).await;
    done
}

/// What may sleep, behind a look at the entries. Then they are looked at again.
async fn wait<'m>(cpu: Cpu<'m>, src_pmdp: Pmdp, pause: Pause, holds: &mut Holds<'m>) -> Result<(), Stop> {
    match pause {
        Pause::Stop(stop) => return Err(stop),
        Pause::Folio(folio) => lock_page(cpu, folio).await,
        Pause::Tree(anon_vma) => holds.tree = Some((anon_vma, anon_vma_lock_write_tree(cpu, anon_vma).await)),
        Pause::Split(head) => {
            // Somebody else has a reference. Linux v6.18 was asked, and does not wait until it is put.
            split_folio(cpu, head, Tails::Listed).await.map_err(|_| Stop::Errno(Errno::Ebusy))?;
            // Each page has a lock and a count of its own now.
            holds.src = None;
            unlock_page(cpu, head).await;
            put_page(cpu, head).await;
        }
        Pause::Locked(head) => {
            wait_on_page_locked(cpu, head).await;
            return Err(Stop::Again);
        }
        Pause::Migration(ptep, pte) => {
            migration_entry_wait(cpu, src_pmdp, (ptep, pte)).await;
            return Err(Stop::Again);
        }
    }
    Ok(())
}

/// One look at the entries, as a reader of RCU, so that their tables stay. What is found is moved, if that can be done without sleeping.
async fn attempt<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    (dst_pmdp, src_pmdp): (Pmdp, Pmdp),
    holds: &mut Holds<'m>,
) -> Result<u64, Pause> {
    let _rcu = cpu.rcu_read_lock();
    let geometry = cpu.mmu.geometry;
    let dst_pmd = cpu.read_once(dst_pmdp).await;
    let src_pmd = cpu.read_once(src_pmdp).await;
    if !dst_pmd.leads_to_table() || !src_pmd.leads_to_table() {
        return Err(Pause::Stop(Stop::Again));
    }
    let (dst, src) = (dst_pmd.pte_offset(geometry, this.dst), src_pmd.pte_offset(geometry, this.src));
    if !read_locked(cpu, dst).await.none() {
        return Err(Pause::from(Errno::Eexist));
    }
    let orig = read_locked(cpu, src).await;
    if orig.none() {
        return if this.holes { Ok(1) } else { Err(Pause::from(Errno::Enoent)) };
    }
    // The folio that is locked is that of another entry.
    if holds.src.is_some_and(|src| src.pte != orig) {
        return Err(Pause::Stop(Stop::Again));
    }
    let at = At { dst_pmdp, dst, src, orig };
    if !orig.present() {
        if MigrationEntry::of_pte(orig.entry).is_some() {
            return Err(Pause::Migration(src, orig));
        }
        return Box::pin(move_swap(cpu, this, at, holds)).await;
    }
    if Page(orig.pfn()) == cpu.kernel.zero_page {
        return move_zeropage_pte(cpu, this, at).await;
    }
    let folio = match holds.src {
        Some(src) => src.folio,
        None => get_folio(cpu, at, holds).await?,
    };
    move_present(cpu, this, at, folio, holds).await
}

/// An entry, read under the lock of its table.
async fn read_locked(cpu: Cpu<'_>, ptep: Ptep) -> Pte {
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    cpu.read_once(ptep).await
}

/// A reference to the folio that the entry maps, taken under the lock of the table, and the lock of the folio, if nobody has that. In Linux
/// before v6.14 the reference came first.
async fn get_folio(cpu: Cpu<'_>, at: At, holds: &mut Holds<'_>) -> Result<Page, Pause> {
    let _ptl = cpu.lock(cpu.kernel.ptl(at.src.table())).await;
    if cpu.read_once(at.src).await != at.orig {
        return Err(Pause::Stop(Stop::Again));
    }
    // vm_normal_folio()
    let page = at.orig.page().ok_or(Errno::Ebusy)?;
    if !may_move_page(cpu, page).await {
        return Err(Pause::from(Errno::Ebusy));
    }
    let folio = cpu.kernel.folio_of(page);
    let locked = trylock_page(cpu, folio).await;
    if !locked && is_large(cpu, folio) {
        return Err(Pause::Locked(folio));
    }
    get_page(cpu, folio).await;
    holds.src = Some(Src { folio, pte: at.orig });
    if locked { Ok(folio) } else { Err(Pause::Folio(folio)) }
}

/// The entry maps a page, whose folio is locked.
async fn move_present<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    at: At,
    folio: Page,
    holds: &mut Holds<'m>,
) -> Result<u64, Pause> {
    if !page_is_anon(cpu, folio) {
        return Err(Pause::from(Errno::Ebusy));
    }
    if is_large(cpu, folio) {
        return Err(Pause::Split(folio));
    }
    if holds.tree.is_none() && locks_tree(cpu) {
        // page_referenced() may walk the tree without the lock of the folio.
        let anon_vma = page_get_anon_vma(cpu, folio).await.ok_or(Stop::Again)?;
        match anon_vma_trylock_write_tree(cpu, anon_vma).await {
            Some(tree) => holds.tree = Some((anon_vma, tree)),
            None => return Err(Pause::Tree(anon_vma)),
        }
    }
    move_present_ptes(cpu, this, at, folio, holds).await.map_err(Pause::from)
}

/// Whether somebody may walk the tree without the lock of the folio: before v6.19.
fn locks_tree(cpu: Cpu<'_>) -> bool {
    cpu.walks_rmap() && cpu.kernel.config.kernel.version < Release::v(6, 19)
}

/// `move_present_pte()`, since v6.18 `move_present_ptes()`: pages that are nobody else's, and not pinned. The first one is locked.
async fn move_present_ptes<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    at: At,
    first: Page,
    holds: &mut Holds<'m>,
) -> Result<u64, Stop> {
    let _routine = cpu.enter("move_present_pte");
    let locks = double_pt_lock(cpu, at.dst.table(), at.src.table()).await;
    if !is_pte_pages_stable(cpu, at).await {
        return Err(Stop::Again);
    }
    if is_large(cpu, first) || page_maybe_dma_pinned(cpu, first).await || !may_move_page(cpu, first).await {
        return Err(Stop::Errno(Errno::Ebusy));
    }
    let batches = moves_batches(cpu);
    if batches {
        // The entry has a reference, and stays as it is under the lock.
        holds.src = None;
        put_page(cpu, first).await;
    }
    let late = !cpu.has(UFFD_MOVE_FLUSH_LOCKED);
    let tree = holds.tree.as_ref().map(|(anon_vma, _)| *anon_vma);
    let moved = move_batch(cpu, this, at, (first, tree), late).await;
    let end = this.src.plus_pages(*moved.as_ref().unwrap_or(&0));
    // Whoever unmaps at the new place flushes only there, and frees a page that the old translation still reaches. So no translation is left
    // when the locks are let go of.
    if batches && !late && this.src < end {
        flush_tlb_mm_range(cpu, this.mm, this.src, end, false).await;
    }
    drop(locks);
    if late && this.src < end {
        flush_tlb_mm_range(cpu, this.mm, this.src, end, false).await;
    }
    moved
}

/// The pages of one table, as many as can be locked at once. They are flushed later if that is `late`, or if several of them go together.
async fn move_batch<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    at: At,
    (first, tree): (Page, Option<AnonVma>),
    late: bool,
) -> Result<u64, Stop> {
    let batches = moves_batches(cpu);
    let most = if batches { pages_of_table(cpu, &this) } else { 1 };
    let (mut dst, mut src, mut page, mut moved) = (at.dst, at.src, first, 0);
    loop {
        let (from, to) = (this.src.plus_pages(moved), this.dst.plus_pages(moved));
        let done = move_one(cpu, this, (src, from), (dst, to), page, batches || late).await;
        moved += u64::from(done);
        if batches {
            unlock_page(cpu, page).await;
        }
        if !done || moved == most {
            break;
        }
        (dst, src) = (dst.next(), src.next());
        match next_of_batch(cpu, dst, src, tree).await {
            Some(next) => page = next,
            None => break,
        }
    }
    if moved == 0 { Err(Stop::Errno(Errno::Ebusy)) } else { Ok(moved) }
}

/// `check_ptes_for_batched_move()`: the page of the next entry, locked, if it may go with the others.
async fn next_of_batch(cpu: Cpu<'_>, dst: Ptep, src: Ptep, tree: Option<AnonVma>) -> Option<Page> {
    if !cpu.read_once(dst).await.none() {
        return None;
    }
    let pte = cpu.read_once(src).await;
    let page = pte.page().filter(|_| pte.present())?;
    if !trylock_page(cpu, cpu.kernel.folio_of(page)).await {
        return None;
    }
    let hangs_elsewhere = tree.is_some() && page_anon_vma(cpu, page) != tree;
    if is_large(cpu, page) || hangs_elsewhere || !may_move_page(cpu, page).await {
        unlock_page(cpu, cpu.kernel.folio_of(page)).await;
        return None;
    }
    Some(page)
}

/// Moves a page, which is locked, under the locks of both tables. False if it is pinned: then it stays.
async fn move_one<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    (src, from): (Ptep, VirtAddr),
    (dst, to): (Ptep, VirtAddr),
    page: Page,
    flushed_later: bool,
) -> bool {
    let Move { mm, dst_vma, .. } = this;
    let last = cpu.has(UFFD_MOVE_INDEX_LAST);
    if !last {
        folio_move_anon_rmap(cpu, page, dst_vma, to).await;
    }
    // ptep_clear_flush(), since v6.18 ptep_get_and_clear()
    let old = cpu.update_pte(mm, from, src, |_| Entry::NONE).await;
    if !flushed_later {
        flush_tlb_page(cpu, mm, from).await;
    }
    // Lockless GUP takes its reference and then looks at the entry again. So a pin shows in the count by now, or there will be none.
    if check!(cpu, UFFD_MOVE_PIN_RECHECK, page_maybe_dma_pinned(cpu, page).await) {
        cpu.set_pte_at(mm, from, src, old.entry).await;
        return false;
    }
    if last {
        folio_move_anon_rmap(cpu, page, dst_vma, to).await;
    }
    let marks = if marks_as_moved(cpu) {
        soft_dirty(cpu) | if old.dirty() { mkdirty(cpu) } else { 0 }
    } else {
        mkdirty(cpu)
    };
    let prot = vm_get_page_prot(dst_vma.flags(cpu));
    let entry = Pte::make(page.0, prot).with(marks | maybe_mkwrite(cpu, dst_vma));
    cpu.set_pte_at(mm, to, dst, entry).await;
    true
}

/// `move_zeropage_pte()`.
async fn move_zeropage_pte<'m>(cpu: Cpu<'m>, this: Move<'m>, at: At) -> Result<u64, Pause> {
    let _routine = cpu.enter("move_zeropage_pte");
    let Move { mm, dst_vma, .. } = this;
    let _locks = double_pt_lock(cpu, at.dst.table(), at.src.table()).await;
    if !is_pte_pages_stable(cpu, at).await {
        return Err(Pause::Stop(Stop::Again));
    }
    ptep_clear_flush(cpu, mm, this.src, at.src).await;
    let prot = vm_get_page_prot(dst_vma.flags(cpu));
    let entry = Pte::make(cpu.kernel.zero_page.0, prot).with(Entry::SPECIAL);
    cpu.set_pte_at(mm, this.dst, at.dst, entry).await;
    Ok(1)
}
