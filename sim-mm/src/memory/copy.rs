//! Copying page tables at fork: `copy_page_range()`.

use sim_mmu::{Entry, VirtAddr};

use super::tables::{p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
use crate::check;
use crate::entries::entries;
use crate::errno::Errno;
use crate::folio::page_is_anon;
use crate::highmem::copy_user_highpage;
use crate::huge_memory::{HugeCopy, copy_huge_pmd, copy_huge_pud};
use crate::huge_pte::{HugePte, HugePtep};
use crate::hugetlb::copy_hugetlb_page_range;
use crate::kernel::Cpu;
use crate::migrate::migration_entry_to_page;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{
    MmuNotifierRange, mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start,
};
use crate::page::{get_page, put_page};
use crate::page_alloc::alloc_page;
use crate::pgtable::{P4dp, Pmdp, Pte, Ptep, Pudp, maybe_mkwrite, mkdirty, vm_get_page_prot};
use crate::pgtable_set::ptep_set_wrprotect;
use crate::rmap::{forked, page_add_file_rmap, page_add_new_anon_rmap, page_dup_rmap, page_needs_cow_for_dma};
use crate::safeguards::{FORK_COPIES_PINNED, FORK_WRITE_PROTECT, FORK_WRITE_PROTECT_SEQ};
use crate::swap::folio_add_lru_vma;
use crate::swapfile::swap_duplicate;
use crate::swapops::{MigrationEntry, SwpEntry, is_uffd_wp_marker, pte_swp_clear_exclusive, pte_swp_set_uffd_wp};
use crate::vm_flags::VmFlags;

/// Both address spaces, and the mapping in both.
#[derive(Clone, Copy)]
struct VmaCopy<'m> {
    dst: &'m MmStruct,
    src: &'m MmStruct,
    dst_vma: Vma,
    vma: Vma,
}

/// `copy_page_range()`: the child maps what the parent maps in `vma`, read-only on both sides if the
/// mapping is private.
///
/// # Errors
/// `ENOMEM`, if no frame is free for a table.
pub(crate) async fn copy_page_range<'m>(
    cpu: Cpu<'m>,
    (dst, dst_vma): (&'m MmStruct, Vma),
    (src, vma): (&'m MmStruct, Vma),
) -> Result<(), Errno> {
    let _routine = cpu.enter("copy_page_range");
    if vma.flags(cpu).contains(VmFlags::HUGETLB) {
        return Box::pin(copy_hugetlb_page_range(cpu, (dst, dst_vma), (src, vma))).await;
    }
    let copy = VmaCopy { dst, src, dst_vma, vma };
    // vma_needs_copy(): what has no page of its own is faulted in again from the file, or from nothing.
    if vma.anon_vma(cpu).is_none()
        && !vma.flags(cpu).intersects(VmFlags::PFNMAP | VmFlags::MIXEDMAP | VmFlags::MAYBE_GUARD)
    {
        return Ok(());
    }
    let (start, end) = (vma.start(cpu), vma.end(cpu));
    // A lockless pin that overlaps this gives up: it may have pinned a page that was found not to be pinned here.
    let is_cow = vma.flags(cpu).is_cow_mapping();
    let cow = is_cow && cpu.has(FORK_WRITE_PROTECT_SEQ);
    let range = if is_cow {
        mmu_notifier_invalidate_range_start(cpu, src, (start, end)).await
    } else {
        MmuNotifierRange::NONE
    };
    if cow {
        cpu.write_begin(src.write_protect_seq()).await;
    }
    let copied = copy_p4d_range(cpu, copy, start, end).await;
    if cow {
        cpu.write_end(src.write_protect_seq()).await;
    }
    mmu_notifier_invalidate_range_end(cpu, src, range).await;
    copied
}

/// `copy_p4d_range()`.
async fn copy_p4d_range<'m>(cpu: Cpu<'m>, copy: VmaCopy<'m>, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let src = copy.src;
    for (src_p4dp, addr, next) in entries(cpu.mmu.geometry, p4d_offset(cpu, src, start), start, end) {
        if !cpu.read_once(src_p4dp).await.none() {
            copy_pud_range(cpu, copy, src_p4dp, addr, next).await?;
        }
    }
    Ok(())
}

