//! `mm/mlock.c`: what becomes of a page that is locked in memory, as long as walks over mappings did that.

use sim_core::BoxFuture;

use crate::check;
use crate::folio::is_large;
use crate::kernel::Cpu;
use crate::mlocked::{clear_mlocked, count_mlocked, marks_mlocked, set_mlocked};
use crate::mm_types::Page;
use crate::page::{lock_page, test_and_set_flags, unlock_page};
use crate::page_flags::PageFlags;
use crate::safeguards::{MLOCK_SKIPS_PARTS, MLOCK_TRYLOCK};
use crate::swap::{isolate_lru_page, lru_add_drain, putback_lru_page};

/// `mlock_vma_page()`, of a page that is locked: it stays in memory. A page that is on no list now comes to the right one by itself.
pub(crate) async fn mlock_vma_page(cpu: Cpu<'_>, page: Page) {
    if !marks_mlocked(cpu) || is_large(cpu, page) {
        return;
    }
    mlock_folio(cpu, page).await;
}

async fn mlock_folio(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter("mlock_vma_page");
    if set_mlocked(cpu, page).await {
        count_mlocked(cpu, 1).await;
        if isolate_lru_page(cpu, page).await {
            putback_lru_page(cpu, page).await;
        }
    }
}

/// What `follow_page_pte()` does with a page of a locked mapping. If somebody has the page locked, it is left alone: reclaim will find that
/// it must stay. The page-table lock is held, so nobody waits.
///
/// A huge page that small entries map is left alone as well, because others may map other parts of it.
pub fn mlock_followed(cpu: Cpu<'_>, page: Page) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        if check!(cpu, MLOCK_SKIPS_PARTS, is_large(cpu, page)) {
            return;
        }
        let page = cpu.kernel.folio_of(page);
        if cpu.load(cpu.kernel.page(page).mapping()).await == 0 {
            return;
        }
        let locked = if cpu.has(MLOCK_TRYLOCK) {
            test_and_set_flags(cpu, page, PageFlags::LOCKED).await
        } else {
            lock_page(cpu, page).await;
            true
        };
        if locked {
            lru_add_drain(cpu).await;
            mlock_folio(cpu, page).await;
            unlock_page(cpu, page).await;
        }
    })
}

/// `clear_page_mlock()`: nobody maps the page any more.
pub(crate) fn clear_page_mlock(cpu: Cpu<'_>, page: Page) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let _routine = cpu.enter("clear_page_mlock");
        if clear_mlocked(cpu, page).await {
            count_mlocked(cpu, -1).await;
            if isolate_lru_page(cpu, page).await {
                putback_lru_page(cpu, page).await;
            }
        }
    })
}
