//! What is set aside for mappings: `hugetlb_reserve_pages()`, and how a fault takes it.
//!
//! A mapping whose pages are set aside can be filled, whoever else takes pages of the pool. What is set aside for a shared mapping is the file's.
//! What is set aside for a private one belongs to the process that made it: a child has none.
//!
//! Not modelled: a parent that finds no page for its copy takes that of its child away (`unmap_ref_private()`).

use std::ops::Range;

use super::{hstate_inode, hstate_vma};
use crate::errno::Errno;
use crate::fs::Inode;
use crate::hugetlb_pool::dequeue_hugetlb_folio;
use crate::hugetlb_types::Reservation;
use crate::kernel::Cpu;
use crate::mm_types::{MmId, MmStruct, Page, Vma};
use crate::page_flags::PageFlags;
use crate::vm_flags::VmFlags;

/// For whom the page at `index` is set aside, if it is.
fn reservation(file: Inode, owner: Option<MmId>, index: u64) -> Reservation {
    Reservation { file: file.index() as u32, owner, index }
}

/// Who owns what is set aside for a mapping: nobody, if it is shared.
fn owner(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) -> Option<MmId> {
    (!vma.flags(cpu).contains(VmFlags::MAYSHARE)).then_some(mm.id)
}

/// `hugetlb_reserve_pages()`: huge pages for pages `range` of a file are set aside, unless they are already.
///
/// # Errors
/// `ENOMEM`, if the pool has too few.
pub(super) async fn hugetlb_reserve_pages(
    cpu: Cpu<'_>,
    file: Inode,
    owner: Option<MmId>,
    range: Range<u64>,
) -> Result<(), Errno> {
    let _routine = cpu.enter("hugetlb_reserve_pages");
    let hugetlb = &cpu.kernel.hugetlb;
    let _hugetlb_lock = cpu.lock(hugetlb.lock).await;
    let Some(size) = hstate_inode(cpu, file) else { return Ok(()) };
    let hstate = hugetlb.hstate(size);
    let indices =
        range.step_by(size.pages(cpu.mmu.geometry) as usize).map(|index| reservation(file, owner, index));
    // hugetlb_acct_memory()
    let free = cpu.read(&hstate.freelist, |free| free.len() as u64).await;
    let set_aside = cpu.load(hstate.resv_huge_pages).await;
    let added = cpu.update(&hugetlb.reservations, move |reservations| {
        let new: Vec<Reservation> = indices.clone().filter(|index| !reservations.contains_key(index)).collect();
        let added = new.len() as u64;
        if free < set_aside + added {
            return Err(Errno::Enomem);
        }
        reservations.extend(new.into_iter().map(|index| (index, false)));
        Ok(added)
    });
    let added = added.await?;
    cpu.store(hstate.resv_huge_pages, set_aside + added).await;
    Ok(())
}

/// `hugetlb_unreserve_pages()`: nothing is set aside for these pages any more.
pub(crate) async fn hugetlb_unreserve_pages(cpu: Cpu<'_>, file: Inode, owner: Option<MmId>, range: Range<u64>) {
    let hugetlb = &cpu.kernel.hugetlb;
    let _hugetlb_lock = cpu.lock(hugetlb.lock).await;
    let unused = cpu.update(&hugetlb.reservations, move |reservations| {
        let is_of_range = |key: &Reservation| {
            key.file == file.index() as u32 && key.owner == owner && range.contains(&key.index)
        };
        let unused = reservations.iter().filter(|(key, taken)| is_of_range(key) && !**taken).count() as u64;
        reservations.retain(|key, _| !is_of_range(key));
        unused
    });
    let unused = unused.await;
    if unused > 0
        && let Some(size) = hstate_inode(cpu, file)
    {
        let hstate = hugetlb.hstate(size);
        let set_aside = cpu.load(hstate.resv_huge_pages).await;
        cpu.store(hstate.resv_huge_pages, set_aside - unused).await;
    }
}

/// `hugetlb_vm_op_close()`: what was set aside for a private mapping that goes, and never used, is the pool's again.
pub(crate) async fn hugetlb_vm_op_close(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma) {
    let Some(file) = vma.file(cpu) else { return };
    if let Some(owner) = owner(cpu, mm, vma) {
        let range = vma.pgoff(cpu)..vma.index_of(cpu, vma.end(cpu));
        hugetlb_unreserve_pages(cpu, file, Some(owner), range).await;
    }
}

/// `alloc_hugetlb_folio()`, `alloc_huge_page()` before v6.3: a huge page for page `index` of the file of a mapping. It is the one that was set aside, or one that was not set
/// aside for anybody.
pub(super) async fn alloc_hugetlb_folio(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vma: Vma,
    file: Inode,
    index: u64,
) -> Option<Page> {
    let _routine = cpu.enter("alloc_hugetlb_folio");
    let hugetlb = &cpu.kernel.hugetlb;
    let hstate = hugetlb.hstate(hstate_vma(cpu, vma));
    let key = reservation(file, owner(cpu, mm, vma), index);
    let _hugetlb_lock = cpu.lock(hugetlb.lock).await;
    let free = cpu.read(&hstate.freelist, |free| free.len() as u64).await;
    let set_aside = cpu.load(hstate.resv_huge_pages).await;
    let is_mine = cpu.read(&hugetlb.reservations, |reservations| reservations.get(&key) == Some(&false)).await;
    if !is_mine && free <= set_aside {
        return None;
    }
    let head = dequeue_hugetlb_folio(cpu, hstate).await?;
    if is_mine {
        cpu.update(&hugetlb.reservations, |reservations| reservations.insert(key, true)).await;
        cpu.store(hstate.resv_huge_pages, set_aside - 1).await;
    }
    Some(head)
}

/// `restore_reserve_on_error()`: the page that was taken for page `index` was not used, and is put soon. It is set aside again.
pub(super) async fn restore_reserve_on_error(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, file: Inode, index: u64) {
    let hugetlb = &cpu.kernel.hugetlb;
    let hstate = hugetlb.hstate(hstate_vma(cpu, vma));
    let key = reservation(file, owner(cpu, mm, vma), index);
    let _hugetlb_lock = cpu.lock(hugetlb.lock).await;
    let was_taken = cpu.update(&hugetlb.reservations, |reservations| match reservations.get_mut(&key) {
        Some(taken) => std::mem::replace(taken, false),
        None => false,
    });
    if was_taken.await {
        let set_aside = cpu.load(hstate.resv_huge_pages).await;
        cpu.store(hstate.resv_huge_pages, set_aside + 1).await;
    }
}

/// `folio_mark_uptodate()` of a page that the fault has filled.
pub(super) async fn mark_uptodate(cpu: Cpu<'_>, head: Page) {
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags | PageFlags::UPTODATE).await;
}

/// `SetHPageMigratable()`: the page is mapped, and may be moved from now on.
pub(super) async fn set_migratable(cpu: Cpu<'_>, head: Page) {
    cpu.rmw(cpu.kernel.page_flags(head), |flags| flags | PageFlags::HUGETLB_MIGRATABLE).await;
}
