//! Looking a page up in a page table, with `mmap_lock` held: `follow_page_pte()`.

use sim_core::Held;
use sim_mm::{
    Cpu, MigrationEntry, MmStruct, Page, Pmdp, Pte, Ptep, VmFlags, Vma, check, is_large, is_unlinked, look_at_pte,
    mark_page_accessed, marks_mlocked, migration_entry_wait, mlock_followed, page_anon_exclusive, page_is_anon,
    set_page_dirty,
};
use sim_mmu::{Entry, VirtAddr};

use crate::cow::{cow_is_broken, gup_must_unshare, is_forced};
use crate::devmap::follow_devmap_pte;
use crate::flags::FollFlags;
use crate::followed::Followed;
use crate::grab::try_grab_page;
use crate::safeguards::{
    DUMP_FILE_HOLES, DUMP_SKIPS_SPECIAL, DUMP_SWAPPED_PAGES, FOLLOW_PFN_GET, FOLLOW_PFN_LOCKED, FOLLOW_PMD_BAD,
    FOLLOW_PTE_PRESENT, FOLLOW_PTE_PROTNONE, FOLLOW_PTE_SPECIAL, FOLLOW_PTE_WRITE, FOLLOW_PTL,
    FOLLOW_WAIT_UNLOCKED, FOLLOW_WAITS_FOR_MIGRATION, FOLLOW_ZERO_PAGE, MLOCK_VMA_RECHECK, TOUCH_AGES_PAGE,
    TOUCH_MARKS_DIRTY,
};
use crate::settings::ForcedWrite;
use crate::split::split_pte_and_retry;

/// `no_page_table()`: nothing is mapped, so the page has to be faulted in. A core dump leaves out what that would fill with zeroes.
pub(crate) fn no_page_table(cpu: Cpu<'_>, vma: Vma, flags: FollFlags) -> Followed {
    let is_hole = flags.contains(FollFlags::DUMP) && (vma.is_anonymous(cpu) || !cpu.has(DUMP_FILE_HOLES));
    if is_hole { Followed::Gone } else { Followed::NoPage }
}

/// `follow_pfn_pte()`: something is mapped that has no page whose references are counted. It is there, for who wants no reference. The caller holds the PTE lock: who changes the entry
/// otherwise would have his change overwritten.
async fn follow_pfn_pte<'m>(
    cpu: Cpu<'m>,
    mm: &MmStruct,
    address: VirtAddr,
    (ptep, pte): (Ptep, Pte),
    ptl: &mut Option<Held<'m>>,
    flags: FollFlags,
) -> Followed {
    if !cpu.has(FOLLOW_PFN_LOCKED) {
        *ptl = None;
    }
    if check!(cpu, FOLLOW_PFN_GET, flags.intersects(FollFlags::GET | FollFlags::PIN)) {
        return Followed::Gone;
    }
    if flags.contains(FollFlags::TOUCH) {
        let dirty = if flags.contains(FollFlags::WRITE) { Entry::DIRTY } else { 0 };
        let touched = pte.entry.with(Entry::ACCESSED | dirty);
        if touched != pte.entry {
            cpu.set_pte_at(mm, address, ptep, touched).await;
        }
    }
    Followed::NoStruct
}

/// A page that is being moved is waited for. If all of a huge page is, the next look does so. Answers the frame that the entry named before.
pub(crate) async fn wait_for_move(cpu: Cpu<'_>, pmdp: Pmdp, address: VirtAddr) -> Option<Page> {
    let (_, Some(found)) = look_at_pte(cpu, pmdp, address).await else { return None };
    migration_entry_wait(cpu, pmdp, found).await;
    MigrationEntry::of_pte(found.1.entry).map(|entry| Page(entry.pfn))
}

