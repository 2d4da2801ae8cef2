//! `FOLL_SPLIT`: a huge page is split before a page of it is handed out. `move_pages()` asks for that where a huge page cannot be moved as a whole.

use sim_core::Held;
use sim_mm::{
    Cpu, Errno, MmStruct, Page, Pmd, Pmdp, Vma, check, get_page, is_huge_zero_pmd, lock_page, put_page,
    split_huge_page, split_huge_pmd, unlock_page,
};
use sim_mmu::VirtAddr;

use crate::followed::Followed;
use crate::safeguards::{
    FOLLOW_SPLIT_AGAIN, FOLLOW_SPLIT_LOCK, FOLLOW_SPLIT_NONE, FOLLOW_SPLIT_REF, FOLLOW_SPLIT_ZERO,
};

/// The part of `follow_pmd_mask()` for an entry that maps a huge page. The caller has its lock, and hands it over. Answers whether the entry leads to a table now; it does not if it is empty.
///
/// # Errors
/// Why the page could not be split.
pub(crate) async fn split_pmd<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&MmStruct, Vma),
    address: VirtAddr,
    (pmdp, pmd): (Pmdp, Pmd),
    ptl: Held<'m>,
) -> Result<bool, Errno> {
    if check!(cpu, FOLLOW_SPLIT_ZERO, is_huge_zero_pmd(cpu, pmd)) {
        // The page is everybody's, and stays whole. Only the entry becomes a table.
        drop(ptl);
        split_huge_pmd(cpu, vma, cpu.kernel.mm(mm.id), pmdp, address).await;
        // pmd_trans_unstable(): somebody mapped a huge page meanwhile.
        return if cpu.read_once(pmdp).await.leads_to_table() { Ok(true) } else { Err(Errno::Ebusy) };
    }
    let split = split_page(cpu, pmd.page_of(cpu, address), Some(ptl)).await;
    // The pages of a file are not mapped after a split.
    if check!(cpu, FOLLOW_SPLIT_NONE, cpu.read_once(pmdp).await.none()) {
        return Ok(false);
    }
    split.map(|()| true)
}

/// The part of `follow_page_pte()` for a page of a folio that small entries map.
pub(crate) async fn split_pte_and_retry<'m>(cpu: Cpu<'m>, page: Page, ptl: Option<Held<'m>>) -> Followed {
    match split_page(cpu, page, ptl).await {
        // The reference is gone with the split, and the entry may lead to another page by now.
        Ok(()) if check!(cpu, FOLLOW_SPLIT_AGAIN, true) => Followed::WasSplit,
        Ok(()) => Followed::Page(page),
        Err(errno) => Followed::NotSplit(errno),
    }
}

/// Splits the folio of a page. The reference comes before the lock of the entry goes, because then nothing else keeps the folio.
async fn split_page<'m>(cpu: Cpu<'m>, page: Page, ptl: Option<Held<'m>>) -> Result<(), Errno> {
    let head = cpu.kernel.folio_of(page);
    let held = ptl.filter(|_| cpu.has(FOLLOW_SPLIT_REF));
    get_page(cpu, head).await;
    drop(held);
    let locked = cpu.has(FOLLOW_SPLIT_LOCK);
    if locked {
        lock_page(cpu, head).await;
    }
    let split = split_huge_page(cpu, head).await;
    if locked {
        unlock_page(cpu, head).await;
    }
    put_page(cpu, head).await;
    split
}
