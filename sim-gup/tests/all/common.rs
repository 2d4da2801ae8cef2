//! The ways in which a process gets pages.

use sim_gup::{__get_user_pages_fast, get_user_pages_fast, get_user_pages_unlocked};
use sim_gup::{FollFlags, Pages, Pin, put_pin};
use sim_mm::{Errno, FrameUse};
use sim_mm_testing::{Shell, address};

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

/// What a shell can do with pages.
pub(crate) trait GupShell {
    /// Gets `nr` pages from a page on.
    async fn gup(self, way: Gup, page: u64, nr: u64, write: bool) -> Got;

    /// Gives pages back. Until then their frames must have been kept.
    async fn put(self, got: Got);
}

impl GupShell for Shell<'_> {
    async fn gup(self, way: Gup, page: u64, nr: u64, write: bool) -> Got {
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

    async fn put(self, got: Got) {
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
