//! `mm/vmalloc.c`: memory that the kernel maps for itself, one page at a time.
//!
//! The entries are global (`PAGE_KERNEL`). All address spaces share their tables: each root has the same entries in its upper
//! half. Two things are left out. A kernel gathers freed addresses, and flushes them together (`vmap_lazy_nr`). Older kernels
//! filled in an entry of a root later, by a fault.

use sim_core::{BoxFuture, Bytes, Routine, Shared};
use sim_mmu::{DataOp, Entry, Level, Pfn, Privilege, VirtAddr};

use crate::arch::tlb::flush_tlb_kernel_range;
use crate::errno::Errno;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page_alloc::{alloc_driver_page, alloc_table, free_unref_page};
use crate::pgtable::{Pte, Ptep, pgd_offset_k, pgd_offset_of};

/// Bits of an entry that leads to a table of the kernel's: `_KERNPG_TABLE`.
const KERNPG_TABLE: u64 = Entry::PRESENT | Entry::RW | Entry::ACCESSED | Entry::DIRTY;
/// Bits of an entry that maps a page of the kernel's: `PAGE_KERNEL`.
const PAGE_KERNEL: u64 = KERNPG_TABLE | Entry::GLOBAL | Entry::NX;

/// The address of a page of the area, which one page table covers; `None` beyond it. The area begins where the upper half
/// of the address space does.
fn address(cpu: Cpu<'_>, page: u64) -> Option<VirtAddr> {
    let geometry = cpu.mmu.geometry;
    let start = VirtAddr(u64::MAX << (geometry.address_bits() - 1));
    (page < u64::from(geometry.entries(Level::Pte))).then(|| start.plus_pages(page))
}

/// `vmalloc()` of one page, at a place of the area that is free. Its contents are those that the frame had.
///
/// # Errors
/// `EINVAL` beyond the end of the area, `EEXIST` if something is mapped there, `ENOMEM` if no frame is free.
pub fn vmalloc(cpu: Cpu<'_>, page: u64) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vmalloc"));
        let va = address(cpu, page).ok_or(Errno::Einval)?;
        let _lock = cpu.lock(cpu.kernel.vmalloc_lock).await;
        let ptep = pte_alloc_kernel(cpu, va).await?;
        if !cpu.read_once(ptep).await.none() {
            return Err(Errno::Eexist);
        }
        let frame = alloc_driver_page(cpu).await.ok_or(Errno::Enomem)?;
        // No flush: nothing was there before, and what is not there is not cached.
        cpu.set_table(ptep, Entry::new(frame.0, PAGE_KERNEL)).await;
        Ok(())
    })
}

/// `vfree()` of one page. The frame goes when no CPU has a translation any more that leads to it.
///
/// # Errors
/// `EINVAL` if nothing is mapped there.
pub fn vfree(cpu: Cpu<'_>, page: u64) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("vfree"));
        let va = address(cpu, page).ok_or(Errno::Einval)?;
        let frame = {
            let _lock = cpu.lock(cpu.kernel.vmalloc_lock).await;
            let ptep = pte_offset_kernel(cpu, va).await.ok_or(Errno::Einval)?;
            let pte = cpu.read_once(ptep).await;
            if pte.none() {
                return Err(Errno::Einval);
            }
            cpu.set_table(ptep, Entry::NONE).await;
            Page(pte.pfn())
        };
        flush_tlb_kernel_range(cpu, va).await;
        free_unref_page(cpu, frame).await;
        Ok(())
    })
}

/// The kernel reads or writes the first word of a page of the area, by its address.
///
/// # Errors
/// `EINVAL` beyond the end of the area; `EFAULT` if nothing is mapped there, which is an oops.
pub fn access_vmalloc(cpu: Cpu<'_>, page: u64, data: DataOp) -> BoxFuture<'_, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let va = address(cpu, page).ok_or(Errno::Einval)?;
        match cpu.access_bytes(Privilege::Supervisor { ac: false }, va, Bytes::ALL, data).await {
            Ok(completed) => Ok(completed.value),
            Err(_) => {
                cpu.note(Event::KernelBug { what: "unable to handle page fault for a kernel address" });
                Err(Errno::Efault)
            }
        }
    })
}

