//! Guard regions: `MADV_GUARD_INSTALL` and `MADV_GUARD_REMOVE`, since v6.13.

use sim_mmu::{Entry, Level, VirtAddr};

use crate::entries::entries;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::memory::{Zap, p4d_offset, pmd_alloc, pte_alloc, pud_alloc, zap_page_range};
use crate::mm_types::{MmStruct, Vma};
use crate::pagewalk::{skip_huge, walk_page_range};
use crate::pgtable_generic::is_unlinked;
use crate::rmap::anon_vma_prepare;
use crate::settings::GuardMark;
use crate::swapops::{GUARD, is_guard};
use crate::vm_flags::VmFlags;

/// `madvise_guard_install()`: what is there goes, and every entry says that nobody may come here. The mapping
/// is marked, so that fork copies the entries.
pub(super) async fn madvise_guard_install<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    // is_valid_guard_vma()
    if vma.flags(cpu).intersects(VmFlags::SPECIAL | VmFlags::LOCKED) {
        return Err(Errno::Einval);
    }
    anon_vma_prepare(cpu, mm, vma).await?;
    if cpu.setting::<GuardMark>() == GuardMark::Flag {
        // vma_set_atomic_flag(): the flag is set with mmap_lock held for reading.
        vma.set_flags(cpu, vma.flags(cpu) | VmFlags::MAYBE_GUARD);
    }
    while !install(cpu, mm, start, end).await? {
        // A page was there, or came meanwhile.
        zap_page_range(cpu, mm, vma, (start, end), Zap::Pages).await;
    }
    Ok(())
}

/// `walk_page_range_mm()` with `guard_install_walk_ops`: up to the first entry that is neither empty nor a guard; answers
/// whether there was none.
async fn install<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr) -> Result<bool, Errno> {
    let geometry = cpu.mmu.geometry;
    let mut addr = start;
    while addr < end {
        let next = geometry.addr_end(Level::Pmd, addr, end);
        let pudp = pud_alloc(cpu, mm, p4d_offset(cpu, mm, addr), addr).await?;
        let pmdp = pmd_alloc(cpu, mm, pudp, addr).await?;
        let pmd = pte_alloc(cpu, mm, pmdp).await?;
        if !pmd.leads_to_table() {
            return Ok(false);
        }
        let ptep = pmd.pte_offset(geometry, addr);
        let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
        if is_unlinked(cpu, pmdp, ptep) {
            continue;
        }
        for (ptep, addr, _) in entries(geometry, ptep, addr, next) {
            let pte = cpu.read_once(ptep).await;
            if is_guard(pte.entry) {
                continue;
            }
            if !pte.none() {
                return Ok(false);
            }
            cpu.set_pte_at(mm, addr, ptep, GUARD).await;
        }
        addr = next;
    }
    Ok(true)
}

/// `madvise_guard_remove()`.
pub(super) async fn madvise_guard_remove<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<(), Errno> {
    if vma.flags(cpu).intersects(VmFlags::SPECIAL) {
        return Err(Errno::Einval);
    }
    walk_page_range(cpu, mm, start, end, skip_huge, async |ptep, start, end| {
        for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
            if is_guard(cpu.read_once(ptep).await.entry) {
                cpu.set_pte_at(mm, addr, ptep, Entry::NONE).await;
            }
        }
    })
    .await;
    Ok(())
}
