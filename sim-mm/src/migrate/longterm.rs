//! Pages that are to be pinned for long leave the zone MOVABLE: `check_and_migrate_movable_pages()` of `mm/gup.c`, since v5.13.
//!
//! Memory of that zone is to be taken out of the machine some day, and a page that is pinned cannot be moved. So such pages are moved
//! before they are handed out. While they are moved nobody has references, so GUP gives its own back and begins anew.
//! Not modelled: `PF_MEMALLOC_PIN`. A page that GUP itself faults in may be in the zone as well, and is moved like others.

use sim_core::{BoxFuture, Bytes, Gate, Op, OpKind};

use super::{MAX_PASSES, MigrateMode, MigrateReason, migrate_pages};
use crate::gfp::Gfp;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::page_count;
use crate::page_flags::PageFlags;
use crate::swap::{isolate_lru_page, lru_add_drain_all};

/// Pages of the zone MOVABLE that were found among others.
#[derive(Debug, Default)]
pub struct LongtermPages {
    /// They are off their lists.
    isolated: Vec<Page>,
    /// Somebody else has taken them off their lists.
    elsewhere: Vec<Page>,
}

impl LongtermPages {
    /// `collect_longterm_unpinnable_folios()`: those of these pages, to which the caller has references, that must not be pinned for long.
    pub fn collect<'m>(cpu: Cpu<'m>, pages: &'m [Page]) -> BoxFuture<'m, LongtermPages> {
        Box::pin(async move {
            let _routine = cpu.enter("collect_longterm_unpinnable_folios");
            let mut found = LongtermPages::default();
            let mut drained = false;
            for page in pages {
                let head = cpu.kernel.folio_of(*page);
                if !cpu.kernel.is_zone_movable(head) || found.isolated.contains(&head) {
                    continue;
                }
                if !drained {
                    lru_add_drain_all(cpu).await;
                    drained = true;
                }
                let list =
                    if isolate_lru_page(cpu, head).await { &mut found.isolated } else { &mut found.elsewhere };
                list.push(head);
            }
            found
        })
    }

    /// Whether all pages may be pinned for long.
    pub fn is_empty(&self) -> bool {
        self.isolated.is_empty() && self.elsewhere.is_empty()
    }

    /// `migrate_longterm_unpinnable_folios()`: the pages are elsewhere when this returns, and the caller may look for them again. He has no
    /// references by now. False if one could not be moved.
    pub fn migrate(self, cpu: Cpu<'_>) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let _routine = cpu.enter("migrate_longterm_unpinnable_folios");
            let how = (MigrateMode::Sync, MigrateReason::Asked);
            let stuck = migrate_pages(cpu, self.isolated, Gfp::empty(), how, MAX_PASSES).await;
            for page in self.elsewhere {
                wait_for_list(cpu, page).await;
            }
            stuck == 0
        })
    }
}

/// Waits for whoever has taken a page off its list. Linux looks again until he is done.
async fn wait_for_list(cpu: Cpu<'_>, page: Page) {
    // In this order: he puts his reference when the page is back on its list.
    let count = page_count(cpu, page).await;
    let is_listed = cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::LRU);
    if count == 0 || is_listed {
        return;
    }
    let word = cpu.kernel.refcount(page).loc();
    let changed = Gate::IsNot(word, Bytes::ALL, count);
    cpu.step(Op::new(OpKind::Wait, word).behind(changed).sleeping(), |_| ()).await;
}
