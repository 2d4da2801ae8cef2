//! Pins that last: `get_user_pages_longterm()`, and `__gup_longterm_locked()` after it.

use sim_mm::{Cpu, Errno, LongtermPages, MmStruct, Page};

use crate::check_vma::refuses_fsdax;
use crate::flags::FollFlags;
use crate::gup::{__get_user_pages_locked, Wanted};
use crate::pages::{Pages, put_pin};
use crate::safeguards::{LONGTERM_KEEPS_LOCK, LONGTERM_MIGRATES, LONGTERM_PUTS_ALL};

/// `get_user_pages_longterm()`, and `check_dax_vmas()` from v5.2 to v5.10: gets the pages first, and gives them back if one of them is of a file on a device.
///
/// # Errors
/// `EOPNOTSUPP` in that case; otherwise the first error, if not a single page could be got.
pub(crate) async fn get_user_pages_longterm<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mut wanted: Wanted,
    pages: &mut Pages,
) -> Result<u64, Errno> {
    let _routine = cpu.enter("get_user_pages_longterm");
    let before = pages.nr();
    // The mappings are looked at afterwards, so the lock is kept: while it is held none of them goes.
    wanted.flags.set(FollFlags::UNLOCKABLE, !cpu.has(LONGTERM_KEEPS_LOCK));
    pages.collect_vmas();
    let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
    let (got, _mmap_lock) = __get_user_pages_locked(cpu, mm, mmap_lock, wanted, Some(&mut *pages)).await;
    let vmas = pages.take_vmas();
    let nr = got?;
    if !vmas.into_iter().any(|vma| refuses_fsdax(cpu, vma)) {
        return Ok(nr);
    }
    let put = if cpu.has(LONGTERM_PUTS_ALL) { before } else { before + 1 };
    for pin in pages.split_off(put) {
        put_pin(cpu, pin).await;
    }
    Err(Errno::Eopnotsupp)
}

/// `__gup_longterm_locked()`: no page that is handed out is in the zone MOVABLE.
pub(crate) async fn __gup_longterm_locked<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    wanted: Wanted,
    pages: &mut Pages,
) -> Result<u64, Errno> {
    let before = pages.nr();
    loop {
        let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
        let (got, held) = __get_user_pages_locked(cpu, mm, mmap_lock, wanted, Some(&mut *pages)).await;
        drop(held);
        let got = got?;
        if !cpu.has(LONGTERM_MIGRATES) || check_and_migrate_movable_pages(cpu, pages, before).await? {
            return Ok(got);
        }
    }
}

/// `check_and_migrate_movable_pages()`: whether all pages behind the first ones may be pinned for long. Otherwise nothing is pinned any more, and
/// those that may not are moved.
async fn check_and_migrate_movable_pages(cpu: Cpu<'_>, pages: &mut Pages, before: u64) -> Result<bool, Errno> {
    let _routine = cpu.enter("check_and_migrate_movable_pages");
    let got: Vec<Page> = pages.pins().iter().skip(before as usize).map(|pin| pin.page).collect();
    let found = LongtermPages::collect(cpu, &got).await;
    if found.is_empty() {
        return Ok(true);
    }
    for pin in pages.split_off(before) {
        put_pin(cpu, pin).await;
    }
    if found.migrate(cpu).await { Ok(false) } else { Err(Errno::Enomem) }
}
