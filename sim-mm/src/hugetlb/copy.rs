//! Huge pages at fork: `copy_hugetlb_page_range()`.

use sim_mmu::{Entry, VirtAddr};

use super::pmd_share::huge_pte_alloc;
use super::reserve::{alloc_hugetlb_folio, mark_uptodate};
use super::{hstate_vma, huge_pages, huge_pte_offset, hugetlb_vma_lock_read, lock_mapping_of};
use crate::check;
use crate::errno::Errno;
use crate::folio::page_is_anon;
use crate::highmem::copy_user_huge_page;
use crate::huge_pte::{HugePtep, huge_pte_lock};
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{
    MmuNotifierRange, mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start,
};
use crate::page::{get_page, put_page};
use crate::pgtable::{EntryPtr, Pmd, mkdirty, vm_get_page_prot};
use crate::pgtable_huge::pmdp_set_wrprotect;
use crate::rmap::{
    folio_add_new_anon_rmap, folio_add_rmap_pmd, folio_dup_anon_rmap_pmd, forked, page_needs_cow_for_dma,
};
use crate::safeguards::{FORK_COPIES_PINNED_HUGETLB, FORK_HUGETLB_HWPOISON};
use crate::settings::HugetlbFork;
use crate::vm_flags::VmFlags;

/// `copy_hugetlb_page_range()`: the child maps the huge pages of the parent, read-only on both sides if the mapping is private.
///
/// # Errors
/// `ENOMEM`, if no frame is free for a table, or the pool has no page for the copy of a pinned one.
pub(crate) async fn copy_hugetlb_page_range<'m>(
    cpu: Cpu<'m>,
    (dst, dst_vma): (&'m MmStruct, Vma),
    (src, vma): (&'m MmStruct, Vma),
) -> Result<(), Errno> {
    let is_shared = vma.flags(cpu).contains(VmFlags::MAYSHARE);
    // vma_needs_copy(): the child finds in the file what the file has.
    if cpu.setting::<HugetlbFork>() == HugetlbFork::Lazy && vma.anon_vma(cpu).is_none() {
        return Ok(());
    }
    let _routine = cpu.enter("copy_hugetlb_page_range");
    let is_cow = vma.flags(cpu).is_cow_mapping();
    let all = (vma.start(cpu), vma.end(cpu));
    let range = match is_cow {
        true => mmu_notifier_invalidate_range_start(cpu, src, all).await,
        false => MmuNotifierRange::NONE,
    };
    let _mapping = if is_shared { lock_mapping_of(cpu, vma).await } else { None };
    let _vma_lock = hugetlb_vma_lock_read(cpu, vma).await;
    let mut copied = Ok(());
    let size = hstate_vma(cpu, vma);
    for addr in huge_pages(cpu, size, all.0, all.1) {
        let Some(src_ptep) = huge_pte_offset(cpu, src, addr, size).await else { continue };
        let dst_ptep = match huge_pte_alloc(cpu, dst, dst_vma, addr).await {
            Ok(dst_ptep) => dst_ptep,
            Err(errno) => {
                copied = Err(errno);
                break;
            }
        };
        // They share the table.
        if dst_ptep.slot().table() == src_ptep.slot().table() {
            continue;
        }
        let pair = Pair { dst, dst_vma, src, vma, size, is_cow };
        copied = copy_one(cpu, pair, (dst_ptep, src_ptep), addr).await;
        if copied.is_err() {
            break;
        }
    }
    mmu_notifier_invalidate_range_end(cpu, src, range).await;
    copied
}

/// Both address spaces, and the mapping in both.
#[derive(Clone, Copy)]
struct Pair<'m> {
    dst: &'m MmStruct,
    dst_vma: Vma,
    src: &'m MmStruct,
    vma: Vma,
    size: HugePageSize,
    is_cow: bool,
}

/// The entry of one huge page.
async fn copy_one<'m>(
    cpu: Cpu<'m>,
    pair: Pair<'m>,
    (dst_ptep, src_ptep): (HugePtep, HugePtep),
    addr: VirtAddr,
) -> Result<(), Errno> {
    let Pair { dst, dst_vma, src, vma, size, is_cow } = pair;
    let mut copy: Option<Page> = None;
    loop {
        let dst_ptl = huge_pte_lock(cpu, dst, dst_ptep).await;
        let src_ptl = huge_pte_lock(cpu, src, src_ptep).await;
        let pte = cpu.read_once(src_ptep).await;
        if let Some(entry) = pte.migration() {
            let (parents, childs) = forked(cpu, entry, is_cow);
            if let Some(entry) = parents {
                cpu.set_pmd_at(src, addr, src_ptep, entry.to_pte()).await;
            }
            cpu.set_pmd_at(dst, addr, dst_ptep, childs.to_pte()).await;
            break;
        }
        if pte.none() {
            break;
        }
        if check!(cpu, FORK_HUGETLB_HWPOISON, pte.hwpoisoned()) {
            cpu.set_pmd_at(dst, addr, dst_ptep, pte.entry).await;
            break;
        }
        let head = Page(pte.pfn());
        if page_is_anon(cpu, head)
            && check!(cpu, FORK_COPIES_PINNED_HUGETLB, page_needs_cow_for_dma(cpu, (src, vma), head).await)
        {
            if let Some(new) = copy.take() {
                copy_user_huge_page(cpu, new, head, size.pages(cpu.mmu.geometry)).await;
                mark_uptodate(cpu, new).await;
                folio_add_new_anon_rmap(cpu, new, dst_vma, addr).await;
                let prot = vm_get_page_prot(dst_vma.flags(cpu));
                let entry = Pmd::make_huge(new.0, prot).with(Entry::RW | mkdirty(cpu));
                cpu.set_pmd_at(dst, addr, dst_ptep, entry).await;
                break;
            }
            drop((dst_ptl, src_ptl));
            let file = vma.file(cpu).ok_or(Errno::Enomem)?;
            let index = vma.index_of(cpu, addr);
            copy = Some(alloc_hugetlb_folio(cpu, dst, dst_vma, file, index).await.ok_or(Errno::Enomem)?);
            continue;
        }
        get_page(cpu, head).await;
        if page_is_anon(cpu, head) {
            folio_dup_anon_rmap_pmd(cpu, head, dst.id).await;
        } else {
            folio_add_rmap_pmd(cpu, head, dst.id).await;
        }
        let mut entry = pte.entry;
        if is_cow {
            // huge_ptep_set_wrprotect(): parent and child write to copies from now on.
            pmdp_set_wrprotect(cpu, src, addr, src_ptep).await;
            entry = entry.without(Entry::RW);
        }
        cpu.set_pmd_at(dst, addr, dst_ptep, entry).await;
        break;
    }
    if let Some(unused) = copy {
        put_page(cpu, unused).await;
    }
    Ok(())
}
