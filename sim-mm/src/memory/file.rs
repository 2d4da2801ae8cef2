//! Faults in memory that belongs to a file: `do_fault()`.

use sim_mmu::{Entry, Level, VirtAddr};

use super::dax_fault::dax_iomap_pte_fault;
use super::dirty::{Mkwrite, do_page_mkwrite, fault_dirty_shared_page};
use super::set_pmd::{Together, do_set_pmd};
use super::tables::pte_alloc;
use super::userfault::{Reason, handle_userfault};
use crate::check;
use crate::filemap::{Fgp, FilemapError, filemap_get_page, folio_indices, next_uptodate_page};
use crate::folio::{folio_nr_pages, is_large};
use crate::fs::Inode;
use crate::highmem::copy_user_highpage;
use crate::hwpoison::page_hwpoison;
use crate::inode::{is_dax, is_secret, on_disk};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{get_page, page_ref_add, put_page, unlock_page};
use crate::page_alloc::alloc_page;
use crate::pgtable::{Pte, Ptep, maybe_mkwrite, mkdirty, vma_page_prot};
use crate::rmap::{page_add_file_rmap, page_add_new_anon_rmap};
use crate::safeguards::FAULT_HWPOISON;
use crate::secretmem::secretmem_fault;
use crate::settings::FaultAroundFolio;
use crate::shmem::{Sgp, ShmemError, shmem_getpage_gfp};
use crate::swap::{folio_add_lru_vma, mlock_vma_folio};
use crate::swapops::{is_none_mostly, is_uffd_wp_marker};
use crate::vm_fault::{Fault, VmFault, VmFaultError, check_stable_address_space, vmf_anon_prepare};
use crate::vm_flags::VmFlags;

/// `fault_around_bytes`, in pages.
const FAULT_AROUND_PAGES: u64 = 16;

/// `do_fault()`.
pub(super) async fn do_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_fault");
    if is_dax(cpu, file) {
        return Box::pin(dax_iomap_pte_fault(cpu, vmf, file)).await;
    }
    if !vmf.is_write() {
        do_read_fault(cpu, vmf, file).await
    } else if vmf.vma.flags(cpu).contains(VmFlags::SHARED) {
        do_shared_fault(cpu, vmf, file).await
    } else {
        // In a box of its own, since few write faults are in private memory of a file.
        Box::pin(do_cow_fault(cpu, vmf, file)).await
    }
}

/// `do_read_fault()`: maps what the file has around the address as well.
async fn do_read_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<VmFault, VmFaultError> {
    // uffd_disable_fault_around()
    let watched = vmf.vma.flags(cpu).intersects(VmFlags::UFFD_MINOR | VmFlags::UFFD_WP);
    // Secret memory has no map_pages().
    if !watched && !is_secret(cpu, file) && do_fault_around(cpu, vmf, file).await? {
        return Ok(VmFault::default());
    }
    let mut major = false;
    let page = match __do_fault(cpu, vmf, file, &mut major).await? {
        Faulted::Page(page) => page,
        Faulted::Done(done) => return Ok(done),
    };
    let mapped = finish_fault(cpu, vmf, page).await;
    unlock_page(cpu, page).await;
    if mapped != Ok(true) {
        put_page(cpu, page).await;
    }
    mapped.map(|_| VmFault { major, ..VmFault::default() })
}

/// `do_cow_fault()`: a write to private memory maps a copy of the page.
async fn do_cow_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_cow_fault");
    if !vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await? {
        return Ok(VmFault::RETRY);
    }
    let cow_page = alloc_page(cpu).await.ok_or(VmFaultError::Oom)?;
    let mut major = false;
    let page = match __do_fault(cpu, vmf, file, &mut major).await {
        Ok(Faulted::Page(page)) => page,
        other => {
            put_page(cpu, cow_page).await;
            return other.map(|faulted| match faulted {
                Faulted::Done(done) => done,
                Faulted::Page(_) => VmFault::default(),
            });
        }
    };
    copy_user_highpage(cpu, cow_page, page).await;
    let mapped = finish_fault(cpu, vmf, cow_page).await;
    unlock_page(cpu, page).await;
    put_page(cpu, page).await;
    if mapped != Ok(true) {
        put_page(cpu, cow_page).await;
    }
    mapped.map(|_| VmFault { major, ..VmFault::default() })
}

/// `do_shared_fault()`: a write maps the page of the file itself.
async fn do_shared_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<VmFault, VmFaultError> {
    let mut major = false;
    let page = match __do_fault(cpu, vmf, file, &mut major).await? {
        Faulted::Page(page) => page,
        Faulted::Done(done) => return Ok(done),
    };
    let kept = do_page_mkwrite(cpu, file, page).await?;
    if kept == Mkwrite::Gone {
        put_page(cpu, page).await;
        return Ok(VmFault::default());
    }
    let mapped = finish_fault(cpu, vmf, page).await;
    if mapped != Ok(true) {
        if kept != Mkwrite::Unlocked {
            unlock_page(cpu, page).await;
        }
        put_page(cpu, page).await;
        return mapped.map(|_| VmFault { major, ..VmFault::default() });
    }
    // The reference is the entry's from here on: the lock of the page is what keeps it in the file until it is dirty.
    let lock = fault_dirty_shared_page(cpu, vmf, page, kept).await;
    Ok(VmFault { lock, major, ..VmFault::default() })
}

