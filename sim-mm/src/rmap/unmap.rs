//! `try_to_unmap()`: a page is mapped nowhere any more.

use crate::arch::tlb::flush_tlb_page;
use crate::check;
use crate::event::Event;
use crate::folio::page_is_anon;
use crate::huge_memory::{Small, split_huge_pmd_address};
use crate::hwpoison::page_hwpoison;
use crate::kernel::Cpu;
use crate::mm_inline::{keeps_uffd_wp, pte_install_uffd_wp_if_needed};
use crate::mm_types::{Page, Vma};
use crate::page::{page_count, put_page};
use crate::page_flags::PageFlags;
use crate::page_tags::set_page_dirty;
use crate::page_vma_mapped::{Find, Mapped, PageVmaMappedWalk};
use crate::pgtable::Pte;
use crate::pgtable_set::ptep_get_and_clear;
use crate::safeguards::{LAZYFREE_CHECK_REFCOUNT, LAZYFREE_REF_THEN_DIRTY};
use crate::settings::{CowReuse, HwpoisonUnmap};
use crate::swapfile::{page_swap_entry, swap_duplicate, swap_free};
use crate::swapops::{HwpoisonEntry, pte_swp_mkexclusive, pte_swp_with_marks_of};
use crate::tlb_types::TlbUbc;
use crate::vm_flags::VmFlags;

use super::batch::{set_tlb_ubc_flush_pending, should_defer_flush};
use super::large_mapcount::total_mapcount;
use super::walk::{Place, RmapLock, invalidating, rmap_walk};
use super::{page_anon_exclusive, page_remove_rmap, page_try_share_anon_rmap};

/// What becomes of a page that a locked mapping maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mlocked {
    /// It stays mapped.
    Stays,
    /// `TTU_IGNORE_MLOCK`: it is unmapped like any other, since its file keeps what it holds.
    Ignored,
}

/// What becomes of the entries of a page whose memory is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The caller does not care: before v6.3 they say so, if the page is marked as broken.
    ByFlag,
    /// `TTU_HWPOISON`, since v6.3: they say so.
    Left,
    /// `TTU_IGNORE_HWPOISON`: they become what those of other pages become.
    Ignored,
}

/// `enum ttu_flags`: how a page is unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ttu {
    mlocked: Mlocked,
    poison: Poison,
    /// `TTU_BATCH_FLUSH`: the caller flushes later, if he may.
    batches: bool,
}

impl Ttu {
    /// As reclaim, and whoever splits a folio, unmap a page.
    pub(crate) const fn batched(mlocked: Mlocked) -> Ttu {
        Ttu { mlocked, poison: Poison::ByFlag, batches: true }
    }

    /// As `memory_failure()` does.
    pub(crate) const fn memory_failure(poison: Poison) -> Ttu {
        Ttu { mlocked: Mlocked::Ignored, poison, batches: false }
    }

    /// Whether the entry of a page is to say that its memory is broken.
    async fn leaves_poison(self, cpu: Cpu<'_>, page: Page) -> bool {
        match self.poison {
            Poison::Left => true,
            Poison::Ignored => false,
            Poison::ByFlag => {
                cpu.setting::<HwpoisonUnmap>() == HwpoisonUnmap::ByFlag && page_hwpoison(cpu, page).await
            }
        }
    }
}

/// `try_to_unmap()` of a page that is locked: each entry that maps it becomes empty, or names the page's
/// slot of the swap area. Stops where that cannot be; then the page is mapped still.
pub(crate) async fn try_to_unmap<'m>(cpu: Cpu<'m>, page: Page, lock: RmapLock, ttu: Ttu, ubc: &mut TlbUbc) {
    let _routine = cpu.enter("try_to_unmap");
    let one = async |place| invalidating(cpu, place, try_to_unmap_one(cpu, page, place, ttu, ubc)).await;
    rmap_walk(cpu, page, lock, one).await;
}

/// `try_to_unmap_one()`: false if the page cannot be unmapped there.
async fn try_to_unmap_one<'m>(cpu: Cpu<'m>, page: Page, place: Place<'m>, ttu: Ttu, ubc: &mut TlbUbc) -> bool {
    let _routine = cpu.enter("try_to_unmap_one");
    let Place { vma, run } = place;
    let is_locked = ttu.mlocked == Mlocked::Stays && vma.flags(cpu).contains(VmFlags::LOCKED);
    // Of a large folio whoever is just unmapping a page is waited for: TTU_SYNC, since v5.13.
    let is_large = run.pages > 1;
    if is_large && !is_locked {
        // TTU_SPLIT_HUGE_PMD
        split_huge_pmd_address(cpu, vma, run.mm, run.address, page, Small::Mapping).await;
    }
    let mut walk = PageVmaMappedWalk::new(run, if is_large { Find::MappingInSync } else { Find::Mapping });
    while let Some(mapped) = walk.next(cpu).await {
        if is_locked || !unmap_pte(cpu, vma, mapped, ttu, ubc).await {
            return false;
        }
    }
    true
}

