//! Pages that a CPU of another node uses: `migrate_misplaced_page()`, `mpol_misplaced()` of `mm/mempolicy.c`.

use super::{MAX_PASSES, MigrateMode, MigrateReason, migrate_pages};
use crate::gfp::Gfp;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::put_page;
use crate::settings::{Migration, Nodes};
use crate::swap::isolate_lru_page;

/// Whether a fault for NUMA hinting may move the page.
pub(crate) fn numa_migrates(cpu: Cpu<'_>) -> bool {
    cpu.setting::<Nodes>() == Nodes::Two && cpu.setting::<Migration>() == Migration::On
}

/// `numa_node_id()`: CPUs take turns on the nodes.
fn numa_node_id(cpu: Cpu<'_>) -> u64 {
    u64::from(cpu.id.0 % 2)
}

/// `mpol_misplaced()`: the node of this CPU, if the page is on another one. Not modelled: a page is moved only when a node has used it twice.
pub(crate) fn mpol_misplaced(cpu: Cpu<'_>, page: Page) -> Option<u64> {
    let here = numa_node_id(cpu);
    (numa_migrates(cpu) && cpu.kernel.mem_map.node(page.0) != here).then_some(here)
}

/// `migrate_misplaced_page()`: moves a page to a node. The caller's reference to the page is given up. Whether it was moved.
pub(crate) async fn migrate_misplaced_page(cpu: Cpu<'_>, page: Page, node: u64) -> bool {
    let _routine = cpu.enter("migrate_misplaced_page");
    // numamigrate_isolate_page(): that takes a reference of its own.
    let isolated = isolate_lru_page(cpu, page).await;
    put_page(cpu, page).await;
    let reason = MigrateReason::NumaMisplaced;
    isolated
        && migrate_pages(cpu, vec![page], Gfp::this_node(node), (MigrateMode::Async, reason), MAX_PASSES).await
            == 0
}
