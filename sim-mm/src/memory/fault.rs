//! Page faults: `handle_mm_fault()` and how it finds out what is missing.

use sim_core::BoxFuture;
use sim_mmu::{Entry, VirtAddr};

use super::anonymous::do_anonymous_page;
use super::dax_fault::{dax_iomap_pmd_fault, may_map_blocks_by_pmd};
use super::file::do_fault;
use super::numa::do_numa_page;
use super::pud_fault::{PudFault, handle_pud_fault};
use super::swap::do_swap_page;
use super::tables::{p4d_offset, pmd_alloc, pud_alloc};
use super::userfault::{Reason, handle_userfault};
use super::wp::do_wp_page;
use crate::arch::pkeys::arch_vma_access_permitted;
use crate::huge_memory::{
    Fallback, do_huge_pmd_anonymous_page, do_huge_pmd_numa_page, do_huge_pmd_wp_page, huge_pmd_set_accessed,
    split_huge_pmd,
};
use crate::huge_mm::{allows_large_folios, suitable_block};
use crate::hugetlb::hugetlb_fault;
use crate::inode::dev_dax_of;
use crate::kernel::Cpu;
use crate::migrate::{migration_entry_wait, pmd_migration_entry_wait};
use crate::mm_types::{MmStruct, Vma};
use crate::mmap_lock::MmapLock;
use crate::pgtable::{EntryPtr, Pmd, Pte, Ptep, mkdirty};
use crate::pgtable_generic::look_at_pte;
use crate::swapops::{HwpoisonEntry, MigrationEntry, SwpEntry, is_guard, is_uffd_wp_marker};
use crate::userfaultfd::wait_for_userfault;
use crate::vm_fault::{Fault, FaultFlags, LockAfter, MmFault, VmFault, VmFaultError};
use crate::vm_flags::VmFlags;

/// `handle_mm_fault()`: makes the page present, and writable if that is asked and allowed.
pub fn handle_mm_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> BoxFuture<'m, MmFault<'m>> {
    Box::pin(mm_fault(cpu, mm, mmap_lock, vma, address, flags))
}

/// The same for a caller that is a part of a boxed future itself: every step of a fault would pass through one box more.
pub(crate) async fn mm_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: MmapLock<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> MmFault<'m> {
    let _routine = cpu.enter("handle_mm_fault");
    let (write, foreign) = (flags.contains(FaultFlags::WRITE), flags.contains(FaultFlags::REMOTE));
    let by_key = !flags.contains(FaultFlags::INSTRUCTION);
    if by_key && !arch_vma_access_permitted(cpu, mm.id, vma.flags(cpu), write, foreign) {
        return MmFault::Failed(VmFaultError::Sigsegv, mmap_lock);
    }
    let done = if vma.flags(cpu).contains(VmFlags::HUGETLB) {
        Box::pin(hugetlb_fault(cpu, mm, vma, address, flags)).await
    } else {
        __handle_mm_fault(cpu, mm, vma, address, flags).await
    };
    match done {
        Ok(done) => match done.lock {
            LockAfter::Held => MmFault::Done(done, mmap_lock),
            LockAfter::Retry => MmFault::Retry,
            LockAfter::Nowait => MmFault::Nowait(mmap_lock),
            LockAfter::Completed => MmFault::Completed,
            LockAfter::Userfault(task) => {
                drop(mmap_lock);
                wait_for_userfault(cpu, mm, task).await;
                MmFault::Retry
            }
        },
        Err(error) => MmFault::Failed(error, mmap_lock),
    }
}

