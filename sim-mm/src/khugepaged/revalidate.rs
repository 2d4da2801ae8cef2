//! Whether a mapping may have a huge page, and whether all is as it was when that was asked last.

use sim_mmu::{Level, VirtAddr};

use super::control::{Collapse, Scan};
use crate::fs::Inode;
use crate::huge_mm::{allows_large_folios, has_block, is_file_aligned};
use crate::inode::{inode_is_open_for_write, is_dax, is_secret, on_disk};
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::pgtable::Pmdp;
use crate::settings::{FileThp, FileThpMappings, ShmemThp};
use crate::shmem::shmem_allowable_huge_orders;
use crate::vm_flags::VmFlags;

/// `thp_vma_allowable_order()`: whether the mapping may have huge pages, and has room for one. `MADV_COLLAPSE` does not ask what the system
/// as a whole is set to.
pub(super) async fn thp_vma_allowable(cpu: Cpu<'_>, vma: Vma, by: Collapse) -> bool {
    let flags = vma.flags(cpu);
    if let Some(file) = vma.file(cpu) {
        return Box::pin(file_allowable(cpu, vma, file, by)).await;
    }
    (by == Collapse::Madvise || cpu.kernel.asks_for_huge_pages(flags))
        && allows_large_folios(flags)
        && has_block(cpu.pmd_order(), (vma.start(cpu), vma.end(cpu)))
        && vma.is_anonymous(cpu)
        && vma.anon_vma(cpu).is_some()
}

/// The part of it for a file: what each mapping of it maps has to begin where the huge page does.
async fn file_allowable(cpu: Cpu<'_>, vma: Vma, file: Inode, by: Collapse) -> bool {
    let flags = vma.flags(cpu);
    let (order, start) = (cpu.pmd_order(), vma.start(cpu));
    let fits = has_block(order, (start, vma.end(cpu))) && is_file_aligned(order, start, vma.pgoff(cpu));
    if !fits || !allows_large_folios(flags) || is_secret(cpu, file) || is_dax(cpu, file) {
        return false;
    }
    if on_disk(cpu, file) {
        let is_wanted = by == Collapse::Madvise || cpu.kernel.asks_for_huge_pages(flags);
        return is_wanted && file_thp_enabled(cpu, file, flags).await;
    }
    if by == Collapse::Madvise {
        return cpu.setting::<ShmemThp>() != ShmemThp::Deny;
    }
    shmem_allowable_huge_orders(cpu, file, vma.pgoff(cpu), Some(flags)).await.contains(order)
}

/// `file_thp_enabled()`: whether a file on a disk may have huge pages, by a mapping with these flags.
async fn file_thp_enabled(cpu: Cpu<'_>, file: Inode, flags: VmFlags) -> bool {
    let by_mapping = match cpu.setting::<FileThpMappings>() {
        FileThpMappings::Text => false,
        FileThpMappings::Exec => flags.contains(VmFlags::EXEC),
        FileThpMappings::Any => true,
    };
    cpu.setting::<FileThp>() == FileThp::On && by_mapping && !inode_is_open_for_write(cpu, file).await
}

/// `hugepage_vma_revalidate()`: the mapping of the range, after `mmap_lock` was let go of and taken again.
pub(super) async fn hugepage_vma_revalidate(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    by: Collapse,
) -> Result<Vma, Scan> {
    let _routine = cpu.enter("hugepage_vma_revalidate");
    let vma = find_vma(cpu, mm, address).await.ok_or(Scan::VmaNull)?;
    let end = address.0 + cpu.mmu.geometry.span(Level::Pmd);
    if address < vma.start(cpu) || end > vma.end(cpu).0 {
        return Err(Scan::AddressRange);
    }
    if !thp_vma_allowable(cpu, vma, by).await {
        return Err(Scan::VmaCheck);
    }
    Ok(vma)
}

/// `find_pmd_or_thp_or_none()`: the PMD entry of an address, if it leads to a page table.
pub(super) async fn find_pmd_or_thp_or_none(cpu: Cpu<'_>, mm: &MmStruct, address: VirtAddr) -> Result<Pmdp, Scan> {
    let pmdp = find_pmd(cpu, mm, address).await.ok_or(Scan::PmdNull)?;
    // check_pmd_state()
    let pmd = cpu.read_once(pmdp).await;
    if pmd.trans_huge() {
        return Err(Scan::PmdMapped);
    }
    if pmd.leads_to_table() { Ok(pmdp) } else { Err(Scan::PmdNull) }
}

/// `check_pmd_still_valid()`: it is the same entry still, and leads to a page table.
pub(super) async fn check_pmd_still_valid(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    pmdp: Pmdp,
) -> Result<(), Scan> {
    if find_pmd_or_thp_or_none(cpu, mm, address).await? == pmdp { Ok(()) } else { Err(Scan::Fail) }
}
