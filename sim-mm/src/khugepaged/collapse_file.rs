//! Pages of a file become a huge page of it: `collapse_file()`.
//!
//! Each page is locked, unmapped everywhere, and must have no reference left that is not known. Whoever wants the page comes to its lock, and
//! finds afterwards that it is the file's no more. So what is copied does not change.

use sim_mmu::{Pfn, VirtAddr};

use super::collapse_disk::{exclude_writers, is_dirty, lock_page_on_disk};
use super::control::{Collapse, Scan};
use super::retract::retract_page_tables;
use crate::check;
use crate::event::Event;
use crate::filemap::{filemap_get_entry, folio_indices, is_of_file, note_cached, note_uncached, trylock_page};
use crate::folio::{folio_mapcount, folio_nr_pages};
use crate::fs::Inode;
use crate::gfp::Gfp;
use crate::highmem::{clear_page, copy_user_highpage};
use crate::inode::on_disk;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{
    __set_page_locked, page_count, page_ref_add, put_page, put_page_refs, set_page_dirty_no_writeback, unlock_page,
};
use crate::page_alloc::alloc_pages;
use crate::page_flags::{PageFlags, file_mapping};
use crate::rmap::{Mlocked, RmapLock, Ttu, try_to_unmap, try_to_unmap_flush};
use crate::safeguards::{COLLAPSE_FILE_CHECK_REFCOUNT, COLLAPSE_FILE_CHECK_UPTODATE};
use crate::shmem::{Sgp, shmem_getpage};
use crate::shmem_fs::{Cached, Pages};
use crate::swap::{folio_add_lru, isolate_lru_page, lru_add_drain, putback_lru_page};
use crate::tlb_types::TlbUbc;
use crate::vm_flags::VmFlags;

/// A folio that is locked, unmapped, and off its list; and where the file has it.
type Isolated = (u64, Page);

/// `collapse_file()`, `collapse_shmem()` before v5.4. `address` is where the caller wants the huge page.
pub(super) async fn collapse_file<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    (inode, start): (Inode, u64),
    by: Collapse,
) -> Result<(), Scan> {
    let _routine = cpu.enter("collapse_file");
    let new = alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP).await.ok_or(Scan::AllocHugePageFail)?;
    __set_page_locked(cpu, new);
    let words = cpu.kernel.page(new);
    if !on_disk(cpu, inode) {
        cpu.this_cpu_write(words.flags(), cpu.this_cpu_read(words.flags()) | PageFlags::SWAPBACKED);
    }
    cpu.this_cpu_write(words.index(), start);
    cpu.this_cpu_write(words.mapping(), file_mapping(inode.index()));
    let mut isolated = Vec::new();
    let mut ubc = TlbUbc::default();
    let mut ended = isolate(cpu, (inode, start), &mut isolated, &mut ubc).await;
    // Before anything is copied, nobody writes by a translation any more.
    try_to_unmap_flush(cpu, &mut ubc).await;
    if ended.is_ok() {
        copy(cpu, new, start, &isolated).await;
        ended = store(cpu, (inode, start), new, &isolated).await;
    }
    if let Err(why) = ended {
        for (_, head) in isolated {
            unlock_page(cpu, head).await;
            putback_lru_page(cpu, head).await;
            put_page(cpu, head).await;
        }
        cpu.this_cpu_write(words.mapping(), 0);
        unlock_page(cpu, new).await;
        put_page(cpu, new).await;
        return Err(why);
    }
    // The lock of the huge page is held: no fault maps a page of it before its tables are gone.
    retract_page_tables(cpu, (inode, start), (mm, address), by).await;
    unlock_page(cpu, new).await;
    for (_, head) in isolated {
        // Whoever waits for its lock learns by this that it is the file's no more.
        cpu.this_cpu_write(cpu.kernel.page(head).mapping(), 0);
        unlock_page(cpu, head).await;
        put_page_refs(cpu, head, known_references(cpu, head)).await;
    }
    if by.is_khugepaged() { Ok(()) } else { Err(Scan::PteMappedHugepage) }
}

/// The first loop of `collapse_file()`. If it fails, the folios that it has got so far are still the caller's to give back.
async fn isolate(
    cpu: Cpu<'_>,
    (inode, start): (Inode, u64),
    isolated: &mut Vec<Isolated>,
    ubc: &mut TlbUbc,
) -> Result<(), Scan> {
    let kernel: &Kernel = cpu.kernel;
    let end = start + cpu.pmd_nr();
    let is_empty = |pages: &Pages| pages.range(start..end).next().is_none();
    // The extent was truncated, or a hole was punched. What a disk has is read.
    if !on_disk(cpu, inode) && cpu.read(kernel.shmem.i_pages(inode), is_empty).await {
        return Err(Scan::Truncated);
    }
    let mut index = start;
    while index < end {
        let page = if on_disk(cpu, inode) {
            lock_page_on_disk(cpu, inode, index).await.map(Some)
        } else {
            lock_page_in_memory(cpu, inode, index).await
        };
        let Some(page) = page? else {
            index += 1;
            continue;
        };
        let head = cpu.kernel.folio_of(page);
        let indices = folio_indices(cpu, page, index);
        if let Err(why) = isolate_one(cpu, inode, head, ubc).await {
            unlock_page(cpu, head).await;
            put_page(cpu, head).await;
            return Err(why);
        }
        isolated.push((indices.start, head));
        index = indices.end;
    }
    if on_disk(cpu, inode) { exclude_writers(cpu, inode).await } else { Ok(()) }
}

