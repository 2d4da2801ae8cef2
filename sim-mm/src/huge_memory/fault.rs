//! Faults that map a huge page: `do_huge_pmd_anonymous_page()`.

use sim_mmu::{Entry, VirtAddr};

use super::zero::{entries_count, mm_get_huge_zero_page, put_huge_zero_page};
use crate::gfp::Gfp;
use crate::highmem::clear_huge_page;
use crate::huge_pte::HugePtep;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page};
use crate::page::put_page;
use crate::page_alloc::{alloc_pages, pte_alloc_one};
use crate::pgtable::{Pmd, maybe_mkwrite, mkdirty, vm_get_page_prot};
use crate::pgtable_generic::pgtable_trans_huge_deposit;
use crate::rmap::folio_add_new_anon_rmap;
use crate::settings::ZeroThp;
use crate::swap::folio_add_lru_vma;
use crate::vm_fault::{Fault, VmFault, VmFaultError, check_stable_address_space, vmf_anon_prepare};
use crate::vm_flags::VmFlags;

/// How a fault that could map a huge page ended otherwise than by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// It is done.
    Done(VmFault),
    /// `VM_FAULT_FALLBACK`: single pages are to be mapped.
    Pages,
    /// User code is to be asked for the page.
    Userfault,
}

/// `do_huge_pmd_anonymous_page()`: the first touch of private memory where a huge page fits. Reading maps the huge page of zeroes.
pub(crate) async fn do_huge_pmd_anonymous_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
) -> Result<Fallback, VmFaultError> {
    let _routine = cpu.enter("do_huge_pmd_anonymous_page");
    if !vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await? {
        return Ok(Fallback::Done(VmFault::RETRY));
    }
    if !vmf.is_write() && cpu.setting::<ZeroThp>() == ZeroThp::On {
        return Box::pin(map_zeroes(cpu, vmf)).await;
    }
    __do_huge_pmd_anonymous_page(cpu, vmf).await
}

/// The half of `do_huge_pmd_anonymous_page()` that reads: `set_huge_zero_page()`.
async fn map_zeroes<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<Fallback, VmFaultError> {
    let table = pte_alloc_one(cpu, vmf.mm).await.ok_or(VmFaultError::Oom)?;
    let Some(zeroes) = mm_get_huge_zero_page(cpu, vmf.mm).await else {
        put_page(cpu, table).await;
        return Ok(Fallback::Pages);
    };
    let ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    let mut ended = Ok(Fallback::Done(VmFault::default()));
    if cpu.read_once(vmf.pmdp).await.none() {
        ended = check_stable_address_space(cpu, vmf.mm).map(|()| Fallback::Done(VmFault::default()));
        if ended.is_ok() && vmf.vma.flags(cpu).contains(VmFlags::UFFD_MISSING) {
            ended = Ok(Fallback::Userfault);
        } else if ended.is_ok() {
            let prot = vm_get_page_prot(vmf.vma.flags(cpu));
            let entry = Pmd::make_huge(zeroes.0, prot).with(Entry::SPECIAL);
            pgtable_trans_huge_deposit(cpu, vmf.pmdp, table);
            cpu.set_pmd_at(vmf.mm, cpu.pmd_base(vmf.address), vmf.pmdp, entry).await;
            return ended;
        }
    }
    drop(ptl);
    put_page(cpu, table).await;
    if entries_count(cpu) {
        put_huge_zero_page(cpu).await;
    }
    ended
}

/// `__do_huge_pmd_anonymous_page()`.
async fn __do_huge_pmd_anonymous_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<Fallback, VmFaultError> {
    let address = cpu.pmd_base(vmf.address);
    let Some(head) = alloc_pages(cpu, cpu.pmd_order(), Gfp::COMP).await else { return Ok(Fallback::Pages) };
    let Some(table) = pte_alloc_one(cpu, vmf.mm).await else {
        put_page(cpu, head).await;
        return Err(VmFaultError::Oom);
    };
    clear_huge_page(cpu, head, cpu.pmd_nr()).await;
    let ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    let stable = check_stable_address_space(cpu, vmf.mm);
    let is_free = cpu.read_once(vmf.pmdp).await.none();
    let asks = vmf.vma.flags(cpu).contains(VmFlags::UFFD_MISSING);
    if stable.is_err() || !is_free || asks {
        drop(ptl);
        put_page(cpu, table).await;
        put_page(cpu, head).await;
        stable?;
        return Ok(if is_free { Fallback::Userfault } else { Fallback::Done(VmFault::default()) });
    }
    map_anon_folio_pmd(cpu, vmf, head).await;
    pgtable_trans_huge_deposit(cpu, vmf.pmdp, table);
    let written = mkdirty(cpu) | maybe_mkwrite(cpu, vmf.vma);
    let entry = Pmd::make_huge(head.0, vm_get_page_prot(vmf.vma.flags(cpu))).with(written);
    cpu.set_pmd_at(vmf.mm, address, vmf.pmdp, entry).await;
    Ok(Fallback::Done(VmFault::default()))
}

/// `map_anon_folio_pmd()`: the new folio is this mapping's. The entry comes last: from then on lockless GUP finds the folio.
pub(super) async fn map_anon_folio_pmd<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, head: Page) {
    folio_add_new_anon_rmap(cpu, head, vmf.vma, cpu.pmd_base(vmf.address)).await;
    folio_add_lru_vma(cpu, head, vmf.vma).await;
}

/// `huge_pmd_set_accessed()`: a spurious fault.
pub(crate) async fn huge_pmd_set_accessed<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, orig: Pmd) {
    let _ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if cpu.read_once(vmf.pmdp).await != orig {
        return;
    }
    touch_pmd(cpu, vmf.mm, vmf.address, vmf.pmdp, orig.entry, vmf.is_write()).await;
}

/// `touch_pmd()`, `touch_pud()`: a huge page was used, and written if `dirty`. The caller holds the lock of the entry, and has read it.
pub async fn touch_pmd(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    address: VirtAddr,
    ptep: impl Into<HugePtep>,
    entry: Entry,
    dirty: bool,
) {
    let ptep = ptep.into();
    let young = Entry::ACCESSED | if dirty { mkdirty(cpu) } else { 0 };
    if !entry.has(young) {
        let mm = cpu.kernel.mm(mm.id);
        cpu.update_pmd(mm, ptep.range(cpu, address).0, ptep, move |entry| entry.with(young)).await;
    }
}
