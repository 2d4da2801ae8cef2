//! Names for state that lives in no word. Such state has places, like the words, and a place has a name.

use crate::id::CpuId;
use crate::loc::Loc;
use crate::machine::{Machine, MemoryModel};
use crate::store_buffer::CAPACITY;

/// Places for the state of the engine itself that steps of several lanes touch. They come after the words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// The first of them. It comes after the words and after the places that were reserved.
    own: u32,
    cpus: u32,
}

/// The number of stores of a CPU that can be told apart: as many as its buffer holds at a time.
const SLOTS: u32 = CAPACITY as u32;

impl Places {
    fn nth(self, kind: u32, cpu: CpuId) -> Loc {
        Loc(self.own + kind * self.cpus + u32::from(cpu.0))
    }

    /// The CPU's pending interrupts.
    pub(crate) fn pending(self, cpu: CpuId) -> Loc {
        self.nth(0, cpu)
    }

    /// Whether the CPU holds up a grace period.
    pub(crate) fn quiescence(self, cpu: CpuId) -> Loc {
        self.nth(1, cpu)
    }

    /// The back of the CPU's store buffer.
    pub(crate) fn stored(self, cpu: CpuId) -> Loc {
        self.nth(2, cpu)
    }

    /// The front of the CPU's store buffer.
    pub(crate) fn drained(self, cpu: CpuId) -> Loc {
        self.nth(3, cpu)
    }

    /// Callbacks and grace periods.
    pub(crate) fn rcu(self) -> Loc {
        self.nth(4, CpuId(0))
    }

    /// The CPU's `n`th store of the run, in its buffer. When a later store has the same place, this one has left
    /// the buffer.
    pub(crate) fn slot(self, cpu: CpuId, n: u32) -> Loc {
        Loc(self.nth(5, CpuId(0)).0 + u32::from(cpu.0) * SLOTS + n % SLOTS)
    }

    /// Number of places, words included.
    pub(crate) fn count(self, memory: MemoryModel) -> usize {
        let slots = if memory == MemoryModel::Tso { SLOTS * self.cpus } else { 0 };
        (self.nth(5, CpuId(0)).0 + slots) as usize
    }
}

impl Machine {
    /// The places that steps of this machine can touch.
    pub(crate) fn places(&self) -> Places {
        Places { own: self.memory.len() as u32 + self.reserved.get(), cpus: self.cpus.len() as u32 }
    }

    /// Reserves places for `n` parts of the state that live outside words, and answers the first. The places are for
    /// [`touch`](crate::Core::touch).
    pub fn reserve_places(&self, n: usize) -> Loc {
        let first = self.memory.len() as u32 + self.reserved.get();
        self.reserved.set(self.reserved.get() + n as u32);
        Loc(first)
    }
}
