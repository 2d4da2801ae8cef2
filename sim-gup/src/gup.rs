//! The locked path: `__get_user_pages()`, and the functions that call it again and again until all pages are there.

use sim_core::{BoxFuture, Routine};
use sim_mm::{
    Cpu, Errno, FaultFlags, LongtermPages, MmFault, MmStruct, MmapLock, MovableZone, Page, VmFlags, Vma,
    arch_vma_access_permitted, check, find_extend_vma, handle_mm_fault, in_gate_area, vma_is_fsdax,
    vma_is_secretmem,
};
use sim_mmu::VirtAddr;

use crate::cow::should_force_cow_break;
use crate::devmap::put_context;
use crate::flags::FollFlags;
use crate::follow::follow_page_mask;
use crate::followed::Followed;
use crate::gate::get_gate_page;
use crate::pages::{Pages, put_pin};
use crate::safeguards::{
    CHECK_VMA_HUGETLB_FORCE, CHECK_VMA_PKEY, CHECK_VMA_SECRETMEM, CHECK_VMA_WRITE, GUP_KEEP_WRITE,
    LONGTERM_FILE_WRITE, LONGTERM_FSDAX, LONGTERM_MIGRATES,
};
use crate::settings::ForcedWrite;

/// How `faultin_page()` ended.
enum FaultedIn<'m> {
    /// The page can be looked up again; `mmap_lock` is still held.
    Done(MmapLock<'m>),
    /// An error; `mmap_lock` is still held.
    Failed(Errno, MmapLock<'m>),
    /// `-EBUSY`: the fault let go of `mmap_lock`.
    Retry,
}

/// `faultin_page()`. With `unshare`, the page must become this address space's own.
async fn faultin_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: &mut FollFlags,
    unshare: bool,
) -> FaultedIn<'m> {
    let _routine = cpu.enter("faultin_page");
    let mut fault = FaultFlags::empty();
    fault.set(FaultFlags::WRITE, flags.contains(FollFlags::WRITE));
    fault.set(FaultFlags::UNSHARE, unshare);
    match handle_mm_fault(cpu, mm, mmap_lock, vma, address, fault).await {
        MmFault::Done(done, mmap_lock) => {
            // COW is broken, though the mapping keeps the entry read-only: look it up as if it were a read.
            // Not where the mapping is writable, for there a later write may break COW once more.
            if done.write && !vma.flags(cpu).contains(VmFlags::WRITE) {
                cpu.consulted(GUP_KEEP_WRITE);
                match cpu.setting::<ForcedWrite>() {
                    ForcedWrite::DropWrite => *flags -= FollFlags::WRITE,
                    ForcedWrite::CowFlag => *flags |= FollFlags::COW,
                    ForcedWrite::Exclusive => {}
                }
            }
            FaultedIn::Done(mmap_lock)
        }
        MmFault::Failed(error, mmap_lock) => {
            FaultedIn::Failed(error.errno(flags.contains(FollFlags::HWPOISON)), mmap_lock)
        }
        MmFault::Retry | MmFault::Completed => FaultedIn::Retry,
    }
}

/// `check_vma_flags()`.
fn check_vma_flags(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, gup_flags: FollFlags) -> Result<(), Errno> {
    let vm_flags = vma.flags(cpu);
    let force = gup_flags.contains(FollFlags::FORCE);
    if vm_flags.intersects(VmFlags::IO | VmFlags::PFNMAP) {
        return Err(Errno::Efault);
    }
    // Until v5.10 get_user_pages_longterm() got the pages first, looked at their mappings then, and gave all back.
    let longterm = gup_flags.contains(FollFlags::LONGTERM);
    if check!(cpu, LONGTERM_FSDAX, longterm && vma_is_fsdax(cpu, vma)) {
        return Err(Errno::Eopnotsupp);
    }
    if check!(cpu, CHECK_VMA_SECRETMEM, vma_is_secretmem(cpu, vma)) {
        return Err(Errno::Efault);
    }
    let longterm_write = gup_flags.contains(FollFlags::WRITE | FollFlags::LONGTERM);
    // writable_file_mapping_allowed()
    if check!(cpu, LONGTERM_FILE_WRITE, longterm_write && vm_flags.contains(VmFlags::DIRTY_TRACKING)) {
        return Err(Errno::Efault);
    }
    if gup_flags.contains(FollFlags::WRITE) {
        let is_forced = !vm_flags.contains(VmFlags::WRITE) && force;
        if check!(cpu, CHECK_VMA_HUGETLB_FORCE, is_forced && vm_flags.contains(VmFlags::HUGETLB)) {
            return Err(Errno::Efault);
        }
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
    let (write, foreign) = (gup_flags.contains(FollFlags::WRITE), gup_flags.contains(FollFlags::REMOTE));
    // Here, and not only in the entry: a page that is not there yet has no entry.
    if check!(cpu, CHECK_VMA_PKEY, !arch_vma_access_permitted(cpu, mm.id, vm_flags, write, foreign)) {
        return Err(Errno::Efault);
    }
    Ok(())
}

/// What `__get_user_pages()` is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) start: VirtAddr,
    pub(crate) nr_pages: u64,
    pub(crate) flags: FollFlags,
}