/// `pgd_ctor()`: a new root has the kernel's entries. Nobody else knows of it yet.
pub(crate) fn pgd_ctor(cpu: Cpu<'_>, root: Pfn) {
    let entries = cpu.mmu.geometry.entries(Level::P4d);
    for index in entries / 2..entries {
        let entry = cpu.mmu.entry_now(cpu.kernel.init_pgd, index);
        if !entry.is_none() {
            cpu.this_cpu_write(Shared::<Entry>::at(cpu.mmu.phys.entry(root, index).loc()), entry);
        }
    }
}

/// `pte_alloc_kernel()`: the entry for an address of the area, with all tables above it. The caller holds the lock.
async fn pte_alloc_kernel(cpu: Cpu<'_>, va: VirtAddr) -> Result<Ptep, Errno> {
    let geometry = cpu.mmu.geometry;
    let p4dp = pgd_offset_k(cpu, va);
    let mut p4d = cpu.read_once(p4dp).await;
    if p4d.none() {
        let entry = new_table(cpu, Level::Pud).await?;
        cpu.set_table(p4dp, entry).await;
        sync_global_pgds(cpu, va, entry).await;
        p4d = cpu.read_once(p4dp).await;
    }
    let pudp = p4d.pud_offset(geometry, va);
    let mut pud = cpu.read_once(pudp).await;
    if pud.none() {
        let entry = new_table(cpu, Level::Pmd).await?;
        cpu.set_table(pudp, entry).await;
        pud = cpu.read_once(pudp).await;
    }
    let pmdp = pud.pmd_offset(geometry, va);
    let mut pmd = cpu.read_once(pmdp).await;
    if pmd.none() {
        let entry = new_table(cpu, Level::Pte).await?;
        cpu.set_table(pmdp, entry).await;
        pmd = cpu.read_once(pmdp).await;
    }
    Ok(pmd.pte_offset(geometry, va))
}

/// The entry that leads to a new table. Tables of the kernel's are never freed.
async fn new_table(cpu: Cpu<'_>, level: Level) -> Result<Entry, Errno> {
    let table = alloc_table(cpu, level, cpu.kernel.init_pgd).await.ok_or(Errno::Enomem)?;
    Ok(Entry::new(table.0, KERNPG_TABLE))
}

/// `sync_global_pgds()`: every root gets the new entry.
async fn sync_global_pgds(cpu: Cpu<'_>, va: VirtAddr, entry: Entry) {
    let roots: Vec<Pfn> = cpu.kernel.mms().map(|mm: &MmStruct| cpu.this_cpu_read(mm.pgd())).collect();
    for root in roots {
        cpu.set_table(pgd_offset_of(cpu, root, va), entry).await;
    }
}

/// The entry for an address of the kernel's, by its own tables; `None` where there is no table, or nothing in the entry.
pub async fn kernel_pte(cpu: Cpu<'_>, va: VirtAddr) -> Option<Pte> {
    let ptep = pte_offset_kernel(cpu, va).await?;
    Some(cpu.read_once(ptep).await).filter(|pte| !pte.none())
}

/// `pte_offset_kernel()`, where there are tables.
async fn pte_offset_kernel(cpu: Cpu<'_>, va: VirtAddr) -> Option<Ptep> {
    let geometry = cpu.mmu.geometry;
    let p4d = cpu.read_once(pgd_offset_k(cpu, va)).await;
    if p4d.none() {
        return None;
    }
    let pud = cpu.read_once(p4d.pud_offset(geometry, va)).await;
    if pud.none() {
        return None;
    }
    let pmd = cpu.read_once(pud.pmd_offset(geometry, va)).await;
    (!pmd.none()).then(|| pmd.pte_offset(geometry, va))
}
