//! A write to a huge page that is mapped read-only: `hugetlb_wp()`, `hugetlb_cow()` before v5.19.

use sim_core::Held;
use sim_mmu::Entry;

use super::reserve::{alloc_hugetlb_folio, mark_uptodate, set_migratable};
use super::vm_fault::HugeFault;
use super::{huge_pte_offset, make_huge_pte};
use crate::check;
use crate::event::Event;
use crate::folio::{folio_entire_mapcount, page_is_anon};
use crate::highmem::copy_user_huge_page;
use crate::huge_pte::{HugePte, huge_pte_lock};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{get_page, put_page};
use crate::pgtable::mkdirty;
use crate::pgtable_generic::pmdp_huge_clear_flush;
use crate::rmap::{folio_add_new_anon_rmap, folio_remove_rmap_pmd, page_move_anon_rmap};
use crate::safeguards::HUGETLB_WP_PTE_SAME;
use crate::settings::HugetlbForce;
use crate::vm_fault::{FaultFlags, VmFault, VmFaultError, vmf_anon_prepare};
use crate::vm_flags::VmFlags;

/// `hugetlb_wp()`: the page itself becomes writable, if the mapping is shared or nobody else maps it; else a copy is mapped. The caller holds the lock of the
/// entry, and has it again afterwards unless an error came first.
pub(super) async fn hugetlb_wp<'m>(
    cpu: Cpu<'m>,
    vmf: HugeFault<'m>,
    (pte, ptl): (HugePte, Held<'m>),
) -> (Result<VmFault, VmFaultError>, Option<Held<'m>>) {
    let _routine = cpu.enter("hugetlb_wp");
    let flags = vmf.vma.flags(cpu);
    let unshare = vmf.flags.contains(FaultFlags::UNSHARE);
    let done = Ok(VmFault { write: !unshare, ..VmFault::default() });
    // A forced write. There is no way to write to a huge page while its entry stays read-only.
    if !unshare && !flags.contains(VmFlags::WRITE) && cpu.setting::<HugetlbForce>() == HugetlbForce::Warns {
        cpu.note(Event::KernelBug { what: "WARN_ON_ONCE(!unshare && !(vma->vm_flags & VM_WRITE))" });
        return (Err(VmFaultError::Sigsegv), Some(ptl));
    }
    let writable = mkdirty(cpu) | Entry::RW;
    if flags.contains(VmFlags::MAYSHARE) {
        // set_huge_ptep_writable()
        cpu.update_pmd(vmf.mm, vmf.address, vmf.ptep, move |entry| entry.with(writable)).await;
        return (done, Some(ptl));
    }
    let old = Page(pte.pfn());
    if page_is_anon(cpu, old) && folio_entire_mapcount(cpu, old).await == 1 {
        page_move_anon_rmap(cpu, old).await;
        if !unshare {
            cpu.update_pmd(vmf.mm, vmf.address, vmf.ptep, move |entry| entry.with(writable)).await;
        }
        return (done, Some(ptl));
    }
    get_page(cpu, old).await;
    // The page is copied without the lock, and the pool may have none.
    drop(ptl);
    let copied = Box::pin(copy(cpu, vmf, old)).await;
    let new = match copied {
        Ok(Some(new)) => new,
        Ok(None) => {
            put_page(cpu, old).await;
            return (Ok(VmFault::RETRY), None);
        }
        Err(error) => {
            put_page(cpu, old).await;
            return (Err(error), None);
        }
    };
    let end = vmf.address.plus_pages(vmf.pages(cpu));
    let range = mmu_notifier_invalidate_range_start(cpu, vmf.mm, (vmf.address, end)).await;
    let mut unused = new;
    if let Some(ptep) = huge_pte_offset(cpu, vmf.mm, vmf.address, vmf.size).await {
        let _ptl = huge_pte_lock(cpu, vmf.mm, ptep).await;
        if !check!(cpu, HUGETLB_WP_PTE_SAME, cpu.read_once(ptep).await != pte) {
            // The entry is empty, and no TLB has it, before the copy can be written to.
            pmdp_huge_clear_flush(cpu, vmf.mm, vmf.address, ptep).await;
            folio_remove_rmap_pmd(cpu, old, vmf.mm.id).await;
            folio_add_new_anon_rmap(cpu, new, vmf.vma, vmf.address).await;
            let entry = make_huge_pte(cpu, vmf.vma, new, !unshare);
            cpu.set_pmd_at(vmf.mm, vmf.address, ptep, entry).await;
            set_migratable(cpu, new).await;
            unused = old;
        }
    }
    mmu_notifier_invalidate_range_end(cpu, vmf.mm, range).await;
    put_page(cpu, unused).await;
    put_page(cpu, old).await;
    let ptl = huge_pte_lock(cpu, vmf.mm, vmf.ptep).await;
    (done, Some(ptl))
}

/// A copy of a page. `None` if the fault must begin anew with `mmap_lock`.
async fn copy<'m>(cpu: Cpu<'m>, vmf: HugeFault<'m>, old: Page) -> Result<Option<Page>, VmFaultError> {
    let new = alloc_hugetlb_folio(cpu, vmf.mm, vmf.vma, vmf.file, vmf.index).await.ok_or(VmFaultError::Sigbus)?;
    match vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await {
        Ok(true) => {}
        other => {
            put_page(cpu, new).await;
            other?;
            return Ok(None);
        }
    }
    copy_user_huge_page(cpu, new, old, vmf.pages(cpu)).await;
    mark_uptodate(cpu, new).await;
    Ok(Some(new))
}
