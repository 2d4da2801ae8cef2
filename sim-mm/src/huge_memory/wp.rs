//! A write to a huge page that is mapped read-only: `do_huge_pmd_wp_page()`.

use sim_core::Held;
use sim_mmu::Entry;

use super::fault::{Fallback, map_anon_folio_pmd};
use super::split_pmd::split_huge_pmd;
use super::zero::{entries_count, is_huge_zero_pmd, put_huge_zero_page};
use crate::folio::folio_nr_pages;
use crate::gfp::Gfp;
use crate::highmem::{clear_huge_page, copy_user_huge_page};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{get_page, lock_page, page_count, put_page, test_and_set_flags, unlock_page};
use crate::page_alloc::alloc_pages;
use crate::page_flags::PageFlags;
use crate::pgtable::{Pmd, maybe_mkwrite, mkdirty, vm_get_page_prot};
use crate::pgtable_generic::pmdp_huge_clear_flush;
use crate::rmap::{folio_remove_rmap_pmd, page_anon_exclusive, page_move_anon_rmap, page_trans_huge_mapcount};
use crate::settings::{CowReuse, HugeCow, HugeReuse};
use crate::swap::{folio_test_lru, lru_add_drain};
use crate::vm_fault::{Fault, FaultFlags, VmFault, VmFaultError, check_stable_address_space, vmf_anon_prepare};

/// Whether a huge page that is written may be made writable as it is.
enum Reuse<'m> {
    /// Nobody else can see it. The lock of the entry is held.
    Yes(#[allow(dead_code, reason = "held for its drop")] Held<'m>),
    /// Others can. The lock is held.
    No(Held<'m>),
    /// The entry has changed meanwhile.
    Changed,
}

/// `do_huge_pmd_wp_page()`: reuses the huge page if nobody else can see it. Else it is copied, or its pages are to be copied one by one, as
/// they are written: then the entry is split.
pub(crate) async fn do_huge_pmd_wp_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    orig: Pmd,
) -> Result<Fallback, VmFaultError> {
    let _routine = cpu.enter("do_huge_pmd_wp_page");
    let unshares = vmf.flags.contains(FaultFlags::UNSHARE);
    if is_huge_zero_pmd(cpu, orig) {
        if cpu.setting::<HugeCow>() != HugeCow::Page && !unshares {
            return Box::pin(do_huge_zero_wp_pmd(cpu, vmf, orig)).await;
        }
        split_huge_pmd(cpu, vmf.vma, vmf.mm, vmf.pmdp, vmf.address).await;
        return Ok(Fallback::Pages);
    }
    let ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if cpu.read_once(vmf.pmdp).await != orig {
        return Ok(Fallback::Done(VmFault::default()));
    }
    let head = Page(orig.pfn());
    let is_exclusive = cpu.setting::<CowReuse>() == CowReuse::Exclusive && page_anon_exclusive(cpu, head).await;
    let reuse = if is_exclusive { Reuse::Yes(ptl) } else { may_reuse(cpu, vmf, ptl, orig, head).await };
    let _ptl = match reuse {
        Reuse::Yes(ptl) => ptl,
        Reuse::Changed => return Ok(Fallback::Done(VmFault::default())),
        Reuse::No(ptl) if cpu.setting::<HugeCow>() == HugeCow::Copy => {
            // The page is copied without the lock, so it must not be freed meanwhile.
            get_page(cpu, head).await;
            drop(ptl);
            return Box::pin(map_another(cpu, vmf, orig, Some(head))).await;
        }
        Reuse::No(ptl) => {
            drop(ptl);
            split_huge_pmd(cpu, vmf.vma, vmf.mm, vmf.pmdp, vmf.address).await;
            return Ok(Fallback::Pages);
        }
    };
    if unshares {
        return Ok(Fallback::Done(VmFault::default()));
    }
    let flags = Entry::ACCESSED | mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    let address = cpu.pmd_base(vmf.address);
    cpu.update_pmd(vmf.mm, address, vmf.pmdp, move |entry| entry.with(flags)).await;
    Ok(Fallback::Done(VmFault { write: true, ..VmFault::default() }))
}

