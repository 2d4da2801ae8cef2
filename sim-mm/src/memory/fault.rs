//! Page faults: `handle_mm_fault()` and what it calls.

use bitflags::bitflags;
use sim_core::{BoxFuture, Held, ReadHeld, Routine, SpinLock};
use sim_mmu::{Entry, VirtAddr};

use super::tables::{p4d_offset, pmd_alloc, pte_alloc, pud_alloc};
use crate::arch::tlb::flush_tlb_page;
use crate::check;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::page::{get_page, page_count, page_mapcount, put_page, test_and_set_flags, unlock_page};
use crate::page_alloc::{alloc_page, alloc_zeroed_user_highpage_movable, copy_user_highpage};
use crate::page_flags::PageFlags;
use crate::pgtable::{Pmdp, Pte, Ptep};
use crate::rmap::{page_add_new_anon_rmap, page_move_anon_rmap, page_remove_rmap};
use crate::safeguards::{ANON_FAULT_RECHECK, COW_REUSE_COUNTS, WP_FAULT_RECHECK, WP_FLUSH};
use crate::settings::CowReuse;
use crate::vm_flags::VmFlags;

bitflags! {
    /// `FAULT_FLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FaultFlags: u32 {
        /// `FAULT_FLAG_WRITE`: the access is a write.
        const WRITE = 0x01;
    }
}

/// What a fault that could be handled did: `vm_fault_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmFault {
    /// `VM_FAULT_WRITE`: COW is broken, if the entry is writable or not.
    pub write: bool,
}

/// Why a fault could not be handled: `VM_FAULT_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmFaultError {
    /// `VM_FAULT_OOM`.
    Oom,
}

impl From<Errno> for VmFaultError {
    /// Making a table fails only for want of memory.
    fn from(_: Errno) -> VmFaultError {
        VmFaultError::Oom
    }
}

/// How [`handle_mm_fault`] ended. It is given `mmap_lock` and may have to let go of it, so the caller has
/// the lock again only where the answer says so.
#[must_use]
pub enum MmFault<'m> {
    /// The fault is handled; the lock is still held.
    Done(VmFault, ReadHeld<'m>),
    /// It could not be handled; the lock is still held.
    Failed(VmFaultError, ReadHeld<'m>),
    /// `VM_FAULT_RETRY`: the lock was dropped, and all that was found under it may be gone.
    Retry,
}

/// `struct vm_fault`.
#[derive(Clone, Copy)]
struct Fault<'m> {
    mm: &'m MmStruct,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
    pmdp: Pmdp,
}

/// A PTE under its lock.
struct Locked<'m> {
    ptep: Ptep,
    ptl: Held<'m>,
}

/// `handle_mm_fault()`: makes the page present, and writable if that is asked and allowed.
pub fn handle_mm_fault<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    mmap_lock: ReadHeld<'m>,
    vma: Vma,
    address: VirtAddr,
    flags: FaultFlags,
) -> BoxFuture<'m, MmFault<'m>> {
    Box::pin(async move {
        let _routine = cpu.enter("handle_mm_fault");
        match __handle_mm_fault(cpu, mm, vma, address, flags).await {
            Ok(done) => MmFault::Done(done, mmap_lock),
            Err(error) => MmFault::Failed(error, mmap_lock),
        }
    })
}

/// `__handle_mm_fault()`: the tables above the PTE. Anonymous memory is never waited for, so nothing here
/// lets go of `mmap_lock`.
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
    let pmdp = pmd_alloc(cpu, mm, pudp, address).await?;
    let done = handle_pte_fault(cpu, Fault { mm, vma, address, flags, pmdp }).await?;
    // mm_account_fault(): faults that failed are not counted.
    cpu.kernel.min_flt.set(cpu.kernel.min_flt.get() + 1);
    Ok(done)
}

impl<'m> Fault<'m> {
    /// The lock of the page table in `pmd`: `pte_lockptr()`.
    fn lockptr(&self, cpu: Cpu<'m>, ptep: Ptep) -> SpinLock {
        cpu.kernel.ptl(ptep.table())
    }

