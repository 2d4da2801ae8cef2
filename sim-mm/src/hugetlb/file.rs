//! `fs/hugetlbfs/inode.c`: files whose pages are huge pages of the pool. Lengths and places are counted in small pages, and are multiples of a huge one.

use std::ops::Range;

use sim_core::{RwSem, WriteHeld};
use sim_mmu::VirtAddr;

use super::reserve::{hugetlb_reserve_pages, hugetlb_unreserve_pages};
use super::unmap::__unmap_hugepage_range;
use super::{hstate_inode, hstate_vma, huge_pte_offset, hugetlb_vma_trylock_write};
use crate::check;
use crate::errno::Errno;
use crate::filemap::{Loses, delete_from_page_cache, find_get_entry, is_of_file};
use crate::folio::folio_entire_mapcount;
use crate::fs::Inode;
use crate::hugetlb_types::HugePageSize;
use crate::inode::{i_size_read, i_size_write};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_gather::MmuGather;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{lock_page, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::safeguards::HUGETLB_REMOVE_UNMAP;
use crate::settings::HugetlbLock;
use crate::shmem::shmem_file_setup;
use crate::shmem_fs::Cached;
use crate::vm_flags::VmFlags;

/// `hugetlb_file_setup()`: a file of so many small pages, which has huge pages of this size, to which the caller holds the one reference.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn hugetlb_file_setup(cpu: Cpu<'_>, pages: u64, size: HugePageSize) -> Result<Inode, Errno> {
    let inode = shmem_file_setup(cpu, pages)?;
    cpu.this_cpu_write(cpu.kernel.shmem.inodes.deref(**cpu, inode).hstate(), size.to_word());
    Ok(inode)
}

/// `pages_per_huge_page()` of a file.
fn pages_of(cpu: Cpu<'_>, file: Inode) -> u64 {
    hstate_inode(cpu, file).map_or(1, |size| size.pages(cpu.mmu.geometry))
}

/// `hugetlbfs_file_mmap()`: the pages of a new mapping are set aside. A mapping that may be written makes the file as long as it is.
///
/// # Errors
/// `EINVAL` if the mapping does not begin with a huge page of the file, `ENOMEM` if the pool has too few pages.
pub(crate) async fn hugetlbfs_file_mmap(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    file: Inode,
    flags: VmFlags,
    range: Range<u64>,
) -> Result<(), Errno> {
    if !range.start.is_multiple_of(pages_of(cpu, file)) {
        return Err(Errno::Einval);
    }
    let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(file)).await;
    if !flags.contains(VmFlags::NORESERVE) {
        let owner = (!flags.contains(VmFlags::MAYSHARE)).then_some(mm.id);
        hugetlb_reserve_pages(cpu, file, owner, range.clone()).await?;
    }
    if flags.contains(VmFlags::WRITE) && i_size_read(cpu, file).await < range.end {
        i_size_write(cpu, file, range.end).await;
    }
    Ok(())
}

/// The part of a mapping that has pages `range` of its file.
fn part_of(cpu: Cpu<'_>, vma: Vma, range: &Range<u64>) -> Option<(VirtAddr, VirtAddr)> {
    let (start, first) = (vma.start(cpu), vma.pgoff(cpu));
    let pages = vma.end(cpu).vpn().0 - start.vpn().0;
    let (from, to) = (range.start.max(first), range.end.min(first + pages));
    (from < to).then(|| (start.plus_pages(from - first), start.plus_pages(to - first)))
}

/// `unmap_hugepage_range()` of C: nothing is mapped in the range, and no TLB has it. The caller holds `i_mmap_rwsem` for writing.
async fn unmap_part<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, part: (VirtAddr, VirtAddr)) {
    let mut tlb = MmuGather::gather(cpu, mm, part.0, part.1).await;
    let notified = mmu_notifier_invalidate_range_start(cpu, mm, part).await;
    __unmap_hugepage_range(cpu, &mut tlb, vma, part).await;
    mmu_notifier_invalidate_range_end(cpu, mm, notified).await;
    tlb.finish(cpu).await;
}

/// `hugetlb_vmdelete_list()`: pages `range` of the file are unmapped, and so is what private mappings have copied. A mapping in which a fault is under way is
/// passed over: its pages are unmapped when they leave the file.
async fn hugetlb_vmdelete_list<'m>(cpu: Cpu<'m>, file: Inode, range: Range<u64>) {
    let _i_mmap = cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await;
    unmap_from_all(cpu, file, &range).await;
}

/// The part of it for a caller that holds `i_mmap_rwsem` for writing.
async fn unmap_from_all<'m>(cpu: Cpu<'m>, file: Inode, range: &Range<u64>) {
    let _routine = cpu.enter("hugetlb_vmdelete_list");
    let kernel: &'m Kernel = cpu.kernel;
    let mappings = cpu.read(kernel.shmem.i_mmap(file), Clone::clone).await;
    for (mm, vma) in mappings {
        let Some(part) = part_of(cpu, vma, range) else { continue };
        if let Ok(_vma_lock) = hugetlb_vma_trylock_write(cpu, vma).await {
            unmap_part(cpu, kernel.mm(mm), vma, part).await;
        }
    }
}

