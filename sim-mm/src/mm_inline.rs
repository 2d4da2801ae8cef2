//! `include/linux/mm_inline.h`: what is left of an entry that was taken away.

use sim_core::BoxFuture;
use sim_mmu::VirtAddr;

use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::pgtable::Ptep;
use crate::safeguards::UFFD_WP_MARKER;
use crate::swapops;
use crate::vm_flags::VmFlags;

/// Whether a mapping remembers which of its pages are write-protected for user code, although they are not mapped: if they come back from a
/// file.
pub(crate) fn keeps_uffd_wp(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma.file(cpu).is_some() && vma.flags(cpu).contains(VmFlags::UFFD_WP)
}

/// `pte_install_uffd_wp_if_needed()`, of an entry of such a mapping that was write-protected and is empty now. The caller holds the PTE lock.
pub(crate) fn pte_install_uffd_wp_if_needed<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    ptep: Ptep,
) -> BoxFuture<'m, ()> {
    Box::pin(async move {
        let _routine = cpu.enter("pte_install_uffd_wp_if_needed");
        if cpu.has(UFFD_WP_MARKER) {
            cpu.set_pte_at(mm, address, ptep, swapops::UFFD_WP_MARKER).await;
        }
    })
}
