//! Looking a page up with `mmap_lock` held: `follow_page_mask()`.

use sim_core::Held;
use sim_mm::{
    Cpu, HugePte, MigrationEntry, MmStruct, P4dp, Page, Pmd, Pmdp, Pte, Pudp, VmFlags, Vma, check, is_unlinked,
    is_vm_hugetlb_page, look_at_pte, mark_page_accessed, marks_mlocked, migration_entry_wait, mlock_followed,
    page_anon_exclusive, page_is_anon, pgd_offset, pmd_migration_entry_wait, set_page_dirty,
};
use sim_mmu::VirtAddr;

use crate::cow::{cow_is_broken, gup_must_unshare, should_force_cow_break};
use crate::devmap::{follow_devmap_pmd, follow_devmap_pte, follow_devmap_pud};
use crate::flags::FollFlags;
use crate::followed::Followed;
use crate::grab::try_grab_page;
use crate::huge::follow_trans_huge_pmd;
use crate::hugetlb::follow_hugetlb_page;
use crate::safeguards::{
    DUMP_FILE_HOLES, DUMP_SKIPS_SPECIAL, DUMP_SWAPPED_PAGES, FOLLOW_HUGETLB, FOLLOW_P4D_NONE, FOLLOW_PFN_GET,
    FOLLOW_PMD_BAD, FOLLOW_PMD_NONE, FOLLOW_PMD_NONE_RECHECK, FOLLOW_PMD_ONCE, FOLLOW_PMD_PRESENT,
    FOLLOW_PMD_PROTNONE, FOLLOW_PMD_RECHECK, FOLLOW_PTE_PRESENT, FOLLOW_PTE_PROTNONE, FOLLOW_PTE_SPECIAL,
    FOLLOW_PTE_WRITE, FOLLOW_PTL, FOLLOW_PUD_NONE, FOLLOW_WAITS_FOR_MIGRATION, FOLLOW_ZERO_PAGE,
    MLOCK_VMA_RECHECK, TOUCH_MARKS_DIRTY,
};
use crate::settings::ForcedWrite;

/// `no_page_table()`: nothing is mapped, so the page has to be faulted in. A core dump leaves out what that would fill with zeroes.
fn no_page_table(cpu: Cpu<'_>, vma: Vma, flags: FollFlags) -> Followed {
    let is_hole = flags.contains(FollFlags::DUMP) && (vma.is_anonymous(cpu) || !cpu.has(DUMP_FILE_HOLES));
    if is_hole { Followed::Gone } else { Followed::NoPage }
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

/// `follow_p4d_mask()`.
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
            follow_page_pte(cpu, vma, address, pmdp, flags).await
        };
        match found {
            // `goto retry` of `follow_page_pte()`, and `goto retry_locked` here.
            Followed::Moving => Box::pin(wait_for_move(cpu, pmdp, address)).await,
            found => return found,
        }
    }
}

/// A page that is being moved is waited for. If all of a huge page is, the next look does so.
async fn wait_for_move(cpu: Cpu<'_>, pmdp: Pmdp, address: VirtAddr) {
    if let (_, Some(found)) = look_at_pte(cpu, pmdp, address).await {
        migration_entry_wait(cpu, pmdp, found).await;
    }
}

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
        if pmd.migration().is_some() {
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
        return follow_page_pte(cpu, vma, address, pmdp, flags).await;
    }
    // Without the recheck it goes on with what it took the entry for.
    let pmd = if now.trans_huge() { now } else { pmdval };
    follow_trans_huge_pmd(cpu, (mm, vma), address, (pmdp, pmd), flags).await
}

/// `gup_can_follow_protnone()`: an access of user code would be noticed, and so is this one.
fn faults_for_numa(flags: FollFlags) -> bool {
    flags.intersects(FollFlags::NUMA | FollFlags::HONOR_NUMA_FAULT)
}

/// `can_follow_write_pte()`: a forced write follows an entry that is not writable, but only to a page that is this
/// address space's own.
async fn can_follow_write_pte(cpu: Cpu<'_>, vma: Vma, pte: Pte, flags: FollFlags) -> bool {
    let forced = flags.contains(FollFlags::FORCE) || should_force_cow_break(cpu);
    let can = pte.write()
        || forced
            && match cpu.setting::<ForcedWrite>() {
                // Not after a fault that broke COW: then nobody asks for a page to write to any more.
                ForcedWrite::DropWrite => false,
                ForcedWrite::CowFlag => cow_is_broken(cpu, pte.dirty(), flags),
                ForcedWrite::Exclusive => is_private_and_exclusive(cpu, vma, pte).await,
            };
    if check!(cpu, FOLLOW_PTE_WRITE, !can) {
        return false;
    }
    true
}

