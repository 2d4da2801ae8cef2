//! Broken memory in huge pages of the pool: `try_memory_failure_hugetlb()`, `memory_failure_hugetlb()` before v5.18.
//!
//! One entry maps all of such a page, so all of it is taken away, and its first page says that some page of it is broken. If nobody has the huge page any more then it leaves
//! the pool, and all pages of it can be used but the broken one. A page of a file stays away as a whole.
//!
//! Not modelled: before v5.13 the first page is locked once more after the huge page has left the pool; a page of the pool that is being made.

use crate::errno::Errno;
use crate::event::Event;
use crate::filemap::{Loses, delete_from_page_cache};
use crate::folio::folio_nr_pages;
use crate::hugetlb::{
    dissolve_free_hugetlb_folio, hugetlb_folio_mapping_lock_write, hugetlb_unreserve_pages, set_huge_pte_hwpoison,
};
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{compound_head, get_page_unless_zero, lock_page, page_count, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::pagemap::page_mapping;
use crate::rmap::{invalidating, page_mapped, rmap_walk};
use crate::safeguards::{HWPOISON_HUGETLB_LOCK, HWPOISON_PUTS_UNLOCKED};
use crate::settings::{HwpoisonGigantic, HwpoisonHugetlb, HwpoisonHugetlbFile};

use super::state::{Contained, Counted, MfResult, note_kept, page_action, told_again};

/// What `memory_failure()` got of a huge page.
enum Gotten {
    /// `MF_HUGETLB_NON_HUGEPAGE`: it is none of the pool.
    Other,
    /// `MF_HUGETLB_FREED`: nobody has it. It is marked.
    Free(Page),
    /// `MF_HUGETLB_IN_USED`: it is marked, and there is a reference to it, which is kept.
    InUse(Page),
    /// `MF_HUGETLB_RETRY`: somebody has it off its list just now.
    Busy,
    /// It was marked before.
    Again,
}

/// `try_memory_failure_hugetlb()`: nothing, if the page is none of the pool.
///
/// # Errors
/// `EBUSY`, if it could not be dealt with; `EHWPOISON`, if somebody was told of it before.
pub(super) async fn try_memory_failure_hugetlb(
    cpu: Cpu<'_>,
    p: Page,
    counted: Counted,
) -> Option<Result<(), Errno>> {
    if cpu.setting::<HwpoisonHugetlb>() == HwpoisonHugetlb::Refused {
        return refuse(cpu, p, counted).await;
    }
    let gotten = if cpu.has(HWPOISON_HUGETLB_LOCK) {
        match get_huge_page_for_hwpoison(cpu, p, counted, Retry::Left).await {
            Gotten::Busy => get_huge_page_for_hwpoison(cpu, p, counted, Retry::Done).await,
            gotten => gotten,
        }
    } else {
        get_hwpoison_hugetlb(cpu, p, counted).await
    };
    match gotten {
        Gotten::Other => None,
        Gotten::Busy => Some(Err(Errno::Ebusy)),
        Gotten::Again => Some(told_again(cpu)),
        Gotten::Free(head) => {
            lock_page(cpu, head).await;
            unlock_page(cpu, head).await;
            Some(dissolve_free_hugetlb_folio(cpu, p).await)
        }
        Gotten::InUse(head) => Some(memory_failure_hugetlb(cpu, p, head).await),
    }
}

/// Before v2.6.36 nothing is done about a huge page of the pool.
async fn refuse(cpu: Cpu<'_>, p: Page, counted: Counted) -> Option<Result<(), Errno>> {
    if !cpu.kernel.is_hugetlb(cpu.kernel.folio_of(p)) {
        return None;
    }
    if counted == Counted::Increased {
        put_page(cpu, p).await;
    }
    Some(Err(Errno::Ebusy))
}

/// `MF_NO_RETRY`: whether this is the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Left,
    Done,
}

