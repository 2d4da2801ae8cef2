//! `mm/userfaultfd.c`: a page goes to another address without being copied: `UFFDIO_MOVE`, since v6.8.
//!
//! `mremap()` moves mappings, and holds `mmap_lock` for writing. This moves entries alone, and holds it for reading. So faults, GUP,
//! reclaim and migration go on beside it. A page says by its `anon_vma` and its index where it is mapped, so both change with the
//! entry. Whoever walks from a page to its entries has the page or its `anon_vma` locked, and so the move takes both locks.

mod pte;
mod swap;
mod types;

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::huge_memory::{is_huge_zero_pmd, move_pages_huge_pmd, split_huge_pmd};
use crate::kernel::Cpu;
use crate::memory::{p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
use crate::mfill::Wake;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmap::vma_lookup;
use crate::pgtable::{Pmd, Pmdp};
use crate::release::Release;
use crate::rmap::{anon_vma_prepare, may_move_page};
use crate::swap_state::wait_for_swap_cache;
use crate::userfaultfd::wake_userfault;
use crate::vm_flags::VmFlags;

use pte::move_pages_pte;
use types::{Move, Stop};

/// `UFFDIO_MOVE`: the pages from `src` on are mapped from `dst` on, and nothing is where they were. Who waits for a page there is woken. Answers
/// what the call returns and how many pages were moved.
///
/// # Errors
/// `EINVAL` for a range that is empty, unaligned or no part of one private anonymous mapping, and if the mappings differ in what may be
/// done with them, are not writable, or nobody handles faults of the new place; `ENOENT` if nothing is mapped, or nothing is
/// there and `holes` are not allowed; `EEXIST` if the new place is not empty; `EBUSY` if somebody else may have the page; `EFAULT` for a
/// marker; `ENOMEM`; `EAGAIN` if some of the pages were moved, but not all.
pub fn userfaultfd_move<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (dst, src, pages): (VirtAddr, VirtAddr, u64),
    holes: bool,
    wake: Wake,
) -> BoxFuture<'m, (Result<(), Errno>, u64)> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("move_pages"));
        if dst.offset() != 0 || src.offset() != 0 || pages == 0 {
            return (Err(Errno::Einval), 0);
        }
        let (moved, stopped) = move_pages(cpu, mm, (dst, src, pages), holes).await;
        if moved == 0 {
            return (stopped, 0);
        }
        // The entries are there before anybody is woken, and before the queue is looked at.
        if wake == Wake::AtOnce {
            wake_userfault(cpu, mm, dst, dst.plus_pages(moved)).await;
        }
        (if moved == pages { Ok(()) } else { Err(Errno::Eagain) }, moved)
    })
}

/// `move_pages()`: how many pages were moved, and why not all of them were.
async fn move_pages<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (dst, src, pages): (VirtAddr, VirtAddr, u64),
    holes: bool,
) -> (u64, Result<(), Errno>) {
    // uffd_move_lock(). Since v6.9 only the two mappings are locked, if that is possible.
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let (dst_vma, src_vma) = match find_vmas_mm_locked(cpu, mm, (dst, src), pages).await {
        Ok(vmas) => vmas,
        Err(errno) => return (0, Err(errno)),
    };
    let mut moved = 0;
    while moved < pages {
        let (dst, src) = (dst.plus_pages(moved), src.plus_pages(moved));
        let this = Move { mm, dst_vma, src_vma, dst, src, pages: pages - moved, holes };
        match move_some(cpu, this).await {
            Ok(more) => moved += more,
            Err(Stop::Errno(errno)) => return (moved, Err(errno)),
            Err(Stop::Again) => {}
            Err(Stop::AgainBehindCache(entry)) => wait_for_swap_cache(cpu, entry).await,
        }
    }
    (moved, Ok(()))
}

