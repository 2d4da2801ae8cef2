//! Reverse mapping: `mm/rmap.c`.

mod anon_vma;
mod batch;
mod large_mapcount;
mod migrate;
mod migration_entry;
mod mkclean;
mod referenced;
pub(crate) mod types;
mod unmap;
mod walk;

pub(crate) use anon_vma::{
    anon_vma_clone, anon_vma_fork, anon_vma_lock_write, anon_vma_lock_write_tree, anon_vma_prepare, anon_vma_root,
    anon_vma_trylock_write_tree, has_one_anon_vma, unlink_anon_vmas, walked,
};
pub(crate) use batch::{flush_tlb_batched_pending, try_to_unmap_flush, try_to_unmap_flush_dirty};
pub(crate) use large_mapcount::{
    folio_maybe_mapped_shared, page_trans_huge_mapcount, total_mapcount, wp_can_reuse_large_anon_folio,
};
pub(crate) use migrate::{Flush, set_pte_migration, try_to_migrate, try_to_migrate_split};
pub(crate) use migration_entry::{forked, keep_dirty_bit, make_migration_entry, restored};
pub(crate) use mkclean::page_mkclean;
pub(crate) use referenced::page_referenced;
pub(crate) use unmap::{Mlocked, Poison, Ttu, page_mapped, try_to_unmap};
pub(crate) use walk::{
    Place, RmapLock, invalidating, page_anon_vma, page_get_anon_vma, page_lock_anon_vma_read, put_anon_vma,
    rmap_walk,
};

use sim_core::{Op, OpKind, Shared};
use sim_mmu::VirtAddr;

use crate::check;
use crate::event::Event;
use crate::folio::{folio_nr_pages, is_large, page_is_anon};
use crate::huge_memory::deferred_split_folio;
use crate::kernel::Cpu;
use crate::mlock_page::clear_page_mlock;
use crate::mlocked::is_mlocked;
use crate::mm_types::{MmId, MmStruct, Page, Vma};
use crate::page::page_maybe_dma_pinned;
use crate::page_flags::{PageFlags, anon_mapping};
use crate::safeguards::UFFD_MOVE_EXCLUSIVE;
use crate::settings::CowReuse;

use large_mapcount::{folio_add_large_mapcount, folio_sub_large_mapcount, leaves_a_part, unmaps_a_part};
use types::AnonVma;

#[track_caller]
fn change_count<'m>(
    cpu: Cpu<'m>,
    page: Page,
    count: Shared<u64>,
    update: impl Fn(u64) -> u64 + Unpin,
) -> impl Future<Output = ()> {
    let op = Op::new(OpKind::Rmw, count.loc());
    cpu.step(op, move |hw| {
        let old = hw.core.memory.get(op.loc);
        let new = update(old);
        hw.perform_rmw(&op, old, new);
        cpu.note(Event::MapcountChanged { pfn: page.0, old, new });
    })
}

/// One entry of a table of `mm` more maps the page by itself, or one less.
#[track_caller]
fn change_mapcount<'m>(cpu: Cpu<'m>, page: Page, update: impl Fn(u64) -> u64 + Unpin) -> impl Future<Output = ()> {
    change_count(cpu, page, cpu.kernel.mapcount(page), update)
}

/// One entry of a table of `mm` more maps the page: what its folio counts.
async fn one_more(cpu: Cpu<'_>, page: Page, mm: MmId) {
    if is_large(cpu, page) {
        Box::pin(folio_add_large_mapcount(cpu, cpu.kernel.folio_of(page), mm, 1)).await;
    }
}

/// The number of the address space of a mapping that is attached to one.
fn mm_of(cpu: Cpu<'_>, vma: Vma) -> MmId {
    vma.mm(cpu).unwrap_or(MmId(0))
}

/// Whether this kernel marks pages that one address space has for itself.
fn marks_exclusive(cpu: Cpu<'_>) -> bool {
    cpu.setting::<CowReuse>() == CowReuse::Exclusive
}

/// `__page_set_anon_rmap()`: `page->mapping` and `page->index` of a page that nobody finds by them before it is mapped.
fn __page_set_anon_rmap(cpu: Cpu<'_>, page: Page, vma: Vma, addr: VirtAddr, anon_vma: Option<AnonVma>) {
    let slot = anon_vma.map_or(0, |anon_vma| anon_vma.index() as u64 + 1);
    cpu.this_cpu_write(cpu.kernel.page(page).mapping(), anon_mapping(slot));
    cpu.this_cpu_write(cpu.kernel.page(page).index(), vma.index_of(cpu, addr));
}

