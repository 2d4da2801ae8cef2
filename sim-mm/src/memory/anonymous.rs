//! The first touch of a private page: `do_anonymous_page()`.

use sim_mmu::Entry;

use super::anon_folio::do_anonymous_folio;
use super::tables::pte_alloc;
use super::userfault::{Reason, handle_userfault};
use crate::check;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{put_page, set_flags_unlocked};
use crate::page_alloc::alloc_zeroed_user_highpage_movable;
use crate::page_flags::PageFlags;
use crate::pgtable::{Pte, mkdirty, vm_get_page_prot};
use crate::rmap::page_add_new_anon_rmap;
use crate::safeguards::{ANON_FAULT_ENTRY_LAST, ANON_FAULT_RECHECK};
use crate::swap::folio_add_lru_vma;
use crate::swapops::{is_none_mostly, is_uffd_wp_marker};
use crate::vm_fault::{Fault, VmFault, VmFaultError, check_stable_address_space, vmf_anon_prepare};
use crate::vm_flags::VmFlags;

/// The new page is this mapping's, and on its way to a list of reclaim.
async fn set_up<'m>(cpu: Cpu<'m>, page: Page, vmf: Fault<'m>) {
    page_add_new_anon_rmap(cpu, page, vmf.vma, vmf.address).await;
    folio_add_lru_vma(cpu, page, vmf.vma).await;
}

/// The entry of a new page, where there was a marker if the next write is to wait for user code: `vmf_orig_pte_uffd_wp()`.
fn protected(seen: Entry, entry: Entry) -> Entry {
    if is_uffd_wp_marker(seen) { entry.without(Entry::RW).with(Entry::UFFD_WP) } else { entry }
}

/// `do_anonymous_page()`. Reading maps the zero page.
pub(super) async fn do_anonymous_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_anonymous_page");
    let Fault { mm, vma, address, .. } = vmf;
    let pmd = pte_alloc(cpu, mm, vmf.pmdp).await?;
    // pmd_trans_unstable(): somebody mapped a huge page meanwhile.
    if !pmd.leads_to_table() {
        return Ok(VmFault::default());
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    let prot = vm_get_page_prot(vma.flags(cpu));
    if !vmf.is_write() {
        let entry = Pte::make(cpu.kernel.zero_page.0, prot).with(Entry::SPECIAL);
        let Some(locked) = vmf.map_lock(cpu, ptep).await else { return Ok(VmFault::default()) };
        check_stable_address_space(cpu, mm)?;
        let seen = cpu.read_once(ptep).await.entry;
        if is_none_mostly(seen) {
            if vma.flags(cpu).contains(VmFlags::UFFD_MISSING) {
                drop(locked);
                return handle_userfault(cpu, vmf, Reason::Missing).await;
            }
            cpu.set_pte_at(mm, address, ptep, protected(seen, entry)).await;
        }
        return Ok(VmFault::default());
    }
    if !vmf_anon_prepare(cpu, vmf.mm, vmf.vma, vmf.flags).await? {
        return Ok(VmFault::RETRY);
    }
    if let Some(folio) = do_anonymous_folio(cpu, vmf, pmd)
        && let Some(done) = folio.await
    {
        return done;
    }
    let page = alloc_zeroed_user_highpage_movable(cpu).await.ok_or(VmFaultError::Oom)?;
    let mut entry = Pte::make(page.0, prot);
    if vma.flags(cpu).contains(VmFlags::WRITE) {
        entry = entry.with(mkdirty(cpu) | Entry::RW);
    }
    let Some(locked) = vmf.map_lock(cpu, ptep).await else {
        put_page(cpu, page).await;
        return Ok(VmFault::default());
    };
    if let Err(error) = check_stable_address_space(cpu, mm) {
        drop(locked);
        put_page(cpu, page).await;
        return Err(error);
    }
    if check!(cpu, ANON_FAULT_RECHECK, {
        let seen = cpu.read_once(ptep).await.entry;
        entry = protected(seen, entry);
        !is_none_mostly(seen)
    }) {
        // C puts the page before the lock goes. Nobody else knows it, so nobody can tell.
        drop(locked);
        put_page(cpu, page).await;
        return Ok(VmFault::default());
    }
    if vma.flags(cpu).contains(VmFlags::UFFD_MISSING) {
        drop(locked);
        put_page(cpu, page).await;
        return handle_userfault(cpu, vmf, Reason::Missing).await;
    }
    // The entry comes last: from then on others find the page, and its counts must be true.
    if cpu.has(ANON_FAULT_ENTRY_LAST) {
        set_up(cpu, page, vmf).await;
        cpu.set_pte_at(mm, address, ptep, entry).await;
    } else {
        cpu.set_pte_at(mm, address, ptep, entry).await;
        // What set_up() does with the flags needs no step only as long as nobody finds the page.
        set_flags_unlocked(cpu, page, PageFlags::SWAPBACKED).await;
        set_up(cpu, page, vmf).await;
    }
    Ok(VmFault::default())
}
