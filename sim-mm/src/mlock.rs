//! `mm/mlock.c`: mappings whose pages stay in memory.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::entries::entries;
use crate::errno::Errno;
use crate::folio::folio_nr_pages;
use crate::folio_batch::folio_pte_batch;
use crate::huge_memory::{is_huge_zero_pmd, pmd_trans_huge_lock, vma_adjust_trans_huge};
use crate::inode::vma_is_dax;
use crate::kernel::Cpu;
use crate::mlocked::marks_mlocked;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::munlock::munlock_vma_pages_range;
use crate::pagewalk::{WalkAction, walk_page_range};
use crate::pgtable::{Pte, Ptep};
use crate::secretmem::vma_is_secretmem;
use crate::settings::{LruBatch, MlockLarge};
use crate::swap::{lru_add_drain, mlock_folio, munlock_folio};
use crate::vm_flags::VmFlags;
use crate::vma::{Stopped, VmaTree, change_vmas, i_mmap_lock_write_all, mmap_write_lock, vma_modify_flags};

/// When pages are locked that are not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// At once: they are faulted in.
    Now,
    /// `MLOCK_ONFAULT`: when they are touched.
    OnFault,
}

impl Lock {
    fn flags(self) -> VmFlags {
        match self {
            Lock::Now => VmFlags::LOCKED,
            Lock::OnFault => VmFlags::LOCKED_MASK,
        }
    }
}

/// `mlock()`, `mlock2()`: pages `start` up to `end` stay in memory.
///
/// # Errors
/// `ENOMEM` where nothing is mapped, or where pages cannot be faulted in; `EAGAIN` if no frame is free; `EINVAL` for a
/// range that wraps.
pub fn sys_mlock(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr, lock: Lock) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_mlock"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        apply_vma_lock_flags(cpu, mm, start, end, lock.flags()).await?;
        let populated = (cpu.kernel.gup.mm_populate)(cpu, mm, start.page_base(), end.page_align(), false);
        // __mlock_posix_error_return()
        populated.await.map_err(|errno| match errno {
            Errno::Efault => Errno::Enomem,
            Errno::Enomem => Errno::Eagain,
            other => other,
        })
    })
}

/// `munlock()`.
///
/// # Errors
/// `ENOMEM` where nothing is mapped, `EINVAL` for a range that wraps.
pub fn sys_munlock(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("munlock"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        apply_vma_lock_flags(cpu, mm, start, end, VmFlags::empty()).await
    })
}

/// `apply_vma_lock_flags()`: what comes before a hole is changed.
async fn apply_vma_lock_flags<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
    flags: VmFlags,
) -> Result<(), Errno> {
    let (start, end) = (start.page_base(), end.page_align());
    if end < start {
        return Err(Errno::Einval);
    }
    let _mmap_lock = mmap_write_lock(cpu, mm).await;
    let mut at = start;
    while at < end {
        let i_mmap = i_mmap_lock_write_all(cpu, mm, |vma| vma.contains(cpu, at)).await;
        // Before the mapping is split: who comes to a huge page by its mappings must not find two of them.
        let vma = mm.vmas.look(cpu.core).iter().copied().find(|vma| vma.contains(cpu, at));
        if let Some(vma) = vma.filter(|vma| new_flags(cpu, *vma, flags).is_some()) {
            vma_adjust_trans_huge(cpu, mm, [at, end.min(vma.end(cpu))]).await;
        }
        let (to, fixed) = change_vmas(cpu, mm, |vmas| mlock_fixup(cpu, mm, vmas, at, end, flags)).await?;
        drop(i_mmap);
        if let Fixup::Locks(locks) = fixed {
            mlock_vma_pages_range(cpu, mm, at, to, locks).await;
        }
        at = to;
    }
    Ok(())
}

/// The flags that a mapping gets; `None` if it keeps those that it has. Special mappings, huge pages of the pool and pages of a device are in memory as it is, and are not locked. Secret
/// memory stays locked.
fn new_flags(cpu: Cpu<'_>, vma: Vma, flags: VmFlags) -> Option<VmFlags> {
    let old = vma.flags(cpu);
    let new = (old - VmFlags::LOCKED_MASK) | flags;
    let stays = new == old
        || old.intersects(VmFlags::SPECIAL | VmFlags::HUGETLB)
        || vma_is_dax(cpu, vma)
        || vma_is_secretmem(cpu, vma);
    (!stays).then_some(new)
}