/// `__get_user_pages()`: the caller hands `mmap_lock` over, and has it back if no fault had to let go of it.
/// Answers how many pages were added to `pages`, or only faulted in if there is none, or the first error, if not a
/// single page could be got.
pub(crate) async fn __get_user_pages<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mut mmap_lock: MmapLock<'m>,
    wanted: Wanted,
    mut pages: Option<&mut Pages>,
) -> (Result<u64, Errno>, Option<MmapLock<'m>>) {
    let _routine = cpu.enter("__get_user_pages");
    let Wanted { mut start, nr_pages, flags: gup_flags } = wanted;
    let populate = gup_flags.contains(FollFlags::MADV_POPULATE);
    let mut vma: Option<Vma> = None;
    for i in 0..nr_pages {
        // The flags start anew for each page: FOLL_COW of one says nothing about the next.
        let mut foll_flags = gup_flags;
        let stop = |errno| if i > 0 { Ok(i) } else { Err(errno) };
        // First iteration, or across the end of a mapping.
        let current = match vma.filter(|vma| start < vma.end(cpu)) {
            Some(vma) => vma,
            None => {
                // gup_vma_lookup() since v6.5, which lets no stack grow.
                let Some(found) = find_extend_vma(cpu, mm, start).await else {
                    if in_gate_area(cpu, start) {
                        // In a box, as what hardly anybody asks for.
                        let got = Box::pin(get_gate_page(cpu, mm, start, gup_flags, pages.as_deref_mut())).await;
                        if let Err(errno) = got {
                            return (stop(errno), Some(mmap_lock));
                        }
                        start = start.plus_pages(1);
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
        let page = loop {
            let unshare = match follow_page_mask(cpu, mm, current, start, foll_flags).await {
                Followed::Page(page) => break Some(page),
                Followed::DevicePage(page, pgmap) => {
                    if let (Some(pages), Some(pgmap)) = (pages.as_deref_mut(), pgmap) {
                        pages.hold_pgmap(pgmap);
                    }
                    break Some(page);
                }
                // A page that cannot be told is there all the same.
                Followed::NoStruct => break None,
                Followed::Gone => return (stop(Errno::Efault), Some(mmap_lock)),
                // Only ksmd waits for a page that is being moved.
                Followed::NoPage | Followed::Moving => false,
                Followed::MustUnshare => true,
                Followed::Refused => return (stop(Errno::Enomem), Some(mmap_lock)),
            };
            match faultin_page(cpu, mm, mmap_lock, current, start, &mut foll_flags, unshare).await {
                FaultedIn::Done(held) => mmap_lock = held,
                FaultedIn::Failed(errno, held) => return (stop(errno), Some(held)),
                FaultedIn::Retry => return (Ok(i), None),
            }
        };
        if let (Some(pages), Some(page)) = (pages.as_deref_mut(), page) {
            pages.push(cpu, mm.id, page, start, gup_flags);
        }
        start = start.plus_pages(1);
    }
    (Ok(nr_pages), Some(mmap_lock))
}

/// `__get_user_pages_locked()`: takes `mmap_lock` for reading, and again where a fault let go of it. Answers how many
/// pages were got.
pub(crate) async fn __get_user_pages_locked<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    wanted: Wanted,
    mut pages: Option<&mut Pages>,
) -> Result<u64, Errno> {
    if wanted.flags.contains(FollFlags::PIN) {
        // mm_set_has_pinned_flag(): before the first pin, so that a fork that sees no flag has seen no pin.
        cpu.store(mm.has_pinned(), true).await;
    }
    let mut done = 0;
    loop {
        let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
        let left =
            Wanted { start: wanted.start.plus_pages(done), nr_pages: wanted.nr_pages - done, flags: wanted.flags };
        let mut got = __get_user_pages(cpu, mm, mmap_lock, left, pages.as_deref_mut()).await;
        if let Some(pages) = pages.as_deref_mut().filter(|pages| pages.has_pgmap()) {
            got = put_context(cpu, pages, got).await;
        }
        match got {
            // A fault let go of the lock: go on behind what was got.
            (Ok(nr), None) if nr < left.nr_pages => done += nr,
            (Ok(nr), _held) => return Ok(done + nr),
            (Err(_), _held) if done > 0 => return Ok(done),
            (Err(errno), _held) => return Err(errno),
        }
    }
}

/// `__gup_longterm_locked()`: the same for pins that last. No page that is handed out is in the zone MOVABLE.
async fn __gup_longterm_locked<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    wanted: Wanted,
    pages: &mut Pages,
) -> Result<u64, Errno> {
    let before = pages.nr();
    loop {
        let got = __get_user_pages_locked(cpu, mm, wanted, Some(&mut *pages)).await?;
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
        let get = if gup_flags.contains(FollFlags::PIN) { FollFlags::empty() } else { FollFlags::GET };
        let flags = gup_flags | FollFlags::TOUCH | get;
        let before = pages.nr();
        let wanted = Wanted { start, nr_pages, flags };
        let got = if flags.contains(FollFlags::LONGTERM) && cpu.setting::<MovableZone>() == MovableZone::On {
            Box::pin(__gup_longterm_locked(cpu, mm, wanted, &mut *pages)).await
        } else {
            __get_user_pages_locked(cpu, mm, wanted, Some(&mut *pages)).await
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
/// caller's.
///
/// # Errors
/// The first error, if not a single page could be got.
pub fn get_user_pages_remote<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    nr_pages: u64,
    pages: &'m mut Pages,
    gup_flags: FollFlags,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::helper("get_user_pages_remote"));
        let get = if gup_flags.contains(FollFlags::PIN) { FollFlags::empty() } else { FollFlags::GET };
        let flags = gup_flags | FollFlags::TOUCH | FollFlags::REMOTE | get;
        __get_user_pages_locked(cpu, mm, Wanted { start, nr_pages, flags }, Some(pages)).await
    })
}
