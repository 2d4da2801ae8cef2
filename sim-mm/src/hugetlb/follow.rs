//! Looking a huge page of the pool up: what `follow_hugetlb_page()` and `follow_huge_pmd()` need of `mm/hugetlb.c`.

use sim_core::{Held, ReadHeld};
use sim_mmu::VirtAddr;

use super::{hstate_vma, huge_pte_offset, hugetlb_vma_lock_read};
use crate::check;
use crate::errno::Errno;
use crate::huge_pte::{HugePte, HugePtep, huge_pte_lock};
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::get_page;
use crate::safeguards::{FOLLOW_HUGE_PMD_LOCK, FOLLOW_HUGE_PMD_PRESENT, FOLLOW_HUGETLB_LOCK};
use crate::settings::GiganticMigration;

/// The entry of a huge page, and what keeps it as it is.
pub struct HugetlbWalk<'m> {
    /// What it says.
    pub pte: HugePte,
    _ptl: Held<'m>,
    _vma_lock: Option<ReadHeld<'m>>,
}

/// `hugetlb_vma_lock_read()` of those who only look. The lock of the table says nothing of whose the table is. So the mapping is locked first, from v6.2 on: then nobody
/// unshares the table.
async fn hugetlb_walk_lock<'m>(cpu: Cpu<'m>, vma: Vma) -> Option<ReadHeld<'m>> {
    if cpu.has(FOLLOW_HUGETLB_LOCK) { hugetlb_vma_lock_read(cpu, vma).await } else { None }
}

/// `hugetlb_walk()`: the entry of the huge page of a mapping that has this address.
async fn hugetlb_walk(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, address: VirtAddr) -> Option<HugePtep> {
    let size = hstate_vma(cpu, vma);
    huge_pte_offset(cpu, mm, size.base(cpu.mmu.geometry, address), size).await
}

/// `walk_hugetlb_range()` for `mincore()`: whether the entry of an address maps a huge page, or says that one is being moved.
pub(crate) async fn mincore_hugetlb<'m>(cpu: Cpu<'m>, mm: &MmStruct, vma: Vma, address: VirtAddr) -> bool {
    let _vma_lock = hugetlb_walk_lock(cpu, vma).await;
    match hugetlb_walk(cpu, mm, vma, address).await {
        Some(ptep) => !cpu.read_once(ptep).await.none(),
        None => false,
    }
}

/// The entry of a huge page under its lock: what `follow_hugetlb_page()`, since v6.6 `hugetlb_follow_page_mask()`, looks at. `None` if there is no table
/// for it.
pub async fn hugetlb_walk_locked<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
) -> Option<HugetlbWalk<'m>> {
    let vma_lock = hugetlb_walk_lock(cpu, vma).await;
    let ptep = hugetlb_walk(cpu, mm, vma, address).await?;
    let ptl = huge_pte_lock(cpu, mm, ptep).await;
    Some(HugetlbWalk { pte: cpu.read_once(ptep).await, _ptl: ptl, _vma_lock: vma_lock })
}

/// `follow_huge_pmd()`, and `follow_huge_pud()` of a gigantic page, for `FOLL_GET`: the page that is mapped at an address, with a reference. The lock of the entry is held from the look to the reference, because
/// the reference is unconditional, and who moves the page takes it out of the entry under the lock.
///
/// # Errors
/// `ENOENT`, if none is mapped.
pub async fn follow_huge_pmd<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
) -> Result<Page, Errno> {
    let _routine = cpu.enter("follow_huge_pmd");
    let is_gigantic = hstate_vma(cpu, vma) == HugePageSize::Gigantic;
    if is_gigantic && cpu.setting::<GiganticMigration>() == GiganticMigration::Unfound {
        return Err(Errno::Enoent);
    }
    let _vma_lock = hugetlb_walk_lock(cpu, vma).await;
    let ptep = hugetlb_walk(cpu, mm, vma, address).await.ok_or(Errno::Enoent)?;
    let _ptl = match cpu.has(FOLLOW_HUGE_PMD_LOCK) {
        true => Some(huge_pte_lock(cpu, mm, ptep).await),
        false => None,
    };
    let pte = cpu.read_once(ptep).await;
    if pte.none() || check!(cpu, FOLLOW_HUGE_PMD_PRESENT, !pte.trans_huge()) {
        return Err(Errno::Enoent);
    }
    let page = pte.page_of(cpu, address);
    get_page(cpu, page).await;
    Ok(page)
}