/// `__handle_mm_fault()`: the tables above the PTE. Memory without a device is never waited for, so only a
/// write to shared memory says that `mmap_lock` is to be let go of.
async fn __handle_mm_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> Result<VmFault, VmFaultError> {
    let address = address.page_base();
    let p4dp = p4d_offset(cpu, mm, address);
    let pudp = pud_alloc(cpu, mm, p4dp, address).await?;
    let done = if let Some(device) = dev_dax_of(cpu, vma) {
        let vmf = PudFault { mm, vma, address, flags, pudp: pudp.into(), device };
        Box::pin(handle_pud_fault(cpu, vmf)).await?
    } else {
        let pmdp = pmd_alloc(cpu, mm, pudp, address).await?;
        let vmf = Fault { mm, vma, address, flags, pmdp };
        match handle_pmd_fault(cpu, vmf).await? {
            Some(done) => done,
            None => handle_pte_fault(cpu, vmf).await?,
        }
    };
    // mm_account_fault(): faults that failed or begin anew are not counted; what took more than one attempt is major.
    if !matches!(done.lock, LockAfter::Retry | LockAfter::Nowait | LockAfter::Userfault(_)) {
        let tried = flags.contains(FaultFlags::TRIED);
        let count = if tried || done.major { &cpu.kernel.maj_flt } else { &cpu.kernel.min_flt };
        count.set(count.get() + 1);
    }
    Ok(done)
}

/// The part of `__handle_mm_fault()` that is about huge pages. `None` if single pages are to be mapped.
async fn handle_pmd_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<Option<VmFault>, VmFaultError> {
    let wants_huge_page = wants_huge_page(cpu, vmf);
    let pmd = vmf.pmdp.value(cpu.entry_now(vmf.pmdp));
    if !wants_huge_page && !pmd.is_huge() {
        return Ok(None);
    }
    Box::pin(handle_huge_fault(cpu, vmf, wants_huge_page)).await
}

/// `create_huge_pmd()`, `wp_huge_pmd()` and what stands between them.
async fn handle_huge_fault<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    wants_huge_page: bool,
) -> Result<Option<VmFault>, VmFaultError> {
    let pmd = cpu.read_once(vmf.pmdp).await;
    let ended = if pmd.none() && wants_huge_page {
        if let Some(file) = vmf.vma.file(cpu) {
            return match dax_iomap_pmd_fault(cpu, vmf, file).await? {
                Fallback::Done(done) => Ok(Some(done)),
                Fallback::Pages | Fallback::Userfault => Ok(None),
            };
        }
        do_huge_pmd_anonymous_page(cpu, vmf).await?
    } else if pmd.migration().is_some() {
        pmd_migration_entry_wait(cpu, vmf.pmdp, pmd).await;
        Fallback::Done(VmFault::default())
    } else if !pmd.leaf() {
        Fallback::Pages
    } else if pmd.protnone() && vmf.vma.flags(cpu).is_accessible() {
        Fallback::Done(do_huge_pmd_numa_page(cpu, vmf, pmd).await)
    } else if vmf.flags.intersects(FaultFlags::WRITE | FaultFlags::UNSHARE) && !pmd.write() {
        wp_huge_pmd(cpu, vmf, pmd).await?
    } else {
        huge_pmd_set_accessed(cpu, vmf, pmd).await;
        Fallback::Done(VmFault::default())
    };
    match ended {
        Fallback::Done(done) => Ok(Some(done)),
        Fallback::Pages => Ok(None),
        Fallback::Userfault => handle_userfault(cpu, vmf, Reason::Missing).await.map(Some),
    }
}

/// `wp_huge_pmd()`: a write to a huge page that is mapped read-only. For a file that is dealt with page by page.
async fn wp_huge_pmd<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, pmd: Pmd) -> Result<Fallback, VmFaultError> {
    if vmf.vma.is_anonymous(cpu) {
        return do_huge_pmd_wp_page(cpu, vmf, pmd).await;
    }
    split_huge_pmd(cpu, vmf.vma, vmf.mm, vmf.pmdp, vmf.address).await;
    Ok(Fallback::Pages)
}

