//! The locked path: `__get_user_pages()`, and the functions that call it again and again until all pages are there.

use sim_mm::{
    Cpu, Errno, MmStruct, MmapLock, Vma, can_be_killed, check, fatal_signal_pending, find_extend_vma, in_gate_area,
};
use sim_mmu::VirtAddr;

use crate::check_vma::check_vma_flags;
use crate::cow::should_force_cow_break;
use crate::devmap::put_context;
use crate::faultin::{FaultedIn, faultin_page};
use crate::flags::FollFlags;
use crate::follow::follow_page_mask;
use crate::followed::{Followed, Got};
use crate::gate::get_gate_page;
use crate::pages::Pages;
use crate::safeguards::{
    GUP_ADVANCE_AFTER_DROP, GUP_CLAMP_STRIDE, GUP_FATAL_SIGNAL, GUP_FLAGS_ANEW, GUP_FOLLOWS_AGAIN, GUP_NEXT_VMA,
    GUP_NO_STRUCT_SKIPS, GUP_NUMA_NOT_FORCED, GUP_PARTIAL_COUNT, GUP_RETAKES_LOCK, GUP_STRIDE_ONLY_TO_FAULT,
    GUP_TELLS_DROPPED,
};
use crate::settings::{GupNuma, GupRetry};

/// What `__get_user_pages()` is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) start: VirtAddr,
    pub(crate) nr_pages: u64,
    pub(crate) flags: FollFlags,
}

impl Wanted {
    /// What is left when the first pages are done.
    fn behind(self, done: u64) -> Wanted {
        Wanted { start: self.start.plus_pages(done), nr_pages: self.nr_pages - done, flags: self.flags }
    }
}

/// `FOLL_NUMA`: a page that is due for a NUMA fault has that fault first. Not if the access is forced: then nobody says that the fault would find the mapping accessible.
fn honours_numa(cpu: Cpu<'_>, gup_flags: FollFlags) -> bool {
    cpu.setting::<GupNuma>() == GupNuma::Faults
        && !check!(cpu, GUP_NUMA_NOT_FORCED, gup_flags.contains(FollFlags::FORCE))
}

