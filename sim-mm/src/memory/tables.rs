//! Making and freeing page tables: `__pte_alloc()`, `free_pgtables()` and their kin.

use sim_core::BoxFuture;
use sim_mmu::{Entry, Geometry, Level, VirtAddr};

use crate::check;
use crate::entries::entries;
use crate::errno::Errno;
use crate::huge_pte::{HugePte, HugePtep};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mmu_gather::MmuGather;
use crate::page::put_page;
use crate::page_alloc::alloc_table;
use crate::pgtable::{EntryPtr, P4dp, PAGE_TABLE, Pmd, Pmdp, Pudp, offset_now, pgd_offset};
use crate::pgtable_generic::pmd_clear_bad;
use crate::safeguards::PTE_ALLOC_RECHECK;

/// `p4d_offset(pgd_offset(mm, addr), addr)`.
pub(crate) fn p4d_offset(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> P4dp {
    pgd_offset(cpu, mm, addr).p4d_offset()
}

/// `pud_alloc()`: the PUD entry for an address, in a table made if there is none.
pub(crate) async fn pud_alloc(cpu: Cpu<'_>, mm: &MmStruct, p4dp: P4dp, addr: VirtAddr) -> Result<Pudp, Errno> {
    let mut p4d = cpu.read_once(p4dp).await;
    if p4d.none() {
        let _routine = cpu.enter("__pud_alloc");
        let root = cpu.this_cpu_read(mm.pgd());
        let new = alloc_table(cpu, Level::Pud, root).await.ok_or(Errno::Enomem)?;
        let ptl = cpu.lock(mm.page_table_lock()).await;
        p4d = cpu.read_once(p4dp).await;
        if p4d.none() {
            let entry = Entry::new(new.0, PAGE_TABLE);
            cpu.set_table(p4dp, entry).await;
            return Ok(p4dp.value(entry).pud_offset(cpu.mmu.geometry, addr));
        }
        drop(ptl);
        put_page(cpu, new).await;
    }
    Ok(p4d.pud_offset(cpu.mmu.geometry, addr))
}

/// `pmd_alloc()`.
pub(crate) async fn pmd_alloc(cpu: Cpu<'_>, mm: &MmStruct, pudp: Pudp, addr: VirtAddr) -> Result<Pmdp, Errno> {
    let mut pud = cpu.read_once(pudp).await;
    if pud.none() {
        let _routine = cpu.enter("__pmd_alloc");
        let root = cpu.this_cpu_read(mm.pgd());
        let new = alloc_table(cpu, Level::Pmd, root).await.ok_or(Errno::Enomem)?;
        let ptl = cpu.lock(mm.page_table_lock()).await;
        pud = cpu.read_once(pudp).await;
        if pud.none() {
            let entry = Entry::new(new.0, PAGE_TABLE);
            cpu.set_table(pudp, entry).await;
            return Ok(pudp.value(entry).pmd_offset(cpu.mmu.geometry, addr));
        }
        drop(ptl);
        put_page(cpu, new).await;
    }
    Ok(pud.pmd_offset(cpu.mmu.geometry, addr))
}

/// `pte_alloc()`: sees to it that the PMD entry leads to a table; answers the entry.
pub(crate) async fn pte_alloc(cpu: Cpu<'_>, mm: &MmStruct, pmdp: Pmdp) -> Result<Pmd, Errno> {
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.none() {
        return Ok(pmd);
    }
    let _routine = cpu.enter("__pte_alloc");
    let root = cpu.this_cpu_read(mm.pgd());
    let new = alloc_table(cpu, Level::Pte, root).await.ok_or(Errno::Enomem)?;
    let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let pmd = cpu.read_once(pmdp).await;
    if check!(cpu, PTE_ALLOC_RECHECK, !pmd.none()) {
        drop(ptl);
        put_page(cpu, new).await;
        return Ok(pmd);
    }
    let entry = Entry::new(new.0, PAGE_TABLE);
    cpu.set_table(pmdp, entry).await;
    Ok(pmdp.value(entry))
}

/// Walks to the PUD entry of an address, where it leads to a table: `get_old_pud()`. An entry that maps memory is taken for bad.
pub(crate) async fn find_pud<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr) -> Option<Pudp> {
    let p4d = cpu.read_once(p4d_offset(cpu, mm, addr)).await;
    if p4d.none() {
        return None;
    }
    let pudp = p4d.pud_offset(cpu.mmu.geometry, addr);
    let pud = cpu.read_once(pudp).await;
    if HugePte::from(pud).leaf() {
        let clear: BoxFuture<'m, ()> = Box::pin(pmd_clear_bad(cpu, mm, addr, pudp));
        clear.await;
        return None;
    }
    if pud.none() { None } else { Some(pudp) }
}

