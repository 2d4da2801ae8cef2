//! A huge page of a file that is mapped page by page is mapped by one entry: `collapse_pte_mapped_thp()`.

use sim_mmu::{Level, VirtAddr};

use super::control::{Collapse, Scan};
use super::retract::{collapse_and_free_pmd, free_table_later, invalidate_start};
use super::revalidate::{find_pmd_or_thp_or_none, thp_vma_allowable};
use crate::arch::tlb::flush_tlb_mm_range;
use crate::entries::entries;
use crate::filemap::{filemap_get_entry, lock_if_of_file};
use crate::folio::folio_nr_pages;
use crate::kernel::Cpu;
use crate::memory::{do_set_pmd, p4d_offset, pmd_alloc, pud_alloc};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmap::find_vma;
use crate::mmu_notifier::mmu_notifier_invalidate_range_end;
use crate::page::{get_page, put_page, put_page_refs, unlock_page};
use crate::pgtable::{Pmd, Pmdp, Pte};
use crate::pgtable_generic::{is_unlinked, pmdp_collapse_flush};
use crate::pgtable_set::ptep_get_and_clear;
use crate::rmap::page_remove_rmap;
use crate::safeguards::COLLAPSE_PTE_MAPPED_RMAP_LOCK;
use crate::settings::Retract;
use crate::shmem_fs::Cached;
use crate::vm_fault::{Fault, FaultFlags};
use crate::vm_flags::VmFlags;
use crate::vma::i_mmap_lock_write;

/// `collapse_pte_mapped_thp()`, since v5.4: the caller holds `mmap_lock`, before v6.6 for writing. khugepaged leaves it to the next fault to map the
/// huge page.
pub(super) async fn collapse_pte_mapped_thp<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    by: Collapse,
) -> Result<(), Scan> {
    let _routine = cpu.enter("collapse_pte_mapped_thp");
    let vma = find_vma(cpu, mm, address).await.ok_or(Scan::VmaCheck)?;
    let end = VirtAddr(address.0 + cpu.mmu.geometry.span(Level::Pmd));
    let Some(inode) = vma.file(cpu).filter(|_| vma.start(cpu) <= address && end <= vma.end(cpu)) else {
        return Err(Scan::VmaCheck);
    };
    if find_pmd_or_thp_or_none(cpu, mm, address).await == Err(Scan::PmdMapped) {
        return Err(Scan::PmdMapped);
    }
    if !thp_vma_allowable(cpu, vma, Collapse::Madvise).await {
        return Err(Scan::VmaCheck);
    }
    if vma.flags(cpu).contains(VmFlags::UFFD_WP) {
        return Err(Scan::PteUffdWp);
    }
    let index = vma.index_of(cpu, address);
    let Some(Cached::Page(page)) = filemap_get_entry(cpu, inode, index).await else {
        return Err(Scan::PageNull);
    };
    if !lock_if_of_file(cpu, inode, page).await {
        return Err(Scan::PageNull);
    }
    let collapsed = if folio_nr_pages(cpu, cpu.kernel.folio_of(page)) == cpu.pmd_nr() {
        collapse_locked(cpu, mm, vma, address, page, by).await
    } else {
        Err(Scan::PageCompound)
    };
    unlock_page(cpu, page).await;
    put_page(cpu, page).await;
    collapsed
}

/// The rest, with the huge page locked: no entry for it comes any more, and what its entries map stays in the file.
async fn collapse_locked<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    head: Page,
    by: Collapse,
) -> Result<(), Scan> {
    match find_pmd_or_thp_or_none(cpu, mm, address).await {
        Err(Scan::PmdNull) => {}
        Err(why) => return Err(why),
        Ok(pmdp) if cpu.setting::<Retract>() == Retract::Lockless => {
            free_table_lockless(cpu, mm, (pmdp, address), head, vma).await?;
        }
        Ok(pmdp) => {
            // Whoever comes from the file to its mappings walks the tables with this lock alone.
            let rmap = if cpu.has(COLLAPSE_PTE_MAPPED_RMAP_LOCK) { vma.file(cpu) } else { None };
            let _i_mmap = i_mmap_lock_write(cpu, rmap).await;
            if vma.anon_vma(cpu).is_some() {
                return Err(Scan::PageAnon);
            }
            let pmd = cpu.read_once(pmdp).await;
            {
                let _ptl = cpu.lock(cpu.kernel.ptl(pmd.pte_offset(cpu.mmu.geometry, address).table())).await;
                check_entries(cpu, pmd, address, head).await?;
                clear_entries(cpu, mm, pmd, address, head).await?;
            }
            collapse_and_free_pmd(cpu, mm, (pmdp, address)).await;
        }
    }
    if by.is_khugepaged() { Ok(()) } else { set_huge_pmd(cpu, mm, vma, address, head).await }
}

/// Whether an entry of the table maps its page of the huge page, or is empty. The table stays if it is anything else.
fn maps_its_page(pte: Pte, page: Page) -> Result<bool, Scan> {
    if pte.none() {
        return Ok(false);
    }
    if !pte.present() {
        return Err(Scan::PteNonPresent);
    }
    // A private mapping may have copied it.
    if pte.page() == Some(page) { Ok(true) } else { Err(Scan::Fail) }
}

