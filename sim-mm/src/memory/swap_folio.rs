//! A fault that reads several slots of the swap area into one folio: `alloc_swap_folio()`. Since v6.12, and of a synchronous device only.

use super::anon_folio::{Range, alloc_largest, set_ptes, suitable_ranges};
use super::swap_entry::{SwapinFlags, swapin_flags};
use super::wp::do_wp_page;
use crate::check;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{page_ref_add, put_page, unlock_page};
use crate::pgtable::{Pte, Ptep};
use crate::rmap::folio_add_new_anon_rmap_ptes;
use crate::safeguards::SWAPIN_FOLIO_RECHECK;
use crate::settings::SwapinLarge;
use crate::swap_info::SWAP_HAS_CACHE;
use crate::swapfile::swap_free;
use crate::swapops::{SwpEntry, pte_move_swp_offset};
use crate::vm_fault::{Fault, VmFault, VmFaultError};

/// Entries in a row that name slots in a row, and the folio that is for them.
#[derive(Clone, Copy)]
pub(super) struct SwapRun {
    range: Range,
    first: SwpEntry,
    head: Page,
}

impl SwapRun {
    pub(super) fn head(self) -> Page {
        self.head
    }

    pub(super) fn pages(self) -> u64 {
        self.range.pages()
    }

    /// The first of the slots.
    pub(super) fn first(self) -> SwpEntry {
        self.first
    }

    fn slots(self) -> impl Iterator<Item = SwpEntry> {
        (self.first.0..self.first.0 + self.pages()).map(SwpEntry)
    }
}

/// The first slot for a range, if the slot of one of its pages is this one. The first slot is a multiple of their number.
fn first_slot(range: Range, vmf: Fault<'_>, entry: SwpEntry) -> Option<SwpEntry> {
    let nth = range.nth(vmf.address);
    entry.0.checked_sub(nth).filter(|first| first % range.pages() == 0).map(SwpEntry)
}

/// `swap_pte_batch()` of all of a range: whether each entry names the slot behind that of the one before. `orig` is the entry of the address
/// that was touched.
async fn is_batch(cpu: Cpu<'_>, range: Range, vmf: Fault<'_>, orig: Pte) -> bool {
    let first = pte_move_swp_offset(orig.entry, -(range.nth(vmf.address).cast_signed()));
    for (nth, ptep, _) in range.entries() {
        if cpu.read_once(ptep).await.entry != pte_move_swp_offset(first, nth.cast_signed()) {
            return false;
        }
    }
    true
}

/// `non_swapcache_batch()` of all slots: whether the swap cache has none of them.
async fn is_uncached(cpu: Cpu<'_>, first: SwpEntry, pages: u64) -> bool {
    for slot in first.0..first.0 + pages {
        let map = cpu.load(cpu.kernel.swap.slot(SwpEntry(slot)).swap_map()).await;
        if map & SWAP_HAS_CACHE != 0 {
            return false;
        }
    }
    true
}

/// `alloc_swap_folio()`: a folio for the largest range around the address whose entries name slots in a row. `None` if a single page is to be
/// read.
pub(super) async fn alloc_swap_folio<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    orig: Pte,
    entry: SwpEntry,
) -> Option<SwapRun> {
    if cpu.setting::<SwapinLarge>() == SwapinLarge::Pages || cpu.kernel.anon_orders().is_empty() {
        return None;
    }
    let _routine = cpu.enter("alloc_swap_folio");
    let pmd = cpu.read_once(vmf.pmdp).await;
    if !pmd.leads_to_table() {
        return None;
    }
    let mut ranges = suitable_ranges(cpu, vmf, pmd);
    ranges.retain(|range| first_slot(*range, vmf, entry).is_some());
    let fits = {
        let first = pmd.pte_offset(cpu.mmu.geometry, vmf.address);
        let _locked = vmf.map_lock(cpu, first).await?;
        let mut fits = ranges.len();
        for (nth, range) in ranges.iter().enumerate() {
            // can_swapin_thp()
            let first = first_slot(*range, vmf, entry)?;
            if is_batch(cpu, *range, vmf, orig).await && is_uncached(cpu, first, range.pages()).await {
                fits = nth;
                break;
            }
        }
        fits
    };
    let (range, head) = alloc_largest(cpu, &ranges[fits..]).await?;
    Some(SwapRun { range, first: first_slot(range, vmf, entry)?, head })
}

/// The rest of `do_swap_page()` for such a folio, which is locked: all of it is mapped, if each entry still names its slot.
pub(super) async fn map_swap_folio<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    (ptep, orig): (Ptep, Pte),
    run: SwapRun,
) -> Result<VmFault, VmFaultError> {
    let SwapRun { range, head, .. } = run;
    let locked = vmf.map_lock_same(cpu, (ptep, orig)).await;
    let has_changed =
        locked.is_none() || check!(cpu, SWAPIN_FOLIO_RECHECK, !is_batch(cpu, range, vmf, orig).await);
    let Some(locked) = locked.filter(|_| !has_changed) else {
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        return Ok(VmFault { major: true, ..VmFault::default() });
    };
    for slot in run.slots() {
        swap_free(cpu, slot).await;
    }
    // Nobody else knows the folio, so it is this address space's own.
    let SwapinFlags { bits, write_done } = swapin_flags(cpu, vmf, orig, true);
    page_ref_add(cpu, head, range.pages() - 1).await;
    folio_add_new_anon_rmap_ptes(cpu, head, vmf.vma, range.start()).await;
    set_ptes(cpu, vmf.mm, range, head, bits).await;
    unlock_page(cpu, head).await;
    let now = cpu.read_once(ptep).await;
    if vmf.is_write() && !write_done {
        let done = do_wp_page(cpu, vmf, locked, now).await?;
        return Ok(VmFault { major: true, ..done });
    }
    Ok(VmFault { write: write_done, major: true, ..VmFault::default() })
}