/// The PUD entry of an address, if it maps memory. It is no access to the tables.
pub(crate) fn find_leaf_pud(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<HugePtep> {
    let pudp = HugePtep::from(offset_now::<Pudp>(cpu, mm, addr)?);
    pudp.value(cpu.entry_now(pudp)).leaf().then_some(pudp)
}

/// Walks to the PMD entry of an address, where it is not empty: `pmd_off()` with checks. It may map a huge page. Where a PUD entry maps memory there is none.
pub(crate) async fn find_pmd(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Pmdp> {
    let p4d = cpu.read_once(p4d_offset(cpu, mm, addr)).await;
    if p4d.none() {
        return None;
    }
    let pud = cpu.read_once(p4d.pud_offset(cpu.mmu.geometry, addr)).await;
    if !pud.leads_to_table() {
        return None;
    }
    let pmdp = pud.pmd_offset(cpu.mmu.geometry, addr);
    if cpu.read_once(pmdp).await.none() { None } else { Some(pmdp) }
}

/// The addresses whose tables a level may free, and no others: what lies between the neighbours of
/// what is unmapped.
#[derive(Clone, Copy)]
struct Between {
    floor: VirtAddr,
    /// Zero is the top of the space.
    ceiling: VirtAddr,
}

impl Between {
    /// Whether the table that covers `start` to `end` below an entry of `level` has no other user.
    fn covers(self, geometry: Geometry, level: Level, start: VirtAddr, end: VirtAddr) -> bool {
        let mask = !(geometry.span(level) - 1);
        if start.0 & mask < self.floor.0 {
            return false;
        }
        let ceiling = if self.ceiling.0 == 0 { 0 } else { self.ceiling.0 & mask };
        (self.ceiling.0 == 0 || ceiling != 0) && end.0.wrapping_sub(1) <= ceiling.wrapping_sub(1)
    }
}

/// `free_pgtables()`: frees the tables that only `vma` needed; `floor` and `ceiling` are where its
/// neighbours end and begin.
pub(crate) async fn free_pgtables<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    vma: Vma,
    floor: VirtAddr,
    ceiling: VirtAddr,
) {
    let _routine = cpu.enter("free_pgtables");
    let between = Between { floor, ceiling };
    let (start, end) = (vma.start(cpu), vma.end(cpu));
    for (p4dp, addr, next) in entries(cpu.mmu.geometry, p4d_offset(cpu, tlb.mm, start), start, end) {
        if !cpu.read_once(p4dp).await.none() {
            free_pud_range(cpu, tlb, p4dp, addr, next, between).await;
        }
    }
}

/// `free_pud_range()`.
async fn free_pud_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    p4dp: P4dp,
    start: VirtAddr,
    end: VirtAddr,
    between: Between,
) {
    let geometry = cpu.mmu.geometry;
    let p4d = cpu.read_once(p4dp).await;
    for (pudp, addr, next) in entries(geometry, p4d.pud_offset(geometry, start), start, end) {
        if !cpu.read_once(pudp).await.none() {
            free_pmd_range(cpu, tlb, pudp, addr, next, between).await;
        }
    }
    if between.covers(geometry, Level::P4d, start, end) {
        cpu.set_table(p4dp, Entry::NONE).await;
        tlb.remove_table(cpu, p4d.entry.pfn(), start).await;
    }
}

/// `free_pmd_range()`.
async fn free_pmd_range<'m>(
    cpu: Cpu<'m>,
    tlb: &mut MmuGather<'m>,
    pudp: Pudp,
    start: VirtAddr,
    end: VirtAddr,
    between: Between,
) {
    let geometry = cpu.mmu.geometry;
    let pud = cpu.read_once(pudp).await;
    for (pmdp, addr, next) in entries(geometry, pud.pmd_offset(geometry, start), start, end) {
        let pmd = cpu.read_once(pmdp).await;
        if !pmd.none() && between.covers(geometry, Level::Pmd, addr, next) {
            free_pte_range(cpu, tlb, pmdp, addr).await;
        }
    }
    if between.covers(geometry, Level::Pud, start, end) {
        cpu.set_table(pudp, Entry::NONE).await;
        tlb.remove_table(cpu, pud.entry.pfn(), start).await;
    }
}

/// `free_pte_range()`: unlinks one page table and leaves it to the gather.
async fn free_pte_range<'m>(cpu: Cpu<'m>, tlb: &mut MmuGather<'m>, pmdp: Pmdp, addr: VirtAddr) {
    let _routine = cpu.enter("free_pte_range");
    let token = cpu.read_once(pmdp).await.entry.pfn();
    cpu.set_table(pmdp, Entry::NONE).await;
    tlb.remove_table(cpu, token, addr).await;
}
