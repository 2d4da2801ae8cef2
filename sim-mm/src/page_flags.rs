//! `include/linux/page-flags.h`: the bits of `page->flags`, `page->page_type`, and what `page->mapping` leads to.

use std::fmt;

use bitflags::bitflags;
use sim_core::Word;

bitflags! {
    /// Bits of `page->flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PageFlags: u64 {
        /// `PG_locked`, in a byte of its own: whoever waits for the page waits until that byte is zero.
        const LOCKED = 1 << 8;
        /// `PG_referenced`.
        const REFERENCED = 1 << 1;
        /// `PG_anon_exclusive`.
        const ANON_EXCLUSIVE = 1 << 2;
        /// `PG_dirty`.
        const DIRTY = 1 << 3;
        /// `PG_lru`: on a list of reclaim.
        const LRU = 1 << 4;
        /// `PG_active`.
        const ACTIVE = 1 << 5;
        /// `PG_unevictable`: locked.
        const UNEVICTABLE = 1 << 6;
        /// `PG_mlocked`: some mapping has it locked.
        const MLOCKED = 1 << 18;
        /// `PG_swapbacked`: it can be written to swap, and is not to be dropped.
        const SWAPBACKED = 1 << 7;
        /// `PG_head`: the first page of a compound page. The byte of `PG_locked` has no other flag.
        const HEAD = 1 << 16;
        /// `PG_swapcache`: it is the page of a swap slot.
        const SWAPCACHE = 1 << 17;
        /// `PG_writeback`: a device is writing it. The flag has a byte of its own, as `PG_locked` has: one waits for it too.
        const WRITEBACK = 1 << 24;
        /// `PG_error`: it could not be written when that was tried last. Whoever asks by `fsync()` is told.
        const ERROR = 1 << 20;
        /// `PG_reclaim`: reclaim wants it as soon as it has been written.
        const RECLAIM = 1 << 21;
        /// `PG_uptodate`: it holds what its file has there.
        const UPTODATE = 1 << 19;
        /// `PG_hugetlb`, before v6.6 a destructor of the compound page: it is of the pool of huge pages.
        const HUGETLB = 1 << 22;
        /// `HPG_migratable`: a page of the pool that is in use, and that nobody moves.
        const HUGETLB_MIGRATABLE = 1 << 23;
        /// `PG_hwpoison`: the memory is broken. Of a folio each page has one of its own.
        const HWPOISON = 1 << 32;
        /// Of a page that is broken: `memory_failure()` keeps a reference for ever. Linux does not note that; who recounts the references of a
        /// machine at rest has to know.
        const HWPOISON_KEPT = 1 << 33;
        /// `raw_hwp_list`: of a huge page of the pool that is marked as broken, this very page is. Linux has a list by the first page for that.
        const HWPOISON_RAW = 1 << 34;
        /// Of a page of the pool that nobody has any more, and that is not yet on the free list: the opposite of `HPG_freed`. It has a byte of
        /// its own, because one waits for its end.
        const HUGETLB_FREEING = 1 << 40;
    }
}

impl Word for PageFlags {
    #[inline]
    fn into_word(self) -> u64 {
        self.bits()
    }
    #[inline]
    fn from_word(word: u64) -> Self {
        PageFlags::from_bits_retain(word)
    }
}

/// Names as in `/proc/kpageflags`: `PG_referenced, PG_dirty`.
impl fmt::Display for PageFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, _)) in self.iter_names().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}PG_{}", name.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// What a frame is to the allocator: `page_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageType {
    /// Free: on a list of a CPU, or in a block that another frame begins.
    Free,
    /// `PageBuddy`: a free block begins here. Its order is in `private`.
    Buddy,
    /// Handed out. In C nothing says so but that the page is on no list.
    InUse,
}

impl Word for PageType {
    fn into_word(self) -> u64 {
        self as u64
    }
    fn from_word(word: u64) -> PageType {
        match word {
            0 => PageType::Free,
            1 => PageType::Buddy,
            _ => PageType::InUse,
        }
    }
}

/// `PAGE_MAPPING_ANON`: the bit of `page->mapping` that says that it leads to an `anon_vma`.
const PAGE_MAPPING_ANON: u64 = 1;

/// Whether `page->mapping` says that the page is anonymous.
pub(crate) fn is_anon_mapping(mapping: u64) -> bool {
    mapping & PAGE_MAPPING_ANON != 0
}

/// `page->mapping` of an anonymous page: one more than the slot of its `anon_vma`, or zero if it has none.
pub(crate) fn anon_mapping(anon_vma: u64) -> u64 {
    anon_vma << 1 | PAGE_MAPPING_ANON
}

/// The slot of the `anon_vma` that `page->mapping` leads to.
pub(crate) fn anon_vma_of_mapping(mapping: u64) -> Option<usize> {
    let has_one = is_anon_mapping(mapping) && !is_ksm_mapping(mapping);
    if has_one { ((mapping >> 1) as usize).checked_sub(1) } else { None }
}

/// `PAGE_MAPPING_KSM`: the bit of `page->mapping` of an anonymous page that says that it leads to a node of ksmd's.
const PAGE_MAPPING_KSM: u64 = 1 << 63;

/// Whether `page->mapping` says that the page is a merged one.
pub(crate) fn is_ksm_mapping(mapping: u64) -> bool {
    mapping & PAGE_MAPPING_KSM != 0
}

/// `page->mapping` of a merged page: the number of its node, or zero if it has none yet.
pub(crate) fn ksm_mapping(node: u64) -> u64 {
    PAGE_MAPPING_KSM | anon_mapping(node)
}

/// `page->mapping` of a page of the file in this slot.
pub(crate) fn file_mapping(file: usize) -> u64 {
    (file as u64 + 1) << 1
}

/// The slot of the file that `page->mapping` leads to.
pub(crate) fn file_of_mapping(mapping: u64) -> Option<u32> {
    if is_anon_mapping(mapping) { None } else { ((mapping >> 1) as u32).checked_sub(1) }
}
