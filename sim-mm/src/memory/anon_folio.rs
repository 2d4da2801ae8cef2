//! A first touch that maps several pages at once: `alloc_anon_folio()`. Since v6.8.

use sim_core::BoxFuture;
use sim_mmu::{Entry, Pfn, VirtAddr};

use super::userfault::{Reason, handle_userfault};
use crate::check;
use crate::gfp::Gfp;
use crate::highmem::clear_huge_page;
use crate::huge_mm::suitable_block;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::{page_ref_add, put_page};
use crate::page_alloc::alloc_pages;
use crate::pgtable::{Pmd, Pte, Ptep, TablePtr, mkdirty, vm_get_page_prot};
use crate::rmap::folio_add_new_anon_rmap_ptes;
use crate::safeguards::ANON_FOLIO_RECHECK;
use crate::swap::folio_add_lru_vma;
use crate::vm_fault::{Fault, VmFault, VmFaultError, check_stable_address_space};
use crate::vm_flags::VmFlags;

/// Pages in a row that one folio is for.
#[derive(Clone, Copy)]
pub(super) struct Range {
    order: u8,
    start: VirtAddr,
    ptep: Ptep,
}

impl Range {
    /// The pages that a folio of the order would have around the address, if the mapping has all of them. `pmd` leads to their table.
    pub(super) fn around<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, pmd: Pmd, order: u8) -> Option<Range> {
        let start = suitable_block(order, vmf.address, (vmf.vma.start(cpu), vmf.vma.end(cpu)))?;
        Some(Range { order, start, ptep: pmd.pte_offset(cpu.mmu.geometry, start) })
    }

    /// The first address.
    pub(super) fn start(self) -> VirtAddr {
        self.start
    }

    /// Which page of the range the address is in.
    pub(super) fn nth(self, address: VirtAddr) -> u64 {
        address.vpn().0 - self.start.vpn().0
    }

    pub(super) fn pages(self) -> u64 {
        1 << self.order
    }

    /// The entry of each page, with its address.
    pub(super) fn entries(self) -> impl Iterator<Item = (u64, Ptep, VirtAddr)> {
        let first = self.ptep;
        let pteps = std::iter::successors(Some(first), |ptep| Some(ptep.next()));
        (0..self.pages()).zip(pteps).map(move |(nth, ptep)| (nth, ptep, self.start.plus_pages(nth)))
    }

    /// Whether an entry leads to its table.
    fn is_below(self, pmd: Pmd) -> bool {
        pmd.leads_to_table() && pmd.entry.pfn() == self.ptep.table()
    }

    /// `pte_range_none()`.
    async fn is_empty(self, cpu: Cpu<'_>) -> bool {
        for (_, ptep, _) in self.entries() {
            if !cpu.read_once(ptep).await.none() {
                return false;
            }
        }
        true
    }
}

/// The pages that a folio could be for, the most first. There are none if user code is to be asked for each page (`userfaultfd_armed()`).
pub(super) fn suitable_ranges<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, pmd: Pmd) -> Vec<Range> {
    let flags = vmf.vma.flags(cpu);
    if flags.intersects(VmFlags::UFFD_MISSING | VmFlags::UFFD_WP) || !vmf.vma.is_anonymous(cpu) {
        return Vec::new();
    }
    let orders = cpu.kernel.anon_orders_of(flags).highest_first();
    orders.filter_map(|order| Range::around(cpu, vmf, pmd, order)).collect()
}

/// What came of looking for a folio.
enum Alloc {
    Folio(Range, Page),
    /// A single page is to be mapped.
    Page,
    /// `-EAGAIN`: there is no table any more. The access is to be made again.
    Again,
}