    /// `pte_offset_map_lock()`.
    async fn lock(&self, cpu: Cpu<'m>, ptep: Ptep) -> Locked<'m> {
        let ptl = cpu.lock(self.lockptr(cpu, ptep)).await;
        Locked { ptep, ptl }
    }
}

/// `handle_pte_fault()`.
async fn handle_pte_fault<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    let pmd = cpu.read_once(vmf.pmdp).await;
    if pmd.none() {
        return do_anonymous_page(cpu, vmf).await;
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, vmf.address);
    let orig = cpu.read_once(ptep).await;
    if orig.none() {
        return do_anonymous_page(cpu, vmf).await;
    }
    let locked = vmf.lock(cpu, ptep).await;
    if cpu.read_once(ptep).await != orig {
        return Ok(VmFault::default());
    }
    if vmf.flags.contains(FaultFlags::WRITE) && !orig.write() {
        return do_wp_page(cpu, vmf, locked, orig).await;
    }
    // A spurious fault: the entry allows the access. The fault itself dropped the stale translation.
    let young = Entry::ACCESSED | if vmf.flags.contains(FaultFlags::WRITE) { Entry::DIRTY } else { 0 };
    if !orig.entry.has(young) {
        cpu.update_pte(vmf.mm, vmf.address, ptep, move |entry| entry.with(young)).await;
    }
    Ok(VmFault::default())
}

/// `do_anonymous_page()`: the first touch of a page. Reading maps the zero page.
async fn do_anonymous_page<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_anonymous_page");
    let Fault { mm, vma, address, .. } = vmf;
    let pmd = pte_alloc(cpu, mm, vmf.pmdp).await?;
    let ptep = pmd.pte_offset(cpu.mmu.geometry, address);
    if !vmf.flags.contains(FaultFlags::WRITE) {
        let entry = Pte::make(cpu.kernel.zero_page.0).with(Entry::SPECIAL);
        let _locked = vmf.lock(cpu, ptep).await;
        if cpu.read_once(ptep).await.none() {
            cpu.set_pte_at(mm, address, ptep, entry).await;
        }
        return Ok(VmFault::default());
    }
    let page = alloc_zeroed_user_highpage_movable(cpu).await.ok_or(VmFaultError::Oom)?;
    let mut entry = Pte::make(page.0);
    if vma.flags(cpu).contains(VmFlags::WRITE) {
        entry = entry.with(Entry::DIRTY | Entry::RW);
    }
    let locked = vmf.lock(cpu, ptep).await;
    if check!(cpu, ANON_FAULT_RECHECK, !cpu.read_once(ptep).await.none()) {
        drop(locked);
        put_page(cpu, page).await;
        return Ok(VmFault::default());
    }
    page_add_new_anon_rmap(cpu, page).await;
    cpu.set_pte_at(mm, address, ptep, entry).await;
    Ok(VmFault::default())
}

/// `do_wp_page()`: a write to a page that is mapped read-only. Reuses the page if nobody else can
/// see it, by the rule of the kernel's design; else copies it.
async fn do_wp_page<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    locked: Locked<'m>,
    orig: Pte,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("do_wp_page");
    if orig.special() {
        let ptep = locked.ptep;
        drop(locked);
        return wp_page_copy(cpu, vmf, ptep, orig, None).await;
    }
    let page = Page(orig.pfn());
    cpu.consulted(COW_REUSE_COUNTS);
    let reuse = match cpu.setting::<CowReuse>() {
        CowReuse::Mapcount => reuse_by_mapcount(cpu, page).await,
        CowReuse::Refcount => reuse_by_refcount(cpu, page).await,
        CowReuse::Exclusive => reuse_by_exclusive(cpu, page).await,
    };
    if reuse {
        wp_page_reuse(cpu, vmf, &locked).await;
        return Ok(VmFault { write: true });
    }
    get_page(cpu, page).await;
    let ptep = locked.ptep;
    drop(locked);
    wp_page_copy(cpu, vmf, ptep, orig, Some(page)).await
}

/// `reuse_swap_page()`, before v5.9: the page is mapped once. Whoever holds it otherwise is not asked.
async fn reuse_by_mapcount(cpu: Cpu<'_>, page: Page) -> bool {
    let _routine = cpu.enter("reuse_swap_page");
    if !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return false;
    }
    let mapcount = page_mapcount(cpu, page).await;
    if mapcount <= 1 {
        page_move_anon_rmap(cpu, page).await;
    }
    unlock_page(cpu, page).await;
    mapcount <= 1
}