/// `find_vmas_mm_locked()` and `validate_move_areas()`: the two mappings, of which the new one has an `anon_vma`.
async fn find_vmas_mm_locked(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    (dst, src): (VirtAddr, VirtAddr),
    pages: u64,
) -> Result<(Vma, Vma), Errno> {
    let by_mapping = cpu.kernel.config.kernel.version >= Release::v(6, 9);
    let missing = if by_mapping { Errno::Enoent } else { Errno::Einval };
    let dst_vma = vma_lookup(cpu, mm, dst).await.ok_or(missing)?;
    // Since v6.9 it gets its anon_vma before anything is asked of it.
    if by_mapping && !dst_vma.flags(cpu).contains(VmFlags::SHARED) {
        anon_vma_prepare(cpu, mm, dst_vma).await?;
    }
    let src_vma =
        if dst_vma.contains(cpu, src) { dst_vma } else { vma_lookup(cpu, mm, src).await.ok_or(missing)? };
    for (vma, start) in [(src_vma, src), (dst_vma, dst)] {
        if vma.flags(cpu).contains(VmFlags::SHARED) || start.plus_pages(pages) > vma.end(cpu) {
            return Err(Errno::Einval);
        }
    }
    let (from, to) = (src_vma.flags(cpu), dst_vma.flags(cpu));
    let same = VmFlags::ACCESS_FLAGS | VmFlags::LOCKED;
    if !((from ^ to) & same).is_empty()
        || !from.contains(VmFlags::WRITE)
        || (from | to).intersects(VmFlags::PFNMAP)
        || !to.intersects(VmFlags::UFFD)
        || !src_vma.is_anonymous(cpu)
        || !dst_vma.is_anonymous(cpu)
    {
        return Err(Errno::Einval);
    }
    if !by_mapping {
        anon_vma_prepare(cpu, mm, dst_vma).await?;
    }
    Ok((dst_vma, src_vma))
}

/// `mm_find_pmd()`: the PMD entry of an address, if there is a table for it.
async fn mm_find_pmd(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Pmdp> {
    let p4d = cpu.read_once(p4d_offset(cpu, mm, addr)).await;
    if p4d.none() {
        return None;
    }
    let pud = cpu.read_once(p4d.pud_offset(cpu.mmu.geometry, addr)).await;
    if pud.none() { None } else { Some(pud.pmd_offset(cpu.mmu.geometry, addr)) }
}

/// One round of `move_pages()`: a page, a huge page, or pages of one table. Answers how many.
async fn move_some<'m>(cpu: Cpu<'m>, this: Move<'m>) -> Result<u64, Stop> {
    let Move { mm, dst, src, holes, .. } = this;
    let src_pmdp = match mm_find_pmd(cpu, mm, src).await {
        Some(pmdp) => pmdp,
        None if !holes => return Err(Stop::Errno(Errno::Enoent)),
        None => pmd_alloc(cpu, mm, pud_alloc(cpu, mm, p4d_offset(cpu, mm, src), src).await?, src).await?,
    };
    let dst_pmdp = pmd_alloc(cpu, mm, pud_alloc(cpu, mm, p4d_offset(cpu, mm, dst), dst).await?, dst).await?;
    let dst_pmd = cpu.read_once(dst_pmdp).await;
    if dst_pmd.trans_huge() {
        return Err(Stop::Errno(Errno::Eexist));
    }
    let src_pmd = cpu.read_once(src_pmdp).await;
    if src_pmd.is_huge() {
        return Box::pin(move_huge(cpu, this, (dst_pmdp, dst_pmd), src_pmdp)).await;
    }
    if src_pmd.none() && !holes {
        return Err(Stop::Errno(Errno::Enoent));
    }
    pte_alloc(cpu, mm, src_pmdp).await?;
    pte_alloc(cpu, mm, dst_pmdp).await?;
    move_pages_pte(cpu, this, (dst_pmdp, src_pmdp)).await
}

/// What `move_pages()` does where a huge page is: it moves as a whole if all of it is to be moved to a place for one. Otherwise a table
/// takes the place of its entry, and the next round splits the page itself.
async fn move_huge<'m>(
    cpu: Cpu<'m>,
    this: Move<'m>,
    (dst_pmdp, dst_pmd): (Pmdp, Pmd),
    src_pmdp: Pmdp,
) -> Result<u64, Stop> {
    let Move { mm, dst, src, dst_vma, src_vma, pages, .. } = this;
    let ptl = cpu.lock(cpu.kernel.ptl(src_pmdp.table())).await;
    let pmd = cpu.read_once(src_pmdp).await;
    if !pmd.is_huge() {
        return Err(Stop::Again);
    }
    // move_splits_huge_pmd()
    let splits = cpu.pmd_base(src) != src || cpu.pmd_base(dst) != dst || pages < cpu.pmd_nr();
    if !splits && dst_pmd.none() {
        let (to, from) = ((dst_vma, dst, dst_pmdp), (src, src_pmdp, pmd));
        move_pages_huge_pmd(cpu, mm, to, from, ptl).await?;
        return Ok(cpu.pmd_nr());
    }
    let is_moved = pmd.migration().is_some();
    if !is_moved && !is_huge_zero_pmd(cpu, pmd) && !may_move_page(cpu, Page(pmd.pfn())).await {
        return Err(Stop::Errno(Errno::Ebusy));
    }
    drop(ptl);
    split_huge_pmd(cpu, src_vma, mm, src_pmdp, src).await;
    Err(Stop::Again)
}
