//! Mappings: `struct vm_area_struct`, and what `mm/vma.c` does with them.
//!
//! A mapping is a record with a lifetime. Its fields are only changed with `mmap_lock` held for writing, so
//! whoever holds the lock reads them without a step of its own. Whoever uses a mapping that has been freed,
//! because it let go of the lock or never held it, is seen (`object-use-after-free`).

use sim_core::{Shared, Word};
use sim_mmu::VirtAddr;

use crate::errno::Errno;
use crate::event::Event;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmStruct, VmArea, Vma};
use crate::vm_flags::VmFlags;

/// What a mapping says at one moment, for those who only look: pages `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmaSnapshot {
    /// `vm_start`.
    pub start: VirtAddr,
    /// `vm_end`.
    pub end: VirtAddr,
    /// `vm_flags`.
    pub flags: VmFlags,
}

impl Vma {
    fn words(self, cpu: Cpu<'_>) -> VmArea {
        cpu.kernel.vmas.deref(**cpu, self.0)
    }

    /// A field, without a step: for a caller that excludes changes. The reference is checked, not each word.
    fn get<T: Word>(self, cpu: Cpu<'_>, field: impl Fn(VmArea) -> Shared<T>) -> T {
        T::from_word(cpu.core.memory.get(field(self.words(cpu)).loc()))
    }

    /// `vm_start`, for a caller that excludes changes.
    pub fn start(self, cpu: Cpu<'_>) -> VirtAddr {
        self.get(cpu, VmArea::vm_start)
    }

    /// `vm_end`, for a caller that excludes changes.
    pub fn end(self, cpu: Cpu<'_>) -> VirtAddr {
        self.get(cpu, VmArea::vm_end)
    }

    /// `vm_flags`, for a caller that excludes changes.
    pub fn flags(self, cpu: Cpu<'_>) -> VmFlags {
        self.get(cpu, VmArea::vm_flags)
    }

    /// Whether the address is in it.
    pub fn contains(self, cpu: Cpu<'_>, addr: VirtAddr) -> bool {
        self.start(cpu) <= addr && addr < self.end(cpu)
    }

    fn set_start(self, cpu: Cpu<'_>, start: VirtAddr) {
        cpu.this_cpu_write(self.words(cpu).vm_start(), start);
    }

    fn set_end(self, cpu: Cpu<'_>, end: VirtAddr) {
        cpu.this_cpu_write(self.words(cpu).vm_end(), end);
    }
}

/// `vm_area_alloc()`.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn vm_area_alloc(cpu: Cpu<'_>, vma: VmaSnapshot) -> Result<Vma, Errno> {
    let new = Vma(cpu.kernel.vmas.alloc(cpu.core).ok_or(Errno::Enomem)?);
    new.set_start(cpu, vma.start);
    new.set_end(cpu, vma.end);
    cpu.this_cpu_write(new.words(cpu).vm_flags(), vma.flags);
    Ok(new)
}

/// `vm_area_dup()`.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn vm_area_dup(cpu: Cpu<'_>, orig: Vma) -> Result<Vma, Errno> {
    vm_area_alloc(cpu, VmaSnapshot { start: orig.start(cpu), end: orig.end(cpu), flags: orig.flags(cpu) })
}

/// `vm_area_free()`. Before v6.4 there is no reader without `mmap_lock`, so it is freed at once.
pub(crate) fn vm_area_free(cpu: Cpu<'_>, vma: Vma) {
    let first = vma.words(cpu).vm_start().loc();
    if cpu.kernel.vmas.free(cpu.core, vma.0) {
        cpu.note(Event::ObjectFreed { first });
    }
}

/// Where a mapping is split, and which part is the new mapping: `new_below` of `__split_vma()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewPart {
    Below,
    Above,
}

/// `__split_vma()`: mapping `index` of the list becomes two, of which `part` is new.
///
/// # Errors
/// `ENOMEM`, if the machine has no room for one more.
pub(crate) fn split_vma(
    cpu: Cpu<'_>,
    vmas: &mut Vec<Vma>,
    index: usize,
    addr: VirtAddr,
    part: NewPart,
) -> Result<(), Errno> {
    let vma = vmas[index];
    let new = vm_area_dup(cpu, vma)?;
    match part {
        NewPart::Below => {
            new.set_end(cpu, addr);
            vma.set_start(cpu, addr);
            vmas.insert(index, new);
        }
        NewPart::Above => {
            new.set_start(cpu, addr);
            vma.set_end(cpu, addr);
            vmas.insert(index + 1, new);
        }
    }
    Ok(())
}

impl Kernel {
    /// The mappings of an address space as they are now, in order: for those who only look.
    pub fn vma_list(&self, mm: &MmStruct) -> Vec<VmaSnapshot> {
        let mut list = Vec::new();
        self.vma_list_into(mm, &mut list);
        list
    }

    /// The same in place of what `list` holds.
    pub(crate) fn vma_list_into(&self, mm: &MmStruct, list: &mut Vec<VmaSnapshot>) {
        let memory = &self.core().memory;
        let word = |loc| memory.get(loc);
        let snapshot = |vma: &Vma| {
            let words = self.vmas.record(vma.0.index());
            VmaSnapshot {
                start: VirtAddr(word(words.vm_start().loc())),
                end: VirtAddr(word(words.vm_end().loc())),
                flags: VmFlags::from_word(word(words.vm_flags().loc())),
            }
        };
        list.clear();
        list.extend(mm.vmas.peek().iter().map(snapshot));
    }
}