/// `__get_user_pages()`: the caller hands `mmap_lock` over, and has it back if no fault had to let go of it. The pages are added to `pages`, or only faulted in if there is none.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function has its arguments twice: as such, and as variables of its body"
)]
pub(crate) fn __get_user_pages<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mut mmap_lock: MmapLock<'m>,
    wanted: Wanted,
    mut pages: Option<&'a mut Pages>,
) -> impl Future<Output = Got<'m>> + use<'a, 'm> {
    async move {
        let _routine = cpu.enter("__get_user_pages");
        let Wanted { mut start, mut nr_pages, flags: mut gup_flags } = wanted;
        let takes = gup_flags.intersects(FollFlags::GET | FollFlags::PIN);
        cpu.vm_bug_on(pages.is_some() != takes, "VM_BUG_ON(!!pages != !!(gup_flags & (FOLL_GET | FOLL_PIN)))");
        gup_flags.set(FollFlags::NUMA, honours_numa(cpu, gup_flags));
        let populate = gup_flags.contains(FollFlags::MADV_POPULATE);
        let mut vma: Option<Vma> = None;
        let mut foll_flags = gup_flags;
        let mut i = 0;
        while nr_pages > 0 {
            let stop = |errno| if i > 0 && cpu.has(GUP_PARTIAL_COUNT) { Ok(i) } else { Err(errno) };
            if cpu.has(GUP_FLAGS_ANEW) {
                foll_flags = gup_flags;
            }
            // First iteration, or across the end of a mapping.
            let current = match vma.filter(|vma| !check!(cpu, GUP_NEXT_VMA, start >= vma.end(cpu))) {
                Some(vma) => vma,
                None => {
                    // gup_vma_lookup() since v6.5, which lets no stack grow.
                    let Some(found) = find_extend_vma(cpu, mm, start).await else {
                        if in_gate_area(cpu, start) {
                            // In a box, as what hardly anybody asks for.
                            let got =
                                Box::pin(get_gate_page(cpu, mm, start, gup_flags, pages.as_deref_mut())).await;
                            if let Err(errno) = got {
                                return (stop(errno), Some(mmap_lock));
                            }
                            (i, start, nr_pages) = (i + 1, start.plus_pages(1), nr_pages - 1);
                            continue;
                        }
                        return (stop(if populate { Errno::Enomem } else { Errno::Efault }), Some(mmap_lock));
                    };
                    if let Err(errno) = check_vma_flags(cpu, mm, found, gup_flags) {
                        return (stop(if populate { Errno::Einval } else { errno }), Some(mmap_lock));
                    }
                    found
                }
            };
            vma = Some(current);
            if should_force_cow_break(cpu) && current.flags(cpu).is_cow_mapping() {
                foll_flags |= FollFlags::WRITE;
            }
            if pages.as_deref().is_some_and(Pages::has_pgmap) {
                foll_flags |= FollFlags::PGMAP;
            }
            let (page, page_mask) = loop {
                // A task that has to die does not go on allocating memory.
                if can_be_killed(cpu) && check!(cpu, GUP_FATAL_SIGNAL, Box::pin(fatal_signal_pending(cpu)).await) {
                    return (stop(Errno::Eintr), Some(mmap_lock));
                }
                let unshare = match follow_page_mask(cpu, mm, current, start, foll_flags).await {
                    Followed::Page(page) => break (Some(page), 0),
                    Followed::HugePage(page) => break (Some(page), cpu.pmd_nr() - 1),
                    Followed::DevicePage(page, pgmap) => {
                        if let (Some(pages), Some(pgmap)) = (pages.as_deref_mut(), pgmap) {
                            pages.hold_pgmap(pgmap);
                        }
                        break (Some(page), 0);
                    }
                    // A page that cannot be told is there all the same.
                    Followed::NoStruct if cpu.has(GUP_NO_STRUCT_SKIPS) => break (None, 0),
                    Followed::NoStruct | Followed::Gone => return (stop(Errno::Efault), Some(mmap_lock)),
                    // Only ksmd waits for a page that is being moved.
                    Followed::NoPage | Followed::Moving | Followed::WasSplit => false,
                    Followed::NotSplit(errno) => return (stop(errno), Some(mmap_lock)),
                    Followed::MustUnshare => true,
                    Followed::Refused => return (stop(Errno::Enomem), Some(mmap_lock)),
                };
                match faultin_page(cpu, mm, mmap_lock, current, start, &mut foll_flags, unshare).await {
                    FaultedIn::Done(held) => {
                        mmap_lock = held;
                        if !cpu.has(GUP_FOLLOWS_AGAIN) {
                            break (None, 0);
                        }
                    }
                    FaultedIn::Failed(errno, held) => return (stop(errno), Some(held)),
                    FaultedIn::Retry => return (Ok(i), None),
                    FaultedIn::Busy(held) => return (Ok(i), Some(held)),
                    FaultedIn::Absent(held) => {
                        mmap_lock = held;
                        break (None, 0);
                    }
                }
            };
            let mut page_increm = 1 + (!start.vpn().0 & page_mask);
            if let (Some(pages), Some(page)) = (pages.as_deref_mut(), page) {
                pages.push(cpu, mm.id, page, start, gup_flags);
                pages.push_vma(current);
                // Each page has its own place in the array, and so its own look-up.
                if cpu.has(GUP_STRIDE_ONLY_TO_FAULT) {
                    page_increm = 1;
                }
            }
            if check!(cpu, GUP_CLAMP_STRIDE, page_increm > nr_pages) {
                page_increm = nr_pages;
            }
            (i, start, nr_pages) =
                (i + page_increm, start.plus_pages(page_increm), nr_pages.wrapping_sub(page_increm));
        }
        (Ok(i), Some(mmap_lock))
    }
}

