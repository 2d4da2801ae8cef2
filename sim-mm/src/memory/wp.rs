//! Copy on write: `do_wp_page()` and what it calls.

use sim_core::Routine;
use sim_mmu::{Entry, VirtAddr};

use super::dirty::{Mkwrite, fault_dirty_shared_page, lock_and_mkwrite};
use super::userfault::{Reason, handle_userfault};
use crate::arch::tlb::flush_tlb_page;
use crate::check;
use crate::folio::{is_large, page_is_anon, page_mapcount};
use crate::fs::Inode;
use crate::highmem::copy_user_highpage;
use crate::inode::on_disk;
use crate::kernel::Cpu;
use crate::ksm::page_is_ksm;
use crate::mm_types::{MmStruct, Page};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::munlock::munlock_copied;
use crate::page::{get_page, lock_page, page_count, put_page, test_and_set_flags, unlock_page};
use crate::page_alloc::{alloc_page, alloc_zeroed_user_highpage_movable};
use crate::page_flags::PageFlags;
use crate::pgtable::{Pte, Ptep, maybe_mkwrite, mkdirty, vm_get_page_prot};
use crate::rmap::{
    page_add_new_anon_rmap, page_anon_exclusive, page_move_anon_rmap, page_remove_rmap,
    wp_can_reuse_large_anon_folio,
};
use crate::safeguards::{COW_REUSE_COUNTS, UFFD_WP_FLUSH, WP_FAULT_RECHECK, WP_FLUSH, WP_LOCK_DROPS_PTL};
use crate::settings::{CowFreesSwap, CowReuse, LargeMapcount, SwapReuse};
use crate::swap::{folio_add_lru_vma, folio_test_lru, lru_add_drain, munlock_vma_folio};
use crate::swapfile::{free_swap_cache, reuse_swap_page, try_to_free_swap};
use crate::vm_fault::{Fault, FaultFlags, LockAfter, Locked, VmFault, VmFaultError, vmf_anon_prepare};
use crate::vm_flags::VmFlags;

/// `do_wp_page()`: a write to a page that is mapped read-only, or a pin that needs the page for this address space
/// alone. Reuses the page if nobody else can see it, by the rule of the kernel's design; else copies it.
pub(super) async fn do_wp_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    locked: Locked<'m>,
    orig: Pte,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_wp_page");
    if vmf.vma.flags(cpu).contains(VmFlags::UFFD_WP) {
        if orig.uffd_wp() && vmf.is_write() {
            drop(locked);
            return Box::pin(handle_userfault(cpu, vmf, Reason::WriteProtected)).await;
        }
        // Whoever protects entries flushes later, with mmap_lock held for reading only: another CPU may still write through
        // the old entry, and the page must not be copied before that is over. It is looked at first in either case.
        if check!(cpu, UFFD_WP_FLUSH, cpu.load(vmf.mm.tlb_flush_pending()).await > 0) {
            flush_tlb_page(cpu, vmf.mm, vmf.address).await;
        }
    }
    if orig.special() && vmf.vma.flags(cpu).contains(VmFlags::SHARED) {
        // wp_pfn_shared()
        wp_page_reuse(cpu, vmf, &locked).await;
        return Ok(VmFault { write: true, ..VmFault::default() });
    }
    if orig.special() {
        let ptep = locked.ptep;
        drop(locked);
        return wp_page_copy(cpu, vmf, ptep, orig, None).await;
    }
    let page = Page(orig.pfn());
    if vmf.vma.flags(cpu).contains(VmFlags::SHARED) {
        return wp_page_shared(cpu, vmf, locked, orig, page).await;
    }
    if !page_is_anon(cpu, page) {
        // The file's page, which stays as it is.
        get_page(cpu, page).await;
        let ptep = locked.ptep;
        drop(locked);
        return wp_page_copy(cpu, vmf, ptep, orig, Some(page)).await;
    }
    // A merged page is not reused. ksmd may be making one of it just now, so this is asked once more when the page is locked.
    if page_is_ksm(cpu, page).await {
        get_page(cpu, page).await;
        let ptep = locked.ptep;
        drop(locked);
        return wp_page_copy(cpu, vmf, ptep, orig, Some(page)).await;
    }
    cpu.consulted(COW_REUSE_COUNTS);
    let mut locked = locked;
    let reuse = match cpu.setting::<CowReuse>() {
        CowReuse::Mapcount => {
            let Some(still) = lock_page_and_pte(cpu, vmf, locked, orig, page).await else {
                return Ok(VmFault::default());
            };
            locked = still;
            reuse_by_mapcount(cpu, page).await
        }
        CowReuse::Refcount => reuse_by_refcount(cpu, page).await,
        CowReuse::Exclusive => reuse_by_exclusive(cpu, page).await,
    };
    if reuse {
        if vmf.flags.contains(FaultFlags::UNSHARE) {
            return Ok(VmFault::default());
        }
        wp_page_reuse(cpu, vmf, &locked).await;
        return Ok(VmFault { write: true, ..VmFault::default() });
    }
    get_page(cpu, page).await;
    let ptep = locked.ptep;
    drop(locked);
    wp_page_copy(cpu, vmf, ptep, orig, Some(page)).await
}

