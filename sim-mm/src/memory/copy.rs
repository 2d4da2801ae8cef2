//! Copying page tables at fork: `copy_page_range()`.

use sim_mmu::{Entry, VirtAddr};

use super::tables::{p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
use crate::entries::entries;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::get_page;
use crate::pgtable::{P4dp, Pmdp, Ptep, Pudp};
use crate::rmap::page_dup_rmap;
use crate::safeguards::FORK_WRITE_PROTECT;

/// Both address spaces and the mapping that is copied.
#[derive(Clone, Copy)]
struct VmaCopy<'m> {
    dst: &'m MmStruct,
    src: &'m MmStruct,
    vma: Vma,
}

/// `copy_page_range()`: the child maps what the parent maps in `vma`, read-only on both sides if the
/// mapping is private.
///
/// # Errors
/// `ENOMEM`, if no frame is free for a table.
pub(crate) async fn copy_page_range<'m>(
    cpu: Cpu<'m>,
    dst: &'m MmStruct,
    src: &'m MmStruct,
    vma: Vma,
) -> Result<(), Errno> {
    let _routine = cpu.enter("copy_page_range");
    let copy = VmaCopy { dst, src, vma };
    let (start, end) = (vma.start(cpu), vma.end(cpu));
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
        if !cpu.read_once(src_pudp).await.none() {
            copy_pmd_range(cpu, copy, src_pudp, addr, next).await?;
        }
    }
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
        if !cpu.read_once(src_pmdp).await.none() {
            let dst_pudp = pud_alloc(cpu, copy.dst, p4d_offset(cpu, copy.dst, addr), addr).await?;
            let dst_pmdp = pmd_alloc(cpu, copy.dst, dst_pudp, addr).await?;
            copy_pte_range(cpu, copy, dst_pmdp, src_pmdp, addr, next).await?;
        }
    }
    Ok(())
}

/// `copy_pte_range()`: both page tables' locks are held, the child's first.
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
    let dst = pte_alloc(cpu, copy.dst, dst_pmdp).await?.pte_offset(geometry, start);
    let src = cpu.read_once(src_pmdp).await.pte_offset(geometry, start);
    let _dst_ptl = cpu.lock(cpu.kernel.ptl(dst.table())).await;
    let _src_ptl = cpu.lock(cpu.kernel.ptl(src.table())).await;
    let children = entries(geometry, dst, start, end).map(|(dst, ..)| dst);
    for ((src, addr, _), dst) in entries(geometry, src, start, end).zip(children) {
        copy_one_pte(cpu, copy, dst, src, addr).await;
    }
    Ok(())
}

/// `copy_one_pte()`.
async fn copy_one_pte<'m>(cpu: Cpu<'m>, copy: VmaCopy<'m>, dst: Ptep, src: Ptep, addr: VirtAddr) {
    let pte = cpu.read_once(src).await;
    if pte.none() {
        return;
    }
    let mut entry = pte.entry;
    if copy.vma.flags(cpu).is_cow_mapping() && pte.write() && cpu.has(FORK_WRITE_PROTECT) {
        // ptep_set_wrprotect(): locked, so that a D set meanwhile is not lost.
        cpu.update_pte(copy.src, addr, src, |entry| entry.without(Entry::RW)).await;
        entry = entry.without(Entry::RW);
    }
    entry = entry.without(Entry::ACCESSED);
    if !pte.special() {
        let page = Page(pte.pfn());
        get_page(cpu, page).await;
        page_dup_rmap(cpu, page).await;
    }
    cpu.set_pte_at(copy.dst, addr, dst, entry).await;
}
