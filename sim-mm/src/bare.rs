//! Bare instructions on the page tables of the current process, for tests of the hardware: no lock, no flush, no count,
//! and no kernel that works so.
//!
//! An entry that is set so is special, as those of `vm_insert_pfn()` are: the kernel keeps no account of what it maps.

use sim_mmu::{Entry, VirtAddr};

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::pgtable::pte_offset_now;
use crate::smp::{Call, smp_call_function};

fn current<'m>(cpu: Cpu<'m>) -> Result<&'m MmStruct, Errno> {
    cpu.current_mm().ok_or(Errno::Efault)
}

/// A store to the entry of the page at `va`: it maps the frame that the page at `to` has now, for reads and writes, or
/// nothing. A is set, and D if `dirty`.
///
/// # Errors
/// `EFAULT` if there is no table for the page, or nothing at `to`; `EBUSY` if the kernel has mapped a page there.
pub async fn set_entry(cpu: Cpu<'_>, va: VirtAddr, to: Option<VirtAddr>, dirty: bool) -> Result<(), Errno> {
    let mm = current(cpu)?;
    let _kernel = cpu.enter_kernel();
    let ptep = pte_offset_now(cpu, mm, va).ok_or(Errno::Efault)?;
    let old = cpu.mmu.entry_now(ptep.table(), cpu.mmu.geometry.index(va, sim_mmu::Level::Pte));
    if !old.is_none() && !old.has(Entry::SPECIAL) {
        return Err(Errno::Ebusy);
    }
    let new = match to {
        None => Entry::default(),
        Some(to) => {
            let frame = cpu.mmu.frame_under(cpu.this_cpu_read(mm.pgd()), to).ok_or(Errno::Efault)?;
            let flags = Entry::PRESENT | Entry::USER | Entry::ACCESSED | Entry::SPECIAL | Entry::RW;
            Entry::new(frame, if dirty { flags | Entry::DIRTY } else { flags })
        }
    };
    cpu.set_pte_at(mm, va, ptep, new).await;
    Ok(())
}

/// INVLPG on this CPU.
pub async fn invlpg(cpu: Cpu<'_>, va: VirtAddr) {
    let _kernel = cpu.enter_kernel();
    cpu.invlpg(va).await;
}

/// MOV to CR3 of the value that it has: drops what is not global.
///
/// # Errors
/// `EFAULT` if the task has no address space any more.
pub async fn reload_cr3(cpu: Cpu<'_>) -> Result<(), Errno> {
    let mm = current(cpu)?;
    let _kernel = cpu.enter_kernel();
    cpu.write_cr3(cpu.this_cpu_read(mm.pgd())).await;
    Ok(())
}

/// Interrupts every other CPU, whose handler executes INVLPG, and waits until all have.
pub async fn invlpg_on_others(cpu: Cpu<'_>, va: VirtAddr) {
    let _kernel = cpu.enter_kernel();
    smp_call_function(cpu, Call::Invlpg(va)).await;
}
