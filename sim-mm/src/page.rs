//! `struct page` and its reference count: `include/linux/mm.h`, `page_ref.h`, `pagemap.h`.

use sim_core::{BoxFuture, Bytes, Gate, Op, OpKind, Routine, Step, Word};
use sim_mmu::Pfn;

use crate::check;
use crate::event::{Event, RefChange};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_alloc::{compound_order, free_the_page};
use crate::page_flags::PageFlags;
use crate::safeguards::{GUP_REF_UNLESS_ZERO, PAGE_REF_OVERFLOW};
use crate::settings::PinCount;

/// `compound_head()`: the page that carries the count. Most pages are their own, and the descriptor is read all the same.
#[track_caller]
pub fn compound_head<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = Page> + use<'m> {
    let op = Op::new(OpKind::Read, cpu.kernel.page(page).compound_head().loc());
    cpu.step(op, move |hw| {
        let tail_of = hw.perform_load(&op);
        if tail_of == 0 { page } else { Page(Pfn(tail_of - 1)) }
    })
}

/// A locked change of a reference count; answers the count before and after.
#[track_caller]
fn change_ref<'m>(
    cpu: Cpu<'m>,
    page: Page,
    how: RefChange,
    update: impl Fn(u64) -> u64 + Unpin,
) -> Step<'m, impl FnMut(sim_core::Cpu<'m>) -> (u64, u64) + Unpin> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.refcount(page).loc());
    cpu.step(op, move |hw| {
        let old = hw.core.memory.get(op.loc);
        // The assertions of get_page() and put_page_testzero() look at the count right before it is changed.
        match how {
            RefChange::Get => cpu.vm_bug_on(old == 0, "VM_BUG_ON_PAGE(page_ref_count(page) <= 0)"),
            RefChange::Put => cpu.vm_bug_on(old == 0, "VM_BUG_ON_PAGE(page_ref_count(page) == 0)"),
            _ => {}
        }
        let new = cpu.kernel.wrap_refcount(update(old));
        hw.perform_rmw(&op, old, new);
        if new != old {
            cpu.note(Event::RefChanged { pfn: page.0, how, old, new });
        }
        (old, new)
    })
}

/// `get_page()`: one more reference, by somebody who knows that there is one already.
pub async fn get_page(cpu: Cpu<'_>, page: Page) {
    let head = compound_head(cpu, page).await;
    change_ref(cpu, head, RefChange::Get, |count| count.wrapping_add(1)).await;
}

/// Whether a count has grown beyond half of what its width can hold: it is negative, as C sees it.
fn is_negative(cpu: Cpu<'_>, count: u64) -> bool {
    count >> (cpu.kernel.config.refcount_bits - 1) != 0
}

/// `try_get_page()`: one more reference for whoever is told of a page, unless there are far too many already.
pub async fn try_get_page(cpu: Cpu<'_>, page: Page, more: u64) -> bool {
    let head = compound_head(cpu, page).await;
    if check!(cpu, PAGE_REF_OVERFLOW, is_overflowing(cpu, head).await) {
        return false;
    }
    change_ref(cpu, head, RefChange::Get, move |count| count.wrapping_add(more)).await;
    true
}

/// `page_cache_get_speculative()`, `get_page_unless_zero()`: a reference, unless the count is zero: then the page is free or
/// frozen, and its owner must not be disturbed. Every release has that for look-ups in a cache.
pub async fn page_cache_get_speculative(cpu: Cpu<'_>, head: Page) -> bool {
    let _routine = cpu.enter(Routine::helper("page_cache_get_speculative"));
    let take = |count: u64| if count == 0 { 0 } else { count.wrapping_add(1) };
    let (old, _) = change_ref(cpu, head, RefChange::Speculative, take).await;
    old != 0
}

/// `page_ref_count(head) < 0`: the count has grown beyond half of what its width can hold.
pub async fn is_overflowing(cpu: Cpu<'_>, head: Page) -> bool {
    is_negative(cpu, page_count(cpu, head).await)
}

