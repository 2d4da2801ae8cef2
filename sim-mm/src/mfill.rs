//! `mm/userfaultfd.c`: what user code does about a fault: it fills a page, or lets a write pass.

use sim_core::{BoxFuture, Op, OpKind, Routine};
use sim_mmu::{Entry, Level, VirtAddr};

use crate::errno::Errno;
use crate::filemap::{Loses, add_to_page_cache, delete_from_page_cache};
use crate::fs::Inode;
use crate::inode::i_size_read;
use crate::kernel::Cpu;
use crate::memory::{p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmap::vma_lookup;
use crate::mprotect::{Change, change_protection_range};
use crate::page::{put_page, unlock_page};
use crate::page_alloc::alloc_zeroed_user_highpage_movable;
use crate::page_tags::set_page_dirty;
use crate::pgtable::{Pmdp, Pte, Ptep, maybe_mkwrite, mkdirty, vm_get_page_prot, vma_page_prot};
use crate::pgtable_generic::is_unlinked;
use crate::rmap::{anon_vma_prepare, page_add_file_rmap, page_add_new_anon_rmap};
use crate::settings::{MprotectUpgrade, UffdFillDirty};
use crate::shmem::{Sgp, ShmemError, shmem_getpage};
use crate::swap::{folio_add_lru, folio_add_lru_vma};
use crate::swapops::is_none_mostly;
use crate::userfaultfd::wake_userfault;
use crate::vm_flags::VmFlags;

/// What is put where a page is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// `UFFDIO_COPY`: a page whose first word is this, and all others are zero.
    Copy(u64),
    /// `UFFDIO_ZEROPAGE`: the zero page; of shared memory, a page of zeroes.
    Zeropage,
    /// `UFFDIO_CONTINUE`: the page that the file has. Since v5.14.
    Continue,
}

/// Whether who waits for a page is woken: `UFFDIO_*_MODE_DONTWAKE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// By the same call.
    AtOnce,
    /// By another one: `UFFDIO_WAKE`.
    Later,
}

/// `UFFDIO_COPY`, `UFFDIO_ZEROPAGE` and `UFFDIO_CONTINUE`: fills a missing page of an address space, and wakes who waits for it.
///
/// # Errors
/// `EINVAL` for an unaligned address or if no file has a page to go on with, `ENOENT` where nothing is registered, `EEXIST` if the page is
/// not missing, `EFAULT` behind the end of a file or if it has no page to go on with, `ENOMEM`.
pub fn mfill_atomic<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    fill: Fill,
    wake: Wake,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("mfill_atomic"));
        if addr.offset() != 0 {
            return Err(Errno::Einval);
        }
        let mmap_lock = cpu.down_read(mm.mmap_lock).await;
        let vma = find_dst_vma(cpu, mm, addr).await?;
        mfill_atomic_pte(cpu, mm, vma, addr, fill).await?;
        drop(mmap_lock);
        // The entry is there before anybody is woken, and before the queue is looked at.
        if wake == Wake::AtOnce {
            wake_userfault(cpu, mm, addr, addr.plus_pages(1)).await;
        }
        Ok(())
    })
}

/// `find_dst_vma()`: a mapping that is registered.
async fn find_dst_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Result<Vma, Errno> {
    let vma = vma_lookup(cpu, mm, addr).await;
    vma.filter(|vma| vma.flags(cpu).intersects(VmFlags::UFFD)).ok_or(Errno::Enoent)
}

