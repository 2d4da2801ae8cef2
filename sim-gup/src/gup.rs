//! The locked path: `__get_user_pages()` and its drivers.

use sim_core::{BoxFuture, ReadHeld, Routine};
use sim_mm::{
    Cpu, Errno, FaultFlags, MmFault, MmStruct, VmFaultError, VmFlags, Vma, check, find_vma, handle_mm_fault,
};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::follow::{follow_page_mask, should_force_cow_break};
use crate::pages::Pages;
use crate::safeguards::CHECK_VMA_WRITE;

/// How `faultin_page()` ended.
enum FaultedIn<'m> {
    /// The page can be looked up again; `mmap_lock` is still held.
    Done(ReadHeld<'m>),
    /// An error; `mmap_lock` is still held.
    Failed(Errno, ReadHeld<'m>),
    /// `-EBUSY`: the fault let go of `mmap_lock`.
    Retry,
}

/// `faultin_page()`.
async fn faultin_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: ReadHeld<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: &mut FollFlags,
) -> FaultedIn<'m> {
    let _routine = cpu.enter("faultin_page");
    let fault = if flags.contains(FollFlags::WRITE) { FaultFlags::WRITE } else { FaultFlags::empty() };
    match handle_mm_fault(cpu, mm, mmap_lock, vma, address, fault).await {
        MmFault::Done(done, mmap_lock) => {
            // COW is broken, though the mapping keeps the entry read-only: look it up as if it were a read.
            // Not where the mapping is writable, for there a later write may break COW once more.
            if done.write && !vma.flags(cpu).contains(VmFlags::WRITE) {
                *flags |= FollFlags::COW;
            }
            FaultedIn::Done(mmap_lock)
        }
        MmFault::Failed(VmFaultError::Oom, mmap_lock) => FaultedIn::Failed(Errno::Enomem, mmap_lock),
        MmFault::Retry => FaultedIn::Retry,
    }
}

/// `check_vma_flags()`.
fn check_vma_flags(cpu: Cpu<'_>, vma: Vma, gup_flags: FollFlags) -> Result<(), Errno> {
    let vm_flags = vma.flags(cpu);
    let force = gup_flags.contains(FollFlags::FORCE);
    if vm_flags.intersects(VmFlags::IO | VmFlags::PFNMAP) {
        return Err(Errno::Efault);
    }
    if gup_flags.contains(FollFlags::WRITE) {
        let allowed = vm_flags.contains(VmFlags::WRITE) || (force && vm_flags.is_cow_mapping());
        if check!(cpu, CHECK_VMA_WRITE, !allowed) {
            return Err(Errno::Efault);
        }
    } else {
        let allowed = vm_flags.contains(VmFlags::READ) || (force && vm_flags.contains(VmFlags::MAYREAD));
        if !allowed {
            return Err(Errno::Efault);
        }
    }
    Ok(())
}

/// `__get_user_pages()`: the caller hands `mmap_lock` over, and has it back if no fault had to let go of it.
/// Answers how many pages were added to `pages`, or the first error, if not a single page could be got.
async fn __get_user_pages<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mut mmap_lock: ReadHeld<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &mut Pages,
    gup_flags: FollFlags,
) -> (Result<u64, Errno>, Option<ReadHeld<'m>>) {
    let _routine = cpu.enter("__get_user_pages");
    let mut start = start;
    let mut vma: Option<Vma> = None;
    for i in 0..nr_pages {
        // The flags start anew for each page: FOLL_COW of one says nothing about the next.
        let mut foll_flags = gup_flags;
        let stop = |errno| if i > 0 { Ok(i) } else { Err(errno) };
        // First iteration, or across the end of a mapping.
        let current = match vma.filter(|vma| start < vma.end(cpu)) {
            Some(vma) => vma,
            None => {
                let found = find_vma(cpu, mm, start).await.filter(|vma| vma.contains(cpu, start));
                let Some(found) = found else { return (stop(Errno::Efault), Some(mmap_lock)) };
                if let Err(errno) = check_vma_flags(cpu, found, gup_flags) {
                    return (stop(errno), Some(mmap_lock));
                }
                found
            }
        };
        vma = Some(current);
        if should_force_cow_break(cpu) && current.flags(cpu).is_cow_mapping() {
            foll_flags |= FollFlags::WRITE;
        }
        let page = loop {
            match follow_page_mask(cpu, mm, start, foll_flags).await {
                Some(page) => break page,
                None => match faultin_page(cpu, mm, mmap_lock, current, start, &mut foll_flags).await {
                    FaultedIn::Done(held) => mmap_lock = held,
                    FaultedIn::Failed(errno, held) => return (stop(errno), Some(held)),
                    FaultedIn::Retry => return (Ok(i), None),
                },
            }
        };
        pages.push(cpu, page, start, gup_flags.contains(FollFlags::WRITE));
        start = start.plus_pages(1);
    }
    (Ok(nr_pages), Some(mmap_lock))
}

/// `get_user_pages_unlocked()`: takes `mmap_lock` for reading. Answers how many pages were added.
///
/// # Errors
/// The first error, if not a single page could be got.
pub fn get_user_pages_unlocked<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'m mut Pages,
    gup_flags: FollFlags,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(unlocked(cpu, start, nr_pages, pages, gup_flags))
}

async fn unlocked(
    cpu: Cpu<'_>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &mut Pages,
    gup_flags: FollFlags,
) -> Result<u64, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("get_user_pages_unlocked"));
    let mm = cpu.current_mm().ok_or(Errno::Efault)?;
    let gup_flags = gup_flags | FollFlags::TOUCH | FollFlags::GET;
    let mut done = 0;
    loop {
        let mmap_lock = cpu.down_read(mm.mmap_lock).await;
        let (start, left) = (start.plus_pages(done), nr_pages - done);
        match __get_user_pages(cpu, mm, mmap_lock, start, left, pages, gup_flags).await {
            // A fault let go of the lock: go on behind what was got.
            (Ok(nr), None) if nr < left => done += nr,
            (Ok(nr), _held) => return Ok(done + nr),
            (Err(_), _held) if done > 0 => return Ok(done),
            (Err(errno), _held) => return Err(errno),
        }
    }
}
