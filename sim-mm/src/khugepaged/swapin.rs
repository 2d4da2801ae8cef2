//! Pages that are in swap are read before a range is collapsed: `__collapse_huge_page_swapin()`.

use sim_core::ReadHeld;
use sim_mmu::VirtAddr;

use super::control::Scan;
use crate::kernel::Cpu;
use crate::memory::do_swap_page;
use crate::mm_types::{MmStruct, Vma};
use crate::pgtable::Pmdp;
use crate::pgtable_generic::{NotPresent, next_not_present};
use crate::swap::lru_add_drain;
use crate::swapops::SwpEntry;
use crate::vm_fault::{Fault, FaultFlags, LockAfter};

/// `__collapse_huge_page_swapin()`: what is in swap is read and mapped, as if it was accessed. `mmap_lock` is let go of if that fails.
pub(super) async fn __collapse_huge_page_swapin<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    haddr: VirtAddr,
    pmdp: Pmdp,
    mmap_lock: ReadHeld<'m>,
) -> Result<ReadHeld<'m>, Scan> {
    let _routine = cpu.enter("__collapse_huge_page_swapin");
    let (mut next, end) = (haddr, haddr.plus_pages(cpu.pmd_nr()));
    while next < end {
        let (ptep, address, pte) = match next_not_present(cpu, pmdp, (next, end)).await {
            NotPresent::Entry(ptep, address, pte) => (ptep, address, pte),
            NotPresent::No => break,
            NotPresent::NoTable => return Err(Scan::PmdNull),
        };
        next = address.plus_pages(1);
        // An entry that only marks its page ends a fault by a signal.
        let entry = SwpEntry::of_pte(pte.entry).ok_or(Scan::Fail)?;
        let vmf = Fault { mm, vma, address, flags: FaultFlags::ALLOW_RETRY, pmdp };
        let done = do_swap_page(cpu, vmf, ptep, pte, entry).await.map_err(|_| Scan::Fail)?;
        if done.lock != LockAfter::Held {
            return Err(Scan::PageLock);
        }
    }
    // The batches have a reference to each page that was read.
    lru_add_drain(cpu).await;
    Ok(mmap_lock)
}
