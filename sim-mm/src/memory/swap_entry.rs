//! The entry that maps a page which was in swap: the end of `do_swap_page()`.

use sim_mmu::Entry;

use crate::kernel::Cpu;
use crate::pgtable::{Pte, maybe_mkwrite, mkdirty, vm_get_page_prot, vma_soft_dirty_enabled};
use crate::settings::SwapinWritable;
use crate::swapops::pte_swp_marks;
use crate::vm_fault::Fault;
use crate::vm_flags::VmFlags;

/// The flags of the entry by which `do_swap_page()` maps a page again.
pub(super) struct SwapinFlags {
    pub(super) bits: u64,
    /// Whether the write that faulted need not fault again for it.
    pub(super) write_done: bool,
}

/// The flags of the entry by which `do_swap_page()` maps a page again. `orig` named its slot. `exclusive` says whether the page belongs to this
/// address space alone.
pub(super) fn swapin_flags(cpu: Cpu<'_>, vmf: Fault<'_>, orig: Pte, exclusive: bool) -> SwapinFlags {
    let flags = vmf.vma.flags(cpu);
    let marks = pte_swp_marks(orig.entry);
    let waits = marks & Entry::UFFD_WP != 0;
    let prot = vm_get_page_prot(flags) | marks;
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    match cpu.setting::<SwapinWritable>() {
        _ if !exclusive => SwapinFlags { bits: prot, write_done: false },
        SwapinWritable::Write if !vmf.is_write() => SwapinFlags { bits: prot, write_done: false },
        // pte_mkuffd_wp() takes away the right to write that maybe_mkwrite() gave, so the write faults again.
        SwapinWritable::Write if waits => SwapinFlags { bits: prot | written & !Entry::RW, write_done: true },
        SwapinWritable::Write => SwapinFlags { bits: prot | written, write_done: true },
        SwapinWritable::Read => {
            // pte_needs_soft_dirty_wp(): the next write has to be noticed.
            let needs_soft_dirty_wp = vma_soft_dirty_enabled(cpu, flags) && marks & Entry::SOFT_DIRTY == 0;
            // userfaultfd_pte_wp()
            let waits = waits && flags.contains(VmFlags::UFFD_WP);
            let writable = flags.contains(VmFlags::WRITE) && !waits && !needs_soft_dirty_wp;
            let write_done = writable && vmf.is_write();
            let rights = if write_done { written } else { u64::from(writable) * Entry::RW };
            SwapinFlags { bits: prot | rights, write_done }
        }
    }
}
