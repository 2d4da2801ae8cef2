//! What a folio is split into, while its count is frozen: `__split_huge_page()`, since v6.15 `__split_unmapped_folio()`.

use sim_core::{Op, OpKind};
use sim_mmu::Pfn;

use crate::event::Event;
use crate::folio::folio_nr_pages;
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::{get_page, page_count, page_ref_unfreeze, put_page, unlock_page};
use crate::page_flags::PageFlags;
use crate::pagemap::page_mapping;
use crate::rmap::total_mapcount;
use crate::safeguards::{SPLIT_EXPECTED_COUNT, SPLIT_TAIL_FLAGS_FIRST, SPLIT_TAIL_MAPPING_FIRST};

/// Into what a folio is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// Single pages.
    Pages,
    /// `folio_split()`, since v6.15: halves of halves, down to this page, which is single then. For example, pages 0 to 7 around page 5 become
    /// 0 to 3, 4, 5, and 6 to 7.
    Around(Page),
}

/// A part of a folio that is a folio of its own from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) head: Page,
    pub(super) order: u8,
}

impl Piece {
    /// Its pages behind the first one.
    fn tails(self) -> impl Iterator<Item = Page> {
        (self.head.0.0 + 1..self.head.0.0 + (1 << self.order)).map(|pfn| Page(Pfn(pfn)))
    }
}

impl Pieces {
    /// The parts of a folio, in order.
    pub(super) fn of(self, cpu: Cpu<'_>, head: Page) -> Vec<Piece> {
        let around = match self {
            Pieces::Pages => {
                return cpu.kernel.folio_pages(head).map(|head| Piece { head, order: 0 }).collect();
            }
            Pieces::Around(page) => page,
        };
        let mut piece = Piece { head, order: cpu.kernel.folio_order(head) };
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        while piece.order > 0 {
            let order = piece.order - 1;
            let (low, high) = (piece, Piece { head: Page(Pfn(piece.head.0.0 + (1 << order))), order });
            let low = Piece { order, ..low };
            if around.0 < high.head.0 {
                behind.push(high);
                piece = low;
            } else {
                before.push(low);
                piece = high;
            }
        }
        before.push(piece);
        before.extend(behind.into_iter().rev());
        before
    }
}

/// What becomes of the pages behind the first one.
#[derive(Debug)]
pub(crate) enum Tails<'a> {
    /// They go to the list that the folio is on.
    Listed,
    /// The folio was taken off its list. So are they, each with a reference.
    Taken(&'a mut Vec<Page>),
}

/// The references of the swap cache, or of the file: one for each page.
pub(super) async fn cache_references(cpu: Cpu<'_>, head: Page) -> u64 {
    let cached = cpu.load(cpu.kernel.page_flags(head)).await.contains(PageFlags::SWAPCACHE)
        || page_mapping(cpu, head).is_some();
    if cached { folio_nr_pages(cpu, head) } else { 0 }
}

/// `can_split_folio()`: whether the caller, the entries and the swap cache have all references. Nobody is kept from taking another one.
pub(crate) async fn can_split_folio(cpu: Cpu<'_>, head: Page) -> bool {
    let cached = cache_references(cpu, head).await;
    total_mapcount(cpu, head).await + cached + 1 == page_count(cpu, head).await
}

/// Whether a folio stays whole if somebody has a reference that is not known: nobody could tell of which of its pages it is.
pub(super) fn counts_references(cpu: Cpu<'_>) -> bool {
    cpu.has(SPLIT_EXPECTED_COUNT)
}

/// `__split_huge_page()`: the count is frozen, so nobody gets a reference to the folio. `cached` says whether the swap cache or a file has it,
/// with a reference to each page.
pub(super) async fn __split_huge_page(cpu: Cpu<'_>, pieces: &[Piece], cached: bool) {
    let _routine = cpu.enter("__split_huge_page");
    let Piece { head, order } = pieces[0];
    // The caller's, and those of the cache.
    let count = |order: u8| 1 + if cached { 1 << order } else { 0 };
    for piece in pieces[1..].iter().rev() {
        __split_huge_page_tail(cpu, head, *piece, count(piece.order)).await;
    }
    // ClearPageCompound(): what the folio counted besides is nothing any more.
    let words = cpu.kernel.page(head);
    cpu.this_cpu_write(words.compound_order(), u64::from(order));
    cpu.this_cpu_write(words.mm_ids(), 0);
    cpu.this_cpu_write(words.mm_id_mapcounts(), 0);
    let still = if order > 0 { PageFlags::HEAD } else { PageFlags::empty() };
    cpu.rmw(cpu.kernel.page_flags(head), move |flags| (flags - PageFlags::HEAD) | still).await;
    page_ref_unfreeze(cpu, head, count(order)).await;
}