/// `thp_vma_allowable_order()`: whether a huge page fits around the address, and is to be had.
fn wants_huge_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> bool {
    let (vma, flags) = (vmf.vma, vmf.vma.flags(cpu));
    if may_map_blocks_by_pmd(cpu, vmf) {
        return true;
    }
    cpu.kernel.asks_for_huge_pages(flags)
        && allows_large_folios(flags)
        && vma.is_anonymous(cpu)
        && suitable_block(cpu.pmd_order(), vmf.address, (vma.start(cpu), vma.end(cpu))).is_some()
}

/// `handle_pte_fault()`.
async fn handle_pte_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    let (ptep, orig) = match look_at_pte(cpu, vmf.pmdp, vmf.address).await {
        (pmd, None) if pmd.none() => return do_pte_missing(cpu, vmf).await,
        // pmd_trans_unstable(): somebody mapped a huge page meanwhile. The access is made again.
        (_, None) => return Ok(VmFault::default()),
        (_, Some(found)) => found,
    };
    if orig.none() {
        return do_pte_missing(cpu, vmf).await;
    }
    if !orig.present() {
        // pte_unmap_same(): where an entry has halves, one that is being made or taken away has a high half alone, which means nothing.
        if cpu.splits_entries() && Box::pin(vmf.map_lock_same(cpu, (ptep, orig))).await.is_none() {
            return Ok(VmFault::default());
        }
        if let Some(entry) = SwpEntry::of_pte(orig.entry) {
            return do_swap_page(cpu, vmf, ptep, orig, entry).await;
        }
        if MigrationEntry::of_pte(orig.entry).is_some() {
            migration_entry_wait(cpu, vmf.pmdp, (ptep, orig)).await;
            return Ok(VmFault::default());
        }
        if HwpoisonEntry::of_pte(orig.entry).is_some() {
            return Err(VmFaultError::Hwpoison);
        }
        if is_uffd_wp_marker(orig.entry) {
            return Box::pin(pte_marker_handle_uffd_wp(cpu, vmf, ptep, orig)).await;
        }
        // handle_pte_marker(): an entry that only marks its page.
        return if is_guard(orig.entry) { Err(VmFaultError::Sigsegv) } else { Err(VmFaultError::Sigbus) };
    }
    if orig.protnone() && vmf.vma.flags(cpu).is_accessible() {
        return Ok(do_numa_page(cpu, vmf, ptep, orig).await);
    }
    let Some(locked) = vmf.map_lock_same(cpu, (ptep, orig)).await else { return Ok(VmFault::default()) };
    if vmf.flags.intersects(FaultFlags::WRITE | FaultFlags::UNSHARE) && !orig.write() {
        return do_wp_page(cpu, vmf, locked, orig).await;
    }
    // A spurious fault: the entry allows the access. The fault itself dropped the stale translation.
    let young = Entry::ACCESSED | if vmf.is_write() { mkdirty(cpu) } else { 0 };
    if !orig.entry.has(young) {
        cpu.update_pte(vmf.mm, vmf.address, ptep, move |entry| entry.with(young)).await;
    }
    Ok(VmFault::default())
}

/// `do_pte_missing()`.
async fn do_pte_missing<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    match vmf.vma.file(cpu) {
        None => do_anonymous_page(cpu, vmf).await,
        Some(file) => do_fault(cpu, vmf, file).await,
    }
}

/// `pte_marker_handle_uffd_wp()`: the page comes from its file, and its entry is write-protected. If nobody wants to know of writes any more,
/// the marker goes, and the access is made again.
async fn pte_marker_handle_uffd_wp<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    ptep: Ptep,
    orig: Pte,
) -> Result<VmFault, VmFaultError> {
    if vmf.vma.flags(cpu).contains(VmFlags::UFFD_WP) {
        return do_pte_missing(cpu, vmf).await;
    }
    // pte_marker_clear()
    if let Some(_locked) = vmf.map_lock_same(cpu, (ptep, orig)).await {
        cpu.set_pte_at(vmf.mm, vmf.address, ptep, Entry::NONE).await;
    }
    Ok(VmFault::default())
}
