//! `PG_mlocked` and `NR_MLOCK`.
//!
//! Before v5.18 a page said by a flag that some mapping has it locked, and the kernel counted these pages. The flag was set by whoever
//! faults the pages of a locked mapping in, and cleared by whoever unlocks the mapping, or unmaps the page for the last time.

use sim_core::Shared;

use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page_flags::PageFlags;
use crate::settings::Mlock;
use crate::vm_flags::VmFlags;

/// Whether this kernel marks the pages that are locked in memory.
pub fn marks_mlocked(cpu: Cpu<'_>) -> bool {
    cpu.setting::<Mlock>() == Mlock::Walk && cpu.has_lists()
}

/// `VM_LOCKED`, of a mapping whose pages reclaim sees.
pub(crate) fn is_locked(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma.flags(cpu) & (VmFlags::LOCKED | VmFlags::SPECIAL) == VmFlags::LOCKED
}

/// `mod_zone_page_state(NR_MLOCK)`.
pub(crate) async fn count_mlocked(cpu: Cpu<'_>, more: i64) {
    if more != 0 {
        let count: Shared<u64> = cpu.kernel.nr_mlock;
        cpu.rmw(count, move |count| count.wrapping_add_signed(more)).await;
    }
}

/// `TestSetPageMlocked()`: whether it was not set.
pub(crate) async fn set_mlocked(cpu: Cpu<'_>, page: Page) -> bool {
    !cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::MLOCKED).await.contains(PageFlags::MLOCKED)
}

/// `TestClearPageMlocked()`.
pub(crate) async fn clear_mlocked(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags - PageFlags::MLOCKED).await.contains(PageFlags::MLOCKED)
}

/// `PageMlocked()`. If nobody maps the page, nobody can set the flag now.
pub(crate) fn is_mlocked(cpu: Cpu<'_>, page: Page) -> bool {
    marks_mlocked(cpu) && cpu.this_cpu_read(cpu.kernel.page_flags(page)).contains(PageFlags::MLOCKED)
}
