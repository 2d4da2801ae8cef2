//! `mm/madvise.c`.

mod behavior;
mod guard;
mod huge;
mod large;
mod pages;

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

pub use behavior::Advice;
use guard::{madvise_guard_install, madvise_guard_remove};
use pages::{
    madvise_cold, madvise_free_single_vma, madvise_pageout, madvise_remove, madvise_willneed,
    madvise_willneed_shmem,
};

use crate::errno::Errno;
use crate::hugetlb::hstate_vma;
use crate::kernel::Cpu;
use crate::khugepaged::madvise_collapse;
use crate::ksm::unmerge_range;
use crate::memory::{Zap, zap_page_range};
use crate::memory_failure::madvise_inject_error;
use crate::mm_types::{MmStruct, Vma};
use crate::mmap::find_vma;
use crate::safeguards::MADVISE_MMAP_LOCK;
use crate::settings::{HugetlbDontneed, MadviseLock};
use crate::vm_flags::VmFlags;
use crate::vma::{
    change_vmas, i_mmap_lock_write, lock_before_i_mmap, lock_vma_under_rcu, may_split, mmap_write_lock,
    prepare_split, vma_modify_flags,
};

/// `madvise()`.
///
/// # Errors
/// `EINVAL` for advice that the kernel does not know or that does not fit a mapping, or for an unaligned start;
/// `ENOMEM` if a part of the range is not mapped: the rest is done all the same.
pub fn sys_madvise(
    cpu: Cpu<'_>,
    start: VirtAddr,
    end: VirtAddr,
    advice: Advice,
) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(do_madvise(cpu, start, end, advice))
}

/// `madvise(start, end, MADV_DONTNEED)`: the pages' contents are gone; the mapping stays.
///
/// # Errors
/// As [`sys_madvise`].
pub fn madvise_dontneed(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    sys_madvise(cpu, start, end, Advice::DontNeed)
}

async fn do_madvise(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr, advice: Advice) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("do_madvise"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let end = end.page_align();
    // madvise_behavior_valid()
    let is_known = advice.since().is_none_or(|since| since <= cpu.kernel.config.kernel.version);
    if !is_known || start.offset() != 0 || end < start {
        return Err(Errno::Einval);
    }
    if end == start {
        return Ok(());
    }
    if let Advice::PopulateRead | Advice::PopulateWrite = advice {
        let write = advice == Advice::PopulateWrite;
        return (cpu.kernel.gup.madvise_populate)(cpu, mm, start, end, write).await;
    }
    if advice == Advice::Hwpoison {
        return Box::pin(madvise_inject_error(cpu, start, end)).await;
    }
    if advice == Advice::Collapse {
        return Box::pin(collapse_range(cpu, mm, start, end)).await;
    }
    if advice == Advice::Unmergeable && cpu.kernel.has_ksm() {
        let mmap_lock = mmap_write_lock(cpu, mm).await;
        let _mmap_lock = Box::pin(unmerge_range(cpu, mm, mmap_lock, (start, end))).await?;
        return madvise_walk_vmas(cpu, mm, start, end, advice).await;
    }
    if advice.needs_one_mapping()
        && cpu.setting::<MadviseLock>() == MadviseLock::Vma
        && let Some(done) = Box::pin(madvise_one_vma(cpu, mm, (start, end), advice)).await
    {
        return done;
    }
    let (_writing, _reading) = match advice {
        _ if advice.changes_flags() => (Some(mmap_write_lock(cpu, mm).await), None),
        _ if cpu.has(MADVISE_MMAP_LOCK) => (None, Some(cpu.down_read(mm.mmap_lock).await)),
        _ => (None, None),
    };
    let _routine = advice.zaps().then(|| cpu.enter("madvise_dontneed"));
    madvise_walk_vmas(cpu, mm, start, end, advice).await
}

/// `try_vma_read_lock()` and what follows: the advice for a range that lies in one mapping, under the lock of the mapping alone. `None` if that lock
/// is not enough, or somebody has it for writing.
async fn madvise_one_vma<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    (start, end): (VirtAddr, VirtAddr),
    advice: Advice,
) -> Option<Result<(), Errno>> {
    let (vma, _held) = lock_vma_under_rcu(cpu, mm, start).await?;
    if end > vma.end(cpu) || vma.flags(cpu).intersects(VmFlags::UFFD) {
        return None;
    }
    let _routine = advice.zaps().then(|| cpu.enter("madvise_dontneed"));
    Some(madvise_vma_behavior(cpu, mm, vma, start, end, advice).await)
}

/// `madvise_walk_vmas()`: one mapping after the other. A hole is no reason to stop.
async fn madvise_walk_vmas<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    advice: Advice,
) -> Result<(), Errno> {
    let mut addr = start;
    let mut unmapped = false;
    while addr < end {
        let Some(vma) = find_vma(cpu, mm, addr).await.filter(|vma| vma.start(cpu) < end) else {
            return Err(Errno::Enomem);
        };
        unmapped |= addr < vma.start(cpu);
        let from = addr.max(vma.start(cpu));
        let to = end.min(vma.end(cpu));
        madvise_vma_behavior(cpu, mm, vma, from, to, advice).await?;
        // The mapping is looked at once more: only `mmap_lock` says that it still exists.
        addr = if advice.changes_flags() { to } else { to.max(vma.end(cpu).min(end)) };
    }
    if unmapped { Err(Errno::Enomem) } else { Ok(()) }
}

