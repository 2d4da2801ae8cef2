//! What a step touches besides words. The code that touches it says so.

use crate::core::Core;
use crate::cpu::Cpu;
use crate::loc::Loc;

impl Core {
    /// Whether a search wants to know what the present step touches.
    #[inline]
    pub fn is_tracked(&self) -> bool {
        self.memory.is_tracked()
    }

    /// The present step depends on state that lives outside words, or changes it. Such state is an object, the caches of
    /// a CPU, or the memory of an oracle. `loc` stands for that state, and for nothing else.
    #[inline]
    pub fn touch(&self, loc: Loc, writes: bool) {
        if self.memory.is_tracked() {
            self.touch_outside(loc, writes);
        }
    }

    #[cold]
    fn forget(&self, summary: u64) {
        self.tracker.borrow_mut().forgets = Some(summary);
    }

    #[cold]
    fn touch_outside(&self, loc: Loc, writes: bool) {
        self.tracker.borrow_mut().touch_outside(loc, writes);
    }
}

impl Cpu<'_> {
    /// This is a promise. What this CPU does from now on depends on `summary` alone, and not on anything else that it has
    /// read or chosen, nor on its interrupts. A search by states takes two states for one if they differ only in what was
    /// forgotten.
    #[inline]
    pub fn forget_all_but(self, summary: u64) {
        if self.core.is_tracked() {
            self.core.forget(summary);
        }
    }
}
