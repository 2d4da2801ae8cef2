//! The functions by which others get pages without a lock: `get_user_pages_fast()` and its kin.

use sim_core::{BoxFuture, IrqGuard, PreemptGuard, RcuReadGuard, Routine};
use sim_mm::{Cpu, Errno, MmStruct, check};
use sim_mmu::VirtAddr;

use crate::cow::should_force_cow_break;
use crate::fast::gup_pgd_range;
use crate::flags::FollFlags;
use crate::get_user_pages::{get_user_pages_unlocked, mm_set_has_pinned_flag};
use crate::pages::{Pages, Pin, put_pin};
use crate::safeguards::{
    GUP_ACCESS_OK, GUP_ADVANCE_START, GUP_IRQ_OFF, GUP_MERGE_RESULT, GUP_NR_PAGES, GUP_RANGE_WRAPS,
    GUP_SLOW_FALLBACK, GUP_WRITE_PROTECT_SEQ,
};
use crate::settings::GupProtect;

/// What is disabled around the walk.
enum Protected<'m> {
    Irq(#[allow(dead_code, reason = "held for its drop")] IrqGuard<'m>),
    Preempt(#[allow(dead_code, reason = "held for its drop")] PreemptGuard<'m>),
    Rcu(#[allow(dead_code, reason = "held for its drop")] RcuReadGuard<'m>),
    Nothing,
}

/// `local_irq_save()`, or what a careless patch might take for enough.
///
/// `get_user_pages_fast()` disables interrupts and enables them afterwards. Its callers have them enabled, so that this is the same as to save and to restore them, as
/// `__get_user_pages_fast()` does.
///
/// Disabled interrupts hold up both the grace period after which tables are freed and the interrupt of
/// a TLB flush; disabled preemption holds up only the first; `rcu_read_lock()` the first since v4.20.
fn protect<'m>(cpu: Cpu<'m>) -> Protected<'m> {
    cpu.consulted(GUP_IRQ_OFF);
    match cpu.setting::<GupProtect>() {
        GupProtect::Irq => Protected::Irq(cpu.irq_save()),
        GupProtect::Preempt => Protected::Preempt(cpu.preempt_disable()),
        GupProtect::Rcu => Protected::Rcu(cpu.rcu_read_lock()),
        GupProtect::Nothing => Protected::Nothing,
    }
}

/// `access_ok()`: the whole range is in the user half.
fn access_ok(cpu: Cpu<'_>, start: VirtAddr, len: u64) -> bool {
    let limit = cpu.mmu.geometry.task_size().0;
    let below = start.0.checked_add(len).is_some_and(|end| end <= limit);
    if check!(cpu, GUP_ACCESS_OK, !below) {
        return false;
    }
    true
}

/// `gup_fast_permitted()`.
fn gup_fast_permitted(cpu: Cpu<'_>, start: VirtAddr, len: u64) -> bool {
    if check!(cpu, GUP_RANGE_WRAPS, start.0.wrapping_add(len) < start.0) {
        return false;
    }
    true
}

/// `lockless_pages_from_mm()`. A pin that overlaps a fork is given back: fork may have looked for it too early.
async fn lockless_pages_from_mm(
    cpu: Cpu<'_>,
    start: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) {
    let pins = flags.contains(FollFlags::PIN) && cpu.has(GUP_WRITE_PROTECT_SEQ);
    let seq = match cpu.current_mm().filter(|_| pins) {
        Some(mm) => Some((mm.write_protect_seq(), cpu.read_seq(mm.write_protect_seq()).await)),
        None => None,
    };
    if seq.is_some_and(|(_, seq)| seq % 2 == 1) {
        return;
    }
    {
        let _protected = protect(cpu);
        let walk = if should_force_cow_break(cpu) { flags | FollFlags::WRITE } else { flags };
        gup_pgd_range(cpu, start, end, walk, pages).await;
    }
    if let Some((counter, before)) = seq
        && cpu.read_seq(counter).await != before
    {
        for pin in pages.take() {
            put_pin(cpu, pin).await;
        }
    }
}