/// `page_add_new_anon_rmap()`: the first mapping of a page that nobody else knows.
pub(crate) async fn page_add_new_anon_rmap(cpu: Cpu<'_>, page: Page, vma: Vma, addr: VirtAddr) {
    __page_set_anon_rmap(cpu, page, vma, addr, vma.anon_vma(cpu));
    change_mapcount(cpu, page, |_| 1).await;
    if marks_exclusive(cpu) {
        page_move_anon_rmap(cpu, page).await;
    }
}

/// `page_add_anon_rmap()`, `do_page_add_anon_rmap()` before v5.19: one more mapping of a page that was read from swap. The page is locked.
///
/// A page that may be shared hangs on the root of the tree, since any of the processes could map it next.
pub(crate) async fn page_add_anon_rmap(cpu: Cpu<'_>, page: Page, vma: Vma, addr: VirtAddr, exclusive: bool) {
    if !page_is_anon(cpu, page) {
        let own = vma.anon_vma(cpu);
        let anon_vma = if exclusive { own } else { own.map(|own| anon_vma::root_of(cpu, own)) };
        __page_set_anon_rmap(cpu, page, vma, addr, anon_vma);
    }
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
    one_more(cpu, page, mm_of(cpu, vma)).await;
    if exclusive {
        page_move_anon_rmap(cpu, page).await;
    }
}

/// `page_move_anon_rmap()`: the page belongs to this address space alone from now on.
pub(crate) async fn page_move_anon_rmap(cpu: Cpu<'_>, page: Page) {
    if marks_exclusive(cpu) {
        cpu.rmw(cpu.kernel.own_flags(page), |flags| flags | PageFlags::ANON_EXCLUSIVE).await;
    }
}

/// `PageAnonExclusive()`: whether the page belongs to this address space alone. Before v5.19 no page says so.
#[track_caller]
pub fn page_anon_exclusive<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = bool> + use<'m> {
    let flags = cpu.load(cpu.kernel.own_flags(page));
    async move { flags.await.contains(PageFlags::ANON_EXCLUSIVE) }
}

/// Whether a page belongs to this address space alone, so that `UFFDIO_MOVE` may move it.
pub(crate) async fn may_move_page(cpu: Cpu<'_>, page: Page) -> bool {
    !check!(cpu, UFFD_MOVE_EXCLUSIVE, !page_anon_exclusive(cpu, page).await)
}

/// `page_needs_cow_for_dma()`: whether a device may write to the page that the parent has pinned. Then the page stays
/// the parent's, and the child gets a copy at once.
pub(crate) async fn page_needs_cow_for_dma<'m>(cpu: Cpu<'m>, (src, vma): (&'m MmStruct, Vma), page: Page) -> bool {
    if !cpu.this_cpu_read(src.has_pinned()) || !vma.flags(cpu).is_cow_mapping() {
        return false;
    }
    if marks_exclusive(cpu) && !page_anon_exclusive(cpu, page).await {
        return false;
    }
    page_maybe_dma_pinned(cpu, page).await
}

/// `folio_move_anon_rmap()` and `folio->index`: a folio that is locked belongs to this mapping at this address from now on.
pub(crate) async fn folio_move_anon_rmap(cpu: Cpu<'_>, folio: Page, vma: Vma, addr: VirtAddr) {
    let slot = vma.anon_vma(cpu).map_or(0, |anon_vma| anon_vma.index() as u64 + 1);
    cpu.store(cpu.kernel.page(folio).mapping(), anon_mapping(slot)).await;
    cpu.store(cpu.kernel.page(folio).index(), vma.index_of(cpu, addr)).await;
}

/// `page_dup_rmap()`, `page_try_dup_anon_rmap()` since v5.19: one more mapping of an anonymous page, by fork, in the child `mm`.
pub(crate) async fn page_dup_rmap(cpu: Cpu<'_>, page: Page, mm: MmId) {
    if marks_exclusive(cpu) {
        cpu.rmw(cpu.kernel.own_flags(page), |flags| flags - PageFlags::ANON_EXCLUSIVE).await;
    }
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
    one_more(cpu, page, mm).await;
}

/// `page_add_file_rmap()`, and `page_add_anon_rmap()` of a merged page: one more mapping in `mm` of a page that is none of its own.
pub(crate) async fn page_add_file_rmap(cpu: Cpu<'_>, page: Page, mm: MmId) {
    change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
    one_more(cpu, page, mm).await;
}

