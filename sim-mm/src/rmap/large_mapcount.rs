//! The mappings of a large folio, counted altogether and by address space: `include/linux/rmap.h`.

use sim_core::{Op, OpKind};

use crate::folio::{folio_entire_mapcount, folio_mapcount, folio_nr_pages, page_is_anon, page_mapcount};
use crate::kernel::Cpu;
use crate::mm_types::{MmId, Page};
use crate::page::page_count;
use crate::settings::{DeferredSplit, LargeMapcount};

/// `_mm_id` and `_mm_id_mapcount`: two address spaces, and how many entries of each map the folio. Entries of further address spaces are
/// counted altogether only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MmIds {
    slots: [Option<(MmId, u64)>; 2],
    /// `FOLIO_MM_IDS_SHARED_BIT`: more than one address space may map the folio. It may be set where that is over.
    shared: bool,
}

const SHARED: u64 = 1 << 32;

impl MmIds {
    fn read(cpu: Cpu<'_>, head: Page) -> MmIds {
        let words = cpu.kernel.page(head);
        let (ids, counts) = (cpu.this_cpu_read(words.mm_ids()), cpu.this_cpu_read(words.mm_id_mapcounts()));
        let slot =
            |nth: u32| Some((MmId::from_word(ids >> (16 * nth) & 0xffff)?, counts >> (32 * nth) & 0xffff_ffff));
        MmIds { slots: [slot(0), slot(1)], shared: ids & SHARED != 0 }
    }

    fn write(self, cpu: Cpu<'_>, head: Page) {
        let words = cpu.kernel.page(head);
        let id = |nth: usize| MmId::into_word(self.slots[nth].map(|(mm, _)| mm));
        let count = |nth: usize| self.slots[nth].map_or(0, |(_, count)| count);
        let shared = if self.shared { SHARED } else { 0 };
        cpu.this_cpu_write(words.mm_ids(), id(0) | id(1) << 16 | shared);
        cpu.this_cpu_write(words.mm_id_mapcounts(), count(0) | count(1) << 32);
    }

    /// `folio_add_return_large_mapcount()`: `mm` maps the folio `diff` times more, so that it is mapped `total` times.
    fn add(&mut self, mm: MmId, diff: u64, total: u64) {
        if let Some((_, count)) = self.slots.iter_mut().flatten().find(|(known, _)| *known == mm) {
            *count += diff;
        } else if let Some(free) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *free = Some((mm, diff));
        }
        let alone = self.slots.iter().flatten().any(|(known, count)| *known == mm && *count == total);
        self.shared |= !alone;
    }

    /// `folio_sub_return_large_mapcount()`: the folio is shared no more if one of the two address spaces has all entries that are left.
    fn sub(&mut self, mm: MmId, diff: u64, total: u64) {
        for slot in &mut self.slots {
            if let Some((known, count)) = slot
                && *known == mm
            {
                *count -= diff.min(*count);
                if *count == 0 {
                    *slot = None;
                }
            }
        }
        if self.slots.iter().flatten().any(|(_, count)| *count == total) {
            self.shared = false;
        }
    }
}

/// Changes the counts in one step: `folio_lock_large_mapcount()` is held over all of it.
#[track_caller]
fn change<'m>(
    cpu: Cpu<'m>,
    head: Page,
    update: impl Fn(&mut MmIds, u64) -> u64 + Unpin,
) -> impl Future<Output = ()> {
    let op = Op::new(OpKind::Rmw, cpu.kernel.page(head).large_mapcount().loc());
    cpu.step(op, move |hw| {
        let old = hw.core.memory.get(op.loc);
        let mut ids = MmIds::read(cpu, head);
        let new = update(&mut ids, old);
        ids.write(cpu, head);
        hw.perform_rmw(&op, old, new);
    })
}

/// `folio_add_large_mapcount()`: entries of an address space map so much more of a large folio.
pub(super) async fn folio_add_large_mapcount(cpu: Cpu<'_>, head: Page, mm: MmId, diff: u64) {
    if cpu.setting::<LargeMapcount>() != LargeMapcount::Pages {
        change(cpu, head, move |ids, old| {
            ids.add(mm, diff, old + diff);
            old + diff
        })
        .await;
    }
}

/// `folio_sub_large_mapcount()`.
pub(super) async fn folio_sub_large_mapcount(cpu: Cpu<'_>, head: Page, mm: MmId, diff: u64) {
    if cpu.setting::<LargeMapcount>() != LargeMapcount::Pages {
        change(cpu, head, move |ids, old| {
            let new = old.saturating_sub(diff);
            ids.sub(mm, diff, new);
            new
        })
        .await;
    }
}

