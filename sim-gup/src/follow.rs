//! Looking a page up with `mmap_lock` held: `follow_page_mask()`, down to the entry that maps it or that leads to its page table.

use sim_mm::{
    Cpu, Errno, HugePte, MmStruct, P4dp, Page, Pmd, Pmdp, Pudp, Vma, check, is_vm_hugetlb_page, pgd_offset,
    pmd_migration_entry_wait, put_dev_pagemap,
};
use sim_mmu::VirtAddr;

use crate::devmap::{follow_devmap_pmd, follow_devmap_pud};
use crate::flags::FollFlags;
use crate::follow_pte::{faults_for_numa, follow_page_pte, no_page_table, wait_for_move};
use crate::followed::Followed;
use crate::grab::try_grab_page;
use crate::huge::follow_trans_huge_pmd;
use crate::hugetlb::follow_hugetlb_page;
use crate::safeguards::{
    FOLLOW_AFTER_MOVE, FOLLOW_HUGETLB, FOLLOW_P4D_NONE, FOLLOW_PMD_NONE, FOLLOW_PMD_NONE_RECHECK, FOLLOW_PMD_ONCE,
    FOLLOW_PMD_PRESENT, FOLLOW_PMD_PROTNONE, FOLLOW_PMD_RECHECK, FOLLOW_PMD_WAITS, FOLLOW_PUD_NONE,
};
use crate::split::split_pmd;

/// The part of `follow_pmd_mask()` for a huge page that is being moved. Answers what the entry is afterwards; nothing, if there is no page.
async fn wait_while_moving(cpu: Cpu<'_>, pmdp: Pmdp, mut pmd: Pmd, flags: FollFlags) -> Option<Pmd> {
    while !pmd.present() {
        if !flags.contains(FollFlags::MIGRATION) {
            return None;
        }
        // MADV_DONTNEED may empty the entry at any time, because it has mmap_lock for reading as well.
        if check!(cpu, FOLLOW_PMD_NONE_RECHECK, pmd.none()) {
            return None;
        }
        cpu.vm_bug_on(pmd.migration().is_none(), "VM_BUG_ON(!is_pmd_migration_entry(*pmd))");
        if pmd.migration().is_some() && cpu.has(FOLLOW_PMD_WAITS) {
            pmd_migration_entry_wait(cpu, pmdp, pmd).await;
        }
        pmd = cpu.read_once(pmdp).await;
    }
    Some(pmd)
}

/// The half of `follow_pmd_mask()` for an entry that mapped a huge page when it was read. It is read again under the lock of its table:
/// others may have emptied or split it.
async fn follow_huge<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&MmStruct, Vma),
    address: VirtAddr,
    (pmdp, pmdval): (Pmdp, Pmd),
    flags: FollFlags,
) -> Followed {
    if pmdval.devmap() {
        return follow_devmap_pmd(cpu, mm, address, (pmdp.into(), pmdval.into()), flags).await;
    }
    if check!(cpu, FOLLOW_PMD_PROTNONE, pmdval.protnone() && faults_for_numa(flags)) {
        return Followed::NoPage;
    }
    let ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
    let now = cpu.read_once(pmdp).await;
    if check!(cpu, FOLLOW_PMD_RECHECK, !now.trans_huge()) {
        drop(ptl);
        if !now.present() {
            let waits = flags.contains(FollFlags::MIGRATION) && now.migration().is_some();
            return if waits { Followed::Moving } else { Followed::NoPage };
        }
        return follow_page_pte(cpu, (mm, vma), address, pmdp, flags).await;
    }
    // Without the recheck it goes on with what it took the entry for.
    let pmd = if now.trans_huge() { now } else { pmdval };
    if flags.contains(FollFlags::SPLIT) {
        return match Box::pin(split_pmd(cpu, (mm, vma), address, (pmdp, pmd), ptl)).await {
            Ok(true) => follow_page_pte(cpu, (mm, vma), address, pmdp, flags).await,
            Ok(false) => no_page_table(cpu, vma, flags),
            Err(errno) => Followed::NotSplit(errno),
        };
    }
    follow_trans_huge_pmd(cpu, (mm, vma), address, (pmdp, pmd), flags).await
}