/// `get_huge_page_for_hwpoison()`, since v5.18. The pool is locked from the look at the page until its first page is marked. So the huge page cannot leave the pool in between, and the
/// mark come to a page of somebody else.
async fn get_huge_page_for_hwpoison(cpu: Cpu<'_>, p: Page, counted: Counted, retry: Retry) -> Gotten {
    let _routine = cpu.enter("get_huge_page_for_hwpoison");
    let hugetlb_lock = cpu.lock(cpu.kernel.hugetlb.lock).await;
    let head = compound_head(cpu, p).await;
    let flags = cpu.load(cpu.kernel.own_flags(head)).await;
    if !flags.contains(PageFlags::HUGETLB) {
        return Gotten::Other;
    }
    let mut has_reference = counted == Counted::Increased;
    let is_free = |flags: PageFlags| !flags.contains(PageFlags::HUGETLB_FREEING);
    let mut gotten = Gotten::InUse(head);
    if !has_reference {
        if page_count(cpu, head).await == 0 && is_free(flags) {
            gotten = Gotten::Free(head);
        } else if flags.contains(PageFlags::HUGETLB_MIGRATABLE) {
            has_reference = get_page_unless_zero(cpu, head).await;
            gotten = if has_reference { Gotten::InUse(head) } else { Gotten::Free(head) };
        } else if retry == Retry::Left {
            return Gotten::Busy;
        } else {
            gotten = Gotten::Busy;
        }
    }
    if test_set_hwpoison(cpu, p, head, has_reference).await {
        return gotten;
    }
    if has_reference {
        // It may be the last one, and then the page goes back to the pool, whose lock is held before v7.1.
        if cpu.has(HWPOISON_PUTS_UNLOCKED) {
            drop(hugetlb_lock);
        }
        put_page(cpu, head).await;
    }
    Gotten::Again
}

/// `folio_set_hugetlb_hwpoison()`: false if the huge page was marked before. The broken page is remembered in any case. A reference that is handed over is kept from now on, if it is not
/// marked yet.
async fn test_set_hwpoison(cpu: Cpu<'_>, p: Page, head: Page, has_reference: bool) -> bool {
    let mark = if has_reference { PageFlags::HWPOISON | PageFlags::HWPOISON_KEPT } else { PageFlags::HWPOISON };
    let set = move |flags: PageFlags| if flags.contains(PageFlags::HWPOISON) { flags } else { flags | mark };
    let is_first = !cpu.rmw(cpu.kernel.own_flags(head), set).await.contains(PageFlags::HWPOISON);
    let flags = cpu.kernel.own_flags(p);
    cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) | PageFlags::HWPOISON_RAW);
    cpu.note(Event::FrameBroken { pfn: p.0 });
    is_first
}

/// What `memory_failure_hugetlb()` did first before v5.18: the page is looked at, marked, and kept, one after the other, and nobody is kept from doing something about it meanwhile.
async fn get_hwpoison_hugetlb(cpu: Cpu<'_>, p: Page, counted: Counted) -> Gotten {
    let head = compound_head(cpu, p).await;
    if !cpu.load(cpu.kernel.own_flags(head)).await.contains(PageFlags::HUGETLB) {
        return Gotten::Other;
    }
    if !test_set_hwpoison(cpu, p, head, counted == Counted::Increased).await {
        return Gotten::Again;
    }
    if counted == Counted::No {
        // get_hwpoison_page()
        if !get_page_unless_zero(cpu, head).await {
            return Gotten::Free(head);
        }
        if compound_head(cpu, p).await != head {
            put_page(cpu, head).await;
            return Gotten::Free(head);
        }
        note_kept(cpu, head, true);
    }
    Gotten::InUse(head)
}