/// `page_cache_add_speculative()`: so many references at once, for lockless GUP.
pub async fn page_cache_add_speculative(cpu: Cpu<'_>, head: Page, more: u64) -> bool {
    let _routine = cpu.enter(Routine::helper("page_cache_get_speculative"));
    let unless_zero = cpu.has(GUP_REF_UNLESS_ZERO);
    let take = move |count: u64| if count == 0 && unless_zero { 0 } else { count.wrapping_add(more) };
    let (old, _) = change_ref(cpu, head, RefChange::Speculative, take).await;
    if unless_zero && old == 0 {
        cpu.decided(GUP_REF_UNLESS_ZERO);
        return false;
    }
    true
}

/// `get_page_unless_zero()`: a reference, by code that has always asked whether the count is zero.
pub(crate) async fn get_page_unless_zero(cpu: Cpu<'_>, head: Page) -> bool {
    let take = |count: u64| if count == 0 { 0 } else { count.wrapping_add(1) };
    let (old, _) = change_ref(cpu, head, RefChange::Speculative, take).await;
    old != 0
}

/// `__free_pages()`: drops a reference to a block of frames. Somebody may have found the first frame of it meanwhile, and have a
/// reference as well. A compound page he frees as a whole; else he frees that frame alone, so the others are freed here.
pub fn __free_pages(cpu: Cpu<'_>, page: Page, order: u8) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let is_compound = compound_order(cpu, page) > 0;
        let (_, count) = change_ref(cpu, page, RefChange::Put, |count| count.wrapping_sub(1)).await;
        if count == 0 {
            free_the_page(cpu, page, order).await;
        } else if !is_compound {
            for half in (0..order).rev() {
                free_the_page(cpu, Page(Pfn(page.0.0 + (1 << half))), half).await;
            }
        }
    })
}

/// `put_page()`: drops a reference; the last one frees the page.
pub async fn put_page(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter(Routine::helper("put_page"));
    let head = compound_head(cpu, page).await;
    let (_, count) = change_ref(cpu, head, RefChange::Put, |count| count.wrapping_sub(1)).await;
    // __put_page()
    if count == 0 {
        free_the_page(cpu, head, compound_order(cpu, head)).await;
    }
}

/// `GUP_PIN_COUNTING_BIAS`: what a pin adds to the count of a page that is no folio with a count of pins, so that it can be told from other references.
pub const GUP_PIN_COUNTING_BIAS: u64 = 1024;

impl Kernel {
    /// How much a pin adds to the count of a page. A folio that counts its pins by themselves needs no more than a reference. Before v5.7 a pin was no more for any page.
    pub fn pin_references(&self, page: Page) -> u64 {
        let is_reference = self.config.setting::<PinCount>() == PinCount::Reference;
        if is_reference || self.has_pincount(self.folio_of(page)) { 1 } else { GUP_PIN_COUNTING_BIAS }
    }
}

/// How much a pin adds to the count of a page.
pub fn pin_references(cpu: Cpu<'_>, page: Page) -> u64 {
    cpu.kernel.pin_references(page)
}

/// The count of pins of a folio that has one: `atomic_add(refs, &folio->_pincount)`. The caller has the references already.
pub async fn add_pins(cpu: Cpu<'_>, head: Page, pins: u64) {
    if cpu.kernel.has_pincount(head) {
        cpu.rmw(cpu.kernel.page(head).pincount(), move |count| count + pins).await;
    }
}

/// `unpin_user_page()` of several pages of a folio.
pub async fn unpin_folio(cpu: Cpu<'_>, head: Page, pins: u64) {
    let references = pins * pin_references(cpu, head);
    if cpu.kernel.has_pincount(head) {
        cpu.rmw(cpu.kernel.page(head).pincount(), move |count| count - pins).await;
    }
    put_page_refs(cpu, head, references).await;
}

/// `folio_put_refs()`: drops so many references to a folio.
pub async fn put_page_refs(cpu: Cpu<'_>, head: Page, references: u64) {
    let (_, count) = change_ref(cpu, head, RefChange::Put, move |count| count.wrapping_sub(references)).await;
    if count == 0 {
        free_the_page(cpu, head, compound_order(cpu, head)).await;
    }
}

/// `unpin_user_page()`.
pub async fn unpin_user_page(cpu: Cpu<'_>, page: Page) {
    let _routine = cpu.enter(Routine::helper("unpin_user_page"));
    let head = compound_head(cpu, page).await;
    unpin_folio(cpu, head, 1).await;
}