/// `hugetlb_unmap_file_folio()`: no mapping maps this page of the file. The caller holds its mutex, so no fault maps it again.
async fn hugetlb_unmap_file_folio<'m>(cpu: Cpu<'m>, file: Inode, whole: Range<u64>, head: Page) {
    let kernel: &'m Kernel = cpu.kernel;
    loop {
        let i_mmap = cpu.down_write(kernel.shmem.i_mmap_rwsem(file)).await;
        let mappings = cpu.read(kernel.shmem.i_mmap(file), Clone::clone).await;
        let mut busy = None;
        for (mm, vma) in mappings {
            let Some(part) = part_of(cpu, vma, &whole) else { continue };
            if !maps_page(cpu, kernel.mm(mm), (vma, part.0), head).await {
                continue;
            }
            match hugetlb_vma_trylock_write(cpu, vma).await {
                Ok(_vma_lock) => unmap_part(cpu, kernel.mm(mm), vma, part).await,
                Err(vma_lock) => {
                    busy = Some(vma_lock);
                    break;
                }
            }
        }
        drop(i_mmap);
        let Some(vma_lock) = busy else { return };
        // Linux keeps the lock while it looks again. Here somebody else may take it before that, and then it is waited for once more.
        drop(cpu.down_write(vma_lock).await);
    }
}

/// `hugetlb_vma_maps_page()`.
async fn maps_page<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, (vma, addr): (Vma, VirtAddr), head: Page) -> bool {
    let Some(ptep) = huge_pte_offset(cpu, mm, addr, hstate_vma(cpu, vma)).await else { return false };
    cpu.read_once(ptep).await.maps(head)
}

/// `remove_inode_hugepages()`: pages `range` leave the file.
async fn remove_inode_hugepages<'m>(cpu: Cpu<'m>, file: Inode, range: Range<u64>) {
    let _routine = cpu.enter("remove_inode_hugepages");
    let kernel: &'m Kernel = cpu.kernel;
    let mut next = range.start;
    while let Some((index, has)) = find_get_entry(cpu, file, next, range.end).await {
        let Cached::Page(page) = has else { break };
        let whole = index..index + pages_of(cpu, file);
        next = whole.end;
        // A fault of the same page is over, or has not begun.
        let mutex = kernel.hugetlb.fault_mutex(file.index(), index / pages_of(cpu, file));
        let held = cpu.down_write(mutex).await;
        drop(remove_one(cpu, file, whole, page, (mutex, held)).await);
        put_page(cpu, page).await;
    }
    hugetlb_unreserve_pages(cpu, file, None, range).await;
}

/// `remove_inode_single_folio()`: a fault may have mapped the page again since its mappings were gone through. The caller holds the mutex of the page, and gets it back.
async fn remove_one<'m>(
    cpu: Cpu<'m>,
    file: Inode,
    whole: Range<u64>,
    page: Page,
    (mutex, mut held): (RwSem, WriteHeld<'m>),
) -> WriteHeld<'m> {
    let head = cpu.kernel.folio_of(page);
    if check!(cpu, HUGETLB_REMOVE_UNMAP, folio_entire_mapcount(cpu, head).await > 0) {
        if cpu.setting::<HugetlbLock>() == HugetlbLock::Mapping {
            // A fault holds i_mmap_rwsem and takes the mutex then. So both are taken in this order.
            drop(held);
            let _i_mmap = cpu.down_write(cpu.kernel.shmem.i_mmap_rwsem(file)).await;
            held = cpu.down_write(mutex).await;
            unmap_from_all(cpu, file, &whole).await;
        } else {
            hugetlb_unmap_file_folio(cpu, file, whole, head).await;
        }
    }
    lock_page(cpu, head).await;
    if is_of_file(cpu, file, head).await {
        cpu.rmw(cpu.kernel.page_flags(head), |flags| flags - PageFlags::DIRTY).await;
        delete_from_page_cache(cpu, file, head, Loses::Contents).await;
    }
    unlock_page(cpu, head).await;
    held
}

/// `hugetlbfs_setattr()` with another length: `hugetlb_vmtruncate()`. The caller holds `i_rwsem` for writing.
///
/// # Errors
/// `EINVAL`, if the length is no number of huge pages.
pub(crate) async fn hugetlb_setattr(cpu: Cpu<'_>, file: Inode, pages: u64) -> Result<(), Errno> {
    if !pages.is_multiple_of(pages_of(cpu, file)) {
        return Err(Errno::Einval);
    }
    let old = i_size_read(cpu, file).await;
    if pages != old {
        i_size_write(cpu, file, pages).await;
    }
    if pages < old {
        hugetlb_vmdelete_list(cpu, file, pages..u64::MAX).await;
        remove_inode_hugepages(cpu, file, pages..u64::MAX).await;
    }
    Ok(())
}

/// `hugetlbfs_punch_hole()`: the huge pages that lie in pages `range` as a whole are a hole. Linux fills the rest of the range with zeroes; here it stays as it
/// is, since no word of it is modelled.
pub(crate) async fn hugetlb_punch_hole(cpu: Cpu<'_>, file: Inode, range: Range<u64>) {
    let _routine = cpu.enter("hugetlbfs_punch_hole");
    let step = pages_of(cpu, file);
    let hole = range.start.next_multiple_of(step)..range.end / step * step;
    if hole.start < hole.end {
        let _inode = cpu.down_write(cpu.kernel.shmem.i_rwsem(file)).await;
        hugetlb_vmdelete_list(cpu, file, hole.clone()).await;
        remove_inode_hugepages(cpu, file, hole).await;
    }
}