async fn mfill_atomic_pte<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    addr: VirtAddr,
    fill: Fill,
) -> Result<(), Errno> {
    let is_shared = vma.flags(cpu).contains(VmFlags::SHARED);
    if !is_shared {
        anon_vma_prepare(cpu, mm, vma).await?;
    }
    let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, addr), addr).await?;
    let pmdp = pmd_alloc(cpu, mm, pudp, addr).await?;
    let pmd = pte_alloc(cpu, mm, pmdp).await?;
    if !pmd.leads_to_table() {
        return Err(Errno::Eexist);
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, addr);
    // In a box of their own, since few mappings are of a file.
    match (fill, vma.file(cpu)) {
        (Fill::Continue, None) => return Err(Errno::Einval),
        (Fill::Continue, Some(file)) => {
            return Box::pin(mfill_atomic_pte_continue(cpu, mm, (vma, addr), (pmdp, ptep), file)).await;
        }
        (_, Some(file)) if is_shared => {
            return Box::pin(shmem_mfill_atomic_pte(cpu, mm, (vma, addr), (pmdp, ptep), file, fill)).await;
        }
        _ => {}
    }
    let prot = vm_get_page_prot(vma.flags(cpu));
    let Fill::Copy(word) = fill else {
        let entry = Pte::make(cpu.kernel.zero_page.0, prot).with(Entry::SPECIAL);
        return install(cpu, mm, (vma, addr), (pmdp, ptep), entry, None).await;
    };
    let page = filled_page(cpu, word).await?;
    let entry = Pte::make(page.0, prot).with(mkdirty(cpu) | maybe_mkwrite(cpu, vma));
    let installed = install(cpu, mm, (vma, addr), (pmdp, ptep), entry, Some(page)).await;
    if installed.is_err() {
        put_page(cpu, page).await;
    }
    installed
}

/// A new page whose first word is this.
async fn filled_page(cpu: Cpu<'_>, word: u64) -> Result<Page, Errno> {
    let page = alloc_zeroed_user_highpage_movable(cpu).await.ok_or(Errno::Enomem)?;
    let copy = Op::new(OpKind::Write, cpu.mmu.phys.word(page.0, 0));
    cpu.step(copy, move |hw| hw.perform_store(&copy, word)).await;
    Ok(page)
}

/// `shmem_mfill_atomic_pte()`: the file gets a new page, which is mapped.
async fn shmem_mfill_atomic_pte<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, addr): (Vma, VirtAddr),
    at: (Pmdp, Ptep),
    file: Inode,
    fill: Fill,
) -> Result<(), Errno> {
    let _routine = cpu.enter("shmem_mfill_atomic_pte");
    let word = if let Fill::Copy(word) = fill { word } else { 0 };
    let page = filled_page(cpu, word).await?;
    let index = vma.index_of(cpu, addr);
    if index >= i_size_read(cpu, file).await {
        put_page(cpu, page).await;
        return Err(Errno::Efault);
    }
    if !add_to_page_cache(cpu, file, index, page, None).await {
        put_page(cpu, page).await;
        return Err(Errno::Eexist);
    }
    let installed = install_cached(cpu, mm, (vma, addr), at, file, page, true).await;
    if installed.is_err() {
        delete_from_page_cache(cpu, file, page, Loses::Contents).await;
    }
    unlock_page(cpu, page).await;
    if installed.is_err() {
        put_page(cpu, page).await;
    }
    installed
}

/// `mfill_atomic_pte_continue()`, `mcontinue_atomic_pte()`: maps the page that the file has.
async fn mfill_atomic_pte_continue<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, addr): (Vma, VirtAddr),
    at: (Pmdp, Ptep),
    file: Inode,
) -> Result<(), Errno> {
    let _routine = cpu.enter("mfill_atomic_pte_continue");
    let index = vma.index_of(cpu, addr);
    let page = match shmem_getpage(cpu, file, index, Sgp::Read).await {
        Ok(Some(page)) => page,
        Err(ShmemError::NoFrame) => return Err(Errno::Enomem),
        Err(ShmemError::Io) => return Err(Errno::Eio),
        Ok(None) | Err(_) => return Err(Errno::Efault),
    };
    let installed = install_cached(cpu, mm, (vma, addr), at, file, page, false).await;
    unlock_page(cpu, page).await;
    if installed.is_err() {
        put_page(cpu, page).await;
    }
    installed
}