/// `memory_failure_hugetlb()`: a huge page that somebody has. It may be one no more: before v5.18 it was not the pool that was asked.
async fn memory_failure_hugetlb(cpu: Cpu<'_>, p: Page, head: Page) -> Result<(), Errno> {
    let _routine = cpu.enter("memory_failure_hugetlb");
    lock_page(cpu, head).await;
    let is_same = compound_head(cpu, p).await == head && cpu.kernel.is_hugetlb(head);
    if !is_same || is_refused(cpu, head) {
        unlock_page(cpu, head).await;
        return Err(Errno::Ebusy);
    }
    if cpu.setting::<HwpoisonHugetlb>() == HwpoisonHugetlb::Whole {
        set_page_hwpoison_huge_page(cpu, head).await;
    }
    if !hwpoison_user_mappings(cpu, head).await {
        unlock_page(cpu, head).await;
        return Err(Errno::Ebusy);
    }
    me_huge_page(cpu, p, head).await
}

/// `MF_MSG_NON_PMD_HUGE`: nothing is done about gigantic pages.
fn is_refused(cpu: Cpu<'_>, head: Page) -> bool {
    let is_gigantic = cpu.kernel.hugetlb_size(head) == HugePageSize::Gigantic;
    is_gigantic && cpu.setting::<HwpoisonGigantic>() == HwpoisonGigantic::Refused
}

/// `set_page_hwpoison_huge_page()`: all pages of it count as broken.
async fn set_page_hwpoison_huge_page(cpu: Cpu<'_>, head: Page) {
    cpu.rmw(cpu.kernel.own_flags(head), |flags| flags | PageFlags::HWPOISON).await;
    for page in cpu.kernel.folio_pages(head) {
        let flags = cpu.kernel.own_flags(page);
        cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) | PageFlags::HWPOISON);
    }
}

/// `hwpoison_user_mappings()` of a huge page: whether nobody maps it any more. The entries say that it is broken, since no disk has what it held.
async fn hwpoison_user_mappings<'m>(cpu: Cpu<'m>, head: Page) -> bool {
    let _routine = cpu.enter("hwpoison_user_mappings");
    if !page_mapped(cpu, head).await {
        return true;
    }
    if let Some((lock, _held)) = hugetlb_folio_mapping_lock_write(cpu, head).await {
        let one = async move |place| invalidating(cpu, place, set_huge_pte_hwpoison(cpu, head, place)).await;
        rmap_walk(cpu, head, lock, one).await;
    }
    !page_mapped(cpu, head).await
}

/// `me_huge_page()`: what becomes of a huge page that nobody maps, and that is locked until then.
async fn me_huge_page(cpu: Cpu<'_>, p: Page, head: Page) -> Result<(), Errno> {
    let _routine = cpu.enter("me_huge_page");
    let dissolves = cpu.setting::<HwpoisonHugetlb>() == HwpoisonHugetlb::Dissolved;
    if let Some((file, index)) = page_mapping(cpu, head).filter(|_| dissolves) {
        let pages = folio_nr_pages(cpu, head);
        let contained = match cpu.setting::<HwpoisonHugetlbFile>() {
            // A fault has to find out that what the page held is lost.
            HwpoisonHugetlbFile::Kept => Contained { result: MfResult::Recovered, caches: pages },
            HwpoisonHugetlbFile::Truncated => {
                // hugetlbfs_error_remove_page()
                delete_from_page_cache(cpu, file, head, Loses::Contents).await;
                hugetlb_unreserve_pages(cpu, file, None, index..index + pages).await;
                Contained::as_told(MfResult::Recovered)
            }
        };
        unlock_page(cpu, head).await;
        return page_action(cpu, p, contained).await;
    }
    unlock_page(cpu, head).await;
    if !dissolves {
        return page_action(cpu, p, Contained::as_told(MfResult::Delayed)).await;
    }
    // Entries keep others from the page. So it can be free, if nobody has it by another way.
    note_kept(cpu, head, false);
    put_page(cpu, head).await;
    dissolve_free_hugetlb_folio(cpu, p).await
}
