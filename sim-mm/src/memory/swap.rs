//! Faults on entries that name a slot of the swap area: `do_swap_page()`.

use sim_core::BoxFuture;
use sim_mmu::Entry;

use super::swap_entry::{SwapinFlags, swapin_flags};
use super::swap_folio::{SwapRun, alloc_swap_folio, map_swap_folio};
use super::wp::do_wp_page;
use crate::check;
use crate::folio::folio_nr_pages;
use crate::hwpoison::page_hwpoison;
use crate::kernel::Cpu;
use crate::ksm::page_is_ksm;
use crate::mm_types::Page;
use crate::page::{lock_page, page_count, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::page_io::swap_readpage;
use crate::pgtable::{EntryPtr, Pte, Ptep};
use crate::rmap::page_add_anon_rmap;
use crate::safeguards::{SWAPIN_HOLDS_DEVICE, SWAPIN_HWPOISON, SWAPIN_PIN_SLOT, SWAPIN_RECHECK_CACHE};
use crate::settings::{CowReuse, Swap, SwapReuse};
use crate::swap::{folio_add_lru, folio_test_lru, lru_add_drain, mlock_vma_folio};
use crate::swap_state::{
    alloc_swap_page, lock_new_swap_folio, lookup_swap_cache, read_swap_cache_async, slots_of, wait_for_swap_cache,
};
use crate::swapfile::{
    __swap_count, get_swap_device, page_swap_entry, put_swap_device, put_swap_page, reuse_swap_page, swap_free,
    swapcache_prepare, try_to_free_swap,
};
use crate::swapops::{SwpEntry, pte_swp_exclusive};
use crate::vm_fault::{Fault, FaultFlags, Locked, VmFault, VmFaultError};
use crate::vm_flags::VmFlags;

/// The page of a slot, with a reference.
struct Found {
    page: Page,
    /// Whether the swap cache has it: `swapcache`.
    cached: bool,
    /// Whether it had to be read: `VM_FAULT_MAJOR`.
    major: bool,
    /// Whether the slot is marked until the entry is set: `need_clear_cache`.
    pinned: bool,
    /// Of a folio that was read from several slots: for which pages it is.
    run: Option<SwapRun>,
}

/// `do_swap_page()`: the page comes back from its slot, and is mapped again. In a box, since a machine without swap never comes here.
pub(crate) fn do_swap_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    ptep: Ptep,
    orig: Pte,
    entry: SwpEntry,
) -> BoxFuture<'m, Result<VmFault, VmFaultError>> {
    Box::pin(async move {
        let _routine = cpu.enter("do_swap_page");
        // The entry was read without the lock of its table. When it has changed, nothing else keeps the area from being freed.
        let holds = cpu.has(SWAPIN_HOLDS_DEVICE);
        if holds && !get_swap_device(cpu).await {
            return Ok(VmFault::default());
        }
        let done = swap_in_and_map(cpu, vmf, ptep, orig, entry).await;
        if holds {
            put_swap_device(cpu).await;
        }
        done
    })
}

/// `do_swap_page()`, by somebody for whom the slots stay.
async fn swap_in_and_map<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    ptep: Ptep,
    orig: Pte,
    entry: SwpEntry,
) -> Result<VmFault, VmFaultError> {
    let found = match swapin(cpu, vmf, orig, entry).await? {
        Swapin::Found(found) => found,
        Swapin::Busy => return Ok(VmFault::default()),
        Swapin::NoPage => {
            // Back out if somebody else has changed the entry by now.
            let same = vmf.map_lock_same(cpu, (ptep, orig)).await;
            return if same.is_some() { Err(VmFaultError::Oom) } else { Ok(VmFault::default()) };
        }
    };
    let (pinned, run) = (found.pinned, found.run);
    let done = match run {
        Some(run) => Box::pin(map_swap_folio(cpu, vmf, (ptep, orig), run)).await,
        None => map(cpu, vmf, ptep, orig, entry, found).await,
    };
    if pinned {
        // swapcache_clear(): behind the change of the entry.
        let (first, pages) = run.map_or((entry, 1), |run| (run.first(), run.pages()));
        for slot in first.0..first.0 + pages {
            put_swap_page(cpu, SwpEntry(slot)).await;
        }
    }
    done
}

/// What came of looking for the page of a slot.
enum Swapin {
    Found(Found),
    /// Another fault reads the slot. This one begins anew when that one is done.
    Busy,
    /// The slot is free, or no frame is.
    NoPage,
}

/// Finds the page, or reads it.
async fn swapin<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pte, entry: SwpEntry) -> Result<Swapin, VmFaultError> {
    if let Some(page) = lookup_swap_cache(cpu, entry).await {
        // It is kept in the cache for this moment alone.
        if check!(cpu, SWAPIN_HWPOISON, page_hwpoison(cpu, page).await) {
            put_page(cpu, page).await;
            return Err(VmFaultError::Hwpoison);
        }
        lock_page(cpu, page).await;
        return Ok(Swapin::Found(Found { page, cached: true, major: false, pinned: false, run: None }));
    }
    if cpu.setting::<Swap>() == Swap::Sync && __swap_count(cpu, entry).await == 1 {
        return skip_swapcache(cpu, vmf, orig, entry).await;
    }
    // swapin_readahead(), of this page alone.
    let Some((page, read)) = read_swap_cache_async(cpu, entry).await else { return Ok(Swapin::NoPage) };
    lock_page(cpu, page).await;
    Ok(Swapin::Found(Found { page, cached: true, major: read, pinned: false, run: None }))
}

