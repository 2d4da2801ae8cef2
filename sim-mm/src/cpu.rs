//! A CPU in the kernel.

use std::ops::Deref;

use crate::event::Event;
use crate::kernel::Kernel;
use crate::mm_types::{MmId, MmStruct};
use crate::registry::safeguard::Safeguard;
use crate::registry::setting::Knob;

/// A CPU as kernel code sees it.
#[derive(Clone, Copy)]
pub struct Cpu<'m> {
    /// The kernel that runs here.
    pub kernel: &'m Kernel,
    hw: sim_mmu::Cpu<'m>,
}

impl<'m> Cpu<'m> {
    /// CPU `id` of a machine.
    pub fn new(kernel: &'m Kernel, id: sim_core::CpuId) -> Cpu<'m> {
        Cpu { kernel, hw: sim_mmu::Cpu::new(&kernel.mmu, id) }
    }

    /// Whether this kernel has a safeguard. Of a condition, [`check!`](crate::check!) asks.
    #[inline]
    pub fn has(self, safeguard: Safeguard) -> bool {
        self.consulted(safeguard);
        self.kernel.config.kernel.safeguards.has(safeguard)
    }

    /// Notes that a safeguard is consulted here: by [`has`](Cpu::has), or where a design has its say.
    #[inline]
    pub fn consulted(self, safeguard: Safeguard) {
        self.kernel.safeguard_use.note_consulted(safeguard);
    }

    /// Notes that a check took effect: without it this code would have gone on another way. Answers that it did.
    #[doc(hidden)]
    #[inline]
    pub fn decided(self, safeguard: Safeguard) -> bool {
        self.kernel.safeguard_use.note_decided(safeguard);
        true
    }

    /// The value that this machine and kernel have of a setting.
    #[inline]
    pub fn setting<K: Knob>(self) -> K {
        self.kernel.config.setting()
    }

    /// Tells the observer, in every run, of something that happened in this step.
    pub fn note(self, event: Event) {
        if let Some(observer) = self.kernel.observer.borrow().as_ref() {
            observer.kernel(self, &event);
        }
    }

    /// `current->mm`.
    pub fn current_mm(self) -> Option<&'m MmStruct> {
        let task = self.task()?;
        let word = self.core.memory.get(self.kernel.task_mm(task));
        MmId::from_word(word).map(|id| self.kernel.mm(id))
    }
}

impl<'m> Deref for Cpu<'m> {
    type Target = sim_mmu::Cpu<'m>;
    fn deref(&self) -> &Self::Target {
        &self.hw
    }
}
