//! The pages that may be merged.

use sim_mmu::VirtAddr;

use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::memory::find_pmd;
use crate::mm_types::{MmId, MmStruct, Page, Vma};
use crate::mmap::vma_lookup;
use crate::page::{get_page, put_page};
use crate::pgtable_generic::is_unlinked;
use crate::vm_flags::VmFlags;

/// `find_mergeable_vma()`: the mapping of an address, if its pages may be merged. The caller holds `mmap_lock`.
pub(super) async fn find_mergeable_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    // ksm_test_exit(): the process ends.
    if cpu.load(mm.mm_users()).await == 0 {
        return None;
    }
    let vma = vma_lookup(cpu, mm, addr).await?;
    (vma.flags(cpu).contains(VmFlags::MERGEABLE) && vma.anon_vma(cpu).is_some()).then_some(vma)
}

/// `get_mergeable_page()`: the private page that a process has there, with a reference.
pub(super) async fn get_mergeable_page(cpu: Cpu<'_>, mm: MmId, addr: VirtAddr) -> Option<Page> {
    let mm: &MmStruct = cpu.kernel.mm(mm);
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    find_mergeable_vma(cpu, mm, addr).await?;
    let page = follow_page(cpu, mm, addr).await?;
    if page_is_anon(cpu, page) {
        return Some(page);
    }
    put_page(cpu, page).await;
    None
}

/// `follow_page()` with `FOLL_GET`, `folio_walk_start()` since v6.12: the page that is mapped there, with a reference.
async fn follow_page(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Page> {
    let pmdp = find_pmd(cpu, mm, addr).await?;
    let pmd = cpu.read_once(pmdp).await;
    if pmd.trans_huge() {
        let _ptl = cpu.lock(cpu.kernel.ptl(pmdp.table())).await;
        let pmd = cpu.read_once(pmdp).await;
        if !pmd.trans_huge() || pmd.migration().is_some() || pmd.page().is_none() {
            return None;
        }
        let page = pmd.page_of(cpu, addr);
        get_page(cpu, page).await;
        return Some(page);
    }
    if !pmd.leads_to_table() {
        return None;
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, addr);
    let _ptl = cpu.lock(cpu.kernel.ptl(ptep.table())).await;
    if is_unlinked(cpu, pmdp, ptep) {
        return None;
    }
    let pte = cpu.read_once(ptep).await;
    if !pte.present() || pte.special() {
        return None;
    }
    let page = Page(pte.pfn());
    get_page(cpu, page).await;
    Some(page)
}