/// `madvise_walk_vmas()` for `MADV_COLLAPSE`, which lets go of `mmap_lock` on the way.
async fn collapse_range<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let mut mmap_lock = cpu.down_read(mm.mmap_lock).await;
    let mut addr = start;
    let mut unmapped = false;
    while addr < end {
        let Some(vma) = find_vma(cpu, mm, addr).await.filter(|vma| vma.start(cpu) < end) else {
            return Err(Errno::Enomem);
        };
        unmapped |= addr < vma.start(cpu);
        let (from, to) = (addr.max(vma.start(cpu)), end.min(vma.end(cpu)));
        let (done, held) = madvise_collapse(cpu, mm, vma, (from, to), mmap_lock).await;
        mmap_lock = held;
        done?;
        addr = to;
    }
    if unmapped { Err(Errno::Enomem) } else { Ok(()) }
}

/// `madvise_vma_behavior()`: what the advice does with a part of one mapping.
async fn madvise_vma_behavior<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
    advice: Advice,
) -> Result<(), Errno> {
    let flags = vma.flags(cpu);
    let no_lru = VmFlags::LOCKED | VmFlags::PFNMAP;
    if flags.contains(VmFlags::HUGETLB) && (advice.zaps() || advice.is_of_lru_pages()) {
        return Box::pin(madvise_hugetlb(cpu, mm, vma, (start, end), advice)).await;
    }
    match advice {
        Advice::DontNeed | Advice::Free | Advice::Cold | Advice::PageOut if flags.intersects(no_lru) => {
            Err(Errno::Einval)
        }
        Advice::DontNeedLocked if flags.contains(VmFlags::PFNMAP) => Err(Errno::Einval),
        Advice::DontNeed | Advice::DontNeedLocked => {
            zap_page_range(cpu, mm, vma, (start, end), Zap::PagesAndTables).await;
            Ok(())
        }
        Advice::Free => madvise_free_single_vma(cpu, mm, vma, start, end).await,
        // In a box of its own, since few advices change files.
        Advice::Remove => Box::pin(madvise_remove(cpu, vma, start, end)).await,
        Advice::PageOut => {
            madvise_pageout(cpu, mm, start, end).await;
            Ok(())
        }
        Advice::GuardInstall => madvise_guard_install(cpu, mm, vma, start, end).await,
        Advice::GuardRemove => madvise_guard_remove(cpu, mm, vma, start, end).await,
        Advice::Cold => {
            madvise_cold(cpu, mm, start, end).await;
            Ok(())
        }
        Advice::WillNeed => {
            if flags.contains(VmFlags::HUGETLB) {
                return Ok(());
            }
            if cpu.has_swap() && vma.is_anonymous(cpu) {
                madvise_willneed(cpu, mm, start, end).await;
            } else if cpu.has_swap() {
                madvise_willneed_shmem(cpu, vma, start, end).await;
            }
            Ok(())
        }
        Advice::PopulateRead | Advice::PopulateWrite | Advice::Collapse | Advice::Hwpoison => Ok(()),
        _ => {
            let new = advice.new_flags(flags, vma.is_anonymous(cpu))?;
            if new == flags {
                return Ok(());
            }
            madvise_update_vma(cpu, mm, vma, (start, end), new).await
        }
    }
}

/// `madvise_dontneed_free_valid_vma()` and `can_madv_lru_vma()`: huge pages of the pool go as a whole or not at all, and are on no list of reclaim.
async fn madvise_hugetlb<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    (start, end): (VirtAddr, VirtAddr),
    advice: Advice,
) -> Result<(), Errno> {
    let is_locked = advice == Advice::DontNeed && vma.flags(cpu).contains(VmFlags::LOCKED);
    let refuses = cpu.setting::<HugetlbDontneed>() == HugetlbDontneed::Refused;
    // The end is rounded down, since v6.1 (8ebe0a5eaaeb): nobody loses more than he named.
    let base = |addr| hstate_vma(cpu, vma).base(cpu.mmu.geometry, addr);
    let end = base(end);
    if !advice.zaps() || refuses || is_locked || base(start) != start {
        return Err(Errno::Einval);
    }
    if start < end {
        zap_page_range(cpu, mm, vma, (start, end), Zap::Pages).await;
    }
    Ok(())
}

/// `madvise_update_vma()`: the range gets other flags. In a box of its own, since most advices change none.
fn madvise_update_vma<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    range: (VirtAddr, VirtAddr),
    flags: VmFlags,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        may_split(cpu, mm, [range.0, range.1]).await;
        lock_before_i_mmap(cpu, mm, vma).await;
        let _i_mmap = i_mmap_lock_write(cpu, vma.file(cpu)).await;
        prepare_split(cpu, mm, [range.0, range.1]).await;
        change_vmas(cpu, mm, |vmas| {
            let index = vmas.iter().position(|other| *other == vma).ok_or(Errno::Einval)?;
            vma_modify_flags(cpu, mm, vmas, index, range, flags).map(|_| ())
        })
        .await
    })
}