/// `follow_pmd_mask()`.
async fn follow_pmd_mask(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    address: VirtAddr,
    pmdp: Pmdp,
    flags: FollFlags,
) -> Followed {
    loop {
        let mut pmdval = cpu.read_once(pmdp).await;
        if check!(cpu, FOLLOW_PMD_NONE, pmdval.none()) {
            return no_page_table(cpu, vma, flags);
        }
        if check!(cpu, FOLLOW_PMD_PRESENT, !pmdval.present()) {
            match Box::pin(wait_while_moving(cpu, pmdp, pmdval, flags)).await {
                Some(now) => pmdval = now,
                None => return no_page_table(cpu, vma, flags),
            }
        }
        if !cpu.has(FOLLOW_PMD_ONCE) {
            pmdval = cpu.read_once(pmdp).await;
        }
        let found = if pmdval.leaf() {
            Box::pin(follow_huge(cpu, (mm, vma), address, (pmdp, pmdval), flags)).await
        } else {
            follow_page_pte(cpu, (mm, vma), address, pmdp, flags).await
        };
        match found {
            // `goto retry` of `follow_page_pte()`, and `goto retry_locked` here.
            Followed::Moving => {
                let moved = Box::pin(wait_for_move(cpu, pmdp, address)).await;
                if let Some(page) = moved.filter(|_| !check!(cpu, FOLLOW_AFTER_MOVE, true)) {
                    let grabbed = Box::pin(try_grab_page(cpu, page, flags)).await;
                    return if grabbed { Followed::Page(page) } else { Followed::Refused };
                }
            }
            Followed::WasSplit => {}
            found => return found,
        }
    }
}

/// `follow_pud_mask()`.
async fn follow_pud_mask(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    address: VirtAddr,
    pudp: Pudp,
    flags: FollFlags,
) -> Followed {
    let pud = cpu.read_once(pudp).await;
    if check!(cpu, FOLLOW_PUD_NONE, pud.none()) {
        return no_page_table(cpu, vma, flags);
    }
    let huge = HugePte::from(pud);
    if huge.leaf() {
        return Box::pin(follow_devmap_pud(cpu, mm, address, (pudp.into(), huge), flags)).await;
    }
    follow_pmd_mask(cpu, mm, vma, address, pud.pmd_offset(cpu.mmu.geometry, address), flags).await
}

/// `follow_p4d_mask()`. C reads the entry anew for each test, as `follow_pud_mask()` does. While somebody holds `mmap_lock` no table goes that these entries lead to, so each read would say the same; an entry
/// that maps a device is read again under its lock.
async fn follow_p4d_mask(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    address: VirtAddr,
    p4dp: P4dp,
    flags: FollFlags,
) -> Followed {
    let p4d = cpu.read_once(p4dp).await;
    if check!(cpu, FOLLOW_P4D_NONE, p4d.none()) {
        return no_page_table(cpu, vma, flags);
    }
    follow_pud_mask(cpu, mm, vma, address, p4d.pud_offset(cpu.mmu.geometry, address), flags).await
}

/// `follow_page_mask()`: the page behind an address, with a reference if `FOLL_GET` or `FOLL_PIN` asks for one.
pub(crate) async fn follow_page_mask(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: FollFlags,
) -> Followed {
    let _routine = cpu.enter("follow_page_mask");
    if check!(cpu, FOLLOW_HUGETLB, is_vm_hugetlb_page(cpu, vma)) {
        return Box::pin(follow_hugetlb_page(cpu, mm, vma, address, flags)).await;
    }
    let pgdp = pgd_offset(cpu, mm, address);
    follow_p4d_mask(cpu, mm, vma, address, pgdp.p4d_offset(), flags).await
}

/// `follow_page()`: looks a page up without faulting it in. Answers nothing, if nothing is mapped.
///
/// # Errors
/// `EFAULT` if what is mapped cannot be handed out, `ENOMEM` if it has far too many references, or why it cannot be split.
pub(crate) async fn follow_page(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    address: VirtAddr,
    foll_flags: FollFlags,
) -> Result<Option<Page>, Errno> {
    match follow_page_mask(cpu, mm, vma, address, foll_flags).await {
        Followed::Page(page) | Followed::HugePage(page) => Ok(Some(page)),
        Followed::DevicePage(page, pgmap) => {
            if let Some(pgmap) = pgmap {
                put_dev_pagemap(cpu, pgmap).await;
            }
            Ok(Some(page))
        }
        Followed::Gone => Err(Errno::Efault),
        Followed::NotSplit(errno) => Err(errno),
        Followed::Refused => Err(Errno::Enomem),
        // Of what has no page, EEXIST says that it is there. No caller asks for that.
        Followed::NoStruct | Followed::NoPage | Followed::Moving | Followed::WasSplit | Followed::MustUnshare => {
            Ok(None)
        }
    }
}
