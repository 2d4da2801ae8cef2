//! The two steps of a merge: the page cannot be written any more, and then another takes its place.

use sim_mmu::{Entry, VirtAddr};

use crate::check;
use crate::event::Event;
use crate::kernel::Cpu;
use crate::memory::ptep_clear_flush;
use crate::mm_types::{MmStruct, Page, Vma};
use crate::mmu_notifier::{mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start};
use crate::page::{get_page, page_count, put_page};
use crate::page_flags::PageFlags;
use crate::page_tags::set_page_dirty;
use crate::page_vma_mapped::{Find, Mapped, PageVmaMappedWalk, Run};
use crate::pgtable::{Pte, vm_get_page_prot};
use crate::rmap::{
    page_add_file_rmap, page_anon_exclusive, page_mapped, page_remove_rmap, page_try_share_anon_rmap,
};
use crate::safeguards::{KSM_COUNT_AFTER_PROTECT, KSM_FLUSH_IF_PENDING};
use crate::settings::CowReuse;
use crate::swap::{mlock_vma_folio, munlock_vma_folio};
use crate::swapfile::try_to_free_swap;

/// `write_protect_page()`: the entry of a page that is locked allows no write, and no CPU can write by it any more. Answers the entry. `None` if the
/// page is not mapped there, or somebody holds a reference by which he may write.
pub(super) async fn write_protect_page<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    address: VirtAddr,
    page: Page,
) -> Option<Entry> {
    let _routine = cpu.enter("write_protect_page");
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (address, address.plus_pages(1))).await;
    let mut walk = PageVmaMappedWalk::new(Run { mm, page, pages: 1, address }, Find::Mapping);
    let protected = match walk.next(cpu).await {
        Some(mapped) => write_protect(cpu, mapped).await,
        None => None,
    };
    drop(walk);
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    protected
}

/// The part of it under the PTE lock.
async fn write_protect(cpu: Cpu<'_>, mapped: Mapped<'_>) -> Option<Entry> {
    let Mapped { mm, page, address, ptep, pte } = mapped;
    let exclusive = cpu.setting::<CowReuse>() == CowReuse::Exclusive && page_anon_exclusive(cpu, page).await;
    // An entry that allows no write may have been made so just now, by somebody who has not flushed it yet.
    let is_pending = async || cpu.load(mm.tlb_flush_pending()).await > 0;
    let may_be_written = pte.write() || pte.entry.has(Entry::DIRTY) || exclusive;
    if !may_be_written && !check!(cpu, KSM_FLUSH_IF_PENDING, is_pending().await) {
        return Some(pte.entry);
    }
    let is_held = async || {
        let swapped = cpu.load(cpu.kernel.page_flags(page)).await.contains(PageFlags::SWAPCACHE);
        let mapcount = cpu.load(cpu.kernel.mapcount(page)).await;
        mapcount + 1 + u64::from(swapped) != page_count(cpu, page).await
    };
    // Lockless GUP takes references while the entry is there. So they are counted when it is gone, and flushed.
    let counts_late = cpu.has(KSM_COUNT_AFTER_PROTECT);
    if !counts_late && is_held().await {
        return None;
    }
    let old = ptep_clear_flush(cpu, mm, address, ptep).await;
    let held = counts_late && is_held().await;
    if held || exclusive && !page_try_share_anon_rmap(cpu, page).await {
        cpu.set_pte_at(mm, address, ptep, old.entry).await;
        return None;
    }
    if old.entry.has(Entry::DIRTY) {
        set_page_dirty(cpu, page).await;
    }
    let entry = old.entry.without(Entry::RW | Entry::DIRTY);
    cpu.set_pte_at(mm, address, ptep, entry).await;
    Some(entry)
}

/// `replace_page()`: maps a merged page in place of a page that holds the same. False if the entry is not what it was when it was protected.
pub(super) async fn replace_page<'m>(
    cpu: Cpu<'m>,
    (mm, vma): (&'m MmStruct, Vma),
    address: VirtAddr,
    (page, kpage): (Page, Page),
    orig: Entry,
) -> bool {
    let _routine = cpu.enter("replace_page");
    let range = mmu_notifier_invalidate_range_start(cpu, mm, (address, address.plus_pages(1))).await;
    let mut walk = PageVmaMappedWalk::new(Run { mm, page, pages: 1, address }, Find::MappingInSync);
    let mapped = walk.next(cpu).await;
    // Who has written meanwhile has got a copy, and that is another page. Other changes of the entry are left to the next time.
    let replaced = match mapped.filter(|mapped| mapped.pte.entry == orig) {
        None => false,
        Some(Mapped { ptep, .. }) => {
            get_page(cpu, kpage).await;
            page_add_file_rmap(cpu, kpage, mm.id).await;
            mlock_vma_folio(cpu, kpage, vma).await;
            ptep_clear_flush(cpu, mm, address, ptep).await;
            let entry = Pte::make(kpage.0, vm_get_page_prot(vma.flags(cpu))).without(Entry::RW);
            cpu.set_pte_at(mm, address, ptep, entry).await;
            cpu.note(Event::PageMerged { mm: mm.id, va: address, from: page.0, to: kpage.0 });
            page_remove_rmap(cpu, page, mm.id).await;
            munlock_vma_folio(cpu, page, vma).await;
            if cpu.has_swap() && !page_mapped(cpu, page).await {
                Box::pin(try_to_free_swap(cpu, page)).await;
            }
            true
        }
    };
    drop(walk);
    mmu_notifier_invalidate_range_end(cpu, mm, range).await;
    if replaced {
        put_page(cpu, page).await;
    }
    replaced
}