/// Whether nobody else can see the folio. If so, it is this address space's own from now on.
async fn may_reuse<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, ptl: Held<'m>, orig: Pmd, head: Page) -> Reuse<'m> {
    let mut ptl = ptl;
    if !test_and_set_flags(cpu, head, PageFlags::LOCKED).await {
        // Nobody sleeps with a spin lock held.
        get_page(cpu, head).await;
        drop(ptl);
        lock_page(cpu, head).await;
        ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
        let same = cpu.read_once(vmf.pmdp).await == orig;
        if !same {
            drop(ptl);
            unlock_page(cpu, head).await;
            put_page(cpu, head).await;
            return Reuse::Changed;
        }
        put_page(cpu, head).await;
    }
    let reuse = match cpu.setting::<HugeReuse>() {
        // reuse_swap_page()
        HugeReuse::Mapcount => page_trans_huge_mapcount(cpu, head).await == 1,
        HugeReuse::References => has_one_reference(cpu, head).await,
    };
    if reuse {
        page_move_anon_rmap(cpu, head).await;
    }
    unlock_page(cpu, head).await;
    if reuse { Reuse::Yes(ptl) } else { Reuse::No(ptl) }
}

/// Since v5.18 (`3bff7e3f1f16`): the reference of the entry is the only one, but for those of the swap cache.
async fn has_one_reference(cpu: Cpu<'_>, head: Page) -> bool {
    let in_swap_cache =
        cpu.has_swap() && cpu.load(cpu.kernel.page_flags(head)).await.contains(PageFlags::SWAPCACHE);
    let most = 1 + if in_swap_cache { folio_nr_pages(cpu, head) } else { 0 };
    if page_count(cpu, head).await > most && !folio_test_lru(cpu, head).await {
        lru_add_drain(cpu).await;
    }
    page_count(cpu, head).await == 1
}

/// `do_huge_zero_wp_pmd()`: a write to the huge page of zeroes maps a huge page.
async fn do_huge_zero_wp_pmd<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd) -> Result<Fallback, VmFaultError> {
    let _routine = cpu.enter("do_huge_zero_wp_pmd");
    map_another(cpu, vmf, orig, None).await
}

/// Maps another huge page: a copy of a page, to which the caller has a reference and gives it away, or one of zeroes.
async fn map_another<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    orig: Pmd,
    from: Option<Page>,
) -> Result<Fallback, VmFaultError> {
    if !vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await? {
        return Ok(Fallback::Done(VmFault::RETRY));
    }
    let Some(head) = alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP).await else {
        // do_huge_pmd_wp_page_fallback() copies all pages into small ones at once. Here each is copied as it is written.
        split_huge_pmd(cpu, vmf.vma, vmf.mm, vmf.pmdp, vmf.address).await;
        put_if_any(cpu, from).await;
        return Ok(Fallback::Pages);
    };
    match from {
        Some(from) => copy_user_huge_page(cpu, head, from, cpu.pmd_nr()).await,
        None => clear_huge_page(cpu, head, cpu.pmd_nr()).await,
    }
    let range = mmu_notifier_invalidate_range_start(cpu, vmf.mm, cpu.pmd_range(vmf.address)).await;
    let mapped = replace_huge_page(cpu, vmf, orig, from, head).await;
    mmu_notifier_invalidate_range_end(cpu, vmf.mm, range).await;
    Ok(Fallback::Done(mapped?))
}

/// The end of `map_another()`, under the lock of the entry: it maps `head`, unless it has changed meanwhile.
async fn replace_huge_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    orig: Pmd,
    from: Option<Page>,
    head: Page,
) -> Result<VmFault, VmFaultError> {
    let ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    put_if_any(cpu, from).await;
    let same = cpu.read_once(vmf.pmdp).await == orig;
    let stable = check_stable_address_space(cpu, vmf.mm);
    if !same || stable.is_err() {
        drop(ptl);
        put_page(cpu, head).await;
        stable?;
        return Ok(VmFault::default());
    }
    let address = cpu.pmd_base(vmf.address);
    pmdp_huge_clear_flush(cpu, vmf.mm, address, vmf.pmdp).await;
    map_anon_folio_pmd(cpu, vmf, head).await;
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    let entry = Pmd::make_huge(head.0, vm_get_page_prot(vmf.vma.flags(cpu))).with(written);
    cpu.set_pmd_at(vmf.mm, address, vmf.pmdp, entry).await;
    match from {
        Some(from) => {
            folio_remove_rmap_pmd(cpu, from, vmf.mm.id).await;
            put_page(cpu, from).await;
        }
        None if entries_count(cpu) => put_huge_zero_page(cpu).await,
        None => {}
    }
    Ok(VmFault { write: true, ..VmFault::default() })
}

async fn put_if_any(cpu: Cpu<'_>, page: Option<Page>) {
    if let Some(page) = page {
        put_page(cpu, page).await;
    }
}
