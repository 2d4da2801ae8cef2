//! `mm/hugetlb.c`: huge pages that user code asks for by name, from a pool.
//!
//! A PMD entry maps such a page, and it is never split. All mappings have a file of hugetlbfs behind them, even private ones without a name.

mod change;
mod check;
mod copy;
mod dissolve;
mod fault;
mod file;
mod follow;
mod gigantic;
mod pmd_share;
mod pool;
mod reserve;
mod rmap;
mod split;
mod unmap;
mod vm_fault;
mod wp;

pub(crate) use change::hugetlb_change_protection;
pub(crate) use copy::copy_hugetlb_page_range;
pub(crate) use dissolve::dissolve_free_hugetlb_folio;
pub(crate) use fault::hugetlb_fault;
pub(crate) use file::{hugetlb_file_setup, hugetlb_punch_hole, hugetlb_setattr, hugetlbfs_file_mmap};
pub(crate) use follow::mincore_hugetlb;
pub use follow::{HugetlbWalk, follow_huge_pmd, hugetlb_walk_locked};
pub(crate) use pool::alloc_hugetlb_folio_nodemask;
pub use pool::sys_nr_hugepages;
pub(crate) use reserve::{hugetlb_unreserve_pages, hugetlb_vm_op_close};
pub(crate) use rmap::{
    huge_pte_migrating, hugetlb_folio_mapping_lock_write, set_huge_pte_hwpoison, set_huge_pte_migration,
};
pub(crate) use split::{hugetlb_split, hugetlb_vm_op_split};
pub(crate) use unmap::unmap_hugepage_range;

use sim_core::{ReadHeld, RwSem, WriteHeld};
use sim_mmu::{Entry, VirtAddr};

use crate::fs::Inode;
use crate::huge_pte::HugePtep;
use crate::hugetlb_types::HugePageSize;
use crate::kernel::Cpu;
use crate::memory::p4d_offset;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::pgtable::{Pmd, mkdirty, vm_get_page_prot};
use crate::settings::HugetlbLock;
use crate::vm_flags::VmFlags;

/// `is_vm_hugetlb_page()`, for a caller that excludes changes of the mapping.
pub fn is_vm_hugetlb_page(cpu: Cpu<'_>, vma: Vma) -> bool {
    vma.flags(cpu).contains(VmFlags::HUGETLB)
}

/// `huge_pte_offset()`, `hugetlb_walk()` since v6.2: the entry of a huge page of this size, if there is a table for it. The caller keeps the table: it may be shared, and then
/// who unshares it takes it away.
///
/// The entry above is read twice, as in every release of Linux: `pud_present()` asks it, and `pmd_offset()` follows it. Linux would follow it even if it is empty by
/// then. Only a caller that nothing keeps the table for can see that, and he uses the table of somebody else if he is a little later.
pub(crate) async fn huge_pte_offset(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    addr: VirtAddr,
    size: HugePageSize,
) -> Option<HugePtep> {
    let p4d = cpu.read_once(p4d_offset(cpu, mm, addr)).await;
    if p4d.none() {
        return None;
    }
    let pudp = p4d.pud_offset(cpu.mmu.geometry, addr);
    if size == HugePageSize::Gigantic {
        return Some(pudp.into());
    }
    if cpu.read_once(pudp).await.none() {
        return None;
    }
    let pud = cpu.read_once(pudp).await;
    if pud.none() { None } else { Some(pud.pmd_offset(cpu.mmu.geometry, addr).into()) }
}

/// `hstate_inode()`: of which size the pages of a file are, if it is one of hugetlbfs.
pub(crate) fn hstate_inode(cpu: Cpu<'_>, file: Inode) -> Option<HugePageSize> {
    HugePageSize::of_word(cpu.this_cpu_read(cpu.kernel.shmem.inodes.deref(**cpu, file).hstate()))
}

/// `hstate_vma()`: of which size the pages of a mapping are. It is one of huge pages, for a caller that excludes changes.
pub(crate) fn hstate_vma(cpu: Cpu<'_>, vma: Vma) -> HugePageSize {
    vma.file(cpu).and_then(|file| hstate_inode(cpu, file)).unwrap_or(HugePageSize::Huge)
}

/// `i_mmap_lock_read()` in those releases in which it keeps tables from being unshared.
pub(crate) async fn lock_mapping_of<'m>(cpu: Cpu<'m>, vma: Vma) -> Option<ReadHeld<'m>> {
    match (cpu.setting::<HugetlbLock>(), vma.file(cpu)) {
        (HugetlbLock::Mapping, Some(file)) => Some(cpu.down_read(cpu.kernel.shmem.i_mmap_rwsem(file)).await),
        _ => None,
    }
}

/// `hugetlb_vma_lock_read()`: of a shared mapping, since v6.1.
pub(crate) async fn hugetlb_vma_lock_read<'m>(cpu: Cpu<'m>, vma: Vma) -> Option<ReadHeld<'m>> {
    if has_vma_lock(cpu, vma) { Some(cpu.down_read(cpu.kernel.hugetlb.vma_lock(vma)).await) } else { None }
}

/// `hugetlb_vma_lock_write()`.
async fn hugetlb_vma_lock_write<'m>(cpu: Cpu<'m>, vma: Vma) -> Option<WriteHeld<'m>> {
    if has_vma_lock(cpu, vma) { Some(cpu.down_write(cpu.kernel.hugetlb.vma_lock(vma)).await) } else { None }
}

/// `hugetlb_vma_trylock_write()`, for a caller that holds `i_mmap_rwsem`: who has the mapping locked may wait for that, so nobody waits for him.
///
/// # Errors
/// The lock, if somebody has it.
async fn hugetlb_vma_trylock_write<'m>(cpu: Cpu<'m>, vma: Vma) -> Result<Option<WriteHeld<'m>>, RwSem> {
    if !has_vma_lock(cpu, vma) {
        return Ok(None);
    }
    let vma_lock = cpu.kernel.hugetlb.vma_lock(vma);
    cpu.down_write_trylock(vma_lock).await.map(Some).ok_or(vma_lock)
}

/// `__vma_shareable_lock()`: whether a mapping has a lock of its own that keeps its tables from being unshared.
fn has_vma_lock(cpu: Cpu<'_>, vma: Vma) -> bool {
    cpu.setting::<HugetlbLock>() == HugetlbLock::Vma && vma.flags(cpu).contains(VmFlags::MAYSHARE)
}

/// The huge pages of a range, each by its first address.
pub(crate) fn huge_pages(
    cpu: Cpu<'_>,
    size: HugePageSize,
    start: VirtAddr,
    end: VirtAddr,
) -> impl Iterator<Item = VirtAddr> + use<> {
    let step = size.pages(cpu.mmu.geometry) * VirtAddr::PAGE_SIZE;
    (start.0..end.0).step_by(step as usize).map(VirtAddr)
}

/// `make_huge_pte()`: the entry of a huge page of the mapping.
pub(super) fn make_huge_pte(cpu: Cpu<'_>, vma: Vma, head: Page, writable: bool) -> Entry {
    let entry = Pmd::make_huge(head.0, vm_get_page_prot(vma.flags(cpu)));
    if writable { entry.with(Entry::RW | mkdirty(cpu)) } else { entry.without(Entry::RW) }
}
