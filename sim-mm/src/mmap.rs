//! `mm/mmap.c`: the mappings of an address space.

use sim_core::{BoxFuture, Routine, WriteHeld};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::memory::{free_pgtables, unmap_vmas};
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_gather::MmuGather;
use crate::safeguards::MUNMAP_MMAP_LOCK;
use crate::vm_flags::VmFlags;
use crate::vma::{NewPart, VmaSnapshot, split_vma, vm_area_alloc, vm_area_free};

/// `find_vma()`: the first mapping that ends above `addr`. The caller holds `mmap_lock`.
pub async fn find_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    cpu.read(&mm.vmas, |vmas| vmas.iter().find(|vma| addr < vma.end(cpu)).copied()).await
}

/// `mmap()` of private anonymous memory: `pages` pages at `at`, or in the highest gap that fits.
///
/// # Errors
/// `EINVAL` for an empty or misplaced range, `ENOMEM` if it does not fit.
pub fn sys_mmap(
    cpu: Cpu<'_>,
    pages: u64,
    writable: bool,
    at: Option<VirtAddr>,
) -> BoxFuture<'_, Result<VirtAddr, Errno>> {
    Box::pin(do_mmap(cpu, pages, writable, at))
}

async fn do_mmap(cpu: Cpu<'_>, pages: u64, writable: bool, at: Option<VirtAddr>) -> Result<VirtAddr, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("do_mmap"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let top = cpu.mmu.geometry.task_size();
    let len = pages.checked_mul(VirtAddr::PAGE_SIZE).filter(|len| *len > 0).ok_or(Errno::Einval)?;
    let mut flags = VmFlags::READ | VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
    if writable {
        // accountable_mapping(): private and writable.
        flags |= VmFlags::WRITE | VmFlags::ACCOUNT;
    }
    let _mmap_lock = cpu.down_write(mm.mmap_lock).await;
    cpu.update(&mm.vmas, |vmas| {
        let start = match at {
            Some(at) if at.offset() != 0 || at.0 == 0 => return Err(Errno::Einval),
            Some(at) => at,
            None => unmapped_area_topdown(cpu, vmas, len, top).ok_or(Errno::Enomem)?,
        };
        let end = start.0.checked_add(len).filter(|end| *end <= top.0).map(VirtAddr).ok_or(Errno::Enomem)?;
        if vmas.iter().any(|vma| vma.start(cpu) < end && start < vma.end(cpu)) {
            return Err(Errno::Einval);
        }
        let place = vmas.partition_point(|vma| vma.start(cpu) < start);
        vmas.insert(place, vm_area_alloc(cpu, VmaSnapshot { start, end, flags })?);
        Ok(start)
    })
    .await
}

/// `unmapped_area_topdown()`: page zero stays free.
fn unmapped_area_topdown(cpu: Cpu<'_>, vmas: &[Vma], len: u64, top: VirtAddr) -> Option<VirtAddr> {
    let mut gap_end = top.0;
    for vma in vmas.iter().rev() {
        if vma.end(cpu).0 + len <= gap_end {
            break;
        }
        gap_end = vma.start(cpu).0;
    }
    gap_end
        .checked_sub(len)
        .filter(|start| *start >= VirtAddr::PAGE_SIZE)
        .map(VirtAddr)
        .filter(|start| vmas.iter().all(|vma| vma.end(cpu) <= *start || start.0 + len <= vma.start(cpu).0))
}

/// Mappings that are out of the list, and where their neighbours end and begin.
struct Detached {
    vmas: Vec<Vma>,
    floor: VirtAddr,
    ceiling: VirtAddr,
}

/// Takes `start` to `end` out of the list: splits the mappings at both ends, then
/// `detach_vmas_to_be_unmapped()`.
fn detach(cpu: Cpu<'_>, vmas: &mut Vec<Vma>, start: VirtAddr, end: VirtAddr) -> Result<Detached, Errno> {
    let across = |vmas: &[Vma], addr| vmas.iter().position(|vma| vma.start(cpu) < addr && addr < vma.end(cpu));
    if let Some(first) = across(vmas, start) {
        split_vma(cpu, vmas, first, start, NewPart::Above)?;
    }
    if let Some(last) = across(vmas, end) {
        split_vma(cpu, vmas, last, end, NewPart::Below)?;
    }
    let from = vmas.partition_point(|vma| vma.end(cpu) <= start);
    let to = vmas.partition_point(|vma| vma.start(cpu) < end).max(from);
    let detached = vmas.drain(from..to).collect();
    // FIRST_USER_ADDRESS and USER_PGTABLES_CEILING
    let floor = from.checked_sub(1).map_or_else(VirtAddr::default, |prev| vmas[prev].end(cpu));
    let ceiling = vmas.get(from).map_or_else(VirtAddr::default, |next| next.start(cpu));
    Ok(Detached { vmas: detached, floor, ceiling })
}

/// `munmap()`: as since v4.20, with the lock downgraded before the slow part.
///
/// # Errors
/// `EINVAL` for a range that is empty, unaligned at its start, or beyond user space.
pub fn sys_munmap(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(__do_munmap(cpu, start, end))
}

async fn __do_munmap(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("__do_munmap"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let end = end.page_align();
    if start.offset() != 0 || end <= start || end > cpu.mmu.geometry.task_size() {
        return Err(Errno::Einval);
    }
    // Until the mappings are detached, nobody may find them and then work on them: a fault that found one would
    // fill entries that have been cleared already.
    let (writing, reading) = if cpu.has(MUNMAP_MMAP_LOCK) {
        (Some(cpu.down_write(mm.mmap_lock).await), None)
    } else {
        (None, Some(cpu.down_read(mm.mmap_lock).await))
    };
    let detached = cpu.update(&mm.vmas, |vmas| detach(cpu, vmas, start, end)).await?;
    if detached.vmas.is_empty() {
        return Ok(());
    }
    let _mmap_lock = writing.map(WriteHeld::downgrade).or(reading);
    unmap_region(cpu, mm, &detached).await;
    remove_vma_list(cpu, &detached.vmas);
    Ok(())
}

/// `unmap_region()`: clears the entries, unlinks the tables that nobody else needs, then flushes and
/// frees.
async fn unmap_region<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, detached: &Detached) {
    let _routine = cpu.enter("unmap_region");
    let vmas = &detached.vmas;
    let (Some(first), Some(last)) = (vmas.first(), vmas.last()) else { return };
    let mut tlb = MmuGather::gather(cpu, mm, first.start(cpu), last.end(cpu)).await;
    unmap_vmas(cpu, &mut tlb, vmas).await;
    for (i, vma) in vmas.iter().enumerate() {
        let next = vmas.get(i + 1).map_or(detached.ceiling, |next| next.start(cpu));
        free_pgtables(cpu, &mut tlb, *vma, detached.floor, next).await;
    }
    tlb.finish(cpu).await;
}

/// `remove_vma_list()`: the mappings themselves, when nothing leads to them any more.
fn remove_vma_list(cpu: Cpu<'_>, vmas: &[Vma]) {
    for vma in vmas {
        vm_area_free(cpu, *vma);
    }
}

/// `exit_mmap()`: the last user is gone; everything goes.
pub(crate) async fn exit_mmap<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    let _routine = cpu.enter("exit_mmap");
    let vmas = cpu.update(&mm.vmas, std::mem::take).await;
    let all = Detached { vmas, floor: VirtAddr(0), ceiling: VirtAddr(0) };
    unmap_region(cpu, mm, &all).await;
    remove_vma_list(cpu, &all.vmas);
}
