//! `mm/mmu_gather.c`: the pages and tables that unmapping removes are freed only after the flush that makes them
//! unreachable.

use sim_mmu::{Pfn, VirtAddr};

use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::put_page;
use crate::rcu::call_rcu_tables;
use crate::safeguards::{
    GATHER_FLUSH_FIRST, GATHER_FLUSH_NESTED, GATHER_NESTED_TABLES, TABLE_INVALIDATE, TABLE_NO_SHORTCUT,
};
use crate::settings::TableFree;
use crate::smp::{Call, smp_call_function};
use crate::swap::lru_add_drain;
use crate::swapfile::free_swap_cache;

/// `struct mmu_gather`.
pub(crate) struct MmuGather<'m> {
    pub(crate) mm: &'m MmStruct,
    /// What is being unmapped altogether.
    whole: (VirtAddr, VirtAddr),
    /// The range whose translations must go; empty if there are none.
    start: VirtAddr,
    end: VirtAddr,
    /// Pages whose last mapping may have been removed.
    pages: Vec<Page>,
    /// Tables that wait for a grace period.
    tables: Vec<Pfn>,
    /// `freed_tables`: whether what is to be flushed leads to page tables that will be freed.
    freed_tables: bool,
    /// `fullmm`: the whole address space is said to be dying.
    fullmm: bool,
}

impl<'m> MmuGather<'m> {
    /// `tlb_gather_mmu()`.
    pub(crate) async fn gather(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) -> MmuGather<'m> {
        cpu.rmw(mm.tlb_flush_pending(), |pending| pending + 1).await;
        MmuGather {
            mm,
            whole: (start, end),
            start: VirtAddr(u64::MAX),
            end: VirtAddr(0),
            pages: Vec::new(),
            tables: Vec::new(),
            freed_tables: false,
            fullmm: false,
        }
    }

    /// `tlb_gather_mmu()` of all of an address space that nobody uses any more: its translations are not flushed, for they
    /// bear an ASID that is not given again. That is so on arm64; x86 flushes them all the same.
    pub(crate) async fn gather_fullmm(cpu: Cpu<'m>, mm: &'m MmStruct) -> MmuGather<'m> {
        let end = cpu.mmu.geometry.task_size();
        MmuGather { fullmm: true, ..MmuGather::gather(cpu, mm, VirtAddr(0), end).await }
    }

    /// `tlb_remove_tlb_entry()`: the translation of a page must go.
    pub(crate) fn remove_tlb_entry(&mut self, addr: VirtAddr) {
        self.start = self.start.min(addr);
        self.end = self.end.max(addr.plus_pages(1));
    }

    /// `__tlb_remove_page()`: a reference to drop once the flush is done.
    pub(crate) fn remove_page(&mut self, page: Page) {
        self.pages.push(page);
    }

    /// `tlb_remove_table()`, `pte_free_tlb()` and their kin: a table that is unlinked.
    pub(crate) async fn remove_table(&mut self, cpu: Cpu<'m>, table: Pfn, addr: VirtAddr) {
        self.remove_tlb_entry(addr);
        self.freed_tables = true;
        match cpu.setting::<TableFree>() {
            TableFree::AfterFlush => self.remove_page(Page(table)),
            // tlb_remove_table(): nobody else can be inside, so why wait?
            TableFree::RcuSched if !cpu.has(TABLE_NO_SHORTCUT) && self.has_one_user(cpu).await => {
                put_page(cpu, Page(table)).await;
            }
            TableFree::RcuSched => self.tables.push(table),
            TableFree::RcuThenSyncIpi => {
                self.table_invalidate(cpu).await;
                tlb_remove_table_one(cpu, table).await;
            }
        }
    }

    /// Whether the address space has a single user, or none any more.
    async fn has_one_user(&self, cpu: Cpu<'m>) -> bool {
        cpu.load(self.mm.mm_users()).await < 2
    }

    /// `tlb_table_invalidate()`: what waits for walkers that are inside a table does not wait for entries
    /// of the paging-structure caches that lead there.
    async fn table_invalidate(&mut self, cpu: Cpu<'m>) {
        let _routine = cpu.enter("tlb_table_invalidate");
        if cpu.has(TABLE_INVALIDATE) {
            self.flush_tlbonly(cpu).await;
        }
    }

    /// `tlb_flush_mmu_tlbonly()`.
    pub(crate) async fn flush_tlbonly(&mut self, cpu: Cpu<'m>) {
        if self.end.0 == 0 {
            return;
        }
        if !self.fullmm {
            flush_tlb_mm_range(cpu, self.mm, self.start, self.end, self.freed_tables).await;
        }
        // __tlb_reset_range()
        (self.start, self.end) = (VirtAddr(u64::MAX), VirtAddr(0));
        self.freed_tables = false;
    }

    /// `tlb_flush_mmu_free()`: hands tables to RCU, drops the pages' references.
    async fn free(&mut self, cpu: Cpu<'m>) {
        if !self.tables.is_empty() {
            self.table_invalidate(cpu).await;
            call_rcu_tables(cpu, &self.tables).await;
            self.tables.clear();
        }
        // free_pages_and_swap_cache()
        if !self.pages.is_empty() {
            lru_add_drain(cpu).await;
        }
        for page in std::mem::take(&mut self.pages) {
            if cpu.has_swap() {
                Box::pin(free_swap_cache(cpu, page)).await;
            }
            put_page(cpu, page).await;
        }
    }

    /// `tlb_flush_mmu()`: first the flush, then the frees.
    async fn flush(&mut self, cpu: Cpu<'m>) {
        let _routine = cpu.enter("tlb_flush_mmu");
        if cpu.has(GATHER_FLUSH_FIRST) {
            self.flush_tlbonly(cpu).await;
            self.free(cpu).await;
        } else {
            self.free(cpu).await;
            self.flush_tlbonly(cpu).await;
        }
    }

    /// `tlb_finish_mmu()`.
    pub(crate) async fn finish(mut self, cpu: Cpu<'m>) {
        // mm_tlb_flush_nested(): another gather may have cleared entries of this range, and not flushed
        // them yet. Who finds nothing to flush must not rely on that.
        if check!(cpu, GATHER_FLUSH_NESTED, cpu.load(self.mm.tlb_flush_pending()).await > 1) {
            (self.start, self.end) = self.whole;
            // The other gather may have unlinked tables as well. Before, even those of this one were forgotten.
            self.freed_tables = cpu.has(GATHER_NESTED_TABLES);
        }
        self.flush(cpu).await;
        cpu.rmw(self.mm.tlb_flush_pending(), |pending| pending - 1).await;
    }
}

/// `tlb_remove_table_one()`: no page for a batch could be had. An interrupt to every other CPU, which
/// does nothing: it waits for walkers that have interrupts off.
async fn tlb_remove_table_one(cpu: Cpu<'_>, table: Pfn) {
    let _routine = cpu.enter("tlb_remove_table_one");
    smp_call_function(cpu, Call::Nothing).await;
    put_page(cpu, Page(table)).await;
}
