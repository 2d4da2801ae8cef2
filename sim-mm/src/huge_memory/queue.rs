//! The queue of folios of which a part is mapped no more: `deferred_split_folio()`, `deferred_split_huge_page()` before v6.0. Since v4.5.
//!
//! The pages that nobody maps are free only when the folio is split. That is put off, for the whole folio may be unmapped soon. The queue
//! has no reference to the folio meanwhile: whoever frees the folio takes it off the queue. It has no order here, as the lists of reclaim
//! have none: a folio is on it as its descriptor says.

use sim_core::Held;

use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::PageFlags;

impl Kernel {
    /// The folios that are on the queue, in the order of their frames.
    pub(super) fn split_queue(&self) -> Vec<Page> {
        let memory = &self.core().memory;
        let is_queued = |page: &Page| memory.get(self.page(*page).deferred().loc()) != 0;
        self.mem_map.pfns().map(Page).filter(is_queued).collect()
    }
}

/// `list_empty(&folio->_deferred_list)` of a head, without the lock.
fn is_queued(cpu: Cpu<'_>, head: Page) -> bool {
    cpu.this_cpu_read(cpu.kernel.page(head).deferred())
}

/// Puts a folio on the queue or takes it off, with the lock held.
pub(super) fn set_queued(cpu: Cpu<'_>, head: Page, queued: bool) {
    let (word, len) = (cpu.kernel.page(head).deferred(), cpu.kernel.split_queue.len);
    if cpu.this_cpu_read(word) != queued {
        cpu.this_cpu_write(word, queued);
        let old = cpu.this_cpu_read(len);
        cpu.this_cpu_write(len, if queued { old + 1 } else { old - 1 });
    }
}

/// `deferred_split_folio()`: a part of the folio is mapped no more. One that is in the swap cache goes to swap anyhow.
pub(crate) async fn deferred_split_folio(cpu: Cpu<'_>, head: Page) {
    // Without reclaim nobody ever splits it.
    if is_queued(cpu, head) || !cpu.walks_rmap() {
        return;
    }
    let _routine = cpu.enter("deferred_split_folio");
    if cpu.load(cpu.kernel.page_flags(head)).await.contains(PageFlags::SWAPCACHE) {
        return;
    }
    let _queue = cpu.lock(cpu.kernel.split_queue.lock).await;
    set_queued(cpu, head, true);
}

/// The lock of the queue, if the folio is on it.
pub(super) async fn lock_queue_of(cpu: Cpu<'_>, head: Page) -> Option<Held<'_>> {
    if is_queued(cpu, head) { Some(cpu.lock(cpu.kernel.split_queue.lock).await) } else { None }
}

/// `folio_unqueue_deferred_split()`, `free_transhuge_page()` before v6.6: nobody has the folio any more.
pub(crate) async fn unqueue_deferred_split(cpu: Cpu<'_>, head: Page) {
    if is_queued(cpu, head) {
        let _queue = cpu.lock(cpu.kernel.split_queue.lock).await;
        set_queued(cpu, head, false);
    }
}
