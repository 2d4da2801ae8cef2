//! The registers of a CPU, and its caches of translations.

use std::cell::RefCell;

use crate::control::{Controls, Cr3};
use crate::event::Event;
use crate::mmu::Cpu;
use crate::tlb::{Caches, Partial, Translation};

impl<'m> Cpu<'m> {
    /// CR3.
    #[inline]
    pub fn cr3(self) -> Cr3 {
        self.mmu.cr3(self.id)
    }

    /// The registers of this CPU that govern paging.
    #[inline]
    pub fn controls(self) -> Controls {
        self.mmu.cpus[self.id.index()].controls.get()
    }

    /// What this CPU holds, or possibly holds, in its TLB and its paging-structure caches.
    pub fn cached(self) -> (Vec<Translation>, Vec<Partial>) {
        self.caches().borrow().contents()
    }

    /// The first translation of such a kind that this CPU holds, or possibly holds, in its TLB.
    pub fn find_cached(self, is_such: impl Fn(&Translation) -> bool) -> Option<Translation> {
        self.caches().borrow().find_such(is_such)
    }

    /// What this CPU has cached.
    #[inline]
    pub(crate) fn caches(self) -> &'m RefCell<Caches> {
        self.core.touch(self.mmu.caches.offset(u32::from(self.id.0)), false);
        &self.mmu.cpus[self.id.index()].caches
    }

    /// Tells the observer, in every run, of something that happened in this step.
    #[inline]
    pub fn report(self, event: Event) {
        self.report_with(|| event);
    }

    /// Tells the observer of an event that is costly to make. The event is made only if there is an observer.
    #[inline]
    pub(crate) fn report_with(self, event: impl FnOnce() -> Event) {
        if let Some(observer) = self.mmu.observer.borrow().as_ref() {
            observer.hardware(self, &event());
        }
    }
}
