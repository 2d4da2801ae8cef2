//! What kernel code asks of the CPU on which it runs.

use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct};
use crate::registry::safeguard::Safeguard;
use crate::registry::setting::Knob;
use crate::settings::{DebugVm, LruBatch};

impl<'m> Cpu<'m> {
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

    /// Whether the machine has a swap area. On one without, reclaim leaves private memory and files in memory alone.
    #[inline]
    pub(crate) fn has_swap(self) -> bool {
        self.kernel.config.has_swap()
    }

    /// Whether anybody goes from a page to the entries that map it.
    #[inline]
    pub(crate) fn walks_rmap(self) -> bool {
        self.kernel.config.walks_rmap()
    }

    /// Whether pages go to the lists of reclaim in batches.
    #[inline]
    pub(crate) fn has_batches(self) -> bool {
        self.setting::<LruBatch>() == LruBatch::On
    }

    /// Whether anybody asks on which list a page is: whoever counts the references of batches, reclaim, and migration.
    #[inline]
    pub(crate) fn has_lists(self) -> bool {
        self.has_batches() || self.walks_rmap()
    }

    /// Notes that a kernel would do something else here that is not modelled, and what. The simulated one goes on as if
    /// that could not be had.
    pub fn not_modelled(self, what: &'static str) {
        self.kernel.not_modelled.set(Some(what));
    }

    /// `VM_BUG_ON()`: in a kernel with `CONFIG_DEBUG_VM`, says `what` if the condition holds.
    pub fn vm_bug_on(self, condition: bool, what: &'static str) {
        if condition && self.setting::<DebugVm>() == DebugVm::On {
            self.note(Event::KernelBug { what });
        }
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