/// v5.9 to v5.18 (`09854ba94c6a`): this mapping holds the only reference.
async fn reuse_by_refcount(cpu: Cpu<'_>, page: Page) -> bool {
    if page_count(cpu, page).await != 1 || !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return false;
    }
    let alone = page_mapcount(cpu, page).await == 1 && page_count(cpu, page).await == 1;
    unlock_page(cpu, page).await;
    alone
}

/// Since v5.19 (`6c287605fd56`): the page is marked as this address space's own, or becomes so
/// because nobody else holds a reference.
async fn reuse_by_exclusive(cpu: Cpu<'_>, page: Page) -> bool {
    let flags = cpu.load(cpu.kernel.page_flags(page)).await;
    if flags.contains(PageFlags::ANON_EXCLUSIVE) {
        return true;
    }
    if page_count(cpu, page).await > 1 || !test_and_set_flags(cpu, page, PageFlags::LOCKED).await {
        return false;
    }
    let alone = page_count(cpu, page).await == 1;
    if alone {
        page_move_anon_rmap(cpu, page).await;
    }
    unlock_page(cpu, page).await;
    alone
}

/// `wp_page_reuse()`: makes the entry writable, as far as the mapping allows.
async fn wp_page_reuse<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, locked: &Locked<'m>) {
    let _routine = cpu.enter("wp_page_reuse");
    let flags = Entry::ACCESSED | Entry::DIRTY | maybe_mkwrite(cpu, vmf.vma);
    cpu.update_pte(vmf.mm, vmf.address, locked.ptep, move |entry| entry.with(flags)).await;
}

/// `maybe_mkwrite()`.
fn maybe_mkwrite(cpu: Cpu<'_>, vma: Vma) -> u64 {
    if vma.flags(cpu).contains(VmFlags::WRITE) { Entry::RW } else { 0 }
}

/// `wp_page_copy()`: maps a copy, if the entry is still the one that was copied from. `old` carries a
/// reference of its own, taken under the PTE lock; `None` is the zero page.
async fn wp_page_copy<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    ptep: Ptep,
    orig: Pte,
    old: Option<Page>,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("wp_page_copy");
    let Fault { mm, vma, address, .. } = vmf;
    let new = match old {
        None => alloc_zeroed_user_highpage_movable(cpu).await,
        Some(_) => alloc_page(cpu).await,
    };
    let Some(new) = new else {
        if let Some(old) = old {
            put_page(cpu, old).await;
        }
        return Err(VmFaultError::Oom);
    };
    if let Some(old) = old {
        copy_user_highpage(cpu, new, old).await;
    }
    let locked = vmf.lock(cpu, ptep).await;
    let same = !check!(cpu, WP_FAULT_RECHECK, cpu.read_once(ptep).await != orig);
    if same {
        let entry = Pte::make(new.0).with(Entry::DIRTY | maybe_mkwrite(cpu, vma));
        ptep_clear_flush(cpu, mm, address, ptep).await;
        page_add_new_anon_rmap(cpu, new).await;
        cpu.set_pte_at(mm, address, ptep, entry).await;
        if let Some(old) = old {
            page_remove_rmap(cpu, old).await;
        }
    }
    drop(locked.ptl);
    // The reference of the entry that is gone, or of the copy that nobody needs.
    let unneeded = if same { old } else { Some(new) };
    if let Some(page) = unneeded {
        put_page(cpu, page).await;
    }
    if let Some(old) = old {
        put_page(cpu, old).await;
    }
    Ok(VmFault { write: same })
}

/// `ptep_clear_flush()`: no CPU uses the old translation when this returns.
async fn ptep_clear_flush<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, address: VirtAddr, ptep: Ptep) {
    let _routine = cpu.enter(Routine::helper("ptep_clear_flush"));
    cpu.update_pte(mm, address, ptep, |_| Entry::NONE).await;
    if cpu.has(WP_FLUSH) {
        flush_tlb_page(cpu, mm, address).await;
    }
}
