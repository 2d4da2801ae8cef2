//! `mm/ksm.c`: ksmd makes one page of equal pages, and whoever writes to it gets a copy.
//!
//! A merged page must not change, so no entry for it lets anybody write, and nobody may hold a reference by which he writes. ksmd makes the entry of a
//! page read-only and flushes it, and then compares the page: what a CPU wrote before is seen, and whoever writes afterwards faults.
//!
//! Merged pages stay in memory, and where they are: reclaim and migration leave them alone. In Linux they have a reverse mapping of their own for
//! that.

mod find;
mod merge;
mod mergeable;
mod prctl;
mod scan;
mod tree;
mod unmerge;
mod write_protect;

pub(crate) use mergeable::{is_compatible, ksm_fork, ksm_vma_flags};
pub use prctl::prctl_set_memory_merge;
pub use scan::ksm_do_scan;
pub(crate) use scan::ksm_exit;
pub use unmerge::break_cow;
pub(crate) use unmerge::unmerge_range;

use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page_flags::is_ksm_mapping;

/// `PageKsm()`: whether a page is a merged one. Nobody asks on a machine without ksmd.
pub async fn page_is_ksm(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.kernel.has_ksm() && is_ksm_mapping(cpu.load(cpu.kernel.page(page).mapping()).await)
}