/// What `shmem_fault()` has done.
enum Faulted {
    /// It has found the page.
    Page(Page),
    /// User code handles the fault.
    Done(VmFault),
}

/// `__do_fault()`: the page of the file, locked and with a reference. It stays the file's until it is unlocked.
async fn __do_fault<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    file: Inode,
    major: &mut bool,
) -> Result<Faulted, VmFaultError> {
    let faulted = fault_of_file(cpu, vmf, file, major).await?;
    if let Faulted::Page(page) = faulted
        && check!(cpu, FAULT_HWPOISON, page_hwpoison(cpu, page).await)
    {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return Err(VmFaultError::Hwpoison);
    }
    Ok(faulted)
}

/// `vma->vm_ops->fault()`: `shmem_fault()`, `filemap_fault()`.
async fn fault_of_file<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    file: Inode,
    major: &mut bool,
) -> Result<Faulted, VmFaultError> {
    let index = vmf.vma.index_of(cpu, vmf.address);
    if is_secret(cpu, file) {
        return Box::pin(secretmem_fault(cpu, file, index)).await.map(Faulted::Page);
    }
    if on_disk(cpu, file) {
        let page = Box::pin(filemap_get_page(cpu, file, index, Fgp::Read)).await.map_err(|error| match error {
            FilemapError::NoFrame => VmFaultError::Oom,
            FilemapError::BeyondEnd | FilemapError::Io => VmFaultError::Sigbus,
        });
        return page.map(Faulted::Page);
    }
    match shmem_getpage_gfp(cpu, file, index, Sgp::Cache, Some(vmf), major).await {
        Ok(Some(page)) => Ok(Faulted::Page(page)),
        Err(ShmemError::Userfault(flag)) => {
            let reason = if flag == VmFlags::UFFD_MINOR { Reason::Minor } else { Reason::Missing };
            Box::pin(handle_userfault(cpu, vmf, reason)).await.map(Faulted::Done)
        }
        Err(ShmemError::NoFrame) => Err(VmFaultError::Oom),
        Ok(None) | Err(ShmemError::BeyondEnd | ShmemError::Io) => Err(VmFaultError::Sigbus),
    }
}

/// `do_fault_around()`, `filemap_map_pages()`: maps the pages near the address that the file has already, within one
/// page table. Answers whether the page at the address is mapped afterwards.
async fn do_fault_around<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, file: Inode) -> Result<bool, VmFaultError> {
    let _routine = cpu.enter("filemap_map_pages");
    let (first, from, to) = around(cpu, vmf);
    let Some(mut next) = next_uptodate_page(cpu, file, from, to).await else { return Ok(false) };
    if is_large(cpu, next.1) && filemap_map_pmd(cpu, vmf, next.1).await {
        return Ok(true);
    }
    let pmd = match pte_alloc(cpu, vmf.mm, vmf.pmdp).await {
        Ok(pmd) => pmd,
        Err(errno) => {
            unlock_page(cpu, next.1).await;
            put_page(cpu, next.1).await;
            return Err(errno.into());
        }
    };
    // Somebody mapped a huge page there meanwhile.
    if !pmd.leads_to_table() {
        unlock_page(cpu, next.1).await;
        put_page(cpu, next.1).await;
        return Ok(true);
    }
    let table = pmd.pte_offset(cpu.mmu.geometry, first);
    let Some(_locked) = vmf.map_lock(cpu, table).await else {
        unlock_page(cpu, next.1).await;
        put_page(cpu, next.1).await;
        return Ok(false);
    };
    let mut is_there = false;
    loop {
        let (index, page) = next;
        let around = filemap_map_folio_range(cpu, vmf, page, first.plus_pages(index - from), to - index);
        for (page, addr) in around.each() {
            let ptep = pmd.pte_offset(cpu.mmu.geometry, addr);
            if cpu.read_once(ptep).await.none() {
                is_there |= addr == vmf.address;
                get_page(cpu, page).await;
                set_pte_range(cpu, vmf, page, addr, (ptep, false)).await;
            }
        }
        let end = folio_indices(cpu, page, index).end;
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        next = match next_uptodate_page(cpu, file, end, to).await {
            Some(next) => next,
            None => return Ok(is_there),
        };
    }
}

/// `filemap_map_pmd()`: maps the folio of a page, which is locked, by one entry. It is unlocked and given up then. False if its pages are
/// to be mapped one by one.
async fn filemap_map_pmd<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> bool {
    let pmd = cpu.read_once(vmf.pmdp).await;
    if pmd.none() && do_set_pmd(cpu, vmf, page).await {
        unlock_page(cpu, page).await;
        return true;
    }
    if pmd.is_huge() {
        unlock_page(cpu, page).await;
        put_page(cpu, page).await;
        return true;
    }
    false
}

