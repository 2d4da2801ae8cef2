//! `mm/mmu_gather.c`: the pages and tables that unmapping removes are freed only after the flush that makes them
//! unreachable.

use sim_core::{BoxFuture, Routine};
use sim_mmu::{Pfn, VirtAddr};

use crate::arch::tlb::flush_tlb_mm_range;
use crate::check;
use crate::huge_memory::put_huge_zero_page;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{__free_pages, put_page};
use crate::page_alloc::alloc_batch;
use crate::rcu::call_rcu_tables;
use crate::rmap::page_remove_rmap;
use crate::safeguards::{
    GATHER_FLUSH_FIRST, GATHER_FLUSH_NESTED, GATHER_NESTED_TABLES, TABLE_INVALIDATE, TABLE_NO_SHORTCUT,
    ZAP_FORCE_FLUSH,
};
use crate::settings::{GatherBatch, TableFree, TableOne};
use crate::smp::{Call, smp_call_function};
use crate::swap::lru_add_drain;
use crate::swapfile::free_swap_cache;

/// How much a gather has room for: `MMU_GATHER_BUNDLE`, `MAX_GATHER_BATCH`, `MAX_GATHER_BATCH_COUNT` and `MAX_TABLE_BATCH`.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Pages in the batch that is a part of the gather.
    bundle: usize,
    /// Pages in each further batch.
    batch: usize,
    /// Further batches.
    batches: usize,
    /// Tables in a batch that waits for a grace period.
    tables: usize,
}

impl Room {
    /// None, if there is room for everything.
    fn of(cpu: Cpu<'_>) -> Option<Room> {
        match cpu.setting::<GatherBatch>() {
            GatherBatch::Unbounded => None,
            GatherBatch::One => Some(Room { bundle: 1, batch: 1, batches: 1, tables: 1 }),
            // A batch is a page of pointers, behind two words that say how many. All together are 10,000 pages.
            GatherBatch::Linux => Some(Room { bundle: 8, batch: 510, batches: 19, tables: 509 }),
        }
    }
}

/// What a gather has collected, in batches.
struct Batches {
    /// Pages whose last mapping may have been removed.
    pages: Vec<Page>,
    /// None, if there is room for all.
    room: Option<Room>,
    /// The pages that further batches are in. They stay until the end, empty or not.
    further: Vec<Page>,
    /// The page that the tables are noted in.
    tables: Option<Page>,
    /// `delay_rmap`: pages that count as mapped until the flush.
    mapped: Vec<Page>,
}

impl Batches {
    fn new(cpu: Cpu<'_>) -> Box<Batches> {
        Box::new(Batches {
            pages: Vec::new(),
            room: Room::of(cpu),
            further: Vec::new(),
            tables: None,
            mapped: Vec::new(),
        })
    }

    fn free(self: Box<Batches>, cpu: Cpu<'_>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for batch in self.further {
                __free_pages(cpu, batch, 0).await;
            }
        })
    }
}