/// Whether a forced write may go to the page: the mapping is private and could be made writable, but is not, and nobody
/// else can see the page.
async fn is_private_and_exclusive(cpu: Cpu<'_>, vma: Vma, pte: Pte) -> bool {
    let vm_flags = vma.flags(cpu);
    let shared = VmFlags::SHARED | VmFlags::MAYSHARE;
    if vm_flags.intersects(shared | VmFlags::WRITE) || !vm_flags.contains(VmFlags::MAYWRITE) || pte.special() {
        return false;
    }
    let page = Page(pte.pfn());
    page_is_anon(cpu, page) && page_anon_exclusive(cpu, page).await
}

/// The part of `follow_page_pte()` for an entry without a page whose references are counted. The zero page is handed out all the same, but not for a core dump. Of another frame
/// `follow_pfn_pte()` says that it is there, to who wants no reference.
fn follow_special(cpu: Cpu<'_>, pte: Pte, flags: FollFlags) -> Option<Followed> {
    if check!(cpu, DUMP_SKIPS_SPECIAL, flags.contains(FollFlags::DUMP)) {
        return Some(Followed::Gone);
    }
    let is_zero = Page(pte.pfn()) == cpu.kernel.zero_page && cpu.has(FOLLOW_ZERO_PAGE);
    if !check!(cpu, FOLLOW_PTE_SPECIAL, !is_zero) {
        return None;
    }
    let takes = flags.intersects(FollFlags::GET | FollFlags::PIN);
    Some(if check!(cpu, FOLLOW_PFN_GET, takes) { Followed::Gone } else { Followed::NoStruct })
}

/// `follow_page_pte()`. The PTE lock is held from the read to the reference: the reference is
/// unconditional, so the page must not be freed between.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function has its arguments twice: as such, and as variables of its body"
)]
fn follow_page_pte<'m>(
    cpu: Cpu<'m>,
    vma: Vma,
    address: VirtAddr,
    pmdp: Pmdp,
    flags: FollFlags,
) -> impl Future<Output = Followed> + use<'m> {
    async move {
        let _routine = cpu.enter("follow_page_pte");
        let pmd = cpu.read_once(pmdp).await;
        if check!(cpu, FOLLOW_PMD_BAD, pmd.bad()) {
            return no_page_table(cpu, vma, flags);
        }
        let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
        let ptl: Option<Held<'_>> =
            if cpu.has(FOLLOW_PTL) { Some(cpu.lock(cpu.kernel.ptl(ptep.table())).await) } else { None };
        if ptl.is_some() && is_unlinked(cpu, pmdp, ptep) {
            return Followed::NoPage;
        }
        let pte = cpu.read_once(ptep).await;
        if check!(cpu, FOLLOW_PTE_PRESENT, !pte.present()) {
            let waits = flags.contains(FollFlags::MIGRATION)
                && (MigrationEntry::of_pte(pte.entry).is_some() || !cpu.has(FOLLOW_WAITS_FOR_MIGRATION));
            // An entry that is not empty says that there is something, as a page in swap. A core dump takes it.
            return match waits {
                true => Followed::Moving,
                false if check!(cpu, DUMP_SWAPPED_PAGES, !pte.none()) => Followed::NoPage,
                false => no_page_table(cpu, vma, flags),
            };
        }
        if check!(cpu, FOLLOW_PTE_PROTNONE, pte.protnone() && faults_for_numa(flags)) {
            return Followed::NoPage;
        }
        if flags.contains(FollFlags::WRITE) && !can_follow_write_pte(cpu, vma, pte, flags).await {
            return Followed::NoPage;
        }
        if pte.special() && pte.devmap() {
            return Box::pin(follow_devmap_pte(cpu, pte, flags)).await;
        }
        // vm_normal_page() has no page for a special entry.
        if pte.special()
            && let Some(found) = follow_special(cpu, pte, flags)
        {
            return found;
        }
        let page = Page(pte.pfn());
        if !pte.write() && gup_must_unshare(cpu, Some(vma), pte.page(), flags).await {
            return Followed::MustUnshare;
        }
        if !try_grab_page(cpu, page, flags).await {
            return Followed::Refused;
        }
        if flags.contains(FollFlags::TOUCH) {
            if check!(cpu, TOUCH_MARKS_DIRTY, flags.contains(FollFlags::WRITE) && !pte.dirty()) {
                Box::pin(set_page_dirty(cpu, page)).await;
            }
            // The page, rather than rewriting the entry and losing a hardware dirty bit.
            mark_page_accessed(cpu, page).await;
        }
        if flags.contains(FollFlags::MLOCK)
            && marks_mlocked(cpu)
            && !pte.special()
            && !check!(cpu, MLOCK_VMA_RECHECK, !vma.flags(cpu).contains(VmFlags::LOCKED))
        {
            mlock_followed(cpu, page).await;
        }
        Followed::Page(page)
    }
}
