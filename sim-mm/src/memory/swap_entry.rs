//! The entry that maps a page which was in swap: the end of `do_swap_page()`.

use sim_mmu::Entry;

use crate::kernel::Cpu;
use crate::pgtable::{Pte, maybe_mkwrite, mkdirty, vm_get_page_prot, vma_soft_dirty_enabled};
use crate::settings::SwapinWritable;
use crate::swapops::pte_swp_marks;
use crate::vm_fault::Fault;
use crate::vm_flags::VmFlags;

/// The flags of an entry that maps a page which was in swap.
pub(super) struct Brought {
    pub(super) bits: u64,
    /// Whether the write that faulted need not fault again for it.
    pub(super) write_done: bool,
}

/// What an entry is that maps a page which was in swap: `orig` named its slot. `exclusive` says whether the page belongs to this address space
/// alone.
pub(super) fn brought_back(cpu: Cpu<'_>, vmf: Fault<'_>, orig: Pte, exclusive: bool) -> Brought {
    let flags = vmf.vma.flags(cpu);
    let marks = pte_swp_marks(orig.entry);
    let waits = marks & Entry::UFFD_WP != 0;
    let prot = vm_get_page_prot(flags) | marks;
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    match cpu.setting::<SwapinWritable>() {
        _ if !exclusive => Brought { bits: prot, write_done: false },
        SwapinWritable::Write if !vmf.is_write() => Brought { bits: prot, write_done: false },
        // pte_mkuffd_wp() takes the right to write again. The write faults once more.
        SwapinWritable::Write if waits => Brought { bits: prot | written & !Entry::RW, write_done: true },
        SwapinWritable::Write => Brought { bits: prot | written, write_done: true },
        SwapinWritable::Read => {
            // pte_needs_soft_dirty_wp(): the next write has to be noticed.
            let is_noticed = vma_soft_dirty_enabled(cpu, flags) && marks & Entry::SOFT_DIRTY == 0;
            let writable = flags.contains(VmFlags::WRITE) && !waits && !is_noticed;
            let write_done = writable && vmf.is_write();
            let rights = if write_done { written } else { u64::from(writable) * Entry::RW };
            Brought { bits: prot | rights, write_done }
        }
    }
}
