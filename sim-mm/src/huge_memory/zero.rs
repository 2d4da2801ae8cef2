//! The huge page of zeroes, which reads of untouched memory map: who keeps it, and when it is freed.
//!
//! It has a count of its own, `huge_zero_refcount`, of which one is the shrinker's. Before v4.9 each entry that maps the page has one of the
//! others, since then each address space that has ever mapped it has one until its end. If only that of the shrinker is left then the page
//! may be freed.

use sim_core::{Op, OpKind};
use sim_mmu::Pfn;

use crate::gfp::Gfp;
use crate::highmem::clear_huge_page;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmStruct, Page};
use crate::page::put_page;
use crate::page_alloc::alloc_pages;
use crate::pgtable::Pmd;
use crate::settings::HugeZeroCount;

impl Kernel {
    /// The first frame of the huge page of zeroes, if there is one.
    pub fn huge_zero_page(&self) -> Option<Page> {
        self.core().memory.get(self.huge_zero.page.loc()).checked_sub(1).map(|pfn| Page(Pfn(pfn)))
    }
}

/// `is_huge_zero_pmd()`.
pub fn is_huge_zero_pmd(cpu: Cpu<'_>, pmd: Pmd) -> bool {
    pmd.trans_huge() && cpu.kernel.huge_zero_page() == Some(Page(pmd.pfn()))
}

/// Whether each entry that maps the page counts.
pub(crate) fn entries_count(cpu: Cpu<'_>) -> bool {
    cpu.setting::<HugeZeroCount>() == HugeZeroCount::Entries
}

/// `get_huge_zero_page()`: one more who keeps it. The first one makes it. `None` if there is no memory.
async fn get_huge_zero_page(cpu: Cpu<'_>) -> Option<Page> {
    let words = cpu.kernel.huge_zero;
    // atomic_inc_not_zero()
    while cpu.rmw(words.refcount, |count: u64| if count == 0 { 0 } else { count + 1 }).await == 0 {
        let new = alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP).await?;
        clear_huge_page(cpu, new, cpu.pmd_nr()).await;
        // cmpxchg(): another CPU may have made one meanwhile. In Linux the count follows the page, and whoever finds the one without the other
        // tries again until both are there. Here both come in one step.
        let op = Op::new(OpKind::Rmw, words.page.loc());
        let is_first = cpu
            .step(op, move |hw| {
                let old = hw.core.memory.get(op.loc);
                if old == 0 {
                    hw.core.memory.set(words.refcount.loc(), 2);
                }
                hw.perform_rmw(&op, old, if old == 0 { new.0.0 + 1 } else { old });
                old == 0
            })
            .await;
        if is_first {
            return Some(new);
        }
        put_page(cpu, new).await;
    }
    cpu.load(words.page).await.checked_sub(1).map(|pfn| Page(Pfn(pfn)))
}

/// `put_huge_zero_page()`: the shrinker has a reference, so this is never the last one.
pub(crate) async fn put_huge_zero_page(cpu: Cpu<'_>) {
    cpu.rmw(cpu.kernel.huge_zero.refcount, |count: u64| count.wrapping_sub(1)).await;
}

/// `mm_get_huge_zero_page()`: the page, for an entry of an address space. `None` if there is no memory.
pub(super) async fn mm_get_huge_zero_page(cpu: Cpu<'_>, mm: &MmStruct) -> Option<Page> {
    let _routine = cpu.enter("mm_get_huge_zero_page");
    if entries_count(cpu) {
        return get_huge_zero_page(cpu).await;
    }
    if cpu.load(mm.huge_zero()).await {
        return cpu.load(cpu.kernel.huge_zero.page).await.checked_sub(1).map(|pfn| Page(Pfn(pfn)));
    }
    let page = get_huge_zero_page(cpu).await?;
    // test_and_set_bit(): another thread may have got it for the address space meanwhile.
    if cpu.rmw(mm.huge_zero(), |_| true).await {
        put_huge_zero_page(cpu).await;
    }
    Some(page)
}

/// `mm_put_huge_zero_page()`: the address space maps nothing any more.
pub(crate) async fn mm_put_huge_zero_page(cpu: Cpu<'_>, mm: &MmStruct) {
    if cpu.this_cpu_read(mm.huge_zero()) {
        cpu.this_cpu_write(mm.huge_zero(), false);
        put_huge_zero_page(cpu).await;
    }
}

/// `shrink_huge_zero_page_scan()`: frees the page if nobody but the shrinker keeps it. Answers how many frames are free for it.
pub(crate) async fn shrink_huge_zero_page_scan(cpu: Cpu<'_>) -> u64 {
    let _routine = cpu.enter("shrink_huge_zero_page_scan");
    let words = cpu.kernel.huge_zero;
    // atomic_cmpxchg(), and xchg() of the page: in Linux whoever finds the page without a count tries again until it is gone.
    let op = Op::new(OpKind::Rmw, words.refcount.loc());
    let page = cpu
        .step(op, move |hw| {
            let count = hw.core.memory.get(op.loc);
            let is_last = count == 1;
            let page = if is_last { cpu.kernel.huge_zero_page() } else { None };
            if is_last {
                hw.core.memory.set(words.page.loc(), 0);
            }
            hw.perform_rmw(&op, count, if is_last { 0 } else { count });
            page
        })
        .await;
    let Some(page) = page else { return 0 };
    put_page(cpu, page).await;
    cpu.pmd_nr()
}
