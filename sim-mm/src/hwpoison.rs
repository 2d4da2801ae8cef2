//! `PG_hwpoison`: which memory is broken, and what follows from it for everybody else.
//!
//! Only [`memory_failure()`](crate::memory_failure) sets the flag. A frame that has it is never given back to the allocator, nor handed out by it.
//! Of a huge page of the pool, the first page has it for all, until the pool gives the huge page up.

use sim_mmu::Pfn;

use crate::event::Event;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::PageFlags;
use crate::safeguards::HUGETLB_RAW_HWPOISON;
use crate::settings::{HwpoisonHugetlb, MemoryFailure};

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

/// `folio_clear_hugetlb_hwpoison()`, since v6.0: a huge page leaves its pool, and those pages of it are marked from now on that are broken. `told` is the one for which it leaves.
/// It is a part of the step in which it does.
pub(crate) fn folio_clear_hugetlb_hwpoison(cpu: Cpu<'_>, head: Page, told: Option<Page>) {
    // Before v4.13 all pages of it are marked.
    if !cpu.kernel.is_hwpoison(head) || cpu.setting::<HwpoisonHugetlb>() != HwpoisonHugetlb::Dissolved {
        return;
    }
    let _routine = cpu.enter("folio_clear_hugetlb_hwpoison");
    let change = |page: Page, gone: PageFlags, set: PageFlags| {
        let flags = cpu.kernel.own_flags(page);
        cpu.this_cpu_write(flags, (cpu.this_cpu_read(flags) - gone) | set);
    };
    let is_raw = |page: &Page| cpu.kernel.own_flags_now(*page).contains(PageFlags::HWPOISON_RAW);
    let broken: Vec<Page> = if cpu.has(HUGETLB_RAW_HWPOISON) {
        cpu.kernel.folio_pages(head).filter(is_raw).collect()
    } else {
        // The mark stays with the first page, if nobody says whose it is.
        vec![told.unwrap_or(head)]
    };
    change(head, PageFlags::HWPOISON, PageFlags::empty());
    for page in cpu.kernel.folio_pages(head) {
        let set = if broken.contains(&page) { PageFlags::HWPOISON } else { PageFlags::empty() };
        change(page, PageFlags::HWPOISON_RAW, set);
    }
}
