//! Faults in mappings of huge pages from the pool: `hugetlb_fault()`.
//!
//! A fault holds the mutex of its huge page of the file, so two faults never fill one page of a file at once. Another lock, which differs by release,
//! keeps the table of the entry from being unshared meanwhile.

use sim_mmu::{Entry, VirtAddr};

use super::pmd_share::huge_pte_alloc;
use super::reserve::{alloc_hugetlb_folio, mark_uptodate, restore_reserve_on_error, set_migratable};
use super::vm_fault::HugeFault;
use super::wp::hugetlb_wp;
use super::{hstate_vma, hugetlb_vma_lock_read, lock_mapping_of, make_huge_pte};
use crate::check;
use crate::filemap::{add_to_page_cache, filemap_get_entry, lock_if_of_file, trylock_page};
use crate::highmem::clear_huge_page;
use crate::huge_pte::huge_pte_lock;
use crate::hwpoison::page_hwpoison;
use crate::inode::i_size_read;
use crate::kernel::Cpu;
use crate::migrate::migration_entry_wait_huge;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{get_page, lock_page, put_page, unlock_page, wait_on_page_locked};
use crate::pgtable::mkdirty;
use crate::rmap::{folio_add_new_anon_rmap, folio_add_rmap_pmd};
use crate::safeguards::{
    HUGETLB_FAULT_MUTEX, HUGETLB_FAULT_PTE_SAME, HUGETLB_NO_PAGE_HWPOISON, HUGETLB_NO_PAGE_RECHECK,
};
use crate::settings::HugetlbLock;
use crate::shmem_fs::Cached;
use crate::vm_fault::{FaultFlags, VmFault, VmFaultError, vmf_anon_prepare};
use crate::vm_flags::VmFlags;

/// `hugetlb_fault()`.
pub(crate) async fn hugetlb_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("hugetlb_fault");
    let file = vma.file(cpu).ok_or(VmFaultError::Sigbus)?;
    let size = hstate_vma(cpu, vma);
    let haddr = size.base(cpu.mmu.geometry, address);
    let index = vma.index_of(cpu, haddr);
    let nth = index / size.pages(cpu.mmu.geometry);
    let mapping = lock_mapping_of(cpu, vma).await;
    let mutex = match cpu.has(HUGETLB_FAULT_MUTEX) {
        true => Some(cpu.down_write(cpu.kernel.hugetlb.fault_mutex(file.index(), nth)).await),
        false => None,
    };
    let vma_lock = hugetlb_vma_lock_read(cpu, vma).await;
    let ptep = huge_pte_alloc(cpu, mm, vma, haddr).await?;
    let vmf = HugeFault { mm, vma, address: haddr, flags, ptep, size, file, index };
    let pte = cpu.read_once(ptep).await;
    if pte.none() {
        return hugetlb_no_page(cpu, vmf).await;
    }
    if pte.migration().is_some() {
        drop((mapping, mutex, vma_lock));
        migration_entry_wait_huge(cpu, mm, (ptep, pte)).await;
        return Ok(VmFault::default());
    }
    if pte.hwpoisoned() {
        return Err(VmFaultError::Hwpoison);
    }
    let head = Page(pte.pfn());
    let ptl = huge_pte_lock(cpu, mm, ptep).await;
    if check!(cpu, HUGETLB_FAULT_PTE_SAME, cpu.read_once(ptep).await != pte) {
        return Ok(VmFault::default());
    }
    let wants_other = flags.intersects(FaultFlags::WRITE | FaultFlags::UNSHARE) && !pte.write();
    if wants_other {
        if !trylock_page(cpu, head).await {
            // Nobody sleeps with the locks held. The access is made again.
            get_page(cpu, head).await;
            drop((ptl, mapping, mutex, vma_lock));
            wait_on_page_locked(cpu, head).await;
            put_page(cpu, head).await;
            return Ok(VmFault::default());
        }
        get_page(cpu, head).await;
        let (done, held) = hugetlb_wp(cpu, vmf, (pte, ptl)).await;
        drop(held);
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        return done;
    }
    let young = Entry::ACCESSED | if vmf.is_write() { mkdirty(cpu) } else { 0 };
    if !pte.entry.has(young) {
        cpu.update_pmd(mm, haddr, ptep, move |entry| entry.with(young)).await;
    }
    drop(ptl);
    Ok(VmFault::default())
}