/// `page_remove_rmap()`: one mapping in `mm` less.
pub(crate) async fn page_remove_rmap(cpu: Cpu<'_>, page: Page, mm: MmId) {
    change_mapcount(cpu, page, |count| count.wrapping_sub(1)).await;
    // Nobody has mapped it again in this step.
    if is_mlocked(cpu, page) && cpu.this_cpu_read(cpu.kernel.mapcount(page)) == 0 {
        clear_page_mlock(cpu, page).await;
    }
    if is_large(cpu, page) {
        Box::pin(async {
            let head = cpu.kernel.folio_of(page);
            folio_sub_large_mapcount(cpu, head, mm, 1).await;
            if unmaps_a_part(cpu, head, page) {
                deferred_split_folio(cpu, head).await;
            }
        })
        .await;
    }
}

/// `folio_add_new_anon_rmap()` of a large folio, `page_add_new_anon_rmap()` before v6.5: one entry maps all of it.
pub(crate) async fn folio_add_new_anon_rmap(cpu: Cpu<'_>, head: Page, vma: Vma, addr: VirtAddr) {
    __page_set_anon_rmap(cpu, head, vma, addr, vma.anon_vma(cpu));
    folio_add_rmap_pmd(cpu, head, mm_of(cpu, vma)).await;
    page_move_anon_rmap(cpu, head).await;
}

/// `folio_add_file_rmap_pmd()`, and what counts of the other ways to map a large folio by one entry.
pub(crate) async fn folio_add_rmap_pmd(cpu: Cpu<'_>, head: Page, mm: MmId) {
    change_count(cpu, head, cpu.kernel.page(head).entire_mapcount(), |count| count.wrapping_add(1)).await;
    folio_add_large_mapcount(cpu, head, mm, 1).await;
}

/// `folio_add_anon_rmap_pmd()`: one entry maps all of the folio again.
pub(crate) async fn folio_add_anon_rmap_pmd(cpu: Cpu<'_>, head: Page, mm: MmId, exclusive: bool) {
    folio_add_rmap_pmd(cpu, head, mm).await;
    if exclusive {
        page_move_anon_rmap(cpu, head).await;
    }
}

/// `folio_try_dup_anon_rmap_pmd()`: the child `mm` maps all of the folio as well.
pub(crate) async fn folio_dup_anon_rmap_pmd(cpu: Cpu<'_>, head: Page, mm: MmId) {
    if marks_exclusive(cpu) {
        cpu.rmw(cpu.kernel.own_flags(head), |flags| flags - PageFlags::ANON_EXCLUSIVE).await;
    }
    folio_add_rmap_pmd(cpu, head, mm).await;
}

/// `folio_add_anon_rmap_ptes()` of all pages of a folio, which one entry of `mm` mapped until now.
pub(crate) async fn folio_add_anon_rmap_ptes(cpu: Cpu<'_>, head: Page, mm: MmId, exclusive: bool) {
    for page in cpu.kernel.folio_pages(head) {
        change_mapcount(cpu, page, |count| count.wrapping_add(1)).await;
        if exclusive {
            page_move_anon_rmap(cpu, page).await;
        }
    }
    folio_add_large_mapcount(cpu, head, mm, folio_nr_pages(cpu, head)).await;
}

/// `folio_add_new_anon_rmap()` of a large folio that nobody knows, whose pages are to be mapped one by one. Since v6.8.
pub(crate) async fn folio_add_new_anon_rmap_ptes(cpu: Cpu<'_>, head: Page, vma: Vma, addr: VirtAddr) {
    __page_set_anon_rmap(cpu, head, vma, addr, vma.anon_vma(cpu));
    folio_add_anon_rmap_ptes(cpu, head, mm_of(cpu, vma), true).await;
}

/// `folio_remove_rmap_pmd()`: one entry less maps all of the folio.
pub(crate) async fn folio_remove_rmap_pmd(cpu: Cpu<'_>, head: Page, mm: MmId) {
    change_count(cpu, head, cpu.kernel.page(head).entire_mapcount(), |count| count.wrapping_sub(1)).await;
    folio_sub_large_mapcount(cpu, head, mm, 1).await;
    if page_is_anon(cpu, head) && leaves_a_part(cpu, head) {
        deferred_split_folio(cpu, head).await;
    }
}

/// `page_try_share_anon_rmap()`, since v5.19: the page is nobody's own any more, unless it is pinned. The entry is empty by now; a
/// lockless pin that came before shows in the count, and one that comes later finds the entry changed.
pub(crate) async fn page_try_share_anon_rmap(cpu: Cpu<'_>, page: Page) -> bool {
    if page_maybe_dma_pinned(cpu, page).await {
        return false;
    }
    cpu.rmw(cpu.kernel.own_flags(page), |flags| flags - PageFlags::ANON_EXCLUSIVE).await;
    true
}