/// `page_ref_freeze()`: if the caller's references are all that there are, nobody gets one from now on.
pub(crate) async fn page_ref_freeze(cpu: Cpu<'_>, page: Page, count: u64) -> bool {
    let freeze = move |old: u64| if old == count { 0 } else { old };
    let (old, _) = change_ref(cpu, page, RefChange::Freeze, freeze).await;
    old == count
}

/// `page_ref_add()`: so many more references, by somebody who has one.
pub(crate) async fn page_ref_add(cpu: Cpu<'_>, head: Page, more: u64) {
    change_ref(cpu, head, RefChange::Get, move |count| count.wrapping_add(more)).await;
}

/// `folio_ref_inc()`: one more reference to a page that nobody can free, though its count may be zero: its owner gives it out.
pub(crate) async fn page_ref_inc(cpu: Cpu<'_>, page: Page) {
    change_ref(cpu, page, RefChange::Unfreeze, |count| count.wrapping_add(1)).await;
}

/// `page_ref_unfreeze()`: a plain store, for nobody can have changed the count.
pub(crate) async fn page_ref_unfreeze(cpu: Cpu<'_>, page: Page, count: u64) {
    let op = Op::new(OpKind::Write, cpu.kernel.refcount(page).loc());
    cpu.step(op, move |hw| {
        let old = hw.core.memory.get(op.loc);
        hw.perform_store(&op, count);
        cpu.note(Event::RefChanged { pfn: page.0, how: RefChange::Unfreeze, old, new: count });
    })
    .await;
}

/// `page_maybe_dma_pinned()`: of a folio that does not count its pins, enough references look like a pin as well.
pub(crate) async fn page_maybe_dma_pinned(cpu: Cpu<'_>, page: Page) -> bool {
    let head = cpu.kernel.folio_of(page);
    if cpu.kernel.has_pincount(head) {
        return cpu.load(cpu.kernel.page(head).pincount()).await > 0;
    }
    page_count(cpu, head).await >= GUP_PIN_COUNTING_BIAS
}

/// Sets bits of `page->flags`, locked; answers whether any was clear: `TestSetPage...()`.
#[track_caller]
pub(crate) fn test_and_set_flags<'m>(
    cpu: Cpu<'m>,
    page: Page,
    flags: PageFlags,
) -> impl Future<Output = bool> + use<'m> {
    let set = cpu.rmw(cpu.kernel.page_flags(page), move |old| old | flags);
    async move {
        let is_first = !set.await.contains(flags);
        if is_first && flags.contains(PageFlags::LOCKED) {
            note_locked(cpu, page);
        }
        is_first
    }
}

/// `__SetPageSwapBacked()` and its kin: a load and a store, for a page that nobody else knows. What others set in between is
/// lost.
pub(crate) async fn set_flags_unlocked(cpu: Cpu<'_>, page: Page, flags: PageFlags) {
    let word = cpu.kernel.page_flags(page);
    let seen = cpu.load(word).await;
    let op = Op::new(OpKind::Write, word.loc());
    cpu.step(op, move |hw| {
        let lost = PageFlags::from_word(hw.core.memory.get(op.loc)) - seen;
        hw.perform_store(&op, (seen | flags).into_word());
        if !lost.is_empty() {
            cpu.note(Event::FlagsLost { pfn: page.0, lost });
        }
    })
    .await;
}

/// `__set_page_dirty_no_writeback()`: a page that no disk is behind holds what is nowhere else. Reclaim has to wait until it is written once more.
#[track_caller]
pub fn set_page_dirty_no_writeback<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = PageFlags> + use<'m> {
    cpu.rmw(cpu.kernel.page_flags(page), |flags| (flags | PageFlags::DIRTY) - PageFlags::RECLAIM)
}

/// `SetPageUptodate()`: the page holds what its file has there.
#[track_caller]
pub(crate) fn set_page_uptodate<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = PageFlags> + use<'m> {
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::UPTODATE)
}

/// `SetPageError()`.
#[track_caller]
pub(crate) fn set_page_error<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = PageFlags> + use<'m> {
    cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::ERROR)
}

/// `set_page_writeback()`: a device is going to write the page. Whether it could not do so before does not matter any more.
#[track_caller]
pub(crate) fn set_page_writeback<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = PageFlags> + use<'m> {
    cpu.rmw(cpu.kernel.page_flags(page), |flags| (flags | PageFlags::WRITEBACK) - PageFlags::ERROR)
}

