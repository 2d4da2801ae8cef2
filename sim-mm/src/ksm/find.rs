//! The pages that may be merged.

use sim_mmu::VirtAddr;

use crate::folio::page_is_anon;
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct, Page, Vma};
use crate::mmap::vma_lookup;
use crate::page::put_page;
use crate::pagewalk::folio_walk_start;
use crate::vm_flags::VmFlags;

/// `find_mergeable_vma()`: the mapping of an address, if its pages may be merged. The caller holds `mmap_lock`.
pub(super) async fn find_mergeable_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    // ksm_test_exit(): the process ends.
    if cpu.load(mm.mm_users()).await == 0 {
        return None;
    }
    vma_lookup(cpu, mm, addr).await.filter(|vma| is_mergeable(cpu, *vma))
}

/// Whether a mapping has pages that may be merged.
pub(super) fn is_mergeable(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma.flags(cpu).contains(VmFlags::MERGEABLE) && vma.anon_vma(cpu).is_some()
}

/// `get_mergeable_page()`: the private page that a process has there, with a reference.
pub(super) async fn get_mergeable_page(cpu: Cpu<'_>, mm: MmId, addr: VirtAddr) -> Option<Page> {
    let mm: &MmStruct = cpu.kernel.mm(mm);
    let _mmap_lock = cpu.down_read(mm.mmap_lock).await;
    find_mergeable_vma(cpu, mm, addr).await?;
    let page = folio_walk_start(cpu, mm, addr).await.ok()?;
    if page_is_anon(cpu, page) {
        return Some(page);
    }
    put_page(cpu, page).await;
    None
}
