//! Huge pages: `gup_huge_pmd()` and `gup_huge_pud()`, and `follow_trans_huge_pmd()` of `mm/huge_memory.c`.

use sim_core::Routine;
use sim_mm::{
    Cpu, HugePte, MmStruct, Page, Pmd, Pmdp, Pudp, VmFlags, Vma, check, is_huge_zero_pmd, mark_page_accessed,
    page_anon_exclusive, page_is_anon, set_page_referenced, touch_pmd,
};
use sim_mmu::VirtAddr;

use crate::cow::{cow_is_broken, gup_must_unshare, is_forced};
use crate::devmap::{gup_device_huge, maps_device};
use crate::flags::FollFlags;
use crate::followed::Followed;
use crate::grab::{Fallback, grab_folio, is_refused_for_long, put_folio_refs, try_grab_page};
use crate::pages::Pages;
use crate::safeguards::{
    FOLLOW_PMD_FORCED, GUP_HUGE_PUT_ALL, GUP_PMD_PERMITTED, GUP_PMD_RECHECK, GUP_PUD_PERMITTED, GUP_PUD_RECHECK,
    TOUCH_PMD_WRITE,
};
use crate::settings::{ForcedWrite, GupHugeZero};

/// `gup_huge_pmd()`, `gup_fast_pmd_leaf()` since v6.10: hands out the pages of a huge page, with one change of its count for all of them.
pub(crate) async fn gup_huge_pmd(
    cpu: Cpu<'_>,
    (pmdp, orig): (Pmdp, Pmd),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let _routine = cpu.enter(Routine::lockless("gup_huge_pmd"));
    if check!(cpu, GUP_PMD_PERMITTED, !orig.access_permitted(cpu, flags.contains(FollFlags::WRITE))) {
        return Err(Fallback);
    }
    if maps_device(cpu, orig.into()) {
        return gup_device_huge(cpu, (pmdp.into(), orig.into()), addr, end, flags, pages).await;
    }
    if orig.special() && cpu.setting::<GupHugeZero>() == GupHugeZero::Refused {
        return Err(Fallback);
    }
    grab_leaf(cpu, orig.into(), addr, end, flags).await?;
    let changed = check!(cpu, GUP_PMD_RECHECK, cpu.read_once(pmdp).await != orig);
    hand_out(cpu, (orig.into(), changed), addr, end, flags, pages).await
}

/// `gup_huge_pud()`, `gup_fast_pud_leaf()` since v6.10: the same where a PUD entry maps the huge page.
pub(crate) async fn gup_huge_pud(
    cpu: Cpu<'_>,
    (pudp, orig): (Pudp, HugePte),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let _routine = cpu.enter(Routine::lockless("gup_huge_pud"));
    if check!(cpu, GUP_PUD_PERMITTED, !orig.access_permitted(cpu, flags.contains(FollFlags::WRITE))) {
        return Err(Fallback);
    }
    if maps_device(cpu, orig) {
        return gup_device_huge(cpu, (pudp.into(), orig), addr, end, flags, pages).await;
    }
    grab_leaf(cpu, orig, addr, end, flags).await?;
    let changed = check!(cpu, GUP_PUD_RECHECK, orig != cpu.read_once(pudp).await.into());
    hand_out(cpu, (orig, changed), addr, end, flags, pages).await
}

/// Takes the references to the pages of a range, which one entry maps.
async fn grab_leaf(
    cpu: Cpu<'_>,
    orig: HugePte,
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
) -> Result<(), Fallback> {
    let refs = end.vpn().0 - addr.vpn().0;
    if grab_folio(cpu, Page(orig.pfn()), refs, flags).await { Ok(()) } else { Err(Fallback) }
}

/// Hands out pages to which there are references. They keep the folio from being freed or split. If the entry has changed then that had happened before they were there, and they are
/// given back.
async fn hand_out(
    cpu: Cpu<'_>,
    (orig, changed): (HugePte, bool),
    addr: VirtAddr,
    end: VirtAddr,
    flags: FollFlags,
    pages: &mut Pages,
) -> Result<(), Fallback> {
    let (head, refs) = (Page(orig.pfn()), end.vpn().0 - addr.vpn().0);
    if changed
        || flags.contains(FollFlags::LONGTERM) && is_refused_for_long(cpu, head, flags).await
        || !orig.write() && gup_must_unshare(cpu, None, orig.page(), flags).await
    {
        let taken = if cpu.has(GUP_HUGE_PUT_ALL) { refs } else { 1 };
        put_folio_refs(cpu, head, taken, flags).await;
        return Err(Fallback);
    }
    for nth in 0..refs {
        let addr = addr.plus_pages(nth);
        pages.push_own(cpu, orig.page_of(cpu, addr), addr, flags);
    }
    set_page_referenced(cpu, head).await;
    Ok(())
}

/// `can_follow_write_pmd()`: as for a PTE.
async fn can_follow_write_pmd(cpu: Cpu<'_>, vma: Vma, pmd: Pmd, flags: FollFlags) -> bool {
    pmd.write()
        || cpu.has(FOLLOW_PMD_FORCED)
            && is_forced(cpu, flags)
            && match cpu.setting::<ForcedWrite>() {
                ForcedWrite::DropWrite => false,
                ForcedWrite::CowFlag => cow_is_broken(cpu, pmd.dirty(), flags),
                ForcedWrite::Exclusive => {
                    let vm_flags = vma.flags(cpu);
                    let is_private = !vm_flags.intersects(VmFlags::SHARED | VmFlags::MAYSHARE | VmFlags::WRITE)
                        && vm_flags.contains(VmFlags::MAYWRITE);
                    match pmd.page().filter(|head| is_private && page_is_anon(cpu, *head)) {
                        Some(head) => page_anon_exclusive(cpu, head).await,
                        None => false,
                    }
                }
            }
}

/// `follow_trans_huge_pmd()`: the page behind an address in a huge page. The caller holds the lock of the entry.
pub(crate) async fn follow_trans_huge_pmd(
    cpu: Cpu<'_>,
    (mm, vma): (&MmStruct, Vma),
    address: VirtAddr,
    (pmdp, pmd): (Pmdp, Pmd),
    flags: FollFlags,
) -> Followed {
    let _routine = cpu.enter("follow_trans_huge_pmd");
    let write = flags.contains(FollFlags::WRITE);
    if write && !can_follow_write_pmd(cpu, vma, pmd, flags).await {
        return Followed::NoPage;
    }
    // A core dump leaves out what is full of zeroes.
    if flags.contains(FollFlags::DUMP) && is_huge_zero_pmd(cpu, pmd) {
        return Followed::Gone;
    }
    if !pmd.write() && gup_must_unshare(cpu, Some(vma), pmd.page(), flags).await {
        return Followed::MustUnshare;
    }
    let page = pmd.page_of(cpu, address);
    if !try_grab_page(cpu, page, flags).await {
        return Followed::Refused;
    }
    if flags.contains(FollFlags::TOUCH) {
        // touch_pmd(): the entry becomes dirty only for a write, since a forced write takes a dirty entry for one that was copied for it.
        let dirty = write || !cpu.has(TOUCH_PMD_WRITE);
        touch_pmd(cpu, mm, address, pmdp, pmd.entry, dirty).await;
        mark_page_accessed(cpu, page).await;
    }
    Followed::HugePage(page)
}