/// Step 1: each entry of the table is empty or maps its page of the huge page.
async fn check_entries(cpu: Cpu<'_>, pmd: Pmd, address: VirtAddr, head: Page) -> Result<(), Scan> {
    let first = pmd.pte_offset(cpu.mmu.geometry, address);
    let range = entries(cpu.mmu.geometry, first, address, address.plus_pages(cpu.pmd_nr()));
    for ((ptep, ..), page) in range.zip(cpu.kernel.folio_pages(head)) {
        maps_its_page(cpu.read_once(ptep).await, page)?;
    }
    Ok(())
}

/// Steps 2 and 3: the entries are empty, and what they mapped counts them no more. Since v6.6 the lock of the table was released after step 1, so
/// that an entry may have become another's. What is cleared until then is flushed here.
async fn clear_entries<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    pmd: Pmd,
    address: VirtAddr,
    head: Page,
) -> Result<(), Scan> {
    let first = pmd.pte_offset(cpu.mmu.geometry, address);
    let end = address.plus_pages(cpu.pmd_nr());
    let range = entries(cpu.mmu.geometry, first, address, end);
    let mut mapped = 0;
    let mut ended = Ok(());
    for ((ptep, addr, _), page) in range.zip(cpu.kernel.folio_pages(head)) {
        let pte = cpu.read_once(ptep).await;
        match maps_its_page(pte, page) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(why) => {
                ended = Err(why);
                break;
            }
        }
        // If all of them go, the flush of the table is theirs, too.
        ptep_get_and_clear(cpu, mm, addr, ptep, pte).await;
        page_remove_rmap(cpu, page, mm.id).await;
        mapped += 1;
    }
    if mapped > 0 {
        if ended.is_err() {
            flush_tlb_mm_range(cpu, mm, address, end, false).await;
        }
        put_page_refs(cpu, head, mapped).await;
    }
    ended
}

/// Steps 1 to 4 since v6.6, when `mmap_lock` is held for reading: the locks of the tables keep others out.
async fn free_table_lockless<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (pmdp, address): (Pmdp, VirtAddr),
    head: Page,
    vma: Vma,
) -> Result<(), Scan> {
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return Err(Scan::Fail);
    }
    let first = pmd.pte_offset(cpu.mmu.geometry, address);
    {
        let _ptl = cpu.lock(cpu.kernel.ptl(first.table())).await;
        if is_unlinked(cpu, pmdp, first) {
            return Err(Scan::Fail);
        }
        check_entries(cpu, pmd, address, head).await?;
    }
    let range = invalidate_start(cpu, mm, address).await;
    let old = unlink_table(cpu, mm, (pmdp, pmd, address), head, vma).await;
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    free_table_later(cpu, old?, address).await;
    Ok(())
}

/// Steps 2 to 4: the entry leads to its table no more. Answers what the entry was.
async fn unlink_table<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (pmdp, pmd, address): (Pmdp, Pmd, VirtAddr),
    head: Page,
    vma: Vma,
) -> Result<Pmd, Scan> {
    let lock_of_table = cpu.kernel.ptl(pmd.pte_offset(cpu.mmu.geometry, address).table());
    let lock_of_pmd = cpu.kernel.ptl(pmdp.table());
    // userfaultfd fills a page of a private mapping without looking at its file, so that the lock of the huge page does not keep it out. It takes
    // the lock of the table, which is held from step 2 to step 4 then.
    let armed = vma.flags(cpu).intersects(VmFlags::UFFD) && !vma.flags(cpu).contains(VmFlags::SHARED);
    let mut _pml = if armed { Some(cpu.lock(lock_of_pmd).await) } else { None };
    let mut _ptl = Some(cpu.lock(lock_of_table).await);
    if cpu.read_once(pmdp).await != pmd {
        return Err(Scan::Fail);
    }
    clear_entries(cpu, mm, pmd, address, head).await?;
    if !armed {
        // The lock of the upper table comes first.
        _ptl = None;
        _pml = Some(cpu.lock(lock_of_pmd).await);
        _ptl = Some(cpu.lock(lock_of_table).await);
        if cpu.read_once(pmdp).await != pmd {
            let end = address.plus_pages(cpu.pmd_nr());
            flush_tlb_mm_range(cpu, mm, address, end, false).await;
            return Err(Scan::Fail);
        }
    }
    Ok(pmdp_collapse_flush(cpu, mm, address, pmdp).await)
}

/// `set_huge_pmd()`: one entry maps the huge page.
async fn set_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    head: Page,
) -> Result<(), Scan> {
    let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, address), address).await.map_err(|_| Scan::Fail)?;
    let pmdp = pmd_alloc(cpu, mm, pudp, address).await.map_err(|_| Scan::Fail)?;
    let vmf = Fault { mm, vma, address, flags: FaultFlags::empty(), pmdp };
    get_page(cpu, head).await;
    if do_set_pmd(cpu, vmf, head).await {
        return Ok(());
    }
    put_page(cpu, head).await;
    Err(Scan::Fail)
}
