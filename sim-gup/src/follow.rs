//! Looking a page up with `mmap_lock` held: `follow_page_mask()`.

use sim_core::Held;
use sim_mm::{
    CowReuse, Cpu, GUP_PIN_COUNTING_BIAS, MmStruct, P4dp, Page, PageFlags, Pmdp, Pte, Pudp, VmFlags, Vma, check,
    mark_page_accessed, page_is_anon, pgd_offset, try_get_page,
};
use sim_mmu::VirtAddr;

use crate::flags::FollFlags;
use crate::safeguards::{FOLL_COW_DIRTY, FOLLOW_PTE_PRESENT, FOLLOW_PTE_WRITE, FOLLOW_PTL, GUP_READ_BREAKS_COW};
use crate::settings::{ForcedWrite, GupNuma};

/// What a look-up found.
pub(crate) enum Followed {
    /// The page, with the reference that was asked for.
    Page(Page),
    /// The access has to be faulted in.
    NoPage,
    /// `-EMLINK`: the page may be shared by COW, and is wanted for longer than the look-up.
    MustUnshare,
    /// `-ENOMEM`: the page has far too many references already.
    Refused,
}

/// What is added to the count of a page that is given out; nothing if it is only looked up.
pub(crate) fn references(flags: FollFlags) -> Option<u64> {
    if flags.contains(FollFlags::PIN) {
        Some(GUP_PIN_COUNTING_BIAS)
    } else {
        flags.contains(FollFlags::GET).then_some(1)
    }
}

/// `should_force_cow_break()`, only in v5.8: a reader of private memory is treated as a writer.
pub(crate) fn should_force_cow_break(cpu: Cpu<'_>) -> bool {
    cpu.has(GUP_READ_BREAKS_COW)
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
    let pgdp = pgd_offset(cpu, mm, address);
    follow_p4d_mask(cpu, vma, address, pgdp.p4d_offset(), flags).await
}

/// `follow_p4d_mask()`.
async fn follow_p4d_mask(cpu: Cpu<'_>, vma: Vma, address: VirtAddr, p4dp: P4dp, flags: FollFlags) -> Followed {
    let p4d = cpu.read_once(p4dp).await;
    if p4d.none() {
        return Followed::NoPage;
    }
    follow_pud_mask(cpu, vma, address, p4d.pud_offset(cpu.mmu.geometry, address), flags).await
}

/// `follow_pud_mask()`.
async fn follow_pud_mask(cpu: Cpu<'_>, vma: Vma, address: VirtAddr, pudp: Pudp, flags: FollFlags) -> Followed {
    let pud = cpu.read_once(pudp).await;
    if pud.none() {
        return Followed::NoPage;
    }
    follow_pmd_mask(cpu, vma, address, pud.pmd_offset(cpu.mmu.geometry, address), flags).await
}

/// `follow_pmd_mask()`.
async fn follow_pmd_mask(cpu: Cpu<'_>, vma: Vma, address: VirtAddr, pmdp: Pmdp, flags: FollFlags) -> Followed {
    let pmdval = cpu.read_once(pmdp).await;
    if pmdval.none() || !pmdval.present() {
        return Followed::NoPage;
    }
    follow_page_pte(cpu, vma, address, pmdp, flags).await
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
                ForcedWrite::CowFlag => {
                    flags.contains(FollFlags::COW) && !check!(cpu, FOLL_COW_DIRTY, !pte.dirty())
                }
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
    page_is_anon(cpu, page) && is_exclusive(cpu, page).await
}

/// `PageAnonExclusive()`.
async fn is_exclusive(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::ANON_EXCLUSIVE)
}

/// `gup_must_unshare()`, since v5.19: a pin for reading must go on seeing what this address space writes, so the page has
/// to be its own. A pin for writing has seen to that by the entry. Without a mapping to ask, the answer is yes if in doubt.
pub(crate) async fn gup_must_unshare(cpu: Cpu<'_>, vma: Option<Vma>, pte: Pte, flags: FollFlags) -> bool {
    let pins_to_read = flags & (FollFlags::WRITE | FollFlags::PIN) == FollFlags::PIN;
    if !pins_to_read || cpu.setting::<CowReuse>() != CowReuse::Exclusive {
        return false;
    }
    let page = Page(pte.pfn());
    if pte.special() || !page_is_anon(cpu, page) {
        return flags.contains(FollFlags::LONGTERM) && vma.is_none_or(|vma| vma.flags(cpu).is_cow_mapping());
    }
    !is_exclusive(cpu, page).await
}

/// `follow_page_pte()`. The PTE lock is held from the read to the reference: the reference is
/// unconditional, so the page must not be freed between.
async fn follow_page_pte(cpu: Cpu<'_>, vma: Vma, address: VirtAddr, pmdp: Pmdp, flags: FollFlags) -> Followed {
    let _routine = cpu.enter("follow_page_pte");
    let pmd = cpu.read_once(pmdp).await;
    if pmd.bad() {
        return Followed::NoPage;
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    let _ptl: Option<Held<'_>> =
        if cpu.has(FOLLOW_PTL) { Some(cpu.lock(cpu.kernel.ptl(ptep.table())).await) } else { None };
    let pte = cpu.read_once(ptep).await;
    if check!(cpu, FOLLOW_PTE_PRESENT, !pte.present()) {
        return Followed::NoPage;
    }
    // gup_can_follow_protnone(): an access of user code would be noticed, and so is this one.
    let faults = cpu.setting::<GupNuma>() == GupNuma::Faults && !flags.contains(FollFlags::FORCE);
    if pte.protnone() && faults {
        return Followed::NoPage;
    }
    if flags.contains(FollFlags::WRITE) && !can_follow_write_pte(cpu, vma, pte, flags).await {
        return Followed::NoPage;
    }
    // vm_normal_page() has no page for a special entry, but the zero page is handed out all the same.
    let page = Page(pte.pfn());
    if !pte.write() && gup_must_unshare(cpu, Some(vma), pte, flags).await {
        return Followed::MustUnshare;
    }
    // try_grab_page()
    if let Some(more) = references(flags)
        && !try_get_page(cpu, page, more).await
    {
        return Followed::Refused;
    }
    if flags.contains(FollFlags::TOUCH) {
        if flags.contains(FollFlags::WRITE) && !pte.dirty() {
            // set_page_dirty()
            cpu.rmw(cpu.kernel.page_flags(page), |old| old | PageFlags::DIRTY).await;
        }
        // The page, rather than rewriting the entry and losing a hardware dirty bit.
        mark_page_accessed(cpu, page).await;
    }
    Followed::Page(page)
}