/// `wp_page_shared()`: the file's own page becomes writable, and is dirty from now on.
async fn wp_page_shared<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    locked: Locked<'m>,
    orig: Pte,
    page: Page,
) -> Result<VmFault, VmFaultError> {
    let done = VmFault { write: true, ..VmFault::default() };
    if !vmf.is_write() {
        return Ok(done);
    }
    get_page(cpu, page).await;
    let on_disk = vmf.vma.file(cpu).filter(|file| on_disk(cpu, *file));
    if let Some(file) = on_disk {
        return Box::pin(wp_page_of_disk(cpu, vmf, locked, orig, page, file)).await;
    }
    wp_page_reuse(cpu, vmf, &locked).await;
    drop(locked);
    lock_page(cpu, page).await;
    let lock = fault_dirty_shared_page(cpu, vmf, page, Mkwrite::NotAsked).await;
    put_page(cpu, page).await;
    Ok(VmFault { lock, ..done })
}

/// The same for a file on the disk, which is asked before: nobody sleeps with the PTE lock, so the entry may have changed when it is there
/// again.
async fn wp_page_of_disk<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    locked: Locked<'m>,
    orig: Pte,
    page: Page,
    file: Inode,
) -> Result<VmFault, VmFaultError> {
    let ptep = locked.ptep;
    drop(locked);
    let kept = lock_and_mkwrite(cpu, file, page).await?;
    let mut lock = LockAfter::Held;
    if kept != Mkwrite::Gone {
        // finish_mkwrite_fault()
        let locked = vmf.map_lock_same(cpu, (ptep, orig)).await;
        let same = locked.is_some();
        if let Some(locked) = &locked {
            wp_page_reuse(cpu, vmf, locked).await;
        }
        drop(locked);
        if same {
            lock = fault_dirty_shared_page(cpu, vmf, page, kept).await;
        } else if kept != Mkwrite::Unlocked {
            unlock_page(cpu, page).await;
        }
    }
    put_page(cpu, page).await;
    Ok(VmFault { write: true, lock, ..VmFault::default() })
}

/// Locks the page, for which the PTE lock is let go of if somebody else has it locked: nobody sleeps with a spin lock. `None` if
/// the entry has changed meanwhile; nothing is locked then.
async fn lock_page_and_pte<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    locked: Locked<'m>,
    orig: Pte,
    page: Page,
) -> Option<Locked<'m>> {
    if !cpu.has(WP_LOCK_DROPS_PTL) {
        lock_page(cpu, page).await;
        return Some(locked);
    }
    if test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return Some(locked);
    }
    get_page(cpu, page).await;
    let ptep = locked.ptep;
    drop(locked);
    lock_page(cpu, page).await;
    let locked = vmf.map_lock_same(cpu, (ptep, orig)).await;
    if locked.is_none() {
        unlock_page(cpu, page).await;
    }
    put_page(cpu, page).await;
    locked
}

/// Before v5.9: the page, which is locked, is mapped once. Whoever holds it otherwise is not asked.
async fn reuse_by_mapcount(cpu: Cpu<'_>, page: Page) -> bool {
    let reuse = reuse_swap_page(cpu, page).await;
    if reuse {
        page_move_anon_rmap(cpu, page).await;
    }
    unlock_page(cpu, page).await;
    reuse
}

/// v5.9 to v5.18 (`09854ba94c6a`): this mapping holds the only reference.
async fn reuse_by_refcount(cpu: Cpu<'_>, page: Page) -> bool {
    if cpu.has_swap() && cpu.setting::<SwapReuse>() == SwapReuse::References {
        return Box::pin(wp_can_reuse_anon_folio(cpu, page)).await;
    }
    if page_count(cpu, page).await != 1 || !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return false;
    }
    let alone =
        !page_is_ksm(cpu, page).await && page_mapcount(cpu, page).await == 1 && page_count(cpu, page).await == 1;
    unlock_page(cpu, page).await;
    alone
}

/// Since v5.19 (`6c287605fd56`): the page is marked as this address space's own, or becomes so
/// because nobody else holds a reference.
async fn reuse_by_exclusive(cpu: Cpu<'_>, page: Page) -> bool {
    page_anon_exclusive(cpu, page).await || wp_can_reuse_anon_folio(cpu, page).await
}

