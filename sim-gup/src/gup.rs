//! The locked path: `__get_user_pages()` and its drivers.

use sim_mm::{Cpu, Errno, FaultFlags, MmStruct, Safeguard, VmFlags, Vma, find_vma, handle_mm_fault};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::follow::follow_page_mask;
use crate::pages::Pages;

/// `should_force_cow_break()`, only in v5.8: a reader of private memory is treated as a writer.
pub(crate) fn should_force_cow_break(cpu: Cpu<'_>) -> bool {
    cpu.has(Safeguard::GupReadBreaksCow)
}

/// `faultin_page()`. The fault of an anonymous page never asks for a retry without `mmap_lock`.
async fn faultin_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: &mut FollFlags,
) -> Result<(), Errno> {
    let _routine = cpu.enter("faultin_page");
    let fault = FaultFlags { write: flags.has(FollFlags::WRITE) };
    let done = handle_mm_fault(cpu, mm, vma, address, fault).await?;
    // COW is broken, though the mapping keeps the entry read-only: look it up as if it were a read.
    // Not where the mapping is writable, for there a later write may break COW once more.
    if done.write && !vma.flags.any(VmFlags::WRITE) {
        *flags = flags.with(FollFlags::COW);
    }
    Ok(())
}

/// `check_vma_flags()`.
fn check_vma_flags(cpu: Cpu<'_>, vma: Vma, gup_flags: FollFlags) -> Result<(), Errno> {
    let force = gup_flags.has(FollFlags::FORCE);
    if vma.flags.any(VmFlags::IO_OR_PFNMAP) {
        return Err(Errno::Efault);
    }
    if gup_flags.has(FollFlags::WRITE) {
        let allowed = vma.flags.any(VmFlags::WRITE) || (force && vma.flags.is_cow_mapping());
        if !allowed && cpu.has(Safeguard::CheckVmaWrite) {
            cpu.decided(Safeguard::CheckVmaWrite);
            return Err(Errno::Efault);
        }
    } else {
        let allowed = vma.flags.any(VmFlags::READ) || (force && vma.flags.any(VmFlags::MAYREAD));
        if !allowed {
            return Err(Errno::Efault);
        }
    }
    Ok(())
}

/// `__get_user_pages()`: the caller holds `mmap_lock`. Answers how many pages were added to `pages`.
///
/// # Errors
/// The first error, if not a single page could be got.
async fn __get_user_pages<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    nr_pages: u64,
    gup_flags: FollFlags,
    pages: &mut Pages,
) -> Result<u64, Errno> {
    let _routine = cpu.enter("__get_user_pages");
    let mut start = start;
    let mut vma: Option<Vma> = None;
    for i in 0..nr_pages {
        // The flags start anew for each page: FOLL_COW of one says nothing about the next.
        let mut foll_flags = gup_flags;
        let stop = |errno| if i > 0 { Ok(i) } else { Err(errno) };
        // First iteration, or across the end of a mapping.
        let current = match vma.filter(|vma| start < vma.end) {
            Some(vma) => vma,
            None => {
                let found = find_vma(cpu, mm, start).await.filter(|vma| vma.contains(start));
                let Some(found) = found else { return stop(Errno::Efault) };
                if let Err(errno) = check_vma_flags(cpu, found, gup_flags) {
                    return stop(errno);
                }
                found
            }
        };
        vma = Some(current);
        if should_force_cow_break(cpu) && current.flags.is_cow_mapping() {
            foll_flags = foll_flags.with(FollFlags::WRITE);
        }
        let page = loop {
            match follow_page_mask(cpu, mm, start, foll_flags).await {
                Some(page) => break page,
                None => {
                    if let Err(errno) = faultin_page(cpu, mm, current, start, &mut foll_flags).await {
                        return stop(errno);
                    }
                }
            }
        };
        pages.push(cpu, page, start, gup_flags.has(FollFlags::WRITE));
        start = start.plus_pages(1);
    }
    Ok(nr_pages)
}

/// `get_user_pages_unlocked()`: takes `mmap_lock` for reading. Answers how many pages were added.
///
/// # Errors
/// The first error, if not a single page could be got.
pub async fn get_user_pages_unlocked(
    cpu: Cpu<'_>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &mut Pages,
    gup_flags: FollFlags,
) -> Result<u64, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter("get_user_pages_unlocked");
    let mm = cpu.current_mm().ok_or(Errno::Efault)?;
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let gup_flags = gup_flags.with(FollFlags::TOUCH).with(FollFlags::GET);
    __get_user_pages(cpu, mm, start, nr_pages, gup_flags, pages).await
}
