//! Core dumps: `get_dump_page()` of `mm/gup.c`.

use sim_core::{BoxFuture, Routine};
use sim_mm::{Cpu, Errno, MmapLock};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::gup::{__get_user_pages_locked, Wanted};
use crate::pages::{Pages, put_pin};
use crate::safeguards::DUMP_MMAP_LOCK;

/// `get_dump_page()`: the page behind an address of a process that dumps core, looked up and given back. Every other thread
/// of the process is dead, but others can still change the address space.
///
/// # Errors
/// `EFAULT`, if nothing is there: the dump has a hole.
pub fn get_dump_page(cpu: Cpu<'_>, addr: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("get_dump_page"));
        let mm = cpu.current_mm().ok_or(Errno::Efault)?;
        let held =
            if cpu.has(DUMP_MMAP_LOCK) { cpu.down_read(mm.mmap_lock).await.into() } else { MmapLock::Nobody };
        let mut pages = Pages::default();
        let mut flags = FollFlags::FORCE | FollFlags::DUMP | FollFlags::GET;
        // Whoever holds no lock has none that a fault could let go of.
        flags.set(FollFlags::UNLOCKABLE, !matches!(held, MmapLock::Nobody));
        let wanted = Wanted { start: addr.page_base(), nr_pages: 1, flags };
        let (got, held) = __get_user_pages_locked(cpu, mm, held, wanted, Some(&mut pages)).await;
        drop(held);
        for pin in pages.take() {
            put_pin(cpu, pin).await;
        }
        got.map(|_| ())
    })
}