/// What a file in memory has there, locked and with a reference; `None` if that is a hole.
async fn lock_page_in_memory(cpu: Cpu<'_>, inode: Inode, index: u64) -> Result<Option<Page>, Scan> {
    match filemap_get_entry(cpu, inode, index).await {
        None => Ok(None),
        Some(Cached::Page(page)) => {
            if !trylock_page(cpu, page).await {
                put_page(cpu, page).await;
                return Err(Scan::PageLock);
            }
            Ok(Some(page))
        }
        Some(Cached::Swapped(..)) => {
            let Ok(Some(page)) = shmem_getpage(cpu, inode, index, Sgp::Read).await else {
                return Err(Scan::Fail);
            };
            // It has to be on its list to be taken off it.
            lru_add_drain(cpu).await;
            Ok(Some(page))
        }
    }
}

/// One round of it, for a folio that is locked and to which the caller has a reference.
async fn isolate_one(cpu: Cpu<'_>, inode: Inode, head: Page, ubc: &mut TlbUbc) -> Result<(), Scan> {
    let is_read = async || cpu.load(cpu.kernel.page_flags(head)).await.contains(PageFlags::UPTODATE);
    if on_disk(cpu, inode) && check!(cpu, COLLAPSE_FILE_CHECK_UPTODATE, !is_read().await) {
        return Err(Scan::Fail);
    }
    if folio_nr_pages(cpu, head) == cpu.pmd_nr() {
        return Err(Scan::PteMappedHugepage);
    }
    if !is_of_file(cpu, inode, head).await {
        return Err(Scan::Truncated);
    }
    if on_disk(cpu, inode) && is_dirty(cpu, head).await {
        return Err(Scan::Fail);
    }
    if !isolate_lru_page(cpu, head).await {
        return Err(Scan::DelPageLru);
    }
    if folio_mapcount(cpu, head).await != 0 {
        try_to_unmap(cpu, head, RmapLock::OfMapped, Ttu::batched(Mlocked::Ignored), ubc).await;
    }
    // Whoever has another reference may write by it.
    let held = async || page_count(cpu, head).await != known_references(cpu, head);
    if check!(cpu, COLLAPSE_FILE_CHECK_REFCOUNT, held().await) {
        putback_lru_page(cpu, head).await;
        return Err(Scan::PageCount);
    }
    Ok(())
}

/// The references to a folio that is isolated: that of the caller, that of who took it off its list, and those of the file.
fn known_references(cpu: Cpu<'_>, head: Page) -> u64 {
    2 + folio_nr_pages(cpu, head)
}

/// What the small pages hold goes to the huge page. Where the file has a hole, that is zero.
async fn copy(cpu: Cpu<'_>, new: Page, start: u64, isolated: &[Isolated]) {
    let mut next = start;
    let to = |index: u64| Page(Pfn(new.0.0 + (index - start)));
    let zero = async |from: u64, end: u64| {
        for index in from..end {
            clear_page(cpu, to(index).0).await;
            cpu.note(Event::PageCleared { pfn: to(index).0 });
        }
    };
    for (first, head) in isolated {
        zero(next, *first).await;
        for (index, page) in (*first..).zip(cpu.kernel.folio_pages(*head)) {
            copy_user_highpage(cpu, to(index), page).await;
            next = index + 1;
        }
    }
    zero(next, start + cpu.pmd_nr()).await;
}

/// The file has the huge page from now on, unless something came to one of its holes meanwhile, or user code wants to hear of them.
async fn store(cpu: Cpu<'_>, (inode, start): (Inode, u64), new: Page, isolated: &[Isolated]) -> Result<(), Scan> {
    let kernel: &Kernel = cpu.kernel;
    let nr = cpu.pmd_nr();
    let present: u64 = isolated.iter().map(|(_, head)| folio_nr_pages(cpu, *head)).sum();
    let _i_mmap = if present < nr { Some(cpu.down_read(kernel.shmem.i_mmap_rwsem(inode)).await) } else { None };
    let _xa_lock = cpu.lock(kernel.shmem.xa_lock(inode)).await;
    if present < nr {
        let has = |pages: &Pages| pages.range(start..start + nr).count() as u64;
        if cpu.read(kernel.shmem.i_pages(inode), has).await != present {
            return Err(Scan::PageFilled);
        }
        let mappings = cpu.read(kernel.shmem.i_mmap(inode), Clone::clone).await;
        let asks = |vma: &Vma| vma.flags(cpu).contains(VmFlags::UFFD_MISSING);
        if mappings.iter().any(|(_, vma)| asks(vma)) {
            return Err(Scan::ExceedNonePte);
        }
    }
    // folio_mark_uptodate(): before anybody can find it.
    let flags = cpu.kernel.page_flags(new);
    cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) | PageFlags::UPTODATE);
    // The reference by which it came into the world is one of those of the file.
    page_ref_add(cpu, new, nr - 1).await;
    if !on_disk(cpu, inode) {
        set_page_dirty_no_writeback(cpu, new).await;
    }
    folio_add_lru(cpu, new).await;
    cpu.update(kernel.shmem.i_pages(inode), |pages| {
        pages.extend((0..nr).map(|nth| (start + nth, Cached::Page(new).nth(nth))));
    })
    .await;
    for (first, head) in isolated {
        note_uncached(cpu, inode, *first, *head);
    }
    note_cached(cpu, inode, start, new);
    Ok(())
}