/// `wp_can_reuse_anon_folio()`, since v5.18 (`53a05ad9f21d`): nobody else holds a reference. That of the swap cache is given up for
/// it.
async fn wp_can_reuse_anon_folio(cpu: Cpu<'_>, page: Page) -> bool {
    if is_large(cpu, page) && cpu.setting::<LargeMapcount>() == LargeMapcount::Mms {
        let reuse = Box::pin(wp_can_reuse_large_anon_folio(cpu, cpu.kernel.folio_of(page))).await;
        if reuse {
            // SetPageAnonExclusive(): of this page alone. A pin that waits for it would ask for ever.
            cpu.rmw(cpu.kernel.own_flags(page), |flags| flags | PageFlags::ANON_EXCLUSIVE).await;
        }
        return reuse;
    }
    // A batch of this CPU may hold the page before it is on a list.
    if !folio_test_lru(cpu, page).await {
        lru_add_drain(cpu).await;
    }
    let most = 1 + u64::from(is_in_swap_cache(cpu, page).await);
    if page_count(cpu, page).await > most || !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return false;
    }
    if cpu.has_swap() {
        Box::pin(try_to_free_swap(cpu, page)).await;
    }
    let alone = !page_is_ksm(cpu, page).await && page_count(cpu, page).await == 1;
    if alone {
        page_move_anon_rmap(cpu, page).await;
    }
    unlock_page(cpu, page).await;
    alone
}

/// `PageSwapCache()`. Nobody asks on a machine without swap.
async fn is_in_swap_cache(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.has_swap() && cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::SWAPCACHE)
}

/// `wp_page_reuse()`: makes the entry writable, as far as the mapping allows.
async fn wp_page_reuse<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, locked: &Locked<'m>) {
    let _routine = cpu.enter("wp_page_reuse");
    let flags = Entry::ACCESSED | mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    cpu.update_pte(vmf.mm, vmf.address, locked.ptep, move |entry| entry.with(flags)).await;
}

/// `wp_page_copy()`: maps a copy, if the entry is still the one that was copied from. `old` carries a
/// reference of its own, taken under the PTE lock; `None` is the zero page.
async fn wp_page_copy<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    ptep: Ptep,
    orig: Pte,
    old: Option<Page>,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("wp_page_copy");
    let Fault { mm, vma, address, .. } = vmf;
    let prepared = vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await;
    if prepared != Ok(true) {
        if let Some(old) = old {
            put_page(cpu, old).await;
        }
        return prepared.map(|_| VmFault::RETRY).map_err(VmFaultError::from);
    }
    let new = match old {
        None => alloc_zeroed_user_highpage_movable(cpu).await,
        Some(_) => alloc_page(cpu).await,
    };
    let Some(new) = new else {
        if let Some(old) = old {
            put_page(cpu, old).await;
        }
        return Err(VmFaultError::Oom);
    };
    if let Some(old) = old {
        copy_user_highpage(cpu, new, old).await;
    }
    let page = address.page_base();
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (page, page.plus_pages(1))).await;
    let locked = vmf.map_lock(cpu, ptep).await;
    let same = locked.is_some() && !check!(cpu, WP_FAULT_RECHECK, cpu.read_once(ptep).await != orig);
    if same {
        let unshare = vmf.flags.contains(FaultFlags::UNSHARE);
        // A copy that is not written keeps what the entry said to who watches it.
        let watched = orig.entry.0 & (Entry::SOFT_DIRTY | Entry::UFFD_WP);
        let written = if unshare { watched } else { mkdirty(cpu) | maybe_mkwrite(cpu, vma) };
        let entry = Pte::make(new.0, vm_get_page_prot(vma.flags(cpu))).with(written);
        ptep_clear_flush(cpu, mm, address, ptep).await;
        page_add_new_anon_rmap(cpu, new, vma, address).await;
        folio_add_lru_vma(cpu, new, vma).await;
        cpu.set_pte_at(mm, address, ptep, entry).await;
        if let Some(old) = old {
            page_remove_rmap(cpu, old, mm.id).await;
            munlock_vma_folio(cpu, old, vma).await;
        }
    }
    drop(locked);
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    // The reference of the entry that is gone, or of the copy that nobody needs.
    let unneeded = if same { old } else { Some(new) };
    if let Some(page) = unneeded {
        put_page(cpu, page).await;
    }
    if let Some(old) = old {
        if same {
            munlock_copied(cpu, vma, old).await;
        }
        if same && cpu.has_swap() && cpu.setting::<CowFreesSwap>() == CowFreesSwap::Yes {
            Box::pin(free_swap_cache(cpu, old)).await;
        }
        put_page(cpu, old).await;
    }
    Ok(VmFault { write: same, ..VmFault::default() })
}

/// `ptep_clear_flush()`: no CPU uses the old translation when this returns. Answers the old entry, with what the hardware has set in it until then.
pub(crate) async fn ptep_clear_flush<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, address: VirtAddr, ptep: Ptep) -> Pte {
    let _routine = cpu.enter(Routine::helper("ptep_clear_flush"));
    let old = cpu.update_pte(mm, address, ptep, |_| Entry::NONE).await;
    if cpu.has(WP_FLUSH) {
        flush_tlb_page(cpu, mm, address).await;
    }
    old
}
