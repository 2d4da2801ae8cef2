//! Faulting pages in ahead of their first use, for system calls of the memory manager.

use sim_core::BoxFuture;
use sim_mm::{
    Cpu, Errno, Event, GupCalls, MmStruct, MmapLock, Page, VmFlags, Vma, check, find_vma, marks_mlocked,
};
use sim_mmu::VirtAddr;

use crate::callers::break_ksm;
use crate::flags::FollFlags;
use crate::follow::follow_page;
use crate::followed::Got;
use crate::get_user_pages_fast::get_user_pages_fast;
use crate::gup::{__get_user_pages, __get_user_pages_locked, Wanted};
use crate::pages::Pages;
use crate::safeguards::{
    POPULATE_FINDS_ANEW, POPULATE_FORCES_ACCESSIBLE, POPULATE_SKIPS_PFNMAP, POPULATE_WRITES_PRIVATE,
};

/// What this crate does for the memory manager.
pub const GUP_CALLS: GupCalls = GupCalls {
    mm_populate: |cpu, mm, start, end, ignore| Box::pin(__mm_populate(cpu, mm, start, end, ignore)),
    populate_vma_page_range: |cpu, mm, mmap_lock, vma, start, end| {
        populate_vma_page_range(cpu, mm, mmap_lock, vma, start, end, false)
    },
    madvise_populate: |cpu, mm, start, end, write| Box::pin(madvise_populate(cpu, mm, start, end, write)),
    break_ksm,
    follow_page: |cpu, mm, vma, addr, split| {
        let split = if split { FollFlags::SPLIT } else { FollFlags::empty() };
        Box::pin(follow_page(cpu, mm, vma, addr, FollFlags::GET | FollFlags::DUMP | split))
    },
    get_user_page_fast: |cpu, addr| Box::pin(get_user_page_fast(cpu, addr)),
};

fn pages_between(start: VirtAddr, end: VirtAddr) -> u64 {
    end.vpn().0 - start.vpn().0
}

/// `populate_vma_page_range()`: a part of one mapping, as it will be used: private memory that can be written is copied
/// now. With `unlockable`, a fault may let go of the lock.
fn populate_vma_page_range<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
    unlockable: bool,
) -> BoxFuture<'m, Got<'m>> {
    Box::pin(async move {
        let _routine = cpu.enter("populate_vma_page_range");
        let vm_flags = vma.flags(cpu);
        let nr_pages = pages_between(start, end);
        let on_fault = vm_flags.contains(VmFlags::LOCKONFAULT);
        if on_fault && !marks_mlocked(cpu) {
            return (Ok(nr_pages), Some(mmap_lock));
        }
        let mut flags = FollFlags::TOUCH | FollFlags::MLOCK;
        flags.set(FollFlags::POPULATE, !on_fault);
        flags.set(FollFlags::UNLOCKABLE, unlockable);
        // Shared memory is not made dirty for nothing.
        let private = vm_flags & (VmFlags::WRITE | VmFlags::SHARED) == VmFlags::WRITE;
        let writable = vm_flags.contains(VmFlags::WRITE);
        flags.set(FollFlags::WRITE, if cpu.has(POPULATE_WRITES_PRIVATE) { private } else { writable });
        // Memory that may be executed only is there all the same; memory that nobody may access is not.
        flags.set(FollFlags::FORCE, vm_flags.is_accessible() || !cpu.has(POPULATE_FORCES_ACCESSIBLE));
        __get_user_pages(cpu, mm, mmap_lock, Wanted { start, nr_pages, flags }, None).await
    })
}

/// `__mm_populate()`.
async fn __mm_populate<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    ignore_errors: bool,
) -> Result<(), Errno> {
    let _routine = cpu.enter("__mm_populate");
    let mut held: Option<MmapLock<'m>> = None;
    let mut last: Option<Vma> = None;
    let mut at = start;
    while at < end {
        let (mmap_lock, known) = match held.take() {
            Some(held) => (held, last),
            // What was found before the lock was let go of may be gone.
            None if cpu.has(POPULATE_FINDS_ANEW) => (cpu.down_read(mm.mmap_lock).await.into(), None),
            None => (cpu.down_read(mm.mmap_lock).await.into(), last),
        };
        let found = match known.filter(|vma| at < vma.end(cpu)) {
            None => find_vma(cpu, mm, at).await,
            known => known,
        };
        let Some(vma) = found.filter(|vma| vma.start(cpu) < end) else { break };
        last = Some(vma);
        let vma_end = vma.end(cpu).min(end);
        if check!(cpu, POPULATE_SKIPS_PFNMAP, vma.flags(cpu).intersects(VmFlags::IO | VmFlags::PFNMAP)) {
            (at, held) = (vma_end, Some(mmap_lock));
            continue;
        }
        at = at.max(vma.start(cpu));
        let (populated, lock) = populate_vma_page_range(cpu, mm, mmap_lock, vma, at, vma_end, true).await;
        held = lock;
        at = match populated {
            Ok(pages) => at.plus_pages(pages),
            Err(_) if ignore_errors => vma_end,
            Err(errno) => return Err(errno),
        };
    }
    Ok(())
}

/// `madvise_populate()`: `faultin_page_range()` until all is there.
async fn madvise_populate<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    write: bool,
) -> Result<(), Errno> {
    let _routine = cpu.enter("faultin_page_range");
    let mut flags = FollFlags::TOUCH | FollFlags::MADV_POPULATE | FollFlags::HWPOISON | FollFlags::UNLOCKABLE;
    flags.set(FollFlags::WRITE, write);
    let mut at = start;
    while at < end {
        let wanted = Wanted { start: at, nr_pages: pages_between(at, end), flags };
        let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
        let (got, _mmap_lock) = __get_user_pages_locked(cpu, mm, mmap_lock, wanted, None).await;
        at = at.plus_pages(got?);
    }
    Ok(())
}

/// `get_user_pages_fast()` of one page, by somebody in the memory manager: what GUP gives out is his from here on.
async fn get_user_page_fast(cpu: Cpu<'_>, addr: VirtAddr) -> Result<Page, Errno> {
    let mut pages = Pages::default();
    get_user_pages_fast(cpu, addr, 1, false, &mut pages).await?;
    let pin = pages.take().pop().ok_or(Errno::Efault)?;
    cpu.note(Event::Unpinned { id: pin.id });
    Ok(pin.page)
}