/// The body of `try_to_unmap_one()`: one entry.
async fn unmap_pte<'m>(cpu: Cpu<'m>, vma: Vma, mapped: Mapped<'m>, ttu: Ttu, ubc: &mut TlbUbc) -> bool {
    let Mapped { mm, page, address, .. } = mapped;
    let is_anon = page_is_anon(cpu, page);
    let exclusive =
        is_anon && cpu.setting::<CowReuse>() == CowReuse::Exclusive && page_anon_exclusive(cpu, page).await;
    let pteval = if ttu.batches && should_defer_flush(cpu, mm).await {
        let pteval = ptep_get_and_clear(cpu, mm, address, mapped.ptep, mapped.pte).await;
        set_tlb_ubc_flush_pending(cpu, ubc, mm, address, pteval.dirty()).await;
        pteval
    } else {
        let pteval = ptep_get_and_clear(cpu, mm, address, mapped.ptep, mapped.pte).await;
        flush_tlb_page(cpu, mm, address).await;
        pteval
    };
    if pteval.uffd_wp() && !is_anon && keeps_uffd_wp(cpu, vma) {
        pte_install_uffd_wp_if_needed(cpu, mm, address, mapped.ptep).await;
    }
    // The entry that knew it is gone.
    if pteval.dirty() {
        set_page_dirty(cpu, page).await;
    }
    if ttu.leaves_poison(cpu, page).await {
        cpu.set_pte_at(mm, address, mapped.ptep, HwpoisonEntry(page.0).to_pte()).await;
    } else if is_anon {
        let flags = cpu.load(cpu.kernel.page_flags(page)).await;
        if flags.contains(PageFlags::SWAPBACKED) != flags.contains(PageFlags::SWAPCACHE) {
            cpu.note(Event::KernelBug {
                what: "WARN_ON_ONCE(folio_test_swapbacked(folio) != folio_test_swapcache(folio))",
            });
            remap(cpu, &mapped, pteval).await;
            return false;
        }
        let gone = if flags.contains(PageFlags::SWAPBACKED) {
            to_swap(cpu, page, (&mapped, pteval), exclusive).await
        } else {
            may_be_discarded(cpu, page).await
        };
        if !gone {
            remap(cpu, &mapped, pteval).await;
            return false;
        }
    }
    page_remove_rmap(cpu, page, mm.id).await;
    put_page(cpu, page).await;
    true
}

/// The entry as it was.
async fn remap<'m>(cpu: Cpu<'m>, mapped: &Mapped<'m>, pteval: Pte) {
    cpu.set_pte_at(mapped.mm, mapped.address, mapped.ptep, pteval.entry).await;
}

/// The entry names the page's slot from now on. False if the page is pinned, so that it must not become shared.
async fn to_swap<'m>(cpu: Cpu<'m>, page: Page, (mapped, pteval): (&Mapped<'m>, Pte), exclusive: bool) -> bool {
    let Some(entry) = page_swap_entry(cpu, page) else { return false };
    if !swap_duplicate(cpu, entry).await {
        return false;
    }
    if exclusive && !page_try_share_anon_rmap(cpu, page).await {
        swap_free(cpu, entry).await;
        return false;
    }
    let swp_pte = pte_swp_with_marks_of(entry.to_pte(), pteval.entry);
    let swp_pte = if exclusive { pte_swp_mkexclusive(swp_pte) } else { swp_pte };
    cpu.set_pte_at(mapped.mm, mapped.address, mapped.ptep, swp_pte).await;
    true
}

/// Whether a page that `MADV_FREE` gave up may go without being written: nobody has written to it since, and nobody who has a reference
/// may do so.
///
/// The entry was cleared before. A lockless pin takes its reference before it looks at the entry again, and who writes through a reference
/// makes the page dirty before he puts it. So the count is read first, and the dirty flag behind it.
async fn may_be_discarded(cpu: Cpu<'_>, page: Page) -> bool {
    let head = cpu.kernel.folio_of(page);
    let early = if cpu.has(LAZYFREE_REF_THEN_DIRTY) { None } else { Some(is_dirty(cpu, page).await) };
    let held =
        check!(cpu, LAZYFREE_CHECK_REFCOUNT, page_count(cpu, head).await != 1 + total_mapcount(cpu, head).await);
    let dirty = match early {
        Some(dirty) => dirty,
        None => is_dirty(cpu, page).await,
    };
    if dirty {
        // It was written since, and has to be kept after all.
        cpu.rmw(cpu.kernel.page_flags(page), |flags| flags | PageFlags::SWAPBACKED).await;
    }
    !dirty && !held
}

async fn is_dirty(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::DIRTY)
}

/// `page_mapped()`.
pub(crate) async fn page_mapped(cpu: Cpu<'_>, page: Page) -> bool {
    total_mapcount(cpu, page).await != 0
}
