//! `root_stable_tree` and `root_unstable_tree`: which pages hold the same. Linux has them as trees by contents; here they are lists.

use super::find::get_mergeable_page;
use crate::highmem::read_page;
use crate::kernel::Cpu;
use crate::ksm_types::{RmapItem, StableNode};
use crate::mm_types::Page;
use crate::page::{get_page_unless_zero, put_page};
use crate::page_flags::ksm_mapping;

/// `memcmp_pages()`, `pages_identical()`: each page is read in one step.
pub(super) async fn pages_identical(cpu: Cpu<'_>, one: Page, other: Page) -> bool {
    read_page(cpu, one).await == read_page(cpu, other).await
}

/// `calc_checksum()`.
pub(super) async fn calc_checksum(cpu: Cpu<'_>, page: Page) -> u64 {
    let mix = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    read_page(cpu, page).await.into_iter().fold(0, mix)
}

/// `get_ksm_page()`: the page of a node, with a reference. The page may have been freed, and be another's: then its `mapping` says so, and the node
/// goes.
async fn get_ksm_page(cpu: Cpu<'_>, node: StableNode) -> Option<Page> {
    let is_still = async || cpu.load(cpu.kernel.page(node.kpage).mapping()).await == ksm_mapping(node.id);
    if is_still().await && get_page_unless_zero(cpu, node.kpage).await {
        // It may have been freed and be another's between the two.
        if is_still().await {
            return Some(node.kpage);
        }
        put_page(cpu, node.kpage).await;
    }
    // remove_node_from_stable_tree()
    cpu.update(&cpu.kernel.ksm.stable, |nodes| nodes.retain(|other| *other != node)).await;
    None
}

/// `stable_tree_search()`: a merged page that holds what the page holds, with a reference.
pub(super) async fn stable_tree_search(cpu: Cpu<'_>, page: Page) -> Option<Page> {
    let nodes = cpu.read(&cpu.kernel.ksm.stable, Clone::clone).await;
    for node in nodes {
        let Some(kpage) = get_ksm_page(cpu, node).await else { continue };
        if kpage == page || pages_identical(cpu, page, kpage).await {
            return Some(kpage);
        }
        put_page(cpu, kpage).await;
    }
    None
}

/// `stable_tree_insert()`: a page that was just merged, and that is locked, can be found from now on.
pub(super) async fn stable_tree_insert(cpu: Cpu<'_>, kpage: Page) {
    let id = cpu
        .update(&cpu.kernel.ksm.stable, |nodes| {
            let id = 1 + nodes.iter().map(|node| node.id).max().unwrap_or(0);
            nodes.push(StableNode { kpage, id });
            id
        })
        .await;
    // set_page_stable_node()
    cpu.store(cpu.kernel.page(kpage).mapping(), ksm_mapping(id)).await;
}

/// `unstable_tree_search_insert()`: an item whose page holds the same, and that page with a reference; or the item waits for one. Its page may change
/// meanwhile.
pub(super) async fn unstable_tree_search_insert(
    cpu: Cpu<'_>,
    item: RmapItem,
    page: Page,
) -> Option<(RmapItem, Page)> {
    let items = cpu.read(&cpu.kernel.ksm.items, Clone::clone).await;
    for other in items.into_iter().filter(|other| other.is_unstable) {
        let Some(tree_page) = get_mergeable_page(cpu, other.mm, other.address).await else { continue };
        if tree_page == page {
            // Don't substitute a page for itself: fork made the two of one.
            put_page(cpu, tree_page).await;
            return None;
        }
        if pages_identical(cpu, page, tree_page).await {
            return Some((other, tree_page));
        }
        put_page(cpu, tree_page).await;
    }
    change_item(cpu, item, |item| item.is_unstable = true).await;
    None
}

/// Changes what ksmd knows of a page, if it still does.
pub(super) async fn change_item(cpu: Cpu<'_>, item: RmapItem, change: impl Fn(&mut RmapItem) + Unpin) {
    cpu.update(&cpu.kernel.ksm.items, |items| {
        let same = |other: &&mut RmapItem| (other.mm, other.address) == (item.mm, item.address);
        if let Some(found) = items.iter_mut().find(same) {
            change(found);
        }
    })
    .await;
}

/// `remove_rmap_item_from_tree()`, of the unstable one.
pub(super) async fn remove_rmap_item_from_tree(cpu: Cpu<'_>, item: RmapItem) {
    change_item(cpu, item, |item| item.is_unstable = false).await;
}
