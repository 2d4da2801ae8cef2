//! A huge page at fork: `copy_huge_pmd()`.

use sim_mmu::{Entry, VirtAddr};

use super::split_pmd::split_huge_pmd;
use super::zero::{is_huge_zero_pmd, mm_get_huge_zero_page};
use crate::check;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{get_page, put_page};
use crate::page_alloc::pte_alloc_one;
use crate::pgtable::Pmdp;
use crate::pgtable_generic::pgtable_trans_huge_deposit;
use crate::pgtable_huge::pmdp_set_wrprotect;
use crate::rmap::{folio_dup_anon_rmap_pmd, forked};
use crate::safeguards::FORK_COPIES_PINNED_HUGE;

/// How a huge page was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HugeCopy {
    /// The child maps it as well, or will fault it in.
    Done,
    /// `-EAGAIN`: the entry leads to a table by now, whose entries are to be copied.
    Pages,
}

/// `copy_huge_pmd()`: the child maps the huge page as the parent does, read-only on both sides. `is_pinned` says whether a page is not
/// to be shared, because a device uses it.
///
/// # Errors
/// `ENOMEM`, if no frame is free for the table that the child deposits.
pub(crate) async fn copy_huge_pmd<'m>(
    cpu: Cpu<'m>,
    (dst, dst_pmdp): (&'m MmStruct, Pmdp),
    (src, src_pmdp, vma): (&'m MmStruct, Pmdp, Vma),
    addr: VirtAddr,
    is_pinned: impl AsyncFnOnce(Page) -> bool,
) -> Result<HugeCopy, Errno> {
    let _routine = cpu.enter("copy_huge_pmd");
    // A file has its pages, and the child finds them there.
    if !vma.is_anonymous(cpu) {
        return Ok(HugeCopy::Done);
    }
    let table = pte_alloc_one(cpu, dst).await.ok_or(Errno::Enomem)?;
    let dst_ptl = cpu.lock(cpu.kernel.ptl(dst_pmdp.table())).await;
    let src_ptl = cpu.lock(cpu.kernel.ptl(src_pmdp.table())).await;
    let pmd = cpu.read_once(src_pmdp).await;
    if let Some(entry) = pmd.migration() {
        pgtable_trans_huge_deposit(cpu, dst_pmdp, table);
        let (parents, childs) = forked(cpu, entry, vma.flags(cpu).is_cow_mapping());
        if let Some(entry) = parents {
            cpu.set_pmd_at(src, addr, src_pmdp, entry.to_pte()).await;
        }
        cpu.set_pmd_at(dst, addr, dst_pmdp, childs.to_pte()).await;
        return Ok(HugeCopy::Done);
    }
    if !pmd.trans_huge() {
        drop((dst_ptl, src_ptl));
        put_page(cpu, table).await;
        return Ok(HugeCopy::Pages);
    }
    if !is_huge_zero_pmd(cpu, pmd) {
        let head = Page(pmd.pfn());
        get_page(cpu, head).await;
        if check!(cpu, FORK_COPIES_PINNED_HUGE, is_pinned(head).await) {
            put_page(cpu, head).await;
            drop((dst_ptl, src_ptl));
            put_page(cpu, table).await;
            split_huge_pmd(cpu, vma, src, src_pmdp, addr).await;
            return Ok(HugeCopy::Pages);
        }
        folio_dup_anon_rmap_pmd(cpu, head, dst.id).await;
    } else {
        // The entry of the parent keeps it, so it need not be made.
        mm_get_huge_zero_page(cpu, dst).await;
    }
    pgtable_trans_huge_deposit(cpu, dst_pmdp, table);
    pmdp_set_wrprotect(cpu, src, addr, src_pmdp).await;
    let entry = pmd.entry.without(Entry::RW | Entry::ACCESSED | Entry::UFFD_WP);
    cpu.set_pmd_at(dst, addr, dst_pmdp, entry).await;
    Ok(HugeCopy::Done)
}
