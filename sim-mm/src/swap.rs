//! `mm/swap.c`: the lists of pages that reclaim goes through, as far as they hold references.
//!
//! A page is put on a list, moved or locked in batches. Every CPU has one batch of each kind. While a page is in
//! a batch, the batch has a reference to it. Code that counts references, for example to decide about COW, sees
//! that reference. The lists have no order here: a page is on one as its flags say, and reclaim takes any that is. A machine without
//! batches ([`LruBatch::Off`]) puts a page on its list at once. Where nobody goes from pages to entries as well, nobody asks, and nothing of this is seen.

use sim_core::CpuId;

use crate::folio::{is_large, note_arrival, page_is_anon};
use crate::kernel::Cpu;
use crate::mlocked::{count_mlocked, is_locked, marks_mlocked, set_mlocked};
use crate::mm_types::{Page, Vma};
use crate::page::{get_page, put_page, set_page_referenced};
use crate::page_flags::PageFlags;
use crate::pagevec::Batch;
use crate::settings::{Mlock, UnmapDrain};

async fn flags(cpu: Cpu<'_>, page: Page) -> PageFlags {
    cpu.load(cpu.kernel.page_flags(page)).await
}

/// `folio_batch_add_and_move()`: one more page of a batch. A batch that is full is worked off. Without batches that is done at once.
async fn add(cpu: Cpu<'_>, batch: Batch, page: Page) {
    let comes = matches!(batch, Batch::Add | Batch::Mlock);
    if !cpu.has_batches() {
        cpu.rmw(cpu.kernel.page_flags(page), move |flags: PageFlags| moved(batch, flags)).await;
        if comes {
            note_arrival(cpu, page);
        }
        return;
    }
    get_page(cpu, page).await;
    // Who drains all batches finds it from now on.
    if comes {
        note_arrival(cpu, page);
    }
    let batches = cpu.kernel.lru_batches.of(cpu.id);
    // The batch is this CPU's own.
    let waiting = batches.poke(cpu.core, |batches| {
        batches.push((batch, page));
        batches.iter().filter(|(other, _)| other.is_with(batch)).count()
    });
    let capacity = match cpu.setting::<UnmapDrain>() {
        UnmapDrain::BeforeUnmap => 15,
        UnmapDrain::WithPages => 31,
    };
    // A large folio does not wait: it would keep too much memory from being freed.
    if waiting == capacity || is_large(cpu, page) {
        work_off(cpu, cpu.id, |other| other.is_with(batch)).await;
    }
}

/// `folio_batch_move_lru()` of some batches of a CPU.
async fn work_off(cpu: Cpu<'_>, of: CpuId, which: impl Fn(Batch) -> bool) {
    let taken: Vec<(Batch, Page)> = cpu.kernel.lru_batches.of(of).poke(cpu.core, |batches| {
        let taken = batches.iter().filter(|(batch, _)| which(*batch)).copied().collect();
        batches.retain(|(batch, _)| !which(*batch));
        taken
    });
    for (batch, page) in taken {
        let update = move |flags: PageFlags| moved(batch, flags);
        cpu.rmw(cpu.kernel.page_flags(page), update).await;
        put_page(cpu, page).await;
    }
}

/// What the flags of a page are when its batch has been worked off.
fn moved(batch: Batch, flags: PageFlags) -> PageFlags {
    let evictable = flags.contains(PageFlags::LRU) && !flags.contains(PageFlags::UNEVICTABLE);
    match batch {
        // page_evictable()
        Batch::Add if flags.contains(PageFlags::MLOCKED) => flags | PageFlags::LRU | PageFlags::UNEVICTABLE,
        Batch::Add => flags | PageFlags::LRU,
        Batch::Mlock => (flags - PageFlags::ACTIVE) | PageFlags::LRU | PageFlags::UNEVICTABLE,
        Batch::Munlock => flags - PageFlags::UNEVICTABLE,
        Batch::Activate if evictable => flags | PageFlags::ACTIVE,
        Batch::Deactivate if evictable => flags - PageFlags::ACTIVE - PageFlags::REFERENCED,
        Batch::LazyFree if evictable && !flags.contains(PageFlags::SWAPCACHE) => {
            flags - PageFlags::ACTIVE - PageFlags::REFERENCED - PageFlags::SWAPBACKED
        }
        _ => flags,
    }
}

/// `lru_add_drain()`: works off all batches of this CPU.
pub async fn lru_add_drain(cpu: Cpu<'_>) {
    if cpu.has_batches() {
        work_off(cpu, cpu.id, |_| true).await;
    }
}

/// `lru_add_drain_all()`: works off the batches of all CPUs. In Linux each CPU does that itself, in a worker that is waited for.
pub(crate) async fn lru_add_drain_all(cpu: Cpu<'_>) {
    if cpu.has_batches() {
        for of in CpuId::all(cpu.mmu.core.config.cpus) {
            work_off(cpu, of, |_| true).await;
        }
    }
}

/// `lru_add_drain()` before anything is unmapped, as long as kernels did that. Since v6.9 it is left to
/// `free_pages_and_swap_cache()`, which does it if there are pages to free.
pub(crate) async fn drain_before_unmapping(cpu: Cpu<'_>) {
    if cpu.setting::<UnmapDrain>() == UnmapDrain::BeforeUnmap {
        lru_add_drain(cpu).await;
    }
}