/// `mfill_atomic_install_pte()` of a page of a file, which is locked: what a private mapping maps is not writable. The reference
/// becomes the entry's.
async fn install_cached<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, addr): (Vma, VirtAddr),
    at: (Pmdp, Ptep),
    file: Inode,
    page: Page,
    newly_allocated: bool,
) -> Result<(), Errno> {
    let flags = vma.flags(cpu);
    let written = if flags.contains(VmFlags::SHARED | VmFlags::WRITE) {
        mkdirty(cpu) | Entry::RW
    } else if cpu.setting::<UffdFillDirty>() == UffdFillDirty::Always {
        mkdirty(cpu)
    } else {
        0
    };
    let entry = Pte::make(page.0, vma_page_prot(cpu, flags)).with(written);
    {
        let (pmdp, ptep) = at;
        let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
        if is_unlinked(cpu, pmdp, ptep) {
            return Err(Errno::Eagain);
        }
        // mfill_file_over_size(): whoever makes the file shorter goes through the entries afterwards.
        if vma.index_of(cpu, addr) >= i_size_read(cpu, file).await {
            return Err(Errno::Efault);
        }
        if !is_none_mostly(cpu.read_once(ptep).await.entry) {
            return Err(Errno::Eexist);
        }
        if newly_allocated {
            folio_add_lru(cpu, page).await;
        }
        page_add_file_rmap(cpu, page, mm.id).await;
        cpu.set_pte_at(mm, addr, ptep, entry).await;
    }
    if written == 0 {
        // No entry says that the page was filled.
        set_page_dirty(cpu, page).await;
    }
    Ok(())
}

/// `mfill_atomic_install_pte()`: the entry, unless the page is no longer missing.
async fn install<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, addr): (Vma, VirtAddr),
    at: (Pmdp, Ptep),
    entry: Entry,
    page: Option<Page>,
) -> Result<(), Errno> {
    let (pmdp, ptep) = at;
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    if is_unlinked(cpu, pmdp, ptep) {
        return Err(Errno::Eagain);
    }
    if !is_none_mostly(cpu.read_once(ptep).await.entry) {
        return Err(Errno::Eexist);
    }
    if let Some(page) = page {
        page_add_new_anon_rmap(cpu, page, vma, addr).await;
        folio_add_lru_vma(cpu, page, vma).await;
    }
    cpu.set_pte_at(mm, addr, ptep, entry).await;
    Ok(())
}

/// `change_prepare()`: there is a page table for each page of the range, so that a marker has a place.
async fn populate_tables<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let mut at = start;
    while at < end {
        let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, at), at).await?;
        let pmdp = pmd_alloc(cpu, mm, pudp, at).await?;
        pte_alloc(cpu, mm, pmdp).await?;
        at = cpu.mmu.geometry.addr_end(Level::Pmd, at, end);
    }
    Ok(())
}

/// `UFFDIO_WRITEPROTECT`: writes to pages `start` up to `end` wait for user code from now on; or, without `protect`, they pass,
/// and who waits is woken. The lock is held for reading only, so faults and other such calls go on beside it.
///
/// # Errors
/// `EINVAL` for an unaligned range, and if nobody is to be woken by what wakes nobody; `ENOENT` where nothing is registered for that;
/// `ENOMEM`.
pub fn mwriteprotect_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    protect: bool,
    wake: Wake,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("mwriteprotect_range"));
        if start.offset() != 0 || end <= start || protect && wake == Wake::Later {
            return Err(Errno::Einval);
        }
        let mmap_lock = cpu.down_read(mm.mmap_lock).await;
        let vma = find_dst_vma(cpu, mm, start).await?;
        let flags = vma.flags(cpu);
        if !flags.contains(VmFlags::UFFD_WP) || vma.end(cpu) < end {
            return Err(Errno::Enoent);
        }
        let upgrade =
            cpu.setting::<MprotectUpgrade>() == MprotectUpgrade::Exclusive && flags.contains(VmFlags::WRITE);
        // userfaultfd_wp_use_markers()
        let markers = vma.file(cpu).is_some() || cpu.this_cpu_read(mm.uffd_wp_unpopulated());
        if protect && markers {
            Box::pin(populate_tables(cpu, mm, start, end)).await?;
        }
        let change = if protect { Change::UffdWp { markers } } else { Change::UffdWpResolve { flags, upgrade } };
        change_protection_range(cpu, mm, vma, (start, end), change).await;
        drop(mmap_lock);
        if !protect && wake == Wake::AtOnce {
            wake_userfault(cpu, mm, start, end).await;
        }
        Ok(())
    })
}
