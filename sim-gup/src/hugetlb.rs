//! Huge pages of the pool: `follow_hugetlb_page()` of `mm/hugetlb.c`.

use sim_mm::{Cpu, MmStruct, Vma, hugetlb_walk_locked};
use sim_mmu::VirtAddr;

use crate::cow::gup_must_unshare;
use crate::flags::FollFlags;
use crate::followed::Followed;
use crate::grab::try_grab_page;

/// `follow_hugetlb_page()` for one page, since v6.6 `hugetlb_follow_page_mask()`. The lock of the entry is held from the look to the reference. An entry that is not
/// writable is never followed for a write, not even for a forced one: the fault makes it writable.
///
/// Before v6.6 all pages of a huge page are taken under one lock. Here each takes it for itself.
pub(crate) async fn follow_hugetlb_page(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: FollFlags,
) -> Followed {
    let _routine = cpu.enter("follow_hugetlb_page");
    let Some(walk) = hugetlb_walk_locked(cpu, mm, vma, address).await else { return Followed::NoPage };
    // An entry that says that its page is being moved is waited for by the fault.
    if !walk.pte.trans_huge() || flags.contains(FollFlags::WRITE) && !walk.pte.write() {
        return Followed::NoPage;
    }
    if !walk.pte.write() && gup_must_unshare(cpu, Some(vma), walk.pte.page(), flags).await {
        return Followed::MustUnshare;
    }
    let page = walk.pte.page_of(cpu, address);
    if !try_grab_page(cpu, page, flags).await {
        return Followed::Refused;
    }
    Followed::Page(page)
}
