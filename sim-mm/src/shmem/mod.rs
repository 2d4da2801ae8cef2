//! `mm/shmem.c`: files that are nothing but memory.
//!
//! Shared anonymous memory is such a file without a name, and a memfd is one with a descriptor. The pages belong
//! to the file. A process that touches a page maps it from there. The file is freed with the last reference to it.

mod huge;
mod swap;
mod unuse;

pub(crate) use huge::{file_vma_suitable, shmem_allowable_huge_orders};
pub(crate) use swap::{shmem_free_swap, shmem_swapin_range, shmem_writepage};
pub(crate) use unuse::shmem_unuse;

use sim_core::Routine;

use crate::check;
use crate::dax::dax_evict_inode;
use crate::errno::Errno;
use crate::fault_inject::should_fail;
use crate::filemap::{
    Loses, add_to_page_cache, delete_from_page_cache, filemap_get_entry, find_get_entry, folio_indices,
    is_of_file, lock_if_of_file,
};
use crate::fs::Inode;
use crate::hugetlb::hugetlb_unreserve_pages;
use crate::hwpoison::page_hwpoison;
use crate::inode::{fput, i_size_read, is_dax, is_hugetlbfs};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{lock_page, put_page, set_page_referenced, unlock_page};
use crate::page_alloc::alloc_zeroed_user_highpage_movable;
use crate::safeguards::FAULT_SIZE_RECHECK;
use crate::settings::HwpoisonShmem;
use crate::shmem_fs::Cached;
use crate::swap::{folio_add_lru, mark_page_accessed};
use crate::swapops::SwpEntry;
use crate::vm_fault::Fault;
use crate::vm_flags::VmFlags;
use swap::Swapin;

/// `shmem_zero_setup()`, `shmem_file_setup()`: a file of `pages` pages, to which the caller holds the one reference.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn shmem_file_setup(cpu: Cpu<'_>, pages: u64) -> Result<Inode, Errno> {
    if should_fail(cpu, "a file") {
        return Err(Errno::Enomem);
    }
    let inode = cpu.kernel.shmem.inodes.alloc(cpu.core).ok_or(Errno::Enomem)?;
    let words = cpu.kernel.shmem.inodes.deref(**cpu, inode);
    cpu.this_cpu_write(words.f_count(), 1);
    cpu.this_cpu_write(words.i_size(), pages);
    Ok(inode)
}

/// `fput()`; with the last reference, `shmem_evict_inode()`: the pages lose that of the cache. Nobody maps them any more.
pub(crate) async fn shmem_put(cpu: Cpu<'_>, inode: Inode) {
    if fput(cpu, inode) {
        // In a box of its own, since most references are not the last.
        Box::pin(shmem_evict_inode(cpu, inode)).await;
    }
}

async fn shmem_evict_inode(cpu: Cpu<'_>, inode: Inode) {
    let _routine = cpu.enter(Routine::helper("shmem_evict_inode"));
    if is_dax(cpu, inode) {
        dax_evict_inode(cpu, inode).await;
    }
    let mut from = 0;
    while let Some((index, has)) = find_get_entry(cpu, inode, from, u64::MAX).await {
        let page = match has {
            Cached::Page(page) => page,
            Cached::Swapped(entry, _) => {
                from = index + 1;
                shmem_free_swap(cpu, inode, index, entry).await;
                continue;
            }
        };
        from = folio_indices(cpu, page, index).end;
        lock_page(cpu, page).await;
        if is_of_file(cpu, inode, page).await {
            delete_from_page_cache(cpu, inode, page, Loses::Contents).await;
        }
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
    }
    if is_hugetlbfs(cpu, inode) {
        Box::pin(hugetlb_unreserve_pages(cpu, inode, None, 0..u64::MAX)).await;
    }
    if cpu.has_swap() {
        unuse::leave_swaplist(cpu, inode).await;
    }
    cpu.kernel.shmem.inodes.free(cpu.core, inode);
}

/// Why a file has no page for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShmemError {
    /// The file is shorter.
    BeyondEnd,
    /// No frame is free.
    NoFrame,
    /// What the page held is lost, because its memory is broken.
    Io,
    /// User code is to handle the fault. What it wants to know of is this: `VM_UFFD_MISSING` or `VM_UFFD_MINOR`.
    Userfault(VmFlags),
}

/// What somebody wants of a page of a file: `enum sgp_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sgp {
    /// `SGP_READ`: what is there. A hole stays a hole.
    Read,
    /// `SGP_CACHE`: the page, and where there is a hole, a new one full of zeroes.
    Cache,
    /// `SGP_WRITE`: the same to write to it, beyond the end of the file as well.
    Write,
}