/// `struct mmu_gather`.
pub(crate) struct MmuGather<'m> {
    pub(crate) mm: &'m MmStruct,
    /// What is being unmapped altogether.
    whole: (VirtAddr, VirtAddr),
    /// The range whose translations must go; empty if there are none.
    start: VirtAddr,
    end: VirtAddr,
    batches: Box<Batches>,
    /// Tables that will wait for a grace period.
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
            batches: Batches::new(cpu),
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

    /// `__tlb_remove_page()`: a reference to drop once the flush is done. Answers whether there may be no room for another one.
    pub(crate) fn remove_page(&mut self, page: Page) -> bool {
        self.batches.pages.push(page);
        self.batches.room.is_some()
    }

    /// Whether there is no room for another page: then the caller flushes, and goes on behind that. `tlb_next_batch()` needs a
    /// page itself. It does not wait for one: the caller holds a spin lock.
    pub(crate) fn is_full(&mut self, cpu: Cpu<'m>) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let batches = &mut self.batches;
            let Some(Room { bundle, batch, batches: most, .. }) = batches.room else { return false };
            if batches.pages.len() < bundle + batch * batches.further.len() {
                return false;
            }
            if batches.further.len() == most {
                return true;
            }
            let next = alloc_batch(cpu).await;
            batches.further.extend(next);
            next.is_none()
        })
    }

    /// `tlb_remove_table()`, `pte_free_tlb()` and their kin: a table that is unlinked.
    pub(crate) async fn remove_table(&mut self, cpu: Cpu<'m>, table: Pfn, addr: VirtAddr) {
        self.remove_tlb_entry(addr);
        self.freed_tables = true;
        match cpu.setting::<TableFree>() {
            // tlb_remove_page()
            TableFree::AfterFlush => {
                if self.remove_page(Page(table)) && self.is_full(cpu).await {
                    Box::pin(self.flush(cpu)).await;
                }
            }
            // tlb_remove_table(): nobody else can be inside, so why wait?
            TableFree::RcuSched if !cpu.has(TABLE_NO_SHORTCUT) && self.has_one_user(cpu).await => {
                put_page(cpu, Page(table)).await;
            }
            TableFree::RcuSched if self.batches.room.is_some() => self.remove_to_batch(cpu, table).await,
            TableFree::RcuSched => self.tables.push(table),
            TableFree::RcuThenSyncIpi => {
                self.table_invalidate(cpu).await;
                tlb_remove_table_one(cpu, table).await;
            }
        }
    }

    /// `tlb_remove_table()`, second half: into a batch, which needs a page.
    fn remove_to_batch(&mut self, cpu: Cpu<'m>, table: Pfn) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.batches.tables.is_none() {
                self.batches.tables = alloc_batch(cpu).await;
            }
            if self.batches.tables.is_some() {
                self.tables.push(table);
                if self.batches.room.is_some_and(|room| self.tables.len() == room.tables) {
                    self.table_flush(cpu).await;
                }
                return;
            }
            self.table_invalidate(cpu).await;
            match cpu.setting::<TableOne>() {
                TableOne::SyncIpi => tlb_remove_table_one(cpu, table).await,
                TableOne::CallRcu => call_rcu_tables(cpu, &[table]).await,
            }
        })
    }

    /// `tlb_table_flush()`: the tables of a batch, and the page that it is in, wait for a grace period.
    async fn table_flush(&mut self, cpu: Cpu<'m>) {
        if !self.tables.is_empty() {
            self.table_invalidate(cpu).await;
            let batch = self.batches.tables.take();
            self.tables.extend(batch.map(|batch| batch.0));
            call_rcu_tables(cpu, &self.tables).await;
            self.tables.clear();
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
    pub(crate) async fn free(&mut self, cpu: Cpu<'m>) {
        self.table_flush(cpu).await;
        // free_pages_and_swap_cache()
        if !self.batches.pages.is_empty() {
            lru_add_drain(cpu).await;
        }
        for page in std::mem::take(&mut self.batches.pages) {
            // release_pages(): that page is not counted as others are.
            if cpu.kernel.huge_zero_page() == Some(page) {
                Box::pin(put_huge_zero_page(cpu)).await;
                continue;
            }
            if cpu.has_swap() {
                Box::pin(free_swap_cache(cpu, page)).await;
            }
            put_page(cpu, page).await;
        }
    }

    /// The page counts as mapped until [`flush_dirty`](MmuGather::flush_dirty).
    pub(crate) fn delay_rmap(&mut self, page: Page) {
        self.batches.mapped.push(page);
    }

    /// The flush that `zap_pte_range()` is forced to by dirty pages of files, with the PTE lock held: nobody writes to them any more when it
    /// is let go of. Then `tlb_flush_rmaps()`.
    pub(crate) fn flush_dirty(&mut self, cpu: Cpu<'m>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.flush_tlbonly(cpu).await;
            self.flush_rmaps(cpu).await;
        })
    }

    /// `tlb_flush_rmaps()`.
    async fn flush_rmaps(&mut self, cpu: Cpu<'m>) {
        for page in std::mem::take(&mut self.batches.mapped) {
            page_remove_rmap(cpu, page, self.mm.id).await;
        }
    }

    /// The flush that `zap_pte_range()` is forced to by full batches: `tlb_flush_mmu_tlbonly()`.
    pub(crate) fn force_flush(&mut self, cpu: Cpu<'m>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if cpu.has(ZAP_FORCE_FLUSH) {
                self.flush_tlbonly(cpu).await;
            }
            self.flush_rmaps(cpu).await;
        })
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
        // tlb_batch_list_free()
        if !self.batches.further.is_empty() {
            self.batches.free(cpu).await;
        }
        cpu.rmw(self.mm.tlb_flush_pending(), |pending| pending - 1).await;
    }
}

/// `tlb_remove_table_sync_one()`: an interrupt to every other CPU, which does nothing: it waits for walkers that have interrupts off. A
/// kernel that frees tables like any page has no need of it, since each of its flushes is an interrupt.
pub(crate) async fn tlb_remove_table_sync_one(cpu: Cpu<'_>) {
    if cpu.setting::<TableFree>() != TableFree::AfterFlush {
        let _routine = cpu.enter(Routine::helper("tlb_remove_table_sync_one"));
        smp_call_function(cpu, Call::Nothing).await;
    }
}

/// `tlb_remove_table_one()`: no page for a batch could be had. The table is free when nobody can be in it any more.
async fn tlb_remove_table_one(cpu: Cpu<'_>, table: Pfn) {
    let _routine = cpu.enter("tlb_remove_table_one");
    smp_call_function(cpu, Call::Nothing).await;
    put_page(cpu, Page(table)).await;
}
