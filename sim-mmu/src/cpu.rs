//! A CPU with its MMU.

use std::ops::Deref;

use crate::addr::Pfn;
use crate::event::Event;
use crate::mmu::Mmu;

/// A CPU as the code that runs on it sees it, with paging.
#[derive(Clone, Copy)]
pub struct Cpu<'m> {
    /// The hardware that it is part of.
    pub mmu: &'m Mmu,
    core: sim_core::Cpu<'m>,
}

impl<'m> Cpu<'m> {
    /// CPU `id` of a machine.
    pub fn new(mmu: &'m Mmu, id: sim_core::CpuId) -> Cpu<'m> {
        Cpu { mmu, core: sim_core::Cpu { core: &mmu.core, id } }
    }

    /// The root that CR3 names.
    pub fn cr3(self) -> Pfn {
        self.mmu.cr3(self.id)
    }

    /// Tells the observer, in every run, of something that happened in this step.
    pub fn report(self, event: Event) {
        if let Some(observer) = self.mmu.observer.borrow().as_ref() {
            observer.hardware(self, &event);
        }
    }
}

impl<'m> Deref for Cpu<'m> {
    type Target = sim_core::Cpu<'m>;
    fn deref(&self) -> &Self::Target {
        &self.core
    }
}