/// `folio_add_lru_vma()`, `lru_cache_add_inactive_or_unevictable()` before v6.0: of a new page of private memory.
pub(crate) async fn folio_add_lru_vma(cpu: Cpu<'_>, page: Page, vma: Vma) {
    if !cpu.has_lists() {
        return;
    }
    // __SetPageSwapBacked(): nobody else knows the page.
    let word = cpu.kernel.page_flags(page);
    cpu.this_cpu_write(word, cpu.this_cpu_read(word) | PageFlags::SWAPBACKED);
    let locked = is_locked(cpu, vma);
    if locked && marks_mlocked(cpu) && !is_large(cpu, page) {
        Box::pin(add_mlocked(cpu, page)).await;
    } else {
        add(cpu, if locked { Batch::Mlock } else { Batch::Add }, page).await;
    }
}

/// The same for a page of a locked mapping that says so itself.
async fn add_mlocked(cpu: Cpu<'_>, page: Page) {
    if set_mlocked(cpu, page).await {
        count_mlocked(cpu, 1).await;
    }
    add(cpu, Batch::Add, page).await;
}

/// `folio_add_lru()`: of a new page of a file.
pub(crate) async fn folio_add_lru(cpu: Cpu<'_>, page: Page) {
    if cpu.has_lists() {
        add(cpu, Batch::Add, page).await;
    }
}

/// Whether the page is on a list: `PageLRU()`. Without batches every page is.
pub(crate) async fn folio_test_lru(cpu: Cpu<'_>, page: Page) -> bool {
    !cpu.has_lists() || flags(cpu, page).await.contains(PageFlags::LRU)
}

/// `mark_page_accessed()`: the second time, the page becomes active.
pub async fn mark_page_accessed(cpu: Cpu<'_>, page: Page) {
    if !cpu.has_lists() {
        set_page_referenced(cpu, page).await;
        return;
    }
    let flags = flags(cpu, page).await;
    if !flags.contains(PageFlags::REFERENCED) {
        set_page_referenced(cpu, page).await;
    } else if !flags.intersects(PageFlags::UNEVICTABLE | PageFlags::ACTIVE) {
        if flags.contains(PageFlags::LRU) {
            add(cpu, Batch::Activate, page).await;
            cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::REFERENCED).await;
        } else {
            // __lru_cache_activate_page(): it is in the batch of those that go on a list.
            cpu.rmw(cpu.kernel.page_flags(page), |flags| (flags - PageFlags::REFERENCED) | PageFlags::ACTIVE)
                .await;
        }
    }
}

/// `folio_mark_lazyfree()`.
pub(crate) async fn folio_mark_lazyfree(cpu: Cpu<'_>, page: Page) {
    if !cpu.has_lists() {
        return;
    }
    let flags = flags(cpu, page).await;
    let kept = PageFlags::UNEVICTABLE | PageFlags::SWAPCACHE;
    if page_is_anon(cpu, page) && flags.contains(PageFlags::SWAPBACKED) && !flags.intersects(kept) {
        add(cpu, Batch::LazyFree, page).await;
    }
}

/// `folio_deactivate()`.
pub(crate) async fn folio_deactivate(cpu: Cpu<'_>, page: Page) {
    if !cpu.has_lists() {
        return;
    }
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::REFERENCED).await;
    let flags = flags(cpu, page).await;
    if flags.contains(PageFlags::ACTIVE) && !flags.contains(PageFlags::UNEVICTABLE) {
        add(cpu, Batch::Deactivate, page).await;
    }
}

/// `mlock_folio()`.
pub(crate) async fn mlock_folio(cpu: Cpu<'_>, page: Page) {
    if cpu.has_lists() {
        add(cpu, Batch::Mlock, page).await;
    }
}

/// `munlock_folio()`.
pub(crate) async fn munlock_folio(cpu: Cpu<'_>, page: Page) {
    if cpu.has_lists() {
        add(cpu, Batch::Munlock, page).await;
    }
}

/// Whether an entry of a mapping tells that its page is to stay in memory: since v5.18 the reverse mapping does that.
pub(crate) fn rmap_locks(cpu: Cpu<'_>, vma: Vma) -> bool {
    is_locked(cpu, vma) && cpu.has_lists() && cpu.setting::<Mlock>() == Mlock::Rmap
}

/// `mlock_vma_folio()`: one more entry of a mapping maps a page. Of a large folio nobody knows whether all of it is in the mapping.
pub(crate) async fn mlock_vma_folio(cpu: Cpu<'_>, page: Page, vma: Vma) {
    if rmap_locks(cpu, vma) && !is_large(cpu, page) {
        Box::pin(mlock_folio(cpu, page)).await;
    }
}

/// `munlock_vma_folio()`: one entry of a mapping less maps a page. If another mapping keeps it in memory, then reclaim finds out.
pub(crate) async fn munlock_vma_folio(cpu: Cpu<'_>, page: Page, vma: Vma) {
    if rmap_locks(cpu, vma) {
        Box::pin(munlock_folio(cpu, cpu.kernel.folio_of(page))).await;
    }
}

/// `isolate_lru_page()`, since v6.0 `folio_isolate_lru()`: takes a page off its list, with a reference. False if it is on none.
pub(crate) async fn isolate_lru_page(cpu: Cpu<'_>, page: Page) -> bool {
    if !cpu.has_lists() {
        get_page(cpu, page).await;
        return true;
    }
    let old = cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::LRU).await;
    if old.contains(PageFlags::LRU) {
        get_page(cpu, page).await;
    }
    old.contains(PageFlags::LRU)
}

/// `putback_lru_page()`: back to a list, without the reference that kept it off.
pub(crate) async fn putback_lru_page(cpu: Cpu<'_>, page: Page) {
    if cpu.has_lists() {
        add(cpu, Batch::Add, page).await;
    }
    put_page(cpu, page).await;
}
