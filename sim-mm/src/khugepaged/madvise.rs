//! Who collapses: `MADV_COLLAPSE`, and khugepaged itself.

use sim_core::{BoxFuture, ReadHeld, Routine};
use sim_mmu::{Level, VirtAddr};

use super::control::{Collapse, Scan};
use super::pte_mapped::collapse_pte_mapped_thp;
use super::revalidate::{hugepage_vma_revalidate, thp_vma_allowable};
use super::scan::hpage_collapse_scan_pmd;
use super::scan_file::hpage_collapse_scan_file;
use crate::errno::Errno;
use crate::fs::Inode;
use crate::inode::get_file;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::settings::Retract;
use crate::shmem::shmem_put;
use crate::swap::lru_add_drain_all;
use crate::vma::mmap_write_lock;

/// The huge pages that lie in a range: `hstart` and `hend`. The end may lie before the start.
fn huge_pages(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> (VirtAddr, VirtAddr) {
    let span = cpu.mmu.geometry.span(Level::Pmd);
    (VirtAddr(start.0.next_multiple_of(span)), cpu.pmd_base(end))
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
        if !thp_vma_allowable(cpu, vma, Collapse::Madvise).await {
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
        let (scanned, held) = match vma.file(cpu) {
            Some(file) => (collapse_of_file(cpu, mm, (vma, file), addr, by, held).await, None),
            None => hpage_collapse_scan_pmd(cpu, mm, vma, addr, by, held).await,
        };
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

/// What is done about pages of a file. Nobody has `mmap_lock` while the file is worked on.
fn collapse_of_file<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (vma, file): (Vma, Inode),
    addr: VirtAddr,
    by: Collapse,
    mmap_lock: ReadHeld<'m>,
) -> BoxFuture<'m, Result<(), Scan>> {
    Box::pin(async move {
        let start = vma.index_of(cpu, addr);
        get_file(cpu, file);
        drop(mmap_lock);
        let scanned = hpage_collapse_scan_file(cpu, mm, addr, (file, start), by).await;
        shmem_put(cpu, file).await;
        if scanned != Err(Scan::PteMappedHugepage) {
            return scanned;
        }
        // The file has a huge page there.
        let lockless = cpu.setting::<Retract>() == Retract::Lockless;
        let _read = if lockless { Some(cpu.down_read(mm.mmap_lock).await) } else { None };
        let _write = if lockless { None } else { Some(mmap_write_lock(cpu, mm).await) };
        collapse_pte_mapped_thp(cpu, mm, addr, by).await
    })
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
            if thp_vma_allowable(cpu, vma, Collapse::Khugepaged).await {
                let range = huge_pages(cpu, from, to);
                thps += each(cpu, mm, vma, range, Collapse::Khugepaged, Some(held)).await.0;
            }
        }
        thps
    })
}
