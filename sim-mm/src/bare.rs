//! Bare instructions on the page tables of the current process, for tests of the hardware. They take no lock,
//! flush nothing and count nothing. No kernel works like that.
//!
//! An entry that they set is special, like those of `vm_insert_pfn()`: the kernel keeps no account of the page
//! that it maps.

use sim_mmu::{Cr4, Entry, Invpcid, Level, Pcid, Pfn, Refused, VirtAddr};

use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::pgtable::{P4dp, Pmdp, Ptep, Pudp, TablePtr, offset_now};
use crate::smp::{Call, smp_call_function};

fn current<'m>(cpu: Cpu<'m>) -> Result<&'m MmStruct, Errno> {
    cpu.current_mm().ok_or(Errno::Efault)
}

/// #GP, as what an operation returns.
fn fault(_: Refused) -> Errno {
    Errno::Efault
}

/// Whether an entry may be set: nothing is there, or what was set so before.
fn is_free(entry: Entry) -> Result<(), Errno> {
    if entry.is_none() || entry.has(Entry::SPECIAL) { Ok(()) } else { Err(Errno::Ebusy) }
}

/// A store to the entry of the page at `va`: it maps the frame that the page at `to` has now, for reads and writes, or
/// nothing. A is set, and D if `dirty`.
///
/// # Errors
/// `EFAULT` if there is no table for the page, or nothing at `to`; `EBUSY` if the kernel has mapped a page there.
pub async fn set_entry(cpu: Cpu<'_>, va: VirtAddr, to: Option<VirtAddr>, dirty: bool) -> Result<(), Errno> {
    let mm = current(cpu)?;
    let _kernel = cpu.enter_kernel();
    let ptep: Ptep = offset_now(cpu, mm, va).ok_or(Errno::Efault)?;
    is_free(cpu.entry_now(ptep))?;
    let new = match to {
        None => Entry::default(),
        Some(to) => {
            let frame = cpu.mmu.frame_under(cpu.this_cpu_read(mm.pgd()), to).ok_or(Errno::Efault)?;
            let flags = Entry::PRESENT | Entry::USER | Entry::ACCESSED | Entry::SPECIAL | Entry::RW;
            Entry::new(frame, if dirty { flags | Entry::DIRTY } else { flags })
        }
    };
    let old = cpu.entry_now(ptep);
    cpu.set_pte_at(mm, va, ptep, new).await;
    // Other addresses may lead to the same table.
    for base in addresses_of(cpu, mm, ptep.table()) {
        let other = VirtAddr(base.0 | va.0 & ((1_u64 << cpu.mmu.geometry.shift(Level::Pmd)) - 1));
        if other != va {
            cpu.note_pte(mm, other, old, new);
        }
    }
    Ok(())
}

/// Who hears what becomes of an entry that maps a page.
type Hear<'h> = &'h mut dyn FnMut(VirtAddr, Entry);

/// Tells of each entry that maps a page below an entry of a level, as the tables are now. `base` is the first address that
/// it translates.
fn pages_below(cpu: Cpu<'_>, entry: Entry, level: Level, base: VirtAddr, hear: Hear<'_>) {
    let Some(below) = level.next().filter(|_| entry.is_present()) else {
        return if entry.is_present() {
            hear(base, entry)
        };
    };
    let geometry = cpu.mmu.geometry;
    for index in 0..geometry.entries(below) {
        let next = cpu.mmu.entry_now(entry.pfn(), index);
        pages_below(cpu, next, below, VirtAddr(base.0 + (u64::from(index) << geometry.shift(below))), hear);
    }
}

/// The first address of each range that a table of the lowest level translates.
fn addresses_of(cpu: Cpu<'_>, mm: &MmStruct, wanted: Pfn) -> Vec<VirtAddr> {
    fn look(cpu: Cpu<'_>, table: Pfn, level: Level, base: VirtAddr, wanted: Pfn, found: &mut Vec<VirtAddr>) {
        let geometry = cpu.mmu.geometry;
        let Some(below) = level.next() else {
            return if table == wanted {
                found.push(base)
            };
        };
        for index in 0..geometry.entries(level) {
            let entry = cpu.mmu.entry_now(table, index);
            if entry.is_present() {
                let base = VirtAddr(base.0 + (u64::from(index) << geometry.shift(level)));
                look(cpu, entry.pfn(), below, base, wanted, found);
            }
        }
    }
    let mut found = Vec::new();
    look(cpu, cpu.this_cpu_read(mm.pgd()), Level::P4d, VirtAddr(0), wanted, &mut found);
    found
}

