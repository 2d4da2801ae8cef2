//! Merged pages become their processes' own again. Those who want that are here: ksmd itself, `madvise()` and `prctl()`. `break_ksm()` stands with the callers of GUP.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use super::find::{find_mergeable_vma, is_mergeable};
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::mmap_lock::{MmapLock, MmapWriteHeld};
use crate::vma::mmap_write_lock;

/// `break_cow()`: ksmd has given up merging the page at an address. If a merged page is mapped there, it is copied.
///
/// # Errors
/// `EINVAL` if no mapping is there whose pages may be merged, `ENOMEM` if there is no memory for the copy: then it stays a merged page, which the next
/// write copies.
pub fn break_cow<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("break_cow"));
        let held = cpu.down_read(mm.mmap_lock).await;
        let vma = find_mergeable_vma(cpu, mm, addr).await.ok_or(Errno::Einval)?;
        (cpu.kernel.gup.break_ksm)(cpu, mm, held.into(), vma, addr.page_base()).await.0
    })
}

/// `unmerge_ksm_pages()` of each mapping in a range: no page of it is a merged one any more. A fault may let go of `mmap_lock`. Then it is taken again,
/// and all begins anew, because ksmd may have been at the first pages again.
///
/// # Errors
/// `ENOMEM`, if there is no memory for a copy.
pub(crate) async fn unmerge_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapWriteHeld<'m>,
    (start, end): (VirtAddr, VirtAddr),
) -> Result<MmapLock<'m>, Errno> {
    let mut held = MmapLock::from(mmap_lock);
    let mut addr = start;
    while let Some(vma) = find_vma(cpu, mm, addr).await.filter(|vma| vma.start(cpu) < end) {
        let (from, to) = (addr.max(vma.start(cpu)), end.min(vma.end(cpu)));
        addr = to;
        if !is_mergeable(cpu, vma) {
            continue;
        }
        let (unmerged, kept) = unmerge_ksm_pages(cpu, mm, held, vma, (from, to)).await;
        unmerged?;
        held = match kept {
            Some(kept) => kept,
            None => {
                addr = start;
                mmap_write_lock(cpu, mm).await.into()
            }
        };
    }
    Ok(held)
}

/// `unmerge_ksm_pages()`: no page of a part of a mapping is a merged one any more. Also answers `mmap_lock`, unless a fault let go of it.
///
/// # Errors
/// `ENOMEM`, if there is no memory for a copy.
async fn unmerge_ksm_pages<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
) -> (Result<(), Errno>, Option<MmapLock<'m>>) {
    let _routine = cpu.enter("unmerge_ksm_pages");
    let mut held = mmap_lock;
    let mut addr = start;
    while addr < end {
        let (broken, kept) = (cpu.kernel.gup.break_ksm)(cpu, mm, held, vma, addr).await;
        match (broken, kept) {
            (Ok(()), Some(kept)) => held = kept,
            (broken, kept) => return (broken, kept),
        }
        addr = addr.plus_pages(1);
    }
    (Ok(()), Some(held))
}
