//! What ksmd does with a page: `cmp_and_merge_page()`.

use sim_mmu::VirtAddr;

use super::find::find_mergeable_vma;
use super::page_is_ksm;
use super::tree::{
    calc_checksum, change_item, pages_identical, remove_rmap_item_from_tree, stable_tree_insert,
    stable_tree_search, unstable_tree_search_insert,
};
use super::unmerge::break_cow;
use super::write_protect::{replace_page, write_protect_page};
use crate::filemap::trylock_page;
use crate::folio::{is_large, page_is_anon};
use crate::huge_memory::{Tails, split_folio};
use crate::kernel::Cpu;
use crate::ksm_types::RmapItem;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{lock_page, put_page, unlock_page};
use crate::page_flags::{PageFlags, ksm_mapping};
use crate::page_tags::set_page_dirty;
use crate::swap::mark_page_accessed;

/// `cmp_and_merge_page()`: the page of an item is merged with one that holds the same, if there is one. The caller has a reference to the page. Answers
/// whether it was merged.
pub(super) async fn cmp_and_merge_page(cpu: Cpu<'_>, item: RmapItem, page: Page) -> bool {
    let _routine = cpu.enter("cmp_and_merge_page");
    if page_is_ksm(cpu, page).await {
        return false;
    }
    let kpage = stable_tree_search(cpu, page).await;
    remove_rmap_item_from_tree(cpu, item).await;
    if let Some(kpage) = kpage {
        let merged = kpage != page && try_to_merge_with_ksm_page(cpu, item, page, Some(kpage)).await;
        put_page(cpu, kpage).await;
        return merged;
    }
    let checksum = calc_checksum(cpu, page).await;
    if item.oldchecksum != checksum {
        change_item(cpu, item, |item| item.oldchecksum = checksum).await;
        return false;
    }
    let Some((tree_item, tree_page)) = unstable_tree_search_insert(cpu, item, page).await else { return false };
    let tree_folio = cpu.kernel.folio_of(tree_page);
    let merged = try_to_merge_two_pages(cpu, (item, page), (tree_item, tree_page)).await;
    put_page(cpu, tree_folio).await;
    if merged {
        remove_rmap_item_from_tree(cpu, tree_item).await;
        lock_page(cpu, page).await;
        stable_tree_insert(cpu, page).await;
        unlock_page(cpu, page).await;
    }
    merged
}

/// `try_to_merge_two_pages()`: the page of the first becomes a merged page, and takes the place of the other. If only the first half succeeds, then it
/// becomes its process's own again.
async fn try_to_merge_two_pages(
    cpu: Cpu<'_>,
    (item, page): (RmapItem, Page),
    (tree_item, tree_page): (RmapItem, Page),
) -> bool {
    if !try_to_merge_with_ksm_page(cpu, item, page, None).await {
        return false;
    }
    let merged = try_to_merge_with_ksm_page(cpu, tree_item, tree_page, Some(page)).await;
    if !merged {
        // Without memory it stays a merged page, which the next write copies.
        let _ = break_cow(cpu, cpu.kernel.mm(item.mm), item.address).await;
    }
    merged
}

/// `try_to_merge_with_ksm_page()`: takes `mmap_lock` of the process. Without `kpage` the page becomes a merged page itself.
async fn try_to_merge_with_ksm_page(cpu: Cpu<'_>, item: RmapItem, page: Page, kpage: Option<Page>) -> bool {
    let mm: &MmStruct = cpu.kernel.mm(item.mm);
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let Some(vma) = find_mergeable_vma(cpu, mm, item.address).await else { return false };
    try_to_merge_one_page(cpu, (mm, vma), item.address, page, kpage).await
}

/// `try_to_merge_one_page()`.
async fn try_to_merge_one_page<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    address: VirtAddr,
    page: Page,
    kpage: Option<Page>,
) -> bool {
    let _routine = cpu.enter("try_to_merge_one_page");
    if kpage == Some(page) {
        return true;
    }
    // Whoever has the page locked may be at its entries as well, and ksmd can come again.
    let folio = cpu.kernel.folio_of(page);
    if !page_is_anon(cpu, page) || !trylock_page(cpu, folio).await {
        return false;
    }
    let merged = merge_locked(cpu, (mm, vma), address, page, kpage).await;
    unlock_page(cpu, folio).await;
    merged
}

async fn merge_locked<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    address: VirtAddr,
    page: Page,
    kpage: Option<Page>,
) -> bool {
    if is_large(cpu, page) {
        let head = cpu.kernel.folio_of(page);
        // The lock and the reference stay those of the first page, so that ksmd has to come to each other one again.
        if split_folio(cpu, head, Tails::Listed).await.is_err() || page != head {
            return false;
        }
    }
    let Some(orig) = write_protect_page(cpu, mm, address, page).await else { return false };
    let Some(kpage) = kpage else {
        // set_page_stable_node(page, NULL): from anonymous to merged, while the page is locked.
        cpu.store(cpu.kernel.page(page).mapping(), ksm_mapping(0)).await;
        mark_page_accessed(cpu, page).await;
        // What it holds is nowhere else.
        if !cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::DIRTY) {
            set_page_dirty(cpu, page).await;
        }
        return true;
    };
    // Nobody can write to the page any more, so it stays as it is found here.
    pages_identical(cpu, page, kpage).await && replace_page(cpu, (mm, vma), address, (page, kpage), orig).await
}
