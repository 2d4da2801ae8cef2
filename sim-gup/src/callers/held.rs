//! Callers that hold `mmap_lock` already, and go on under it with a mapping that they found before: `get_vaddr_frames()` of drivers, and others.

use sim_core::{BoxFuture, Routine};
use sim_mm::{Cpu, Errno, find_vma};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::get_user_pages::{get_user_pages, get_user_pages_locked};
use crate::pages::Pages;

/// Gets pages under `mmap_lock`, and then looks at the mapping of the first one again, if GUP has held the lock all the time. With `unlockable` it calls [`get_user_pages_locked`], and
/// otherwise [`get_user_pages`].
///
/// # Errors
/// As those.
pub fn get_pages_under_lock<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'m mut Pages,
    gup_flags: FollFlags,
    unlockable: bool,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("get_vaddr_frames"));
        let mm = cpu.current_mm().ok_or(Errno::Efault)?;
        let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
        let vma = find_vma(cpu, mm, start).await.ok_or(Errno::Efault)?;
        let (got, held) = if unlockable {
            get_user_pages_locked(cpu, mmap_lock, start, nr_pages, pages, gup_flags).await
        } else {
            get_user_pages(cpu, mmap_lock, start, nr_pages, pages, gup_flags).await
        };
        if held.is_some() {
            let _ = vma.end(cpu);
        }
        got
    })
}
