//! References for whom GUP hands pages to: `try_grab_page()` and its kin.

use sim_core::{BoxFuture, Routine};
use sim_mm::{
    Backed, Cpu, Page, add_pins, check, compound_head, folio_backing, is_overflowing, page_cache_add_speculative,
    pin_references, put_page, put_page_refs, try_get_page, unpin_folio, unpin_user_page,
};

use crate::flags::FollFlags;
use crate::safeguards::{
    GUP_FAST_LONGTERM_FILE, GUP_FAST_LONGTERM_ZONE, GUP_HEAD_RECHECK, GUP_LONGTERM_PINNABLE, GUP_REF_OVERFLOW,
};

/// The lockless walk gives up here; what it has pinned so far stays pinned.
pub(crate) struct Fallback;

/// What is added to the count of a page that is given out; nothing if it is only looked up.
fn references(cpu: Cpu<'_>, page: Page, flags: FollFlags) -> Option<u64> {
    if flags.contains(FollFlags::PIN) {
        Some(pin_references(cpu, page))
    } else {
        flags.contains(FollFlags::GET).then_some(1)
    }
}

/// `try_grab_page()`: false if the page has far too many references already.
pub(crate) async fn try_grab_page(cpu: Cpu<'_>, page: Page, flags: FollFlags) -> bool {
    let Some(more) = references(cpu, page, flags) else { return true };
    if !try_get_page(cpu, page, more).await {
        return false;
    }
    if flags.contains(FollFlags::PIN) {
        add_pins(cpu, cpu.kernel.folio_of(page), 1).await;
    }
    true
}

/// `try_grab_compound_head()`: the reference that is asked for, unless the page is free or frozen.
///
/// The folio may have been split before the reference was there: then that belongs to what was the head, which may be another's by now. Of a
/// page that is a folio of its own nothing is asked.
pub(crate) async fn try_grab_compound_head(cpu: Cpu<'_>, page: Page, head: Page, flags: FollFlags) -> bool {
    if check!(cpu, GUP_REF_OVERFLOW, is_overflowing(cpu, head).await) {
        return false;
    }
    if !grab_folio(cpu, head, 1, flags).await {
        return false;
    }
    if head != page && check!(cpu, GUP_HEAD_RECHECK, compound_head(cpu, page).await != head) {
        put_folio_refs(cpu, head, 1, flags).await;
        return false;
    }
    true
}

/// `try_grab_folio_fast()`: as many references to a folio as its pages are to be handed out, or as many pins.
pub(crate) async fn grab_folio(cpu: Cpu<'_>, head: Page, refs: u64, flags: FollFlags) -> bool {
    let pins = flags.contains(FollFlags::PIN);
    let each = if pins { pin_references(cpu, head) } else { 1 };
    if !page_cache_add_speculative(cpu, head, refs * each).await {
        return false;
    }
    if pins {
        add_pins(cpu, head, refs).await;
    }
    true
}

/// `folio_is_longterm_pinnable()`, and `folio_fast_pin_allowed()`, since v6.10 a part of `gup_fast_folio_allowed()`: whether the page, to which the caller has a reference, must not
/// be pinned. Hardly anybody asks for a pin that lasts, so this is in a box.
pub(crate) fn is_refused_for_long(cpu: Cpu<'_>, head: Page, flags: FollFlags) -> BoxFuture<'_, bool> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::lockless("folio_fast_pin_allowed"));
        // folio_is_longterm_pinnable()
        if check!(cpu, GUP_LONGTERM_PINNABLE, cpu.kernel.is_zone_device(head.0))
            || check!(cpu, GUP_FAST_LONGTERM_ZONE, cpu.kernel.is_zone_movable(head))
        {
            return true;
        }
        let writes = flags.contains(FollFlags::PIN | FollFlags::WRITE);
        let refuses = |backed| matches!(backed, Backed::OnDisk | Backed::ByNothing);
        writes && check!(cpu, GUP_FAST_LONGTERM_FILE, refuses(folio_backing(cpu, head).await))
    })
}

/// `put_compound_head()`: gives back what [`try_grab_compound_head`] took. It is rare, so the walk keeps no room for it.
pub(crate) fn put_compound_head(cpu: Cpu<'_>, head: Page, flags: FollFlags) -> BoxFuture<'_, ()> {
    if flags.contains(FollFlags::PIN) {
        Box::pin(unpin_user_page(cpu, head))
    } else {
        Box::pin(put_page(cpu, head))
    }
}

/// `gup_put_folio()`: gives back what [`grab_folio`] took.
pub(crate) fn put_folio_refs(cpu: Cpu<'_>, head: Page, refs: u64, flags: FollFlags) -> BoxFuture<'_, ()> {
    if flags.contains(FollFlags::PIN) {
        Box::pin(unpin_folio(cpu, head, refs))
    } else {
        Box::pin(put_page_refs(cpu, head, refs))
    }
}