/// `alloc_anon_folio()`: a folio of zeroes for the largest of the ranges of which no page is mapped. It is looked for without the lock of the
/// table, so whoever maps the folio looks again.
async fn alloc_anon_folio<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, ranges: Vec<Range>) -> Alloc {
    let _routine = cpu.enter("alloc_anon_folio");
    let mut fits = ranges.len();
    {
        // The table may be freed while it is looked at, but not in a read-side section.
        let _rcu = cpu.rcu_read_lock();
        let pmd = cpu.read_once(vmf.pmdp).await;
        if !ranges.iter().all(|range| range.is_below(pmd)) {
            return Alloc::Again;
        }
        for (nth, range) in ranges.iter().enumerate() {
            if range.is_empty(cpu).await {
                fits = nth;
                break;
            }
        }
    }
    let Some((range, head)) = alloc_largest(cpu, &ranges[fits..]).await else { return Alloc::Page };
    clear_huge_page(cpu, head, range.pages()).await;
    Alloc::Folio(range, head)
}

/// A folio for the first of the ranges for which there is memory. Each is a part of the one before, so that it fits as well.
pub(super) async fn alloc_largest(cpu: Cpu<'_>, ranges: &[Range]) -> Option<(Range, Page)> {
    for range in ranges {
        if let Some(head) = alloc_pages(cpu, range.order, Gfp::COMP).await {
            return Some((*range, head));
        }
    }
    None
}

/// `set_ptes()`: the entries of a range map the pages of a folio, one after the other.
pub(super) async fn set_ptes<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, range: Range, head: Page, bits: u64) {
    for (nth, ptep, address) in range.entries() {
        cpu.set_pte_at(mm, address, ptep, Pte::make(Pfn(head.0.0 + nth), bits)).await;
    }
}

/// The rest of `do_anonymous_page()`: maps the folio, if still no page of its range is mapped.
async fn map_anon_folio<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    (range, head): (Range, Page),
) -> Result<VmFault, VmFaultError> {
    let Fault { mm, vma, .. } = vmf;
    let Some(locked) = vmf.map_lock(cpu, range.ptep).await else {
        put_page(cpu, head).await;
        return Ok(VmFault::default());
    };
    let stable = check_stable_address_space(cpu, mm);
    let is_empty = !check!(cpu, ANON_FOLIO_RECHECK, !range.is_empty(cpu).await);
    // Nobody registers the mapping while the fault has its lock.
    let asks = vma.flags(cpu).contains(VmFlags::UFFD_MISSING);
    if stable.is_err() || !is_empty || asks {
        drop(locked);
        put_page(cpu, head).await;
        stable?;
        return if is_empty { handle_userfault(cpu, vmf, Reason::Missing).await } else { Ok(VmFault::default()) };
    }
    let written = if vma.flags(cpu).contains(VmFlags::WRITE) { mkdirty(cpu) | Entry::RW } else { 0 };
    let bits = vm_get_page_prot(vma.flags(cpu)) | written;
    // All is counted before the first entry is set: from then on lockless GUP finds the folio.
    page_ref_add(cpu, head, range.pages() - 1).await;
    folio_add_new_anon_rmap_ptes(cpu, head, vma, range.start).await;
    folio_add_lru_vma(cpu, head, vma).await;
    set_ptes(cpu, mm, range, head, bits).await;
    Ok(VmFault::default())
}

/// The part of `do_anonymous_page()` about large folios, if the mapping may have any there. `None` if a single page is to be mapped.
pub(super) fn do_anonymous_folio<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    pmd: Pmd,
) -> Option<BoxFuture<'m, Option<Result<VmFault, VmFaultError>>>> {
    let ranges = suitable_ranges(cpu, vmf, pmd);
    if ranges.is_empty() {
        return None;
    }
    Some(Box::pin(async move {
        match alloc_anon_folio(cpu, vmf, ranges).await {
            Alloc::Folio(range, head) => Some(map_anon_folio(cpu, vmf, (range, head)).await),
            Alloc::Page => None,
            Alloc::Again => Some(Ok(VmFault::default())),
        }
    }))
}