/// `copy_pud_range()`.
async fn copy_pud_range<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    src_p4dp: P4dp,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let geometry = cpu.mmu.geometry;
    let src_pudp = cpu.read_once(src_p4dp).await.pud_offset(geometry, start);
    for (src_pudp, addr, next) in entries(geometry, src_pudp, start, end) {
        let src_pud = cpu.read_once(src_pudp).await;
        if HugePte::from(src_pud).leaf() {
            Box::pin(copy_pud(cpu, copy, src_pudp.into(), addr)).await?;
        } else if !src_pud.none() {
            copy_pmd_range(cpu, copy, src_pudp, addr, next).await?;
        }
    }
    Ok(())
}

/// The part of `copy_pud_range()` for an entry that maps memory.
async fn copy_pud<'m>(cpu: Cpu<'m>, copy: VmaCopy<'m>, src_pudp: HugePtep, addr: VirtAddr) -> Result<(), Errno> {
    let dst_pudp = pud_alloc(cpu, copy.dst, p4d_offset(cpu, copy.dst, addr), addr).await?;
    copy_huge_pud(cpu, (copy.dst, dst_pudp.into()), (copy.src, src_pudp), addr).await;
    Ok(())
}

/// `copy_pmd_range()`.
async fn copy_pmd_range<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    src_pudp: Pudp,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let geometry = cpu.mmu.geometry;
    let src_pmdp = cpu.read_once(src_pudp).await.pmd_offset(geometry, start);
    for (src_pmdp, addr, next) in entries(geometry, src_pmdp, start, end) {
        let src_pmd = cpu.read_once(src_pmdp).await;
        if !src_pmd.none() {
            let dst_pudp = pud_alloc(cpu, copy.dst, p4d_offset(cpu, copy.dst, addr), addr).await?;
            let dst_pmdp = pmd_alloc(cpu, copy.dst, dst_pudp, addr).await?;
            if src_pmd.is_huge() && !Box::pin(copy_huge(cpu, copy, dst_pmdp, src_pmdp, addr)).await? {
                continue;
            }
            copy_pte_range(cpu, copy, dst_pmdp, src_pmdp, addr, next).await?;
        }
    }
    Ok(())
}

/// The half of `copy_pmd_range()` for a huge page. Whether there is a table of small entries by now, to be copied.
async fn copy_huge<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    dst_pmdp: Pmdp,
    src_pmdp: Pmdp,
    addr: VirtAddr,
) -> Result<bool, Errno> {
    let is_pinned = async |head| page_needs_cow_for_dma(cpu, (copy.src, copy.vma), head).await;
    let src = (copy.src, src_pmdp, copy.vma);
    let copied = copy_huge_pmd(cpu, (copy.dst, dst_pmdp), src, addr, is_pinned).await?;
    Ok(copied == HugeCopy::Pages && cpu.read_once(src_pmdp).await.leads_to_table())
}

/// `copy_pte_range()`: both page tables' locks are held, the child's first. They are let go of for a page into which a
/// pinned one is copied.
async fn copy_pte_range<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    dst_pmdp: Pmdp,
    src_pmdp: Pmdp,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    let _routine = cpu.enter("copy_pte_range");
    let geometry = cpu.mmu.geometry;
    let mut from = start;
    let mut prealloc = None;
    loop {
        let dst = pte_alloc(cpu, copy.dst, dst_pmdp).await?.pte_offset(geometry, from);
        let src = cpu.read_once(src_pmdp).await.pte_offset(geometry, from);
        let dst_ptl = cpu.lock(cpu.kernel.ptl(dst.table())).await;
        let src_ptl = cpu.lock(cpu.kernel.ptl(src.table())).await;
        let children = entries(geometry, dst, from, end).map(|(dst, ..)| dst);
        let mut stopped = None;
        for ((src, addr, _), dst) in entries(geometry, src, from, end).zip(children) {
            if copy_one_pte(cpu, copy, dst, src, addr, &mut prealloc).await == Copied::NeedsPage {
                stopped = Some(addr);
                break;
            }
        }
        drop((dst_ptl, src_ptl));
        let Some(addr) = stopped else { break };
        from = addr;
        prealloc = Some(alloc_page(cpu).await.ok_or(Errno::Enomem)?);
    }
    if let Some(unused) = prealloc {
        put_page(cpu, unused).await;
    }
    Ok(())
}

/// What came of copying an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copied {
    /// It is done.
    Done,
    /// `-EAGAIN`: its page has to be copied, and there is none to copy it to.
    NeedsPage,
}

