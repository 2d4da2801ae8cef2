//! GUP and COW: whether a page must become this address space's own before it is handed out, and whether it has.

use sim_mm::{CowReuse, Cpu, Page, Vma, check, page_anon_exclusive, page_is_anon};

use crate::flags::FollFlags;
use crate::safeguards::{
    FOLL_COW_DIRTY, FOLL_COW_FLAG, FOLLOW_WRITE_FORCED, GUP_READ_BREAKS_COW, LONGTERM_UNSHARES,
};

/// `should_force_cow_break()`, only in v5.8: a reader of private memory is treated as a writer.
pub(crate) fn should_force_cow_break(cpu: Cpu<'_>) -> bool {
    cpu.has(GUP_READ_BREAKS_COW)
}

/// `gup_must_unshare()`, since v5.19: a pin for reading must go on seeing what this address space writes, so the page has
/// to be its own. A pin for writing has seen to that by the entry. A page of a file or the zero page is asked about only since v6.2,
/// and only by a pin for long. Without a mapping to ask, the answer is yes if in doubt.
pub(crate) async fn gup_must_unshare(
    cpu: Cpu<'_>,
    vma: Option<Vma>,
    page: Option<Page>,
    flags: FollFlags,
) -> bool {
    let pins_to_read = flags & (FollFlags::WRITE | FollFlags::PIN) == FollFlags::PIN;
    if !pins_to_read || cpu.setting::<CowReuse>() != CowReuse::Exclusive {
        return false;
    }
    let Some(page) = page.filter(|page| page_is_anon(cpu, *page)) else {
        let for_long = flags.contains(FollFlags::LONGTERM);
        return check!(cpu, LONGTERM_UNSHARES, for_long && vma.is_none_or(|vma| vma.flags(cpu).is_cow_mapping()));
    };
    !page_anon_exclusive(cpu, page).await
}

/// Whether a write may go by an entry that is not writable.
pub(crate) fn is_forced(cpu: Cpu<'_>, flags: FollFlags) -> bool {
    !check!(cpu, FOLLOW_WRITE_FORCED, !flags.contains(FollFlags::FORCE)) || should_force_cow_break(cpu)
}

/// Whether a forced write has broken COW for the entry that it finds now, by the rule from v4.9 to v5.19.
pub(crate) fn cow_is_broken(cpu: Cpu<'_>, dirty: bool, flags: FollFlags) -> bool {
    !check!(cpu, FOLL_COW_FLAG, !flags.contains(FollFlags::COW)) && !check!(cpu, FOLL_COW_DIRTY, !dirty)
}
