//! Who collapses: `MADV_COLLAPSE`, and khugepaged itself.

use sim_core::{BoxFuture, ReadHeld, Routine};
use sim_mmu::{Level, VirtAddr};

use super::control::{Collapse, Scan};
use super::revalidate::{hugepage_vma_revalidate, thp_vma_allowable};
use super::scan::hpage_collapse_scan_pmd;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::swap::lru_add_drain_all;

/// The huge pages that lie in a range: `hstart` and `hend`. The end may lie before the start.
fn huge_pages(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> (VirtAddr, VirtAddr) {
    let span = cpu.mmu.geometry.span(Level::Pmd);
    (VirtAddr(start.0.next_multiple_of(span)), cpu.pmd_base(end))
}

/// Whether huge pages of a file could be mapped there, which is not modelled.
fn file_has_room(cpu: Cpu<'_>, vma: Vma) -> bool {
    let (start, end) = huge_pages(cpu, vma.start(cpu), vma.end(cpu));
    let aligned = (vma.start(cpu).vpn().0 ^ vma.pgoff(cpu)) & (cpu.pmd_nr() - 1) == 0;
    vma.file(cpu).is_some() && start < end && aligned
}

/// `madvise_collapse()`: a part of one mapping is to have huge pages. The caller holds `mmap_lock` for reading, and holds it again when this
/// returns, but others may have had it meanwhile.
///
/// # Errors
/// `EINVAL` if the mapping cannot have huge pages, `ENOMEM` without memory, `EAGAIN` if somebody uses a page just now, `EBUSY` if there
/// is too little to collapse.
pub(crate) fn madvise_collapse<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
    mmap_lock: ReadHeld<'m>,
) -> BoxFuture<'m, (Result<(), Errno>, ReadHeld<'m>)> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::helper("madvise_collapse"));
        let (hstart, hend) = huge_pages(cpu, start, end);
        if !thp_vma_allowable(cpu, vma, Collapse::Madvise) {
            if hstart < hend && file_has_room(cpu, vma) {
                cpu.not_modelled("a huge page of a file");
            }
            return (Err(Errno::Einval), mmap_lock);
        }
        lru_add_drain_all(cpu).await;
        let (thps, last, mmap_lock) = each(cpu, mm, vma, (hstart, hend), Collapse::Madvise, Some(mmap_lock)).await;
        let mmap_lock = match mmap_lock {
            Some(held) => held,
            None => cpu.down_read(mm.mmap_lock).await,
        };
        let wanted = hend.0.wrapping_sub(hstart.0) / cpu.mmu.geometry.span(Level::Pmd);
        (if thps == wanted { Ok(()) } else { Err(last.errno()) }, mmap_lock)
    })
}

/// The loop of `madvise_collapse()`: how many huge pages there are, why the last one that failed did, and `mmap_lock`, if it is held.
async fn each<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (hstart, hend): (VirtAddr, VirtAddr),
    by: Collapse,
    mmap_lock: Option<ReadHeld<'m>>,
) -> (u64, Scan, Option<ReadHeld<'m>>) {
    let (mut vma, mut hend, mut mmap_lock) = (vma, hend, mmap_lock);
    let (mut thps, mut last) = (0, Scan::Fail);
    let mut addr = hstart;
    while addr < hend {
        let held = match mmap_lock.take() {
            Some(held) => held,
            None => {
                let held = cpu.down_read(mm.mmap_lock).await;
                match hugepage_vma_revalidate(cpu, mm, addr, by).await {
                    Ok(found) => vma = found,
                    Err(why) => return (thps, why, Some(held)),
                }
                hend = hend.min(cpu.pmd_base(vma.end(cpu)));
                held
            }
        };
        let (scanned, held) = hpage_collapse_scan_pmd(cpu, mm, vma, addr, by, held).await;
        mmap_lock = held;
        match scanned {
            Ok(()) | Err(Scan::PmdMapped) => thps += 1,
            Err(why) => {
                last = why;
                // khugepaged goes on in any case.
                if by == Collapse::Madvise && !why.is_of_this_page_alone() {
                    break;
                }
            }
        }
        addr = VirtAddr(addr.0 + cpu.mmu.geometry.span(Level::Pmd));
    }
    (thps, last, mmap_lock)
}

/// `khugepaged_scan_mm_slot()`: khugepaged comes to a range of an address space. It collapses what may have huge pages. Answers how many
/// huge pages the range has then.
pub fn khugepaged_scan_mm_slot<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
) -> BoxFuture<'m, u64> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("khugepaged_scan_mm_slot"));
        // khugepaged_do_scan()
        lru_add_drain_all(cpu).await;
        let mut thps = 0;
        let mut addr = start;
        while addr < end {
            let held = cpu.down_read(mm.mmap_lock).await;
            let Some(vma) = find_vma(cpu, mm, addr).await.filter(|vma| vma.start(cpu) < end) else { break };
            let (from, to) = (addr.max(vma.start(cpu)), end.min(vma.end(cpu)));
            addr = to;
            if thp_vma_allowable(cpu, vma, Collapse::Khugepaged) {
                let range = huge_pages(cpu, from, to);
                thps += each(cpu, mm, vma, range, Collapse::Khugepaged, Some(held)).await.0;
            }
        }
        thps
    })
}
