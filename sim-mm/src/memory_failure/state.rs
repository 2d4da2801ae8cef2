//! What is known of a page while `memory_failure()` deals with it, and what is said in the end.

use sim_core::Routine;

use crate::check;
use crate::errno::Errno;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::page_count;
use crate::page_flags::PageFlags;
use crate::safeguards::HWPOISON_CHECK_REFCOUNT;
use crate::settings::HwpoisonAgain;

/// `MF_COUNT_INCREASED`: whether the caller hands a reference over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Increased,
    No,
}

/// `enum mf_result`: what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MfResult {
    /// `MF_IGNORED`: nothing was done.
    Ignored,
    /// `MF_FAILED`.
    Failed,
    /// `MF_DELAYED`: who comes to the page will be told.
    Delayed,
    /// `MF_RECOVERED`.
    Recovered,
}

/// Notes whether the reference is kept. It is a part of the step before.
pub(super) fn note_kept(cpu: Cpu<'_>, p: Page, kept: bool) {
    let word = cpu.kernel.own_flags(p);
    let mut flags = cpu.this_cpu_read(word);
    flags.set(PageFlags::HWPOISON_KEPT, kept);
    cpu.this_cpu_write(word, flags);
}

/// What was done about a page.
pub(super) struct Contained {
    pub(super) result: MfResult,
    /// How many references a cache has that keeps the page: `extra_pins` of `has_extra_refcount()`.
    pub(super) caches: u64,
}

impl Contained {
    pub(super) fn as_told(result: MfResult) -> Contained {
        Contained { result, caches: 0 }
    }
}

/// What is said of a page of which somebody was told before.
///
/// # Errors
/// `EHWPOISON`, since v5.14.
pub(super) fn told_again(cpu: Cpu<'_>) -> Result<(), Errno> {
    if cpu.setting::<HwpoisonAgain>() == HwpoisonAgain::Error { Err(Errno::Ehwpoison) } else { Ok(()) }
}

/// `page_action()`, with `has_extra_refcount()`: whether nobody can use the frame any more.
///
/// Entries were cleared before. A lockless walker takes its reference before it looks at the entry again. So a reference that is not there
/// now is given up before anybody uses it.
pub(super) async fn page_action(cpu: Cpu<'_>, p: Page, contained: Contained) -> Result<(), Errno> {
    let _routine = cpu.enter(Routine::helper("page_action"));
    let Contained { result, caches } = contained;
    let is_done = matches!(result, MfResult::Recovered | MfResult::Delayed);
    let head = cpu.kernel.folio_of(p);
    if !is_done || check!(cpu, HWPOISON_CHECK_REFCOUNT, page_count(cpu, head).await > 1 + caches) {
        return Err(Errno::Ebusy);
    }
    // Nobody maps a part of a huge page of the pool.
    for page in cpu.kernel.folio_pages(head) {
        cpu.note(Event::FrameRetired { pfn: page.0 });
    }
    Ok(())
}