/// A page of another process without a lock. The kernel has no such function: only the tables of `current->mm` are loaded on this CPU, so only a flush of theirs interrupts it. Disabled
/// interrupts hold up nobody who frees other tables.
pub(crate) async fn get_remote_page_fast(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    addr: VirtAddr,
    flags: FollFlags,
) -> Option<Pin> {
    let mut pages = Pages::default();
    pages.walk_another(mm);
    let _protected = protect(cpu);
    gup_pgd_range(cpu, addr, addr.plus_pages(1), flags, &mut pages).await;
    pages.take().pop()
}

/// `__get_user_pages_fast()`: like [`get_user_pages_fast`], but never sleeps: what the lockless walk
/// cannot pin stays unpinned. Answers how many pages were pinned.
///
/// It does not look at `nr_pages`, which is signed in C. A negative number is a range that wraps, and is refused.
/// For none the walk begins all the same, past the end of its range, and pins what it finds up to the first entry
/// that it cannot.
pub fn __get_user_pages_fast<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    write: bool,
    pages: &'m mut Pages,
) -> BoxFuture<'m, u64> {
    Box::pin(fast_only(cpu, start, nr_pages, write, pages))
}

async fn fast_only(cpu: Cpu<'_>, start: VirtAddr, nr_pages: u64, write: bool, pages: &mut Pages) -> u64 {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("__get_user_pages_fast"));
    let start = start.page_base();
    let len = nr_pages << 12;
    if !access_ok(cpu, start, len) {
        return 0;
    }
    if gup_fast_permitted(cpu, start, len) {
        let _protected = protect(cpu);
        let flags = FollFlags::GET | if write { FollFlags::WRITE } else { FollFlags::empty() };
        gup_pgd_range(cpu, start, VirtAddr(start.0.wrapping_add(len)), flags, pages).await;
    }
    pages.nr()
}

/// `get_user_pages_fast()`: pins pages without a lock, and what is left with one.
///
/// Answers the number of pages pinned, which may be fewer than asked for. For none, and for a negative number, it
/// is none.
///
/// # Errors
/// `EFAULT` or `ENOMEM`, if not a single page could be pinned.
pub fn get_user_pages_fast<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    write: bool,
    pages: &'m mut Pages,
) -> BoxFuture<'m, Result<u64, Errno>> {
    let flags = if write { FollFlags::WRITE } else { FollFlags::empty() };
    Box::pin(internal_get_user_pages_fast(cpu, start, nr_pages, flags, pages))
}

/// `pin_user_pages_fast()`: like [`get_user_pages_fast`], with pins instead of references.
///
/// # Errors
/// As [`get_user_pages_fast`].
pub fn pin_user_pages_fast<'m>(
    cpu: Cpu<'m>,
    start: VirtAddr,
    nr_pages: u64,
    flags: FollFlags,
    pages: &'m mut Pages,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(internal_get_user_pages_fast(cpu, start, nr_pages, flags | FollFlags::PIN, pages))
}

/// `internal_get_user_pages_fast()`.
async fn internal_get_user_pages_fast(
    cpu: Cpu<'_>,
    start: VirtAddr,
    nr_pages: u64,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<u64, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("get_user_pages_fast"));
    let start = start.page_base();
    let len = nr_pages << 12;
    if check!(cpu, GUP_NR_PAGES, nr_pages.cast_signed() <= 0) {
        return Ok(0);
    }
    if !access_ok(cpu, start, len) {
        return Err(Errno::Efault);
    }
    if let Some(mm) = cpu.current_mm() {
        mm_set_has_pinned_flag(cpu, mm, flags).await;
    }
    if gup_fast_permitted(cpu, start, len) {
        lockless_pages_from_mm(cpu, start, VirtAddr(start.0.wrapping_add(len)), flags, pages).await;
    }
    let nr = pages.nr();
    let wanted = (start, nr_pages);
    let got = if nr >= nr_pages || !cpu.has(GUP_SLOW_FALLBACK) {
        Ok(nr)
    } else {
        let start = if check!(cpu, GUP_ADVANCE_START, nr > 0) { start.plus_pages(nr) } else { start };
        match get_user_pages_unlocked(cpu, start, nr_pages - nr, pages, flags).await {
            Ok(more) => Ok(nr + more),
            Err(_) if nr > 0 && cpu.has(GUP_MERGE_RESULT) => Ok(nr),
            Err(errno) => Err(errno),
        }
    };
    pages.returned(cpu, wanted, 0, got);
    got
}