/// A store to the entry of an upper level on the way to `va`: it leads to the table to which that on the way to `to` leads
/// now, or nowhere.
///
/// # Errors
/// `EFAULT` if there is no table of that level on the way, or nothing at `to`; `EBUSY` if the kernel has a table there.
pub async fn set_upper_entry(cpu: Cpu<'_>, level: Level, va: VirtAddr, to: Option<VirtAddr>) -> Result<(), Errno> {
    match level {
        Level::Pmd => set_table::<Pmdp>(cpu, va, to).await,
        Level::Pud => set_table::<Pudp>(cpu, va, to).await,
        // The PGD is folded onto the P4D.
        Level::P4d | Level::Pgd => set_table::<P4dp>(cpu, va, to).await,
        Level::Pte => Err(Errno::Einval),
    }
}

async fn set_table<P: TablePtr>(cpu: Cpu<'_>, va: VirtAddr, to: Option<VirtAddr>) -> Result<(), Errno> {
    let mm = current(cpu)?;
    let _kernel = cpu.enter_kernel();
    let ptr: P = offset_now(cpu, mm, va).ok_or(Errno::Efault)?;
    is_free(cpu.entry_now(ptr))?;
    let new = match to {
        None => Entry::default(),
        Some(to) => {
            let from: P = offset_now(cpu, mm, to).ok_or(Errno::Efault)?;
            let entry = cpu.entry_now(from);
            if !entry.is_present() {
                return Err(Errno::Efault);
            }
            entry.with(Entry::SPECIAL)
        }
    };
    let size = 1_u64 << cpu.mmu.geometry.shift(P::LEVEL);
    let base = VirtAddr(va.0 & !(size - 1));
    let old = cpu.entry_now(ptr);
    cpu.set_table(ptr, new).await;
    // What is mapped there now, for those who watch: the pages of the other table, of which the kernel keeps no account here.
    pages_below(cpu, old, P::LEVEL, base, &mut |va, old| {
        cpu.note_pte(mm, va, old.with(Entry::SPECIAL), Entry::NONE);
    });
    pages_below(cpu, new, P::LEVEL, base, &mut |va, new| {
        cpu.note_pte(mm, va, Entry::NONE, new.with(Entry::SPECIAL));
    });
    Ok(())
}

/// INVLPG on this CPU.
pub async fn invlpg(cpu: Cpu<'_>, va: VirtAddr) {
    let _kernel = cpu.enter_kernel();
    cpu.invlpg(va).await;
}

/// INVPCID on this CPU.
///
/// # Errors
/// `EFAULT`, if it raises #GP: a PCID other than 0 while CR4.PCIDE is clear, or an address that is not canonical.
pub async fn invpcid(cpu: Cpu<'_>, what: Invpcid) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    cpu.invpcid(what).await.map_err(fault)
}

/// MOV to CR3 of the root that it has, with this PCID or the one that it has, and bit 63 as `preserve`.
///
/// # Errors
/// `EFAULT` if the task has no address space any more, or if it raises #GP: `preserve` while CR4.PCIDE is clear.
pub async fn reload_cr3(cpu: Cpu<'_>, pcid: Option<Pcid>, preserve: bool) -> Result<(), Errno> {
    current(cpu)?;
    let _kernel = cpu.enter_kernel();
    let present = cpu.cr3();
    let value = pcid.map_or(present, |pcid| present.with(pcid));
    cpu.mov_cr3(value, preserve).await.map_err(fault)
}

/// MOV to CR4 that sets or clears PCIDE.
///
/// # Errors
/// `EFAULT`, if it raises #GP: PCIDE is set while CR3 has a PCID other than 0.
pub async fn set_pcide(cpu: Cpu<'_>, on: bool) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let cr4 = cpu.controls().cr4.0;
    let value = if on { cr4 | Cr4::PCIDE } else { cr4 & !Cr4::PCIDE };
    cpu.mov_cr4(Cr4(value)).await.map_err(fault)
}

/// Interrupts every other CPU, whose handler executes INVLPG, and waits until all have.
pub async fn invlpg_on_others(cpu: Cpu<'_>, va: VirtAddr) {
    let _kernel = cpu.enter_kernel();
    smp_call_function(cpu, Call::Invlpg(va)).await;
}
