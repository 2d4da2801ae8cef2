//! Merged pages become their processes' own again. Those who want that are here: ksmd itself, and `madvise()`. `break_ksm()` stands with the callers of GUP.

use sim_core::BoxFuture;
use sim_mmu::VirtAddr;

use super::find::find_mergeable_vma;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::ksm_types::RmapItem;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap_lock::MmapLock;

/// `break_cow()`: ksmd has given up merging the page of an item, which is a merged page by now.
pub(super) fn break_cow<'m>(cpu: Cpu<'m>, item: RmapItem) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let mm: &'m MmStruct = cpu.kernel.mm(item.mm);
        let held = cpu.down_read(mm.mmap_lock).await;
        if let Some(vma) = find_mergeable_vma(cpu, mm, item.address).await {
            // Without memory it stays a merged page, and is copied by the next write.
            let _ = (cpu.kernel.config.gup.break_ksm)(cpu, mm, held.into(), vma, item.address).await;
        }
    })
}

/// `unmerge_ksm_pages()`: no page of a part of a mapping is a merged one any more. Also answers `mmap_lock`, unless a fault let go of it.
///
/// # Errors
/// `ENOMEM`, if there is no memory for a copy.
pub(crate) async fn unmerge_ksm_pages<'m>(
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
        let (broken, kept) = (cpu.kernel.config.gup.break_ksm)(cpu, mm, held, vma, addr).await;
        match (broken, kept) {
            (Ok(()), Some(kept)) => held = kept,
            (broken, kept) => return (broken, kept),
        }
        addr = addr.plus_pages(1);
    }
    (Ok(()), Some(held))
}