/// `shmem_getpage()`, since v5.19 `shmem_get_folio()`: the page of the file, locked and with a reference. `None` is a hole, and only for
/// [`Sgp::Read`]. What is in swap comes back.
///
/// # Errors
/// Beyond the end of the file, if no frame is free, or if what the page held is lost.
pub(crate) async fn shmem_getpage(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    sgp: Sgp,
) -> Result<Option<Page>, ShmemError> {
    let found = shmem_getpage_gfp(cpu, inode, index, sgp, None, &mut false).await?;
    if let Some(page) = found
        && cpu.setting::<HwpoisonShmem>() == HwpoisonShmem::Kept
        && page_hwpoison(cpu, page).await
    {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Err(ShmemError::Io);
    }
    Ok(found)
}

/// `shmem_getpage_gfp()`, since v5.19 `shmem_get_folio_gfp()`: the same for a fault, if there is one. `major` says whether the
/// page had to be read from swap.
///
/// # Errors
/// Beyond the end of the file, if no frame is free, or if user code is to handle the fault.
pub(crate) async fn shmem_getpage_gfp(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    sgp: Sgp,
    vmf: Option<Fault<'_>>,
    major: &mut bool,
) -> Result<Option<Page>, ShmemError> {
    let _routine = cpu.enter(Routine::helper("shmem_getpage"));
    let vm_flags = vmf.map_or(VmFlags::empty(), |vmf| vmf.vma.flags(cpu));
    loop {
        if sgp != Sgp::Write && index >= i_size_read(cpu, inode).await {
            return Err(ShmemError::BeyondEnd);
        }
        let has = filemap_get_entry(cpu, inode, index).await;
        if has.is_some() && vm_flags.contains(VmFlags::UFFD_MINOR) {
            if let Some(Cached::Page(page)) = has {
                put_page(cpu, page).await;
            }
            return Err(ShmemError::Userfault(VmFlags::UFFD_MINOR));
        }
        if let Some(Cached::Swapped(entry, _)) = has {
            match swap::shmem_swapin_folio(cpu, inode, index, entry, major).await {
                Swapin::Page(page) => {
                    if sgp == Sgp::Write {
                        mark_page_accessed(cpu, page).await;
                    }
                    return Ok(Some(page));
                }
                Swapin::Changed => continue,
                Swapin::NoFrame => return Err(ShmemError::NoFrame),
                Swapin::Io => return Err(ShmemError::Io),
            }
        }
        if let Some(Cached::Page(page)) = has {
            if !lock_if_of_file(cpu, inode, page).await {
                continue;
            }
            if sgp == Sgp::Write {
                mark_page_accessed(cpu, page).await;
            }
            return Ok(Some(page));
        }
        if sgp == Sgp::Read {
            return Ok(None);
        }
        if vm_flags.contains(VmFlags::UFFD_MISSING) {
            return Err(ShmemError::Userfault(VmFlags::UFFD_MISSING));
        }
        let huge = if huge::may_have_large_folios(cpu) {
            Box::pin(huge::shmem_alloc_huge(cpu, inode, index, vmf)).await
        } else {
            None
        };
        let page = match huge {
            Some(page) => page,
            None => {
                let page = alloc_zeroed_user_highpage_movable(cpu).await.ok_or(ShmemError::NoFrame)?;
                if !add_to_page_cache(cpu, inode, index, page, None).await {
                    put_page(cpu, page).await;
                    continue;
                }
                page
            }
        };
        folio_add_lru(cpu, cpu.kernel.folio_of(page)).await;
        if sgp == Sgp::Write {
            set_page_referenced(cpu, page).await;
            return Ok(Some(page));
        }
        // The file may have become shorter since it was asked: then its pages were looked for too early.
        if check!(cpu, FAULT_SIZE_RECHECK, index >= i_size_read(cpu, inode).await) {
            delete_from_page_cache(cpu, inode, page, Loses::Contents).await;
            unlock_page(cpu, page).await;
            put_page(cpu, page).await;
            return Err(ShmemError::BeyondEnd);
        }
        return Ok(Some(page));
    }
}

/// `shmem_get_partial_folio()`: a folio in swap comes back to the file, because a part of it is to go and the rest is needed. The caller finds it in the
/// file then. If it cannot come back, its pages are pages of their own from now on. The page at `index` has this slot.
///
/// The slots of a folio cannot go one by one: whoever wants a page of the rest would find the folio, and could not give it back to the file.
pub(crate) async fn shmem_get_partial_folio(
    cpu: Cpu<'_>,
    inode: Inode,
    index: u64,
    (entry, order): (SwpEntry, u8),
) {
    // The first page of the folio lies within the file, if any does.
    let first = index & !((1 << order) - 1);
    match shmem_getpage(cpu, inode, first, Sgp::Read).await {
        Ok(Some(page)) => {
            unlock_page(cpu, page).await;
            put_page(cpu, page).await;
        }
        Ok(None) | Err(_) => {
            swap::shmem_split_large_entry(cpu, inode, index, entry, order).await;
        }
    }
}