/// `mlock_vma_pages_range()`: the pages that are there.
async fn mlock_vma_pages_range<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, start: VirtAddr, end: VirtAddr, locks: bool) {
    if marks_mlocked(cpu) {
        // Whoever faults them in locks them, when mmap_lock has been let go of.
        if !locks {
            munlock_vma_pages_range(cpu, mm, start, end).await;
        }
        return;
    }
    if cpu.setting::<LruBatch>() == LruBatch::Off {
        return;
    }
    lru_add_drain(cpu).await;
    let huge_entry = async |pmdp, _, _| {
        if let Some((_ptl, pmd)) = pmd_trans_huge_lock(cpu, pmdp).await
            && pmd.trans_huge()
            && !is_huge_zero_pmd(cpu, pmd)
        {
            mlock_or_munlock(cpu, Page(pmd.pfn()), locks).await;
        }
        WalkAction::Continue
    };
    walk_page_range(cpu, mm, start, end, huge_entry, async |ptep, start, end| {
        let mut behind = start;
        for (ptep, addr, _) in entries(cpu.mmu.geometry, ptep, start, end) {
            let pte = cpu.read_once(ptep).await;
            if addr < behind || !pte.present() || pte.special() {
                continue;
            }
            let page = Page(pte.pfn());
            let (pages, whole) = folio_mlock_step(cpu, (ptep, addr, end), pte).await;
            behind = addr.plus_pages(pages);
            // allow_mlock_munlock(): a folio of which a part is not in the mapping can be reclaimed in part.
            if whole || !locks {
                mlock_or_munlock(cpu, page, locks).await;
            }
        }
    })
    .await;
    lru_add_drain(cpu).await;
}

/// `folio_mlock_step()`: how many entries in a row map pages of a folio in a row, and whether they map all of it. Before v6.7
/// (`dc68badcede4`) each page is taken by itself.
async fn folio_mlock_step(cpu: Cpu<'_>, at: (Ptep, VirtAddr, VirtAddr), pte: Pte) -> (u64, bool) {
    let head = cpu.kernel.folio_of(Page(pte.pfn()));
    let pages = folio_nr_pages(cpu, head);
    if pages == 1 || cpu.setting::<MlockLarge>() == MlockLarge::Pages {
        return (1, true);
    }
    let step = Box::pin(folio_pte_batch(cpu, at, pte, head)).await;
    (step, step == pages)
}

async fn mlock_or_munlock(cpu: Cpu<'_>, page: Page, locks: bool) {
    if locks {
        mlock_folio(cpu, page).await;
    } else {
        munlock_folio(cpu, page).await;
    }
}

/// What has become of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fixup {
    /// It has the flags already, or cannot be locked. It is not split either.
    Same,
    /// Its flags have changed, and its pages are locked as before.
    Flags,
    /// Its pages are locked from now on, or not any more.
    Locks(bool),
}

/// `mlock_fixup()`: the mapping at `at` is locked or unlocked up to `end`, or up to its own end, which is answered.
fn mlock_fixup(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    at: VirtAddr,
    end: VirtAddr,
    flags: VmFlags,
) -> Result<(VirtAddr, Fixup), Stopped> {
    let index = vmas.iter().position(|vma| vma.contains(cpu, at)).ok_or(Errno::Enomem)?;
    let vma = vmas[index];
    let end = end.min(vma.end(cpu));
    let old = vma.flags(cpu);
    let Some(new) = new_flags(cpu, vma, flags) else { return Ok((end, Fixup::Same)) };
    vma_modify_flags(cpu, mm, vmas, index, (at, end), new)?;
    let locks = new.contains(VmFlags::LOCKED);
    let has_changed = locks != old.contains(VmFlags::LOCKED);
    Ok((end, if has_changed { Fixup::Locks(locks) } else { Fixup::Flags }))
}
