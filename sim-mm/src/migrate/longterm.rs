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
use crate::swap::{isolate_lru_page, lru_add_drain_all};

/// Pages of the zone MOVABLE that were found among others.
#[derive(Debug, Default)]
pub struct LongtermPages {
    /// They are off their lists.
    isolated: Vec<Page>,
    /// Somebody else has taken them off their lists.
    elsewhere: Vec<Elsewhere>,
}

/// A page that somebody else has taken off its list.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    page: Page,
    /// How often it had come to a list, or to the allocator, before the batches were drained and it was on no list.
    arrivals: u64,
}

impl LongtermPages {
    /// `collect_longterm_unpinnable_folios()`: those of these pages, to which the caller has references, that must not be pinned for long.
    pub fn collect<'m>(cpu: Cpu<'m>, pages: &'m [Page]) -> BoxFuture<'m, LongtermPages> {
        Box::pin(async move {
            let _routine = cpu.enter("collect_longterm_unpinnable_folios");
            let mut found = LongtermPages::default();
            let mut heads: Vec<Elsewhere> = Vec::new();
            for page in pages.iter().map(|page| cpu.kernel.folio_of(*page)) {
                if cpu.kernel.is_zone_movable(page) && heads.iter().all(|other| other.page != page) {
                    let arrivals = cpu.this_cpu_read(cpu.kernel.page(page).arrivals());
                    heads.push(Elsewhere { page, arrivals });
                }
            }
            if !heads.is_empty() {
                lru_add_drain_all(cpu).await;
            }
            for head in heads {
                if isolate_lru_page(cpu, head.page).await {
                    found.isolated.push(head.page);
                } else {
                    found.elsewhere.push(head);
                }
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
            if migrate_pages(cpu, self.isolated, Gfp::empty(), how, MAX_PASSES).await > 0 {
                return false;
            }
            for page in self.elsewhere {
                wait_for_arrival(cpu, page).await;
            }
            true
        })
    }
}

/// Linux goes back at once, pins the page that is mapped by then, and looks whether that one is on a list: so it goes round until whoever has the page is
/// done. Here that one is waited for. He puts the page back on a list, which a batch counts as, or it is free. Both are counted, so what becomes of the
/// frame afterwards makes no difference. The number is from before the batches were drained: a page that came to a batch behind the drain is not waited
/// for, since nobody else would drain it.
async fn wait_for_arrival(cpu: Cpu<'_>, Elsewhere { page, arrivals }: Elsewhere) {
    let word = cpu.kernel.page(page).arrivals().loc();
    let arrived = Gate::IsNot(word, Bytes::ALL, arrivals);
    cpu.step(Op::new(OpKind::Wait, word).behind(arrived).sleeping(), |_| ()).await;
}