/// A page for an entry that is empty.
enum Found {
    /// A page of the file, locked and with a reference.
    OfFile(Page),
    /// A page of the mapping's own, locked and with a reference.
    Own(Page),
}

/// `hugetlb_no_page()`: maps what the file has, or a page of zeroes, which the file gets if the mapping is shared.
async fn hugetlb_no_page<'m>(cpu: Cpu<'m>, vmf: HugeFault<'m>) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("hugetlb_no_page");
    let HugeFault { file, index, .. } = vmf;
    let is_shared = vmf.vma.flags(cpu).contains(VmFlags::MAYSHARE);
    let mut is_new = false;
    let found = loop {
        if let Some(page) = filemap_get_entry(cpu, file, index).await.and_then(Cached::page) {
            if !lock_if_of_file(cpu, file, page).await {
                continue;
            }
            // Whoever finds that its memory is broken marks it before he locks it. A mapping in which it was not mapped then has no entry that says so.
            if check!(cpu, HUGETLB_NO_PAGE_HWPOISON, page_hwpoison(cpu, page).await) {
                unlock_page(cpu, page).await;
                put_page(cpu, page).await;
                return Err(VmFaultError::Hwpoison);
            }
            break Found::OfFile(page);
        }
        if index >= i_size_read(cpu, file).await {
            return Err(VmFaultError::Sigbus);
        }
        if !is_shared && !vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await? {
            return Ok(VmFault::RETRY);
        }
        let Some(head) = alloc_hugetlb_folio(cpu, vmf.mm, vmf.vma, file, index).await else {
            // Somebody may have mapped a page meanwhile.
            let _ptl = huge_pte_lock(cpu, vmf.mm, vmf.ptep).await;
            let is_mapped = !cpu.read_once(vmf.ptep).await.none();
            return if is_mapped { Ok(VmFault::default()) } else { Err(VmFaultError::Sigbus) };
        };
        clear_huge_page(cpu, head, vmf.pages(cpu)).await;
        mark_uptodate(cpu, head).await;
        is_new = true;
        if !is_shared {
            lock_page(cpu, head).await;
            break Found::Own(head);
        }
        // hugetlb_add_to_page_cache()
        if add_to_page_cache(cpu, file, index, head, None).await {
            break Found::OfFile(head);
        }
        restore_reserve_on_error(cpu, vmf.mm, vmf.vma, file, index).await;
        put_page(cpu, head).await;
        is_new = false;
    };
    let (Found::OfFile(head) | Found::Own(head)) = found;
    let is_own = matches!(found, Found::Own(_));
    let ptl = huge_pte_lock(cpu, vmf.mm, vmf.ptep).await;
    // Before v6.1 nothing keeps the file from being made shorter while it gets a page. Since then the lock of the mapping does.
    let asks_size = cpu.setting::<HugetlbLock>() != HugetlbLock::Vma;
    let is_behind_end = asks_size && index >= i_size_read(cpu, file).await;
    if is_behind_end || check!(cpu, HUGETLB_NO_PAGE_RECHECK, !cpu.read_once(vmf.ptep).await.none()) {
        drop(ptl);
        if is_new && is_own {
            restore_reserve_on_error(cpu, vmf.mm, vmf.vma, file, index).await;
        }
        unlock_page(cpu, head).await;
        put_page(cpu, head).await;
        return if is_behind_end { Err(VmFaultError::Sigbus) } else { Ok(VmFault::default()) };
    }
    if is_own {
        folio_add_new_anon_rmap(cpu, head, vmf.vma, vmf.address).await;
    } else {
        folio_add_rmap_pmd(cpu, head, vmf.mm.id).await;
    }
    let writable = vmf.vma.flags(cpu).contains(VmFlags::WRITE | VmFlags::SHARED);
    let entry = make_huge_pte(cpu, vmf.vma, head, writable);
    cpu.set_pmd_at(vmf.mm, vmf.address, vmf.ptep, entry).await;
    if vmf.is_write() && !is_shared {
        // The write would fault once more, and be dealt with in the same way.
        let pte = cpu.read_once(vmf.ptep).await;
        let (done, held) = hugetlb_wp(cpu, vmf, (pte, ptl)).await;
        drop(held);
        if is_new {
            set_migratable(cpu, head).await;
        }
        unlock_page(cpu, head).await;
        return done;
    }
    drop(ptl);
    if is_new {
        set_migratable(cpu, head).await;
    }
    unlock_page(cpu, head).await;
    Ok(VmFault::default())
}