/// `end_page_writeback()`: the device is done. If reclaim waits for the page, the page is among the next ones that it tries:
/// `rotate_reclaimable_page()`.
#[track_caller]
pub(crate) fn end_page_writeback<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = PageFlags> + use<'m> {
    cpu.rmw(cpu.kernel.page_flags(page), |flags| {
        let busy = PageFlags::LOCKED | PageFlags::DIRTY | PageFlags::UNEVICTABLE;
        let rotates = flags.contains(PageFlags::RECLAIM | PageFlags::LRU) && !flags.intersects(busy);
        let gone = PageFlags::WRITEBACK | PageFlags::RECLAIM;
        if rotates { flags - gone - PageFlags::ACTIVE } else { flags - gone }
    })
}

/// `wait_on_page_writeback()`: waits until no device is writing the page.
#[track_caller]
pub(crate) fn wait_on_page_writeback<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = ()> + use<'m> {
    let flags = cpu.kernel.page_flags(page).loc();
    let done = Gate::Is(flags, Bytes::of(3, 1), 0);
    cpu.step(Op::new(OpKind::Wait, flags).behind(done).sleeping(), |_| ())
}

/// `SetPageReferenced()`: a hint for reclaim, by a plain locked bit.
#[track_caller]
pub fn set_page_referenced<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = PageFlags> + use<'m> {
    cpu.rmw(cpu.kernel.page_flags(page), |old| old | PageFlags::REFERENCED)
}

/// `__SetPageLocked()`: of a page that nobody else knows yet.
pub(crate) fn __set_page_locked(cpu: Cpu<'_>, page: Page) {
    let flags = cpu.kernel.page_flags(page);
    cpu.this_cpu_write(flags, cpu.this_cpu_read(flags) | PageFlags::LOCKED);
    note_locked(cpu, page);
}

/// Tells, in the step that locks a page, that it is locked by this task.
pub(crate) fn note_locked(cpu: Cpu<'_>, page: Page) {
    cpu.note(Event::PageLocked { pfn: cpu.kernel.folio_of(page).0 });
}

/// `lock_page()`: waits until nobody else has the page locked.
#[track_caller]
pub fn lock_page<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = ()> + use<'m> {
    let flags = cpu.kernel.page_flags(page).loc();
    let unlocked = Gate::Is(flags, Bytes::of(1, 1), 0);
    let lock = Op::new(OpKind::Acquire, flags).behind(unlocked).sleeping();
    let head = cpu.kernel.folio_of(page);
    cpu.note(Event::PageLockWanted { pfn: head.0 });
    cpu.step(lock, move |hw| {
        let old = hw.core.memory.get(flags);
        hw.perform_rmw(&lock, old, old | PageFlags::LOCKED.bits());
        cpu.note(Event::PageLocked { pfn: head.0 });
    })
}

/// `wait_on_page_locked()`.
#[track_caller]
pub(crate) fn wait_on_page_locked<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = ()> + use<'m> {
    let flags = cpu.kernel.page_flags(page).loc();
    let wait = Op::new(OpKind::Wait, flags).behind(Gate::Is(flags, Bytes::of(1, 1), 0)).sleeping();
    cpu.step(wait, move |hw| {
        let held = hw.core.memory.get(flags);
        hw.perform_rmw(&wait, held, held);
    })
}

/// `unlock_page()`.
#[track_caller]
pub fn unlock_page<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = ()> + use<'m> {
    let unlock = Op::new(OpKind::Rmw, cpu.kernel.page_flags(page).loc());
    cpu.step(unlock, move |hw| {
        let old = hw.core.memory.get(unlock.loc);
        hw.perform_rmw(&unlock, old, old & !PageFlags::LOCKED.bits());
        cpu.note(Event::PageUnlocked { pfn: cpu.kernel.folio_of(page).0 });
    })
}

/// `page_count()`: of the folio.
#[track_caller]
pub fn page_count<'m>(cpu: Cpu<'m>, page: Page) -> impl Future<Output = u64> + use<'m> {
    cpu.load(cpu.kernel.refcount(cpu.kernel.folio_of(page)))
}