/// `folio_mapcount()`, `total_mapcount()` before v6.0. Since v6.9 a folio has a count of all its mappings.
pub(crate) async fn total_mapcount(cpu: Cpu<'_>, head: Page) -> u64 {
    if folio_nr_pages(cpu, head) > 1 && cpu.setting::<LargeMapcount>() != LargeMapcount::Pages {
        cpu.load(cpu.kernel.page(head).large_mapcount()).await
    } else {
        folio_mapcount(cpu, head).await
    }
}

/// Whether no entry maps all of a folio, as the last change of a count has left it.
fn is_in_parts(cpu: Cpu<'_>, head: Page) -> bool {
    cpu.this_cpu_read(cpu.kernel.page(head).entire_mapcount()) == 0
}

/// Whether some entry maps a page by itself.
fn is_mapped(cpu: Cpu<'_>, page: Page) -> bool {
    cpu.this_cpu_read(cpu.kernel.mapcount(page)) != 0
}

/// The end of `folio_remove_rmap_pte()`: whether the page that was unmapped is one that nobody maps now, of a folio of private memory.
pub(super) fn unmaps_a_part(cpu: Cpu<'_>, head: Page, page: Page) -> bool {
    if !page_is_anon(cpu, head) || is_mapped(cpu, page) || !is_in_parts(cpu, head) {
        return false;
    }
    match cpu.setting::<DeferredSplit>() {
        DeferredSplit::Last => true,
        DeferredSplit::Part => cpu.kernel.folio_pages(head).any(|page| is_mapped(cpu, page)),
    }
}

/// The end of `folio_remove_rmap_pmd()`: whether entries still map some of the pages, and no entry maps the others.
pub(super) fn leaves_a_part(cpu: Cpu<'_>, head: Page) -> bool {
    let mut pages = cpu.kernel.folio_pages(head).map(|page| is_mapped(cpu, page));
    is_in_parts(cpu, head) && pages.next().is_some_and(|first| pages.any(|other| other != first))
}

/// `page_trans_huge_mapcount()`, before v5.18: how many entries map that page of the folio which most of them map. The counts of the pages are
/// read first, and then that of the entries that map all of it: if somebody splits such an entry meanwhile, it may be missed in both. The lock
/// of the folio is to keep him from that.
pub(crate) async fn page_trans_huge_mapcount(cpu: Cpu<'_>, page: Page) -> u64 {
    let head = cpu.kernel.folio_of(page);
    let mut most = 0;
    for page in cpu.kernel.folio_pages(head) {
        most = most.max(cpu.load(cpu.kernel.mapcount(page)).await);
    }
    most + if folio_nr_pages(cpu, head) > 1 { folio_entire_mapcount(cpu, head).await } else { 0 }
}

/// `folio_maybe_mapped_shared()`, `folio_likely_mapped_shared()` before v6.15, `folio_estimated_sharers()` before v6.9: whether more than one
/// address space may map the folio.
pub(crate) async fn folio_maybe_mapped_shared(cpu: Cpu<'_>, head: Page) -> bool {
    match cpu.setting::<LargeMapcount>() {
        LargeMapcount::Mms => total_mapcount(cpu, head).await > 1 && MmIds::read(cpu, head).shared,
        // A guess by the first page.
        _ => page_mapcount(cpu, head).await > 1,
    }
}

/// `__wp_can_reuse_large_anon_folio()`, since v6.15 (`1da190f4d0a6`): whether only this address space maps the folio, and nobody else holds a
/// reference. Before, a folio that PTEs map is never reused. One of which a single page is left is not either, so that the rest becomes free.
pub(crate) async fn wp_can_reuse_large_anon_folio(cpu: Cpu<'_>, head: Page) -> bool {
    if cpu.setting::<LargeMapcount>() != LargeMapcount::Mms {
        return false;
    }
    if MmIds::read(cpu, head).shared || total_mapcount(cpu, head).await <= 1 {
        return false;
    }
    if total_mapcount(cpu, head).await > page_count(cpu, head).await {
        return false;
    }
    // folio_lock_large_mapcount(): the counts are asked once more when nobody changes them.
    let op = Op::new(OpKind::Rmw, cpu.kernel.page(head).large_mapcount().loc());
    cpu.step(op, move |hw| {
        let count = hw.core.memory.get(op.loc);
        hw.perform_rmw(&op, count, count);
        !MmIds::read(cpu, head).shared && cpu.this_cpu_read(cpu.kernel.refcount(head)) == count
    })
    .await
}
