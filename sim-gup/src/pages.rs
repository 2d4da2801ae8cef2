//! The array of pages that GUP fills.

use sim_core::BoxFuture;
use sim_mm::{Cpu, Event, MmId, Page, put_page};
use sim_mmu::VirtAddr;

/// A page with the reference that its holder must drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Tells references of one run apart.
    pub id: u64,
    /// The page.
    pub page: Page,
    /// The address space that it was got from.
    pub mm: MmId,
    /// The user address that it was behind.
    pub va: VirtAddr,
}

/// `struct page **pages` with `nr`: what was got so far, in the order of the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages(Vec<Pin>);

impl Pages {
    /// `*nr`.
    pub fn nr(&self) -> u64 {
        self.0.len() as u64
    }

    /// The pages.
    pub fn pins(&self) -> &[Pin] {
        &self.0
    }

    /// Hands the pages over.
    pub fn take(&mut self) -> Vec<Pin> {
        std::mem::take(&mut self.0)
    }

    /// `pages[*nr] = page; (*nr)++`: the page and its reference are the caller's from here on.
    pub(crate) fn push(&mut self, cpu: Cpu<'_>, page: Page, va: VirtAddr, write: bool) {
        let Some(mm) = cpu.current_mm() else { return };
        let id = cpu.kernel.next_pin();
        cpu.note(Event::Pinned { id, mm: mm.id, va, pfn: page.0, write });
        self.0.push(Pin { id, page, mm: mm.id, va });
    }
}

/// `put_page()` by a holder that got the page from GUP.
pub fn put_pin(cpu: Cpu<'_>, pin: Pin) -> BoxFuture<'_, ()> {
    Box::pin(do_put_pin(cpu, pin))
}

async fn do_put_pin(cpu: Cpu<'_>, pin: Pin) {
    cpu.note(Event::Unpinned { id: pin.id });
    put_page(cpu, pin.page).await;
}
