//! The huge page of zeroes, which reads of untouched memory map: `mm_get_huge_zero_page()`.

use sim_mmu::Pfn;

use crate::gfp::Gfp;
use crate::highmem::clear_huge_page;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page::put_page;
use crate::page_alloc::alloc_pages;
use crate::pgtable::Pmd;

impl Kernel {
    /// The first frame of the huge page of zeroes, if there is one.
    pub fn huge_zero_page(&self) -> Option<Page> {
        self.core().memory.get(self.huge_zero.loc()).checked_sub(1).map(|pfn| Page(Pfn(pfn)))
    }
}

/// `is_huge_zero_pmd()`.
pub(crate) fn is_huge_zero_pmd(cpu: Cpu<'_>, pmd: Pmd) -> bool {
    pmd.trans_huge() && cpu.kernel.huge_zero_page() == Some(Page(pmd.pfn()))
}

/// `mm_get_huge_zero_page()`: the first who asks makes it. `None` if there is no memory.
pub(super) async fn mm_get_huge_zero_page(cpu: Cpu<'_>) -> Option<Page> {
    let _routine = cpu.enter("mm_get_huge_zero_page");
    let word = cpu.kernel.huge_zero;
    if let Some(pfn) = cpu.load(word).await.checked_sub(1) {
        return Some(Page(Pfn(pfn)));
    }
    let new = alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP).await?;
    clear_huge_page(cpu, new, cpu.pmd_nr()).await;
    // cmpxchg(): another CPU may have made one meanwhile.
    let old = cpu.rmw(word, move |old| if old == 0 { new.0.0 + 1 } else { old }).await;
    if let Some(pfn) = old.checked_sub(1) {
        put_page(cpu, new).await;
        return Some(Page(Pfn(pfn)));
    }
    Some(new)
}
