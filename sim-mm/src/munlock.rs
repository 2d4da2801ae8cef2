//! `mm/mlock.c`: pages that need not stay in memory any more, before v5.18.

use sim_core::BoxFuture;
use sim_mmu::VirtAddr;

use crate::entries::entries;
use crate::kernel::Cpu;
use crate::mlock_page::mlock_vma_page;
use crate::mlocked::{clear_mlocked, count_mlocked, is_locked, is_mlocked, marks_mlocked};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{get_page, lock_page, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::page_vma_mapped::{Find, PageVmaMappedWalk};
use crate::pagewalk::{skip_huge, walk_page_range};
use crate::rmap::{Place, RmapLock, rmap_walk, total_mapcount};
use crate::safeguards::MUNLOCK_COUNT_CLEARED;
use crate::swap::{isolate_lru_page, putback_lru_page};
use crate::vm_flags::VmFlags;

/// `munlock_vma_pages_range()`: the pages of a mapping which is not locked any more. The caller has taken its flag away, so nobody marks
/// them again.
pub(crate) async fn munlock_vma_pages_range<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) {
    let _routine = cpu.enter("munlock_vma_pages_range");
    let mut pages = Vec::new();
    walk_page_range(cpu, mm, start, end, skip_huge, async |ptep, start, end| {
        for (ptep, ..) in entries(cpu.mmu.geometry, ptep, start, end) {
            let pte = cpu.read_once(ptep).await;
            if pte.present() && !pte.special() {
                let page = Page(pte.pfn());
                let head = cpu.kernel.folio_of(page);
                cpu.vm_bug_on(head != page && is_mlocked(cpu, head), "VM_BUG_ON_PAGE(PageMlocked(page))");
                get_page(cpu, page).await;
                pages.push(page);
            }
        }
    })
    .await;
    __munlock_pagevec(cpu, pages).await;
}

/// `munlock_vma_pages_all()` of each locked mapping of a range that is about to be unmapped: its pages may have other mappings.
pub(crate) fn munlock_vmas<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vmas: &[Vma]) -> Option<BoxFuture<'m, ()>> {
    if !marks_mlocked(cpu) {
        return None;
    }
    let locked: Vec<Vma> = vmas.iter().filter(|vma| is_locked(cpu, **vma)).copied().collect();
    Some(Box::pin(async move {
        for vma in locked {
            vma.set_flags(cpu, vma.flags(cpu) - VmFlags::LOCKED_MASK);
            munlock_vma_pages_range(cpu, mm, vma.start(cpu), vma.end(cpu)).await;
        }
    }))
}

/// `__munlock_pagevec()`: first the flags, then the lists. The caller gives its references away.
async fn __munlock_pagevec(cpu: Cpu<'_>, pages: Vec<Page>) {
    let _routine = cpu.enter("__munlock_pagevec");
    let mut cleared = 0;
    let mut isolated = Vec::new();
    for page in pages {
        if clear_mlocked(cpu, page).await {
            // A page that is in a batch of some CPU is on no list. It comes to the right one by itself, and it is not counted any more
            // all the same.
            let taken = isolate_lru_page(cpu, page).await;
            cleared += i64::from(taken || cpu.has(MUNLOCK_COUNT_CLEARED));
            if taken {
                isolated.push(page);
                continue;
            }
        }
        put_page(cpu, page).await;
    }
    count_mlocked(cpu, -cleared).await;
    for page in isolated {
        lock_page(cpu, page).await;
        __munlock_isolated_page(cpu, page).await;
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
    }
}

/// `munlock_vma_page()`, of a page that is locked.
async fn munlock_vma_page(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter("munlock_vma_page");
    if clear_mlocked(cpu, page).await {
        count_mlocked(cpu, -1).await;
        if isolate_lru_page(cpu, page).await {
            __munlock_isolated_page(cpu, page).await;
        }
    }
}

/// `__munlock_isolated_page()`: another mapping may have the page locked as well. The reference that keeps the page off its list is
/// given away.
async fn __munlock_isolated_page(cpu: Cpu<'_>, page: Page) {
    if total_mapcount(cpu, page).await > 1 {
        Box::pin(try_to_munlock(cpu, page)).await;
    }
    putback_lru_page(cpu, page).await;
}

/// `try_to_munlock()`, `page_mlock()` since v5.14: the page is marked again if a locked mapping maps it.
async fn try_to_munlock(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter("try_to_munlock");
    let one = async |place: Place<'_>| {
        if !is_locked(cpu, place.vma) {
            return true;
        }
        let mut walk = PageVmaMappedWalk::new(place.run, Find::Mapping);
        let is_mapped = walk.next(cpu).await.is_some();
        // The flag is looked at under the page-table lock: whoever unlocks this mapping comes to the page afterwards.
        if is_mapped && is_locked(cpu, place.vma) {
            mlock_vma_page(cpu, page).await;
        }
        !is_mapped
    };
    rmap_walk(cpu, page, RmapLock::OfMapped, one).await;
}

/// What a write fault does with the page that it has copied: the mapping that had it locked maps it no more.
pub(crate) async fn munlock_copied(cpu: Cpu<'_>, vma: Vma, old: Page) {
    if !marks_mlocked(cpu) || !is_locked(cpu, vma) {
        return;
    }
    Box::pin(async move {
        lock_page(cpu, old).await;
        if cpu.load(cpu.kernel.page_flags(old)).await.contains(PageFlags::MLOCKED) {
            munlock_vma_page(cpu, old).await;
        }
        unlock_page(cpu, old).await;
    })
    .await;
}