/// The part of `follow_page_pte()` for a special entry, of which `vm_normal_page()` says that it has no page. The zero page is handed out all the same, but not for a core dump.
async fn follow_special<'m>(
    cpu: Cpu<'m>,
    mm: &MmStruct,
    address: VirtAddr,
    (ptep, pte): (Ptep, Pte),
    ptl: &mut Option<Held<'m>>,
    flags: FollFlags,
) -> Option<Followed> {
    if check!(cpu, DUMP_SKIPS_SPECIAL, flags.contains(FollFlags::DUMP)) {
        return Some(Followed::Gone);
    }
    let is_zero = Page(pte.pfn()) == cpu.kernel.zero_page && cpu.has(FOLLOW_ZERO_PAGE);
    if !check!(cpu, FOLLOW_PTE_SPECIAL, !is_zero) {
        return None;
    }
    Some(follow_pfn_pte(cpu, mm, address, (ptep, pte), ptl, flags).await)
}

/// `gup_can_follow_protnone()`: an access of user code would be noticed, and so is this one.
pub(crate) fn faults_for_numa(flags: FollFlags) -> bool {
    flags.intersects(FollFlags::NUMA | FollFlags::HONOR_NUMA_FAULT)
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

/// `can_follow_write_pte()`: a forced write follows an entry that is not writable, but only to a page that is this
/// address space's own.
async fn can_follow_write_pte(cpu: Cpu<'_>, vma: Vma, pte: Pte, flags: FollFlags) -> bool {
    let can = pte.write()
        || is_forced(cpu, flags)
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

/// `follow_page_pte()`. The PTE lock is held from the read to the reference: the reference is
/// unconditional, so the page must not be freed between.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function has its arguments twice: as such, and as variables of its body"
)]
pub(crate) fn follow_page_pte<'a, 'm: 'a>(
    cpu: Cpu<'m>,
    (mm, vma): (&'a MmStruct, Vma),
    address: VirtAddr,
    pmdp: Pmdp,
    flags: FollFlags,
) -> impl Future<Output = Followed> + use<'a, 'm> {
    async move {
        let _routine = cpu.enter("follow_page_pte");
        let pmd = cpu.read_once(pmdp).await;
        if check!(cpu, FOLLOW_PMD_BAD, pmd.bad()) {
            return no_page_table(cpu, vma, flags);
        }
        let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
        let mut ptl: Option<Held<'_>> =
            if cpu.has(FOLLOW_PTL) { Some(cpu.lock(cpu.kernel.ptl(ptep.table())).await) } else { None };
        if ptl.is_some() && is_unlinked(cpu, pmdp, ptep) {
            return Followed::NoPage;
        }
        let pte = cpu.read_once(ptep).await;
        if check!(cpu, FOLLOW_PTE_PRESENT, !pte.present()) {
            let other = MigrationEntry::of_pte(pte.entry).is_none();
            let waits = flags.contains(FollFlags::MIGRATION) && !check!(cpu, FOLLOW_WAITS_FOR_MIGRATION, other);
            // An entry that is not empty says that there is something, as a page in swap. A core dump takes it.
            return match waits {
                // Whoever waits takes that lock himself, and sleeps.
                true if cpu.has(FOLLOW_WAIT_UNLOCKED) => Followed::Moving,
                true => {
                    Box::pin(wait_for_move(cpu, pmdp, address)).await;
                    Followed::Moving
                }
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
            && let Some(found) = Box::pin(follow_special(cpu, mm, address, (ptep, pte), &mut ptl, flags)).await
        {
            return found;
        }
        let page = Page(pte.pfn());
        if flags.contains(FollFlags::SPLIT) && is_large(cpu, page) {
            return Box::pin(split_pte_and_retry(cpu, page, ptl.take())).await;
        }
        if !pte.write() && gup_must_unshare(cpu, Some(vma), pte.page(), flags).await {
            return Followed::MustUnshare;
        }
        if !try_grab_page(cpu, page, flags).await {
            return Followed::Refused;
        }
        if flags.contains(FollFlags::TOUCH) {
            // C asks first whether the page is dirty, and then set_page_dirty() would do nothing.
            if check!(cpu, TOUCH_MARKS_DIRTY, flags.contains(FollFlags::WRITE) && !pte.dirty()) {
                Box::pin(set_page_dirty(cpu, page)).await;
            }
            // The page, rather than rewriting the entry and losing a hardware dirty bit.
            if !cpu.has(TOUCH_AGES_PAGE) {
                Box::pin(cpu.set_pte_at(mm, address, ptep, pte.entry.with(Entry::ACCESSED))).await;
            }
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
