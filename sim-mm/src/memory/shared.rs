//! Faults in memory that belongs to a file: `do_fault()`. All files are shared memory so far.

use sim_mmu::{Level, VirtAddr};

use super::tables::pte_alloc;
use super::vm_fault::{Fault, FaultFlags, LockAfter, VmFault, VmFaultError};
use super::wp::maybe_mkwrite;
use crate::fs::Inode;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{put_page, test_and_set_flags};
use crate::page_flags::PageFlags;
use crate::pgtable::{Pte, mkdirty, vma_page_prot};
use crate::rmap::page_add_file_rmap;
use crate::settings::SharedWriteFault;
use crate::shmem::{ShmemError, find_get_page, is_cached, shmem_getpage};

/// `fault_around_bytes`, in pages.
const FAULT_AROUND_PAGES: u64 = 16;

/// `do_fault()`: a read maps what the file has around the address as well.
pub(super) async fn do_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_fault");
    if !vmf.is_write() && do_fault_around(cpu, vmf, file).await? {
        return Ok(VmFault::default());
    }
    let index = vmf.vma.index_of(cpu, vmf.address);
    let page = shmem_getpage(cpu, file, index).await.map_err(|error| match error {
        ShmemError::BeyondEnd => VmFaultError::Sigbus,
        ShmemError::NoFrame => VmFaultError::Oom,
    })?;
    let done = finish_fault(cpu, vmf, file, vmf.address, page).await?;
    if !vmf.is_write() {
        return Ok(done);
    }
    Ok(VmFault { lock: fault_dirty_shared_page(cpu, vmf, page).await, ..done })
}

/// `fault_dirty_shared_page()`: whoever makes a page dirty may have to wait until others are written back, and not with
/// `mmap_lock` held.
async fn fault_dirty_shared_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> LockAfter {
    let dirtied = test_and_set_flags(cpu, page, PageFlags::DIRTY).await;
    // maybe_unlock_mmap_for_io()
    let first = vmf.flags & (FaultFlags::ALLOW_RETRY | FaultFlags::TRIED) == FaultFlags::ALLOW_RETRY;
    match cpu.setting::<SharedWriteFault>() {
        SharedWriteFault::Retry if dirtied && first => LockAfter::Retry,
        SharedWriteFault::Completed if dirtied && first => LockAfter::Completed,
        _ => LockAfter::Held,
    }
}

/// `do_fault_around()`, `filemap_map_pages()`: maps the pages near the address that the file has already, within one
/// page table. Answers whether the page at the address was among them.
async fn do_fault_around<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<bool, VmFaultError> {
    let _routine = cpu.enter("do_fault_around");
    let geometry = cpu.mmu.geometry;
    let address = vmf.address.vpn().0;
    let table = address & !(u64::from(geometry.entries(Level::Pte)) - 1);
    let from = (address & !(FAULT_AROUND_PAGES - 1)).max(vmf.vma.start(cpu).vpn().0).max(table);
    let to = (from + FAULT_AROUND_PAGES)
        .min(vmf.vma.end(cpu).vpn().0)
        .min(table + u64::from(geometry.entries(Level::Pte)));
    let mut is_there = false;
    for page in from..to {
        let addr = VirtAddr(page << 12);
        if let Some(found) = find_get_page(cpu, file, vmf.vma.index_of(cpu, addr)).await {
            finish_fault(cpu, vmf, file, addr, found).await?;
            is_there |= page == address;
        }
    }
    Ok(is_there)
}

/// `finish_fault()`: maps the page, whose reference becomes the entry's, unless something is mapped there by now.
///
/// Linux holds the page's lock here, so that the page cannot leave the file. Instead the file is asked once more under
/// the PTE lock: whoever takes a page out of a file unmaps it afterwards.
async fn finish_fault<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    file: Inode,
    addr: VirtAddr,
    page: Page,
) -> Result<VmFault, VmFaultError> {
    let pmd = match pte_alloc(cpu, vmf.mm, vmf.pmdp).await {
        Ok(pmd) => pmd,
        Err(errno) => {
            put_page(cpu, page).await;
            return Err(errno.into());
        }
    };
    let ptep = pmd.pte_offset(cpu.mmu.geometry, addr);
    let locked = vmf.lock(cpu, ptep).await;
    let index = vmf.vma.index_of(cpu, addr);
    let is_free = cpu.read_once(ptep).await.none() && is_cached(cpu, file, index, page).await;
    if is_free {
        let written = if vmf.is_write() { mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma) } else { 0 };
        let entry = Pte::make(page.0, vma_page_prot(cpu, vmf.vma.flags(cpu))).with(written);
        page_add_file_rmap(cpu, page).await;
        cpu.set_pte_at(vmf.mm, addr, ptep, entry).await;
    }
    drop(locked);
    if !is_free {
        put_page(cpu, page).await;
    }
    Ok(VmFault::default())
}
