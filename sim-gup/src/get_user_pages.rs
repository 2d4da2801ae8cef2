//! The functions by which others get pages with `mmap_lock`: `get_user_pages()` and its kin.

use sim_core::{BoxFuture, Routine};
use sim_mm::{Cpu, Errno, MmStruct, MmapLock, MovableZone};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::followed::Got;
use crate::gup::{__get_user_pages_locked, Wanted};
use crate::longterm::{__gup_longterm_locked, get_user_pages_longterm};
use crate::pages::Pages;
use crate::settings::LongtermCheck;

/// `mm_set_has_pinned_flag()`: before the first pin, so that a fork that sees no flag has seen no pin.
pub(crate) async fn mm_set_has_pinned_flag(cpu: Cpu<'_>, mm: &MmStruct, flags: FollFlags) {
    if flags.contains(FollFlags::PIN) {
        cpu.store(mm.has_pinned(), true).await;
    }
}

/// What the caller asks for, with the reference that all pages get.
fn takes(gup_flags: FollFlags) -> FollFlags {
    let get = if gup_flags.contains(FollFlags::PIN) { FollFlags::empty() } else { FollFlags::GET };
    gup_flags | FollFlags::TOUCH | get
}

/// `get_user_pages_locked()`: the caller holds `mmap_lock`, and has it afterwards only if it was never let go of.
///
/// # Errors
/// The first error, if not a single page could be got.
pub fn get_user_pages_locked<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    mmap_lock: MmapLock<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'a mut Pages,
    gup_flags: FollFlags,
) -> BoxFuture<'a, Got<'m>> {
    let flags = takes(gup_flags) | FollFlags::UNLOCKABLE;
    Box::pin(locked(cpu, "get_user_pages_locked", mmap_lock, Wanted { start, nr_pages, flags }, pages))
}

async fn locked<'m>(
    cpu: Cpu<'m>,
    routine: &'static str,
    mmap_lock: MmapLock<'m>,
    wanted: Wanted,
    pages: &mut Pages,
) -> Got<'m> {
    let _routine = cpu.enter(Routine::helper(routine));
    let Some(mm) = cpu.current_mm() else { return (Err(Errno::Efault), Some(mmap_lock)) };
    let before = pages.nr();
    mm_set_has_pinned_flag(cpu, mm, wanted.flags).await;
    let (got, held) = __get_user_pages_locked(cpu, mm, mmap_lock, wanted, Some(&mut *pages)).await;
    pages.returned(cpu, (wanted.start, wanted.nr_pages), before, got);
    (got, held)
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
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("get_user_pages_unlocked"));
        let mm = cpu.current_mm().ok_or(Errno::Efault)?;
        let before = pages.nr();
        let wanted = Wanted { start, nr_pages, flags: takes(gup_flags) | FollFlags::UNLOCKABLE };
        let for_long = gup_flags.contains(FollFlags::LONGTERM);
        mm_set_has_pinned_flag(cpu, mm, gup_flags).await;
        let got = if for_long && cpu.setting::<LongtermCheck>() == LongtermCheck::Afterwards {
            Box::pin(get_user_pages_longterm(cpu, mm, wanted, &mut *pages)).await
        } else if for_long && cpu.setting::<MovableZone>() == MovableZone::On {
            Box::pin(__gup_longterm_locked(cpu, mm, wanted, &mut *pages)).await
        } else {
            let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
            __get_user_pages_locked(cpu, mm, mmap_lock, wanted, Some(&mut *pages)).await.0
        };
        pages.returned(cpu, (start, nr_pages), before, got);
        got
    })
}

/// `pin_user_pages()`: as [`get_user_pages_unlocked`], with pins instead of references.
///
/// # Errors
/// The first error, if not a single page could be got.
pub fn pin_user_pages<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'m mut Pages,
    gup_flags: FollFlags,
) -> BoxFuture<'m, Result<u64, Errno>> {
    get_user_pages_unlocked(cpu, start, nr_pages, pages, gup_flags | FollFlags::PIN)
}

/// `get_user_pages_remote()`, `pin_user_pages_remote()` with `FOLL_PIN`: pages of an address space that need not be the
/// caller's. The caller says by `FOLL_UNLOCKABLE` whether a fault may let go of the lock.
///
/// # Errors
/// The first error, if not a single page could be got.
pub fn get_user_pages_remote<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'a mut Pages,
    gup_flags: FollFlags,
) -> BoxFuture<'a, Got<'m>> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::helper("get_user_pages_remote"));
        mm_set_has_pinned_flag(cpu, mm, gup_flags).await;
        let wanted = Wanted { start, nr_pages, flags: takes(gup_flags) | FollFlags::REMOTE };
        __get_user_pages_locked(cpu, mm, mmap_lock, wanted, Some(pages)).await
    })
}

/// `get_user_pages()`: the caller holds `mmap_lock`, and has it afterwards. So no fault can wait for user code.
///
/// # Errors
/// The first error, if not a single page could be got.
pub fn get_user_pages<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    mmap_lock: MmapLock<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'a mut Pages,
    gup_flags: FollFlags,
) -> BoxFuture<'a, Got<'m>> {
    Box::pin(locked(cpu, "get_user_pages", mmap_lock, Wanted { start, nr_pages, flags: takes(gup_flags) }, pages))
}