/// Nobody else has an entry for the slot, so the page need not be found by others: it is read into a new one.
async fn skip_swapcache<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    orig: Pte,
    entry: SwpEntry,
) -> Result<Swapin, VmFaultError> {
    let run = Box::pin(alloc_swap_folio(cpu, vmf, orig, entry)).await;
    let (page, first, pages) = match run {
        Some(run) => {
            lock_new_swap_folio(cpu, run.head());
            (run.head(), run.first(), run.pages())
        }
        None => (alloc_swap_page(cpu).await.ok_or(VmFaultError::Oom)?, entry, 1),
    };
    let pins = cpu.has(SWAPIN_PIN_SLOT);
    // Another fault of this very entry may be ahead: it maps its page, which may be swapped out to the same slot again, and then the
    // entry looks as if nothing had happened.
    if pins && swapcache_prepare(cpu, first, pages).await.is_err() {
        cpu.decided(SWAPIN_PIN_SLOT);
        wait_for_swap_cache(cpu, entry).await;
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Ok(Swapin::Busy);
    }
    folio_add_lru(cpu, page).await;
    for (page, slot) in slots_of(cpu, page, first) {
        swap_readpage(cpu, page, slot).await;
    }
    Ok(Swapin::Found(Found { page, cached: false, major: true, pinned: pins, run }))
}

/// Maps the page, which is locked, if the entry still names the slot.
async fn map<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    ptep: Ptep,
    orig: Pte,
    entry: SwpEntry,
    found: Found,
) -> Result<VmFault, VmFaultError> {
    let Found { page, cached, major, .. } = found;
    // The page may have left the cache, and be the page of another slot, while its lock was waited for.
    if check!(cpu, SWAPIN_RECHECK_CACHE, cached && page_swap_entry(cpu, page) != Some(entry)) {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Ok(VmFault { major, ..VmFault::default() });
    }
    let by_references = cpu.setting::<SwapReuse>() == SwapReuse::References;
    if by_references && cached && vmf.is_write() && !folio_test_lru(cpu, page).await {
        lru_add_drain(cpu).await;
    }
    let Some(locked) = vmf.map_lock_same(cpu, (ptep, orig)).await else {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Ok(VmFault { major, ..VmFault::default() });
    };
    let (new, write_done) = if by_references {
        map_by_references(cpu, vmf, orig, entry, &found).await
    } else {
        map_by_entries(cpu, vmf, orig, page).await
    };
    let pte = set_entry(cpu, vmf, &locked, new, page).await;
    if !by_references {
        swap_free(cpu, entry).await;
        if vmf.vma.flags(cpu).contains(VmFlags::LOCKED) {
            try_to_free_swap(cpu, page).await;
        }
    }
    unlock_page(cpu, page).await;
    if vmf.is_write() && !write_done {
        let done = do_wp_page(cpu, vmf, locked, pte).await?;
        return Ok(VmFault { major, ..done });
    }
    Ok(VmFault { write: write_done, major, ..VmFault::default() })
}

/// What an entry for the page is to be.
#[derive(Clone, Copy)]
struct NewEntry {
    entry: Entry,
    /// Whether the page belongs to this address space alone from now on.
    exclusive: bool,
}

/// The entry, and what stands behind it in the page's descriptor. Before v5.18 the entry came first.
async fn set_entry<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, locked: &Locked<'m>, new: NewEntry, page: Page) -> Pte {
    let exclusive = new.exclusive;
    page_add_anon_rmap(cpu, page, vmf.vma, vmf.address, exclusive).await;
    mlock_vma_folio(cpu, page, vmf.vma).await;
    cpu.set_pte_at(vmf.mm, vmf.address, locked.ptep, new.entry).await;
    locked.ptep.value(new.entry)
}

/// Before v5.18: `reuse_swap_page()` says whether a write may go to the page. It counts the entry as one that names the slot, so that
/// is freed only afterwards.
async fn map_by_entries<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pte, page: Page) -> (NewEntry, bool) {
    let exclusive = vmf.is_write() && reuse_swap_page(cpu, page).await;
    let SwapinFlags { bits, write_done } = swapin_flags(cpu, vmf, orig, exclusive);
    (NewEntry { entry: Entry::new(page.0, bits), exclusive }, write_done)
}

/// Since v5.18 (`c145e0b47c77`): nobody else may hold a reference. Since v5.19 the entry may say that the page is this address space's
/// own.
async fn map_by_references<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    orig: Pte,
    swp: SwpEntry,
    found: &Found,
) -> (NewEntry, bool) {
    let Found { page, cached, .. } = *found;
    let marked = cpu.setting::<CowReuse>() == CowReuse::Exclusive && pte_swp_exclusive(orig.entry);
    let exclusive = !cached || marked;
    swap_free(cpu, swp).await;
    if should_try_to_free_swap(cpu, vmf, page).await {
        try_to_free_swap(cpu, page).await;
    }
    // A merged page is written by nobody, whoever is left of those that map it.
    let alone = !page_is_ksm(cpu, page).await && (exclusive || page_count(cpu, page).await == 1);
    let SwapinFlags { bits, write_done } = swapin_flags(cpu, vmf, orig, alone);
    (NewEntry { entry: Entry::new(page.0, bits), exclusive: alone }, write_done)
}

/// `should_try_to_free_swap()`: it is worth while where the mapping is locked, or for a write if nobody but the cache and this fault has a
/// reference.
async fn should_try_to_free_swap<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> bool {
    if !cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::SWAPCACHE) {
        return false;
    }
    vmf.vma.flags(cpu).contains(VmFlags::LOCKED)
        || vmf.flags.contains(FaultFlags::WRITE)
            && page_count(cpu, page).await == 1 + folio_nr_pages(cpu, cpu.kernel.folio_of(page))
}
