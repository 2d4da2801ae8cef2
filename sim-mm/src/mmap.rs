//! `mm/mmap.c`: the mappings of an address space.

use sim_mmu::VirtAddr;

use crate::cpu::Cpu;
use crate::errno::Errno;
use crate::memory::{free_pgtables, unmap_vmas};
use crate::mm_types::{MmStruct, VmFlags, Vma};
use crate::mmu_gather::MmuGather;

/// `find_vma()`: the first mapping that ends above `addr`. The caller holds `mmap_lock`.
pub async fn find_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    cpu.read(&mm.vmas, |vmas| vmas.iter().find(|vma| addr < vma.end).copied()).await
}

/// `mmap()` of private anonymous memory: `pages` pages at `at`, or in the highest gap that fits.
///
/// # Errors
/// `EINVAL` for an empty or misplaced range, `ENOMEM` if it does not fit.
pub async fn sys_mmap(cpu: Cpu<'_>, pages: u64, writable: bool, at: Option<VirtAddr>) -> Result<VirtAddr, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter("do_mmap");
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let top = cpu.mmu.geometry.task_size();
    let len = pages.checked_mul(VirtAddr::PAGE_SIZE).filter(|len| *len > 0).ok_or(Errno::Einval)?;
    let mut flags = VmFlags::READ.and(VmFlags::MAYREAD).and(VmFlags::MAYWRITE);
    if writable {
        flags = flags.and(VmFlags::WRITE);
    }
    let _mmap_lock = cpu.down_write(mm.mmap_lock).await;
    cpu.update(&mm.vmas, |vmas| {
        let start = match at {
            Some(at) if at.offset() != 0 || at.0 == 0 => return Err(Errno::Einval),
            Some(at) => at,
            None => unmapped_area_topdown(vmas, len, top).ok_or(Errno::Enomem)?,
        };
        let end = start.0.checked_add(len).filter(|end| *end <= top.0).map(VirtAddr).ok_or(Errno::Enomem)?;
        if vmas.iter().any(|vma| vma.start < end && start < vma.end) {
            return Err(Errno::Einval);
        }
        let place = vmas.partition_point(|vma| vma.start < start);
        vmas.insert(place, Vma { start, end, flags });
        Ok(start)
    })
    .await
}

/// `unmapped_area_topdown()`: page zero stays free.
fn unmapped_area_topdown(vmas: &[Vma], len: u64, top: VirtAddr) -> Option<VirtAddr> {
    let mut gap_end = top.0;
    for vma in vmas.iter().rev() {
        if vma.end.0 + len <= gap_end {
            break;
        }
        gap_end = vma.start.0;
    }
    gap_end
        .checked_sub(len)
        .filter(|start| *start >= VirtAddr::PAGE_SIZE)
        .map(VirtAddr)
        .filter(|start| vmas.iter().all(|vma| vma.end <= *start || start.0 + len <= vma.start.0))
}

/// Takes `start` to `end` out of the list, splitting mappings at both ends. Answers what was taken,
/// and where the neighbours end and begin: `detach_vmas_to_be_unmapped()`.
fn detach(vmas: &mut Vec<Vma>, start: VirtAddr, end: VirtAddr) -> (Vec<Vma>, VirtAddr, VirtAddr) {
    let mut detached = Vec::new();
    let mut kept = Vec::with_capacity(vmas.len() + 1);
    for vma in vmas.drain(..) {
        if vma.end <= start || end <= vma.start {
            kept.push(vma);
            continue;
        }
        if vma.start < start {
            kept.push(Vma { end: start, ..vma });
        }
        detached.push(Vma { start: vma.start.max(start), end: vma.end.min(end), ..vma });
        if end < vma.end {
            kept.push(Vma { start: end, ..vma });
        }
    }
    let floor = kept.iter().filter(|vma| vma.end <= start).map(|vma| vma.end).next_back();
    let ceiling = kept.iter().find(|vma| end <= vma.start).map(|vma| vma.start);
    *vmas = kept;
    // FIRST_USER_ADDRESS and USER_PGTABLES_CEILING
    (detached, floor.unwrap_or_default(), ceiling.unwrap_or_default())
}

/// `munmap()`: as since v4.20, with the lock downgraded before the slow part.
///
/// # Errors
/// `EINVAL` for a range that is empty, unaligned at its start, or beyond user space.
pub async fn sys_munmap(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter("__do_munmap");
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let end = end.page_align();
    if start.offset() != 0 || end <= start || end > cpu.mmu.geometry.task_size() {
        return Err(Errno::Einval);
    }
    let mmap_lock = cpu.down_write(mm.mmap_lock).await;
    let (detached, floor, ceiling) = cpu.update(&mm.vmas, |vmas| detach(vmas, start, end)).await;
    if detached.is_empty() {
        return Ok(());
    }
    let _mmap_lock = mmap_lock.downgrade();
    unmap_region(cpu, mm, &detached, floor, ceiling).await;
    Ok(())
}

/// `unmap_region()`: clears the entries, unlinks the tables that nobody else needs, then flushes and
/// frees.
async fn unmap_region<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vmas: &[Vma], floor: VirtAddr, ceiling: VirtAddr) {
    let _routine = cpu.enter("unmap_region");
    let (Some(first), Some(last)) = (vmas.first(), vmas.last()) else { return };
    let mut tlb = MmuGather::gather(cpu, mm, first.start, last.end).await;
    unmap_vmas(cpu, &mut tlb, vmas).await;
    for (i, vma) in vmas.iter().enumerate() {
        let next = vmas.get(i + 1).map_or(ceiling, |next| next.start);
        free_pgtables(cpu, &mut tlb, *vma, floor, next).await;
    }
    tlb.finish(cpu).await;
}

/// `exit_mmap()`: the last user is gone; everything goes.
pub(crate) async fn exit_mmap<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    let _routine = cpu.enter("exit_mmap");
    let vmas = cpu.update(&mm.vmas, std::mem::take).await;
    unmap_region(cpu, mm, &vmas, VirtAddr(0), VirtAddr(0)).await;
}