/// `filemap_map_folio_range()`: which pages of a folio are mapped by a fault that comes to one of them and maps no more than so many that lie
/// around.
fn filemap_map_folio_range<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page, addr: VirtAddr, around: u64) -> Together {
    let whole = Together::folio(cpu, vmf, page, addr);
    if whole.pages > 1 && cpu.setting::<FaultAroundFolio>() == FaultAroundFolio::Folio {
        return whole;
    }
    let head = cpu.kernel.folio_of(page);
    let left = folio_nr_pages(cpu, head) - (page.0.0 - head.0.0);
    Together { page, addr, pages: left.min(around) }
}

/// The pages around an address: the address of the first, its place in the file, and the place behind the last. They lie in the
/// mapping and in one page table.
fn around<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> (VirtAddr, u64, u64) {
    let table = u64::from(cpu.mmu.geometry.entries(Level::Pte));
    let address = vmf.address.vpn().0;
    let in_table = address % table;
    let in_vma = address - vmf.vma.start(cpu).vpn().0;
    let before = (in_table % FAULT_AROUND_PAGES).min(in_vma);
    let first = address - before;
    let pages = FAULT_AROUND_PAGES.min(table - (in_table - before)).min(vmf.vma.end(cpu).vpn().0 - first);
    let index = vmf.vma.index_of(cpu, vmf.address) - before;
    (VirtAddr(first << 12), index, index + pages)
}

/// `finish_fault()`: maps the page, whose reference becomes the entry's, unless something is mapped there by now. Answers whether it
/// did.
async fn finish_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> Result<bool, VmFaultError> {
    if is_large(cpu, page) {
        return Box::pin(finish_large_fault(cpu, vmf, page)).await;
    }
    let pmd = pte_alloc(cpu, vmf.mm, vmf.pmdp).await?;
    // Somebody mapped a huge page there meanwhile.
    if !pmd.leads_to_table() {
        return Ok(false);
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, vmf.address);
    let Some(_locked) = vmf.map_lock(cpu, ptep).await else { return Ok(false) };
    if !vmf.vma.flags(cpu).contains(VmFlags::SHARED) {
        check_stable_address_space(cpu, vmf.mm)?;
    }
    let seen = cpu.read_once(ptep).await.entry;
    let is_free = is_none_mostly(seen);
    if is_free {
        set_pte_range(cpu, vmf, page, vmf.address, (ptep, is_uffd_wp_marker(seen))).await;
    }
    Ok(is_free)
}

/// The part of `finish_fault()` for a page of a large folio: it is mapped with all of its folio, if that can be.
async fn finish_large_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, page: Page) -> Result<bool, VmFaultError> {
    if !vmf.vma.flags(cpu).contains(VmFlags::SHARED) {
        check_stable_address_space(cpu, vmf.mm)?;
    }
    if cpu.read_once(vmf.pmdp).await.none() && do_set_pmd(cpu, vmf, page).await {
        return Ok(true);
    }
    let pmd = pte_alloc(cpu, vmf.mm, vmf.pmdp).await?;
    if !pmd.leads_to_table() {
        return Ok(false);
    }
    let entry = |addr| pmd.pte_offset(cpu.mmu.geometry, addr);
    let Some(_locked) = vmf.map_lock(cpu, entry(vmf.address)).await else { return Ok(false) };
    let mut together = Together::folio(cpu, vmf, page, vmf.address);
    // pte_range_none()
    for (_, addr) in together.each() {
        if !cpu.read_once(entry(addr)).await.none() {
            together = Together::alone(page, vmf.address);
            break;
        }
    }
    // The touched page alone may have a marker: its mapping is registered then.
    let now = cpu.read_once(entry(vmf.address)).await.entry;
    if !is_none_mostly(now) {
        return Ok(false);
    }
    page_ref_add(cpu, cpu.kernel.folio_of(page), together.pages - 1).await;
    for (page, addr) in together.each() {
        set_pte_range(cpu, vmf, page, addr, (entry(addr), is_uffd_wp_marker(now))).await;
    }
    Ok(true)
}

/// `set_pte_range()`, `do_set_pte()`: the entry of a page of the file, or of the copy of one. The caller holds the PTE lock. If a marker says so,
/// the next write waits for user code.
async fn set_pte_range<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    page: Page,
    addr: VirtAddr,
    (ptep, uffd_wp): (Ptep, bool),
) {
    let flags = vmf.vma.flags(cpu);
    let written = if vmf.is_write() { mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma) } else { 0 };
    let entry = Pte::make(page.0, vma_page_prot(cpu, flags)).with(written);
    let entry = if uffd_wp { entry.without(Entry::RW).with(Entry::UFFD_WP) } else { entry };
    if vmf.is_write() && !flags.contains(VmFlags::SHARED) {
        page_add_new_anon_rmap(cpu, page, vmf.vma, addr).await;
        folio_add_lru_vma(cpu, page, vmf.vma).await;
    } else {
        page_add_file_rmap(cpu, page, vmf.mm.id).await;
        mlock_vma_folio(cpu, page, vmf.vma).await;
    }
    cpu.set_pte_at(vmf.mm, addr, ptep, entry).await;
}
