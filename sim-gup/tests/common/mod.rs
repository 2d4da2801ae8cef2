//! The machine of the memory manager's tests, and what a process does to get at pages.

#![allow(dead_code, reason = "each test file uses a part of this")]

#[path = "../../../sim-mm/tests/common/mod.rs"]
mod mm;

pub(crate) use mm::*;
use sim_gup::CATALOGUE;
use sim_gup::{__get_user_pages_fast, get_user_pages_fast, get_user_pages_unlocked};
use sim_gup::{FollFlags, Pages, Pin, put_pin};
use sim_mm::{Errno, Flush, FrameUse, TableFree};

impl Setup {
    /// The same where the lockless walk is safe: a flush that interrupts nobody keeps no table from
    /// being freed, so who has such a flush frees tables by RCU.
    pub(crate) fn sound(mut self) -> Setup {
        if self.platform.get::<Flush>() == Flush::NoIpi
            && self.platform.get::<TableFree>() == TableFree::AfterFlush
        {
            self.platform = self.platform.with(TableFree::RcuSched);
        }
        self
    }
}

/// The ways to get pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gup {
    /// `get_user_pages_fast()`.
    Fast,
    /// `__get_user_pages_fast()`.
    FastOnly,
    /// `get_user_pages_unlocked()`.
    Unlocked,
}

pub(crate) const WAYS: [Gup; 3] = [Gup::Fast, Gup::FastOnly, Gup::Unlocked];

/// What a way answered, and the pages that came with the answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) result: Result<u64, Errno>,
    pub(crate) pins: Vec<Pin>,
}

impl Shell<'_> {
    /// Gets `nr` pages from a page on.
    pub(crate) async fn gup(self, way: Gup, page: u64, nr: u64, write: bool) -> Got {
        let mut pages = Pages::default();
        let start = address(page);
        self.machine.watch.tell(**self.cpu, || format!("{way:?} of {nr} pages from {page}, write: {write}"));
        let result = match way {
            Gup::Fast => get_user_pages_fast(self.cpu, start, nr, write, &mut pages).await,
            Gup::FastOnly => Ok(__get_user_pages_fast(self.cpu, start, nr, write, &mut pages).await),
            Gup::Unlocked => {
                let flags = if write { FollFlags::WRITE } else { FollFlags::empty() };
                get_user_pages_unlocked(self.cpu, start, nr, &mut pages, flags).await
            }
        };
        let got = Got { result, pins: pages.take() };
        self.machine.watch.tell(**self.cpu, || format!("{got:?}"));
        if got.pins.len() as u64 != result.unwrap_or(0) {
            self.machine.watch.wrong(**self.cpu, format!("the answer does not go with the pages: {got:?}"));
        }
        got
    }

    /// Gives pages back. Until then their frames must have been kept.
    pub(crate) async fn put(self, got: Got) {
        for pin in got.pins {
            let frame = pin.page.0;
            let used = self.machine.watch.frame(frame);
            if used != Some(FrameUse::Data) && frame != self.machine.kernel.zero_page.0 {
                self.machine.watch.wrong(**self.cpu, format!("{pin:?} is held, but its frame is {used:?}"));
            }
            put_pin(self.cpu, pin).await;
        }
    }
}
