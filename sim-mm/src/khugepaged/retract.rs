//! The page tables through which a file was mapped page by page go, so that its huge page can be mapped: `retract_page_tables()`.

use sim_mmu::{Level, VirtAddr};

use super::control::Collapse;
use super::revalidate::find_pmd_or_thp_or_none;
use crate::check;
use crate::fs::Inode;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_gather::tlb_remove_table_sync_one;
use crate::mmu_notifier::{
    MmuNotifierRange, mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start,
};
use crate::page::put_page;
use crate::pgtable::{Pmd, Pmdp};
use crate::pgtable_generic::pmdp_collapse_flush;
use crate::rcu::call_rcu_tables;
use crate::safeguards::{COLLAPSE_SYNC_IPI, RETRACT_ANON_VMA_RECHECK, RETRACT_NOTIFY};
use crate::settings::Retract;
use crate::vm_flags::VmFlags;

/// `retract_page_tables()`: each page table that led to the pages of a huge page of a file, which are mapped nowhere and stay so, since the
/// caller has the huge page locked.
///
/// A private mapping that was written has pages of its own in the table. It has an `anon_vma`, and is left alone.
pub(super) async fn retract_page_tables<'m>(
    cpu: Cpu<'m>,
    (inode, start): (Inode, u64),
    (target, address): (&'m MmStruct, VirtAddr),
    by: Collapse,
) {
    let _routine = cpu.enter("retract_page_tables");
    let kernel: &'m Kernel = cpu.kernel;
    let lockless = cpu.setting::<Retract>() == Retract::Lockless;
    let sem = kernel.shmem.i_mmap_rwsem(inode);
    let _read = if lockless { Some(cpu.down_read(sem).await) } else { None };
    let _write = if lockless { None } else { Some(cpu.down_write(sem).await) };
    let mappings = cpu.read(kernel.shmem.i_mmap(inode), Clone::clone).await;
    for (mm, vma) in mappings {
        let (mm, Some(at)) = (kernel.mm(mm), huge_page_at(cpu, vma, start)) else { continue };
        if vma.anon_vma(cpu).is_some() {
            continue;
        }
        let Ok(pmdp) = find_pmd_or_thp_or_none(cpu, mm, at).await else { continue };
        let is_target = mm.id == target.id && at == address;
        if lockless {
            retract_lockless(cpu, mm, vma, (pmdp, at)).await;
        } else if by.is_khugepaged() || is_target {
            retract_locked(cpu, mm, vma, (pmdp, at)).await;
        }
    }
}

/// The address at which a mapping has all of the huge page of a file, if it does.
fn huge_page_at(cpu: Cpu<'_>, vma: Vma, start: u64) -> Option<VirtAddr> {
    let span = cpu.mmu.geometry.span(Level::Pmd);
    let nth = start.checked_sub(vma.pgoff(cpu))?;
    let at = vma.start(cpu).plus_pages(nth);
    (at == cpu.pmd_base(at) && at.0 + span <= vma.end(cpu).0).then_some(at)
}

/// `hpage_collapse_test_exit()`.
fn test_exit(cpu: Cpu<'_>, mm: &MmStruct) -> bool {
    cpu.this_cpu_read(mm.mm_users()) == 0
}

/// What is done with a mapping before v6.6: nobody else uses its tables, since `mmap_lock` is held for writing. If somebody has the lock, the
/// table stays.
async fn retract_locked<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, (pmdp, at): (Pmdp, VirtAddr)) {
    let Some(_mmap_lock) = cpu.down_write_trylock(mm.mmap_lock).await else { return };
    // The mapping was written for the first time since it was asked, and its pages would be lost.
    if check!(cpu, RETRACT_ANON_VMA_RECHECK, vma.anon_vma(cpu).is_some()) {
        return;
    }
    if test_exit(cpu, mm) || vma.flags(cpu).contains(VmFlags::UFFD_WP) {
        return;
    }
    collapse_and_free_pmd(cpu, mm, (pmdp, at)).await;
}

/// `collapse_and_free_pmd()`: no entry leads to the table any more, and it is free. The caller keeps out everybody who could walk it with a lock.
pub(super) async fn collapse_and_free_pmd<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, (pmdp, at): (Pmdp, VirtAddr)) {
    let range = invalidate_start(cpu, mm, at).await;
    let old = {
        let _pmd_ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
        pmdp_collapse_flush(cpu, mm, at, pmdp).await
    };
    wait_for_walkers(cpu).await;
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    put_page(cpu, Page(old.pte_offset(cpu.mmu.geometry, at).table())).await;
}

/// No secondary MMU uses a page of the table when this returns. Whoever unmaps such a page later finds no entry here, and so tells nobody.
pub(super) async fn invalidate_start<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, at: VirtAddr) -> MmuNotifierRange {
    if !cpu.has(RETRACT_NOTIFY) {
        return MmuNotifierRange::NONE;
    }
    mmu_notifier_invalidate_range_start(cpu, mm, cpu.pmd_range(at)).await
}

/// A lockless walk that has found a page table has interrupts off, and may take references until it has them on again. Where the flush
/// interrupts nobody, this interrupt is what waits for it.
pub(super) async fn wait_for_walkers(cpu: Cpu<'_>) {
    if cpu.has(COLLAPSE_SYNC_IPI) {
        tlb_remove_table_sync_one(cpu).await;
    }
}

/// What is done since v6.6 (`1d65b771bc08`), without `mmap_lock`: whoever takes the lock of a table of a file looks again whether it is linked, and
/// walks it in a read-side section. So the table is freed after a grace period.
async fn retract_lockless<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, (pmdp, at): (Pmdp, VirtAddr)) {
    if test_exit(cpu, mm) || vma.flags(cpu).contains(VmFlags::UFFD_WP) {
        return;
    }
    let range = invalidate_start(cpu, mm, at).await;
    let old = unlink_unused(cpu, mm, vma, (pmdp, at)).await;
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    if let Some(old) = old {
        free_table_later(cpu, old, at).await;
    }
}

/// The entry leads to its table no more when this returns, unless the mapping has pages of its own in it. Answers what the entry was.
async fn unlink_unused<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, (pmdp, at): (Pmdp, VirtAddr)) -> Option<Pmd> {
    let _pmd_ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let pmd = cpu.read_once(pmdp).await;
    if !pmd.leads_to_table() {
        return None;
    }
    let table = pmd.pte_offset(cpu.mmu.geometry, at).table();
    let _ptl = cpu.lock(cpu.kernel.ptl(table)).await;
    // userfaultfd may have filled a page of a private mapping since it was asked.
    let is_used = vma.anon_vma(cpu).is_some() || vma.flags(cpu).contains(VmFlags::UFFD_WP);
    if is_used {
        return None;
    }
    Some(pmdp_collapse_flush(cpu, mm, at, pmdp).await)
}

/// What follows when no entry leads to the table any more, since v6.6: `pte_free_defer()` leaves it to a grace period.
pub(super) async fn free_table_later(cpu: Cpu<'_>, old: Pmd, at: VirtAddr) {
    wait_for_walkers(cpu).await;
    call_rcu_tables(cpu, &[old.pte_offset(cpu.mmu.geometry, at).table()]).await;
}