/// `copy_one_pte()`, since v5.8 `copy_present_pte()` and `copy_nonpresent_pte()`.
async fn copy_one_pte<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    dst: Ptep,
    src: Ptep,
    addr: VirtAddr,
    prealloc: &mut Option<Page>,
) -> Copied {
    let pte = cpu.read_once(src).await;
    if pte.none() {
        return Copied::Done;
    }
    if !pte.present() {
        if let Some(entry) = SwpEntry::of_pte(pte.entry) {
            Box::pin(copy_swap_entry(cpu, copy, dst, (src, pte), addr, entry)).await;
            return Copied::Done;
        }
        if let Some(entry) = MigrationEntry::of_pte(pte.entry) {
            Box::pin(copy_migration_entry(cpu, copy, (dst, src), addr, entry)).await;
            return Copied::Done;
        }
        // copy_pte_marker(): a guard stays a guard. Of the writes of a child, nobody learns.
        if is_uffd_wp_marker(pte.entry) {
            return Copied::Done;
        }
        cpu.set_pte_at(copy.dst, addr, dst, pte.entry).await;
        return Copied::Done;
    }
    let page = Page(pte.pfn());
    let vm_flags = copy.vma.flags(cpu);
    let special = pte.special();
    let is_anon = !special && page_is_anon(cpu, page);
    if is_anon && check!(cpu, FORK_COPIES_PINNED, page_needs_cow_for_dma(cpu, (copy.src, copy.vma), page).await) {
        let Some(new) = prealloc.take() else { return Copied::NeedsPage };
        copy_present_page(cpu, copy, dst, addr, page, new).await;
        return Copied::Done;
    }
    let mut entry = pte.entry;
    if vm_flags.is_cow_mapping() && pte.write() && cpu.has(FORK_WRITE_PROTECT) {
        // ptep_set_wrprotect(): locked, so that a D set meanwhile is not lost.
        ptep_set_wrprotect(cpu, copy.src, addr, src, pte).await;
        entry = entry.without(Entry::RW);
    }
    if vm_flags.contains(VmFlags::SHARED) {
        entry = entry.without(Entry::DIRTY);
    }
    // What the parent waits for is nothing to the child, which has no descriptor.
    entry = entry.without(Entry::ACCESSED | Entry::UFFD_WP);
    if !special {
        get_page(cpu, page).await;
        if is_anon {
            page_dup_rmap(cpu, page, copy.dst.id).await;
        } else {
            page_add_file_rmap(cpu, page, copy.dst.id).await;
        }
    }
    cpu.set_pte_at(copy.dst, addr, dst, entry).await;
    Copied::Done
}

/// `copy_nonpresent_pte()` of an entry that names a slot: both name it from now on, and the page is nobody's own.
async fn copy_swap_entry<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    dst: Ptep,
    (src, pte): (Ptep, Pte),
    addr: VirtAddr,
    entry: SwpEntry,
) {
    if !swap_duplicate(cpu, entry).await {
        return;
    }
    let shared = pte_swp_clear_exclusive(pte.entry);
    if shared != pte.entry {
        cpu.set_pte_at(copy.src, addr, src, shared).await;
    }
    // The child has no descriptor, so nobody waits for its writes.
    cpu.set_pte_at(copy.dst, addr, dst, pte_swp_set_uffd_wp(shared, false)).await;
}

/// `copy_nonpresent_pte()` of an entry whose page is being moved: it comes back in both, and read-only in both if the page is to be copied
/// at a write.
async fn copy_migration_entry<'m>(
    cpu: Cpu<'m>,
    copy: VmaCopy<'m>,
    (dst, src): (Ptep, Ptep),
    addr: VirtAddr,
    entry: MigrationEntry,
) {
    migration_entry_to_page(cpu, entry).await;
    let (parents, childs) = forked(cpu, entry, copy.vma.flags(cpu).is_cow_mapping());
    if let Some(entry) = parents {
        cpu.set_pte_at(copy.src, addr, src, entry.to_pte()).await;
    }
    cpu.set_pte_at(copy.dst, addr, dst, childs.to_pte()).await;
}

/// `copy_present_page()`.
async fn copy_present_page<'m>(cpu: Cpu<'m>, copy: VmaCopy<'m>, dst: Ptep, addr: VirtAddr, page: Page, new: Page) {
    let _routine = cpu.enter("copy_present_page");
    copy_user_highpage(cpu, new, page).await;
    page_add_new_anon_rmap(cpu, new, copy.dst_vma, addr).await;
    folio_add_lru_vma(cpu, new, copy.dst_vma).await;
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, copy.dst_vma);
    let entry = Pte::make(new.0, vm_get_page_prot(copy.dst_vma.flags(cpu))).with(written);
    cpu.set_pte_at(copy.dst, addr, dst, entry).await;
}