/// What a tail takes over from the flags of its head.
const TAKEN_OVER: PageFlags = PageFlags::REFERENCED
    .union(PageFlags::SWAPBACKED)
    .union(PageFlags::SWAPCACHE)
    .union(PageFlags::UPTODATE)
    .union(PageFlags::UNEVICTABLE)
    .union(PageFlags::ACTIVE)
    .union(PageFlags::LOCKED)
    .union(PageFlags::DIRTY)
    .union(PageFlags::LRU);

/// `__split_huge_page_tail()`: whoever gets a reference to the tail must find it complete. So its count comes last.
async fn __split_huge_page_tail(cpu: Cpu<'_>, head: Page, piece: Piece, count: u64) {
    let _routine = cpu.enter("__split_huge_page_tail");
    let tail = piece.head;
    let words = cpu.kernel.page(tail);
    let flags_first = cpu.has(SPLIT_TAIL_FLAGS_FIRST);
    if !flags_first {
        page_ref_unfreeze(cpu, tail, count).await;
    }
    // A load and a store: nobody else knows the tail, if its count is zero still.
    let seen = cpu.load(words.flags()).await;
    let mut flags = seen | cpu.load(cpu.kernel.own_flags(head)).await & TAKEN_OVER;
    if piece.order > 0 {
        // prep_compound_page(): nobody can get a reference to one of its pages, so that nobody looks.
        flags |= PageFlags::HEAD;
        cpu.this_cpu_write(words.compound_order(), u64::from(piece.order));
        for page in piece.tails() {
            cpu.this_cpu_write(cpu.kernel.page(page).compound_head(), tail.0.0 + 1);
        }
    }
    let op = Op::new(OpKind::Write, words.flags().loc());
    cpu.step(op, move |hw| {
        let lost = PageFlags::from_bits_retain(hw.core.memory.get(op.loc)) - seen;
        hw.perform_store(&op, flags.bits());
        if flags.contains(PageFlags::LOCKED) {
            cpu.note(Event::PageLocked { pfn: tail.0 });
        }
        if !lost.is_empty() {
            cpu.note(Event::FlagsLost { pfn: tail.0, lost });
        }
    })
    .await;
    let mapping_first = cpu.has(SPLIT_TAIL_MAPPING_FIRST);
    if mapping_first {
        set_mapping(cpu, head, tail).await;
    }
    cpu.store(words.compound_head(), 0).await;
    if flags_first {
        page_ref_unfreeze(cpu, tail, count).await;
    }
    if !mapping_first {
        // By now others may have a reference, and look.
        let index = cpu.this_cpu_read(cpu.kernel.page(head).index()) + (tail.0.0 - head.0.0);
        cpu.store(words.index(), index).await;
        set_mapping(cpu, head, tail).await;
    }
}

/// `page_tail->mapping` and `page_tail->index`.
async fn set_mapping(cpu: Cpu<'_>, head: Page, tail: Page) {
    let (from, to) = (cpu.kernel.page(head), cpu.kernel.page(tail));
    cpu.this_cpu_write(to.index(), cpu.this_cpu_read(from.index()) + (tail.0.0 - head.0.0));
    cpu.store(to.mapping(), cpu.this_cpu_read(from.mapping())).await;
}

/// The tails are unlocked. The reference by which each came into the world is given up, unless the caller wants it.
pub(super) async fn give_back(cpu: Cpu<'_>, tails: &[Piece], to: Tails<'_>) {
    if let Tails::Taken(list) = to {
        for tail in tails {
            get_page(cpu, tail.head).await;
        }
        list.extend(tails.iter().map(|tail| tail.head));
    }
    for tail in tails {
        unlock_page(cpu, tail.head).await;
        put_page(cpu, tail.head).await;
    }
}
