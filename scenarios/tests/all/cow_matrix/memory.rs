//! Kinds of private memory: how a process comes to have them.

use serde_json::json;
use sim_mm::Release;

use super::program::{BUF, HUGE, Program, madvise, mprotect, page};

/// How the memory is mapped before a test begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapped {
    /// Small pages.
    Base,
    /// A huge page, by one entry.
    Pmd,
    /// A huge page, by an entry for each of its pages.
    Pte,
    /// One page of a huge page. The others are unmapped.
    SinglePte,
    /// The lower half of a huge page. The upper half was moved by `mremap()`.
    PartialMremap,
    /// A huge page, one page of which was shared with a child that is gone. The child did not get the others.
    PartialShared,
}

/// A kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) mapped: Mapped,
    /// Whether it is swapped out when the test begins.
    pub(super) swapped: bool,
}

/// All the ways.
pub(super) const MEMORIES: [Mapped; 6] =
    [Mapped::Base, Mapped::Pmd, Mapped::Pte, Mapped::SinglePte, Mapped::PartialMremap, Mapped::PartialShared];

/// What page `page` holds before a test changes it.
pub(super) fn old(page: u64) -> u64 {
    10 + page
}

impl Memory {
    /// The name of the kind in the table.
    pub(super) fn name(self) -> String {
        let mapped = match self.mapped {
            Mapped::Base => "base",
            Mapped::Pmd => "pmd",
            Mapped::Pte => "pte",
            Mapped::SinglePte => "single-pte",
            Mapped::PartialMremap => "mremap",
            Mapped::PartialShared => "shared",
        };
        let swapped = if self.swapped { "-swap" } else { "" };
        format!("{mapped}{swapped}")
    }

    /// How many pages a test is about.
    pub(super) fn pages(self) -> u64 {
        match self.mapped {
            Mapped::Base | Mapped::SinglePte => 1,
            Mapped::PartialMremap => HUGE / 2,
            Mapped::Pmd | Mapped::Pte | Mapped::PartialShared => HUGE,
        }
    }

    /// The process `p` gets the memory.
    pub(super) fn set_up(self, program: &mut Program, release: Release) {
        if self.mapped == Mapped::Base {
            program.set_up(json!({ "mmap": { "as": "buf", "pages": 1, "at": BUF } }));
            program.set_up(json!({ "write": { "to": page(0), "value": old(0) } }));
        } else {
            self.set_up_huge(program);
        }
        if self.swapped {
            self.swap_out(program, release);
        }
    }

    fn set_up_huge(self, program: &mut Program) {
        program.set_up(json!({ "mmap": { "as": "buf", "pages": HUGE, "at": BUF } }));
        program.set_up(madvise(0, HUGE, "hugepage"));
        for nth in 0..HUGE {
            program.set_up(json!({ "write": { "to": page(nth), "value": old(nth) } }));
        }
        if matches!(self.mapped, Mapped::Pte | Mapped::SinglePte) {
            // The mapping is split, and so the entry is. The mapping grows together again.
            program.set_up(mprotect(1, 1, "r"));
            program.set_up(mprotect(1, 1, "rw"));
        }
        match self.mapped {
            Mapped::Base | Mapped::Pmd | Mapped::Pte => {}
            Mapped::SinglePte => program.set_up(madvise(1, HUGE - 1, "dontneed")),
            Mapped::PartialMremap => program.set_up(json!({ "mremap": {
                "at": page(HUGE / 2), "pages": HUGE / 2, "new_pages": HUGE / 2, "to": "0xa000",
                "flags": ["maymove", "fixed"], "as": "moved" } })),
            Mapped::PartialShared => {
                program.set_up(madvise(1, HUGE - 1, "dontfork"));
                program.set_up(json!({ "fork": { "as": "gone" } }));
                program.run("gone", json!("exit"));
                program.run("p", madvise(1, HUGE - 1, "dofork"));
            }
        }
    }

    fn swap_out(self, program: &mut Program, release: Release) {
        if release < Release::v(5, 4) {
            // There is no MADV_PAGEOUT yet. Memory is short instead.
            program.run("p", json!({ "reclaim": { "pages": 2 * HUGE } }));
        } else {
            program.run("p", madvise(0, self.pages(), "pageout"));
        }
        let resident = json!({ "mincore": { "at": page(0), "pages": self.pages() } });
        program.reads("p", "resident", resident, 0);
    }
}
