//! `arch/x86/entry/vsyscall/vsyscall_64.c`: the gate area, a page of the kernel that every process can read.
//!
//! The page lies in the upper half of the address space, and in no mapping of a process. What old programs call there is not
//! modelled.

use sim_core::CpuId;
use sim_mmu::{Entry, Geometry, Level, Pfn, VirtAddr};

use crate::event::{Event, FrameUse, Order};
use crate::kernel::{Cpu, Kernel};
use crate::machine_config::MachineConfig;
use crate::mm_types::MmStruct;
use crate::settings::Vsyscall;

/// The levels of the tables, from the root on.
const LEVELS: [Level; 4] = [Level::P4d, Level::Pud, Level::Pmd, Level::Pte];

/// The frames that are taken for the page, and for the tables that lead to it.
const GATE_FRAMES: u64 = 4;

/// `__PAGE_KERNEL_VVAR`: everybody may read the page, and nobody may write it. The entry is not special.
const PAGE_KERNEL_VVAR: u64 = Entry::PRESENT | Entry::USER | Entry::ACCESSED | Entry::NX | Entry::GLOBAL;
/// A table of the kernel's, with `_PAGE_USER`: `set_vsyscall_pgtable_user_bits()`.
const USER_KERNPG_TABLE: u64 = Entry::PRESENT | Entry::RW | Entry::USER | Entry::ACCESSED | Entry::DIRTY;

/// `VSYSCALL_ADDR`, 10 MiB below the end. On a machine with small tables, the first page that the last page table maps.
fn vsyscall_addr(geometry: Geometry) -> VirtAddr {
    if geometry.address_bits() >= 48 {
        VirtAddr((10_u64 << 20).wrapping_neg())
    } else {
        VirtAddr(u64::MAX << geometry.shift(Level::Pmd))
    }
}

/// `in_gate_area()`: whether an address lies in the page, as far as the kernel has it: `get_gate_vma()`.
pub fn in_gate_area(cpu: Cpu<'_>, addr: VirtAddr) -> bool {
    cpu.setting::<Vsyscall>() != Vsyscall::None && addr.page_base() == vsyscall_addr(cpu.mmu.geometry)
}

/// Tells of the page in an address space that begins: it is there by the entries of the kernel, without an entry of its own.
pub(crate) fn note_gate_page(cpu: Cpu<'_>, mm: &MmStruct) {
    if cpu.setting::<Vsyscall>() == Vsyscall::Emulate {
        let page = Pfn(cpu.kernel.config.boot_frames() - 1);
        cpu.note_pte(mm, vsyscall_addr(cpu.mmu.geometry), Entry::NONE, Entry::new(page, PAGE_KERNEL_VVAR));
    }
}

impl MachineConfig {
    /// The frames that are taken before anything runs: the zero page, the kernel's own root, and the gate area.
    pub fn boot_frames(&self) -> u64 {
        2 + if self.setting::<Vsyscall>() == Vsyscall::Emulate { GATE_FRAMES } else { 0 }
    }
}

impl Kernel {
    /// `map_vsyscall()`, when the machine boots. With `xonly` the page is not mapped.
    pub(crate) fn map_vsyscall(&self) {
        if self.config.setting::<Vsyscall>() != Vsyscall::Emulate {
            return;
        }
        let (geometry, memory) = (self.mmu.geometry, &self.core().memory);
        let addr = vsyscall_addr(geometry);
        let tables = [self.init_pgd].into_iter().chain(self.gate_tables().map(|(table, _)| table));
        let page = (Pfn(self.config.boot_frames() - 1), PAGE_KERNEL_VVAR);
        let entries = self.gate_tables().map(|(table, _)| (table, USER_KERNPG_TABLE)).chain([page]);
        for ((table, level), (frame, flags)) in tables.zip(LEVELS).zip(entries) {
            let word = self.mmu.phys.word(table, geometry.index(addr, level));
            memory.set(word, Entry::new(frame, flags).0);
        }
    }

    /// The tables that lead to the page, below the kernel's own root, and their levels.
    fn gate_tables(&self) -> impl Iterator<Item = (Pfn, Level)> {
        let frames = (2..self.config.boot_frames()).map(Pfn);
        frames.zip(LEVELS.into_iter().skip(1))
    }

    /// Tells who watches the machine of the tables that it boots with.
    pub fn tell_of_boot(&self) {
        let cpu = Cpu::new(self, CpuId(0));
        for (pfn, level) in self.gate_tables() {
            let for_use = FrameUse::Table { level, root: self.init_pgd };
            cpu.note(Event::FrameAllocated { pfn, order: Order::PTE, for_use });
        }
    }
}