/// `__get_user_pages()`, with `put_dev_pagemap()` at its end.
async fn get_and_put<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    wanted: Wanted,
    mut pages: Option<&mut Pages>,
) -> Got<'m> {
    let got = __get_user_pages(cpu, mm, mmap_lock, wanted, pages.as_deref_mut()).await;
    match pages.filter(|pages| pages.has_pgmap()) {
        Some(pages) => put_context(cpu, pages, got).await,
        None => got,
    }
}

/// `__get_user_pages_locked()`: goes on where a fault let go of `mmap_lock`, with the lock taken anew. The caller has the lock back only if it was held all the time: if it was not,
/// what the caller found under it may be gone.
pub(crate) async fn __get_user_pages_locked<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    wanted: Wanted,
    mut pages: Option<&mut Pages>,
) -> Got<'m> {
    // As get_and_put(), whose future would make that of every call larger.
    let mut got = __get_user_pages(cpu, mm, mmap_lock, wanted, pages.as_deref_mut()).await;
    if let Some(pages) = pages.as_deref_mut().filter(|pages| pages.has_pgmap()) {
        got = put_context(cpu, pages, got).await;
    }
    match got {
        // If the pages only have to be there, the caller goes on himself. Since v6.9 that is done here (`631426ba1d45`), which comes to the same.
        (Ok(done), None) if done < wanted.nr_pages && pages.is_some() => {
            // In a box, as what happens rarely.
            Box::pin(go_on(cpu, mm, wanted, done, pages)).await
        }
        got => got,
    }
}

/// The rest of `__get_user_pages_locked()`, from the first fault that let go of the lock: that page once more, and then those behind it.
async fn go_on<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    wanted: Wanted,
    done: u64,
    mut pages: Option<&mut Pages>,
) -> Got<'m> {
    let mut pages_done = if cpu.has(GUP_ADVANCE_AFTER_DROP) { done } else { 0 };
    // What the caller is told, if it ends with this.
    let add = |pages_done: &mut u64, got: Result<u64, Errno>| {
        *pages_done += got.unwrap_or(0);
        if *pages_done > 0 { Ok(*pages_done) } else { got }
    };
    loop {
        let (got, held) = retry_one(cpu, mm, wanted.behind(pages_done), pages.as_deref_mut()).await;
        let told = add(&mut pages_done, got);
        let held = match held {
            Some(held) if got == Ok(1) && pages_done < wanted.nr_pages => held,
            held => return (told, tell_dropped(cpu, held)),
        };
        let (got, held) = get_and_put(cpu, mm, held, wanted.behind(pages_done), pages.as_deref_mut()).await;
        let told = add(&mut pages_done, got);
        if held.is_some() || pages_done == wanted.nr_pages {
            return (told, tell_dropped(cpu, held));
        }
    }
}

/// The lock was let go of once, so it is let go of in the end: the caller must not go on with what it found before.
fn tell_dropped<'m>(cpu: Cpu<'_>, held: Option<MmapLock<'m>>) -> Option<MmapLock<'m>> {
    held.filter(|_| !check!(cpu, GUP_TELLS_DROPPED, true))
}

/// The page for which the fault let go of the lock, once more, with `FOLL_TRIED`. Until v5.7 the fault may not let go of the lock again.
async fn retry_one<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, wanted: Wanted, mut pages: Option<&mut Pages>) -> Got<'m> {
    let may_drop = cpu.setting::<GupRetry>() == GupRetry::Again;
    let mut one = Wanted { nr_pages: 1, flags: wanted.flags | FollFlags::TRIED, ..wanted };
    one.flags.set(FollFlags::UNLOCKABLE, may_drop);
    loop {
        // It could go on for ever, and so it ends when the task has to die.
        if may_drop && can_be_killed(cpu) && fatal_signal_pending(cpu).await {
            return (Err(Errno::Eintr), None);
        }
        let held: MmapLock<'m> =
            if cpu.has(GUP_RETAKES_LOCK) { cpu.down_read(mm.mmap_lock).await.into() } else { MmapLock::Nobody };
        match get_and_put(cpu, mm, held, one, pages.as_deref_mut()).await {
            (_, None) => {}
            got => return got,
        }
    }
}
