//! `PG_hwpoison`: which memory is broken, and what follows from it for everybody else.
//!
//! Only [`memory_failure()`](crate::memory_failure) sets the flag. A frame that has it is never given back to the allocator, nor handed out by it.

use sim_mmu::Pfn;

use crate::event::Event;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::settings::MemoryFailure;

impl Kernel {
    /// Whether the kernel deals with memory that is broken (`CONFIG_MEMORY_FAILURE`).
    #[inline]
    pub(crate) fn has_memory_failure(&self) -> bool {
        self.config.setting::<MemoryFailure>() == MemoryFailure::On
    }

    /// `PageHWPoison()` now: for those who only look.
    pub fn is_hwpoison(&self, page: Page) -> bool {
        self.has_memory_failure() && self.own_flags_now(page).contains(PageFlags::HWPOISON)
    }

    /// How many references `memory_failure()` keeps to a page for ever: for those who recount them.
    pub(crate) fn hwpoison_references(&self, page: Page) -> u64 {
        let kept = self.has_memory_failure() && self.own_flags_now(page).contains(PageFlags::HWPOISON_KEPT);
        u64::from(kept)
    }

    fn own_flags_now(&self, page: Page) -> PageFlags {
        PageFlags::from_bits_retain(self.core().memory.get(self.own_flags(page).loc()))
    }
}

/// `PageHWPoison()`. Without `memory_failure()` nobody asks.
pub(crate) async fn page_hwpoison(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.kernel.has_memory_failure() && cpu.load(cpu.kernel.own_flags(page)).await.contains(PageFlags::HWPOISON)
}

/// The kernel is about to read what a page holds. If the memory is broken, the machine stops: nobody expects a machine check there.
pub(crate) fn note_consumed(cpu: Cpu<'_>, page: Page) {
    if cpu.kernel.is_hwpoison(page) {
        cpu.note(Event::KernelBug { what: "machine check: the kernel reads memory that is broken" });
    }
}

/// Whether a frame of a block that the allocator has is broken. It asks in the step in which it takes the block, or gets it back.
pub(crate) fn has_hwpoison(cpu: Cpu<'_>, first: Pfn, order: u8) -> bool {
    cpu.kernel.has_memory_failure()
        && (first.0..first.0 + (1 << order)).any(|pfn| {
            let page = Page(Pfn(pfn));
            cpu.core.touch(cpu.kernel.own_flags(page).loc(), false);
            cpu.kernel.is_hwpoison(page)
        })
}
