//! `try_to_unuse()`: everything that is in swap comes back to memory.

use sim_core::{Bytes, Gate, Op, OpKind};
use sim_mmu::{Entry, Level, VirtAddr};

use super::{__swap_count, swap_free, try_to_free_swap};
use crate::check;
use crate::errno::Errno;
use crate::fork::{get_task_mm, mmput};
use crate::hwpoison::page_hwpoison;
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmId, MmStruct, Page, Vma};
use crate::page::{get_page, lock_page, put_page, unlock_page, wait_on_page_writeback};
use crate::pgtable::{Pmdp, Pte, Ptep, vm_get_page_prot};
use crate::pgtable_generic::{NotPresent, is_unlinked, next_not_present};
use crate::rmap::page_add_anon_rmap;
use crate::safeguards::{SWAPOFF_KEEPS_MARKS, UNUSE_HWPOISON};
use crate::settings::CowReuse;
use crate::shmem::shmem_unuse;
use crate::swap_state::{lookup_swap_cache, read_swap_cache_async};
use crate::swapops::{POISONED, SwpEntry, pte_swp_exclusive, pte_swp_marks};

/// `try_to_unuse()`: no slot is in use when this returns. Files come first, then address spaces, then pages that are left in the swap
/// cache. Who is just taking a page to swap may be passed over, so all begins anew as long as a slot is in use.
pub(super) async fn try_to_unuse(cpu: Cpu<'_>) -> Result<(), Errno> {
    let _routine = cpu.enter("try_to_unuse");
    let changes = cpu.kernel.swap.state.changes();
    let mut passed = None;
    loop {
        if find_next_to_unuse(cpu, 0).await.is_none() {
            return Ok(());
        }
        let before = cpu.load(changes).await;
        if passed == Some(before) {
            // Nothing has changed since the last pass began. Linux goes on looking; here the next change is waited for.
            let loc = changes.loc();
            let wait = Op::new(OpKind::Wait, loc).behind(Gate::IsNot(loc, Bytes::ALL, before)).sleeping();
            cpu.step(wait, |_| ()).await;
        }
        passed = Some(before);
        shmem_unuse(cpu).await?;
        for mm in (0..cpu.kernel.config.mms as u8).map(MmId) {
            // mmget_not_zero()
            let Some(mm) = get_task_mm(cpu, mm) else { continue };
            let unused = unuse_mm(cpu, mm).await;
            mmput(cpu, mm).await;
            unused?;
        }
        unuse_cached(cpu).await;
    }
}

/// `find_next_to_unuse()`: the first slot from this one on that is in use.
async fn find_next_to_unuse(cpu: Cpu<'_>, from: u64) -> Option<SwpEntry> {
    let swap = &cpu.kernel.swap;
    let op = Op::new(OpKind::Read, swap.lock);
    cpu.step(op, move |hw| {
        hw.perform_load(&op);
        let is_used = |entry: &SwpEntry| hw.core.memory.get(swap.slot(*entry).swap_map().loc()) != 0;
        (from..swap.len()).map(SwpEntry).find(is_used)
    })
    .await
}

/// The pages that are in the swap cache although no entry names their slot any more.
async fn unuse_cached(cpu: Cpu<'_>) {
    let mut from = 0;
    while let Some(entry) = find_next_to_unuse(cpu, from).await {
        from = entry.0 + 1;
        let Some(page) = lookup_swap_cache(cpu, entry).await else { continue };
        lock_page(cpu, page).await;
        wait_on_page_writeback(cpu, page).await;
        // It may have left the swap cache, and have got another slot, before it was locked. Then this frees nothing that is needed.
        try_to_free_swap(cpu, page).await;
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
    }
}

/// `unuse_mm()`: every entry of an address space that names a slot maps the page again. `mmap_lock` keeps the mappings.
async fn unuse_mm<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) -> Result<(), Errno> {
    let _routine = cpu.enter("unuse_mm");
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let vmas = cpu.read(&mm.vmas, Clone::clone).await;
    for vma in vmas.into_iter().filter(|vma| vma.anon_vma(cpu).is_some()) {
        unuse_vma(cpu, mm, vma).await?;
    }
    Ok(())
}

/// `unuse_vma()`, down to `unuse_pte_range()`. The entries are read without the lock of their table, which is not held while a page is
/// read.
async fn unuse_vma<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma) -> Result<(), Errno> {
    let geometry = cpu.mmu.geometry;
    let (mut addr, end) = (vma.start(cpu), vma.end(cpu));
    while addr < end {
        let next = geometry.addr_end(Level::Pmd, addr, end);
        if let Some(pmdp) = find_pmd(cpu, mm, addr).await {
            // A huge page that is mapped is not in swap.
            while addr < next
                && let NotPresent::Entry(ptep, at, pte) = next_not_present(cpu, pmdp, (addr, next)).await
            {
                if let Some(entry) = SwpEntry::of_pte(pte.entry) {
                    unuse_entry(cpu, mm, (vma, at), (pmdp, ptep), entry).await?;
                }
                addr = at.plus_pages(1);
            }
        }
        addr = next;
    }
    Ok(())
}

/// One round of `unuse_pte_range()`.
async fn unuse_entry<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    place: (Vma, VirtAddr),
    at: (Pmdp, Ptep),
    entry: SwpEntry,
) -> Result<(), Errno> {
    let cached = lookup_swap_cache(cpu, entry).await;
    let found = match cached {
        Some(page) => Some(page),
        // swapin_readahead(), of this page alone.
        None => read_swap_cache_async(cpu, entry).await.map(|(page, _)| page),
    };
    let Some(page) = found else {
        // The entry may be gone by now, and the slot free.
        return if __swap_count(cpu, entry).await == 0 { Ok(()) } else { Err(Errno::Enomem) };
    };
    lock_page(cpu, page).await;
    wait_on_page_writeback(cpu, page).await;
    unuse_pte(cpu, mm, place, at, entry, page).await;
    try_to_free_swap(cpu, page).await;
    unlock_page(cpu, page).await;
    put_page(cpu, page).await;
    Ok(())
}

/// `unuse_pte()`: the entry maps the page, which is locked, if it names the slot still. It is old and read-only: whoever writes decides
/// about COW.
async fn unuse_pte<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, addr): (Vma, VirtAddr),
    (pmdp, ptep): (Pmdp, Ptep),
    entry: SwpEntry,
    page: Page,
) {
    let _routine = cpu.enter("unuse_pte");
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    if is_unlinked(cpu, pmdp, ptep) {
        return;
    }
    let old = cpu.read_once(ptep).await;
    // pte_same_as_swp()
    if SwpEntry::of_pte(old.entry) != Some(entry) {
        return;
    }
    if check!(cpu, UNUSE_HWPOISON, page_hwpoison(cpu, page).await) {
        cpu.set_pte_at(mm, addr, ptep, POISONED).await;
        swap_free(cpu, entry).await;
        return;
    }
    let exclusive = cpu.setting::<CowReuse>() == CowReuse::Exclusive && pte_swp_exclusive(old.entry);
    get_page(cpu, page).await;
    page_add_anon_rmap(cpu, page, vma, addr, exclusive).await;
    let new = Pte::make(page.0, vm_get_page_prot(vma.flags(cpu))).without(Entry::ACCESSED);
    let new = if cpu.has(SWAPOFF_KEEPS_MARKS) { new.with(pte_swp_marks(old.entry)) } else { new };
    cpu.set_pte_at(mm, addr, ptep, new).await;
    swap_free(cpu, entry).await;
}
