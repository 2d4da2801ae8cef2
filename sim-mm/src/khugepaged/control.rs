//! What comes of a scan, and the limits of who asks for it: `enum scan_result`, `struct collapse_control`.

use crate::errno::Errno;
use crate::folio::page_mapcount;
use crate::kernel::Cpu;
use crate::mm_types::{Page, Vma};
use crate::page_flags::PageFlags;
use crate::pgtable::Pte;
use crate::vm_flags::VmFlags;

/// Why pages were not collapsed: `enum scan_result` without `SCAN_SUCCEED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// `SCAN_FAIL`: something else.
    Fail,
    /// `SCAN_PMD_NULL`, `SCAN_NO_PTE_TABLE`: there is no page table.
    PmdNull,
    /// `SCAN_PMD_MAPPED`: a huge page is there already.
    PmdMapped,
    /// `SCAN_EXCEED_NONE_PTE`: too many pages are empty.
    ExceedNonePte,
    /// `SCAN_EXCEED_SWAP_PTE`: too many pages are in swap.
    ExceedSwapPte,
    /// `SCAN_EXCEED_SHARED_PTE`: too many pages are shared.
    ExceedSharedPte,
    /// `SCAN_PTE_NON_PRESENT`: a page is in swap again.
    PteNonPresent,
    /// `SCAN_PTE_UFFD_WP`: userfaultfd is to hear of writes to a page.
    PteUffdWp,
    /// `SCAN_PAGE_RO`: no page is writable. Before v6.18.
    PageRo,
    /// `SCAN_LACK_REFERENCED_PAGE`: nobody has used the pages lately.
    LackReferencedPage,
    /// `SCAN_PAGE_NULL`: a frame is there that has no page.
    PageNull,
    /// `SCAN_PAGE_COUNT`: somebody holds a reference to a page.
    PageCount,
    /// `SCAN_PAGE_LRU`: a page is on no list.
    PageLru,
    /// `SCAN_PAGE_LOCK`: somebody has a page locked.
    PageLock,
    /// `SCAN_PAGE_ANON`: a page is a file's, or the mapping has no page of its own.
    PageAnon,
    /// `SCAN_PAGE_COMPOUND`: a page is a part of a huge one. Before v5.8.
    PageCompound,
    /// `SCAN_VMA_NULL`: nothing is mapped there any more.
    VmaNull,
    /// `SCAN_VMA_CHECK`: the mapping is to have no huge page.
    VmaCheck,
    /// `SCAN_ADDRESS_RANGE`: the mapping has no room for a huge page there.
    AddressRange,
    /// `SCAN_DEL_PAGE_LRU`: somebody else has taken a page off its list.
    DelPageLru,
    /// `SCAN_ALLOC_HUGE_PAGE_FAIL`: there is no memory.
    AllocHugePageFail,
    /// `SCAN_TRUNCATED`: the file has nothing there any more.
    Truncated,
    /// `SCAN_PTE_MAPPED_HUGEPAGE`: the file has a huge page, which is still to be mapped by one entry.
    PteMappedHugepage,
    /// `SCAN_PAGE_FILLED`: a hole of the file has been filled meanwhile.
    PageFilled,
}

impl Scan {
    /// `madvise_collapse_errno()`.
    pub(super) fn errno(self) -> Errno {
        match self {
            Scan::AllocHugePageFail => Errno::Enomem,
            Scan::ExceedNonePte => Errno::Ebusy,
            Scan::PageCount | Scan::PageLock | Scan::PageLru | Scan::DelPageLru => Errno::Eagain,
            _ => Errno::Einval,
        }
    }

    /// Whether `MADV_COLLAPSE` goes on with the next huge page.
    pub(super) fn is_of_this_page_alone(self) -> bool {
        matches!(
            self,
            Scan::PmdNull
                | Scan::PteNonPresent
                | Scan::PteUffdWp
                | Scan::PageRo
                | Scan::LackReferencedPage
                | Scan::PageNull
                | Scan::PageCount
                | Scan::PageLock
                | Scan::PageCompound
                | Scan::PageLru
                | Scan::DelPageLru
        )
    }
}

/// Who asks for huge pages: `struct collapse_control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collapse {
    /// khugepaged, which has limits.
    Khugepaged,
    /// `MADV_COLLAPSE`: user code that says it knows.
    Madvise,
}

impl Collapse {
    /// `cc->is_khugepaged`.
    pub(super) fn is_khugepaged(self) -> bool {
        self == Collapse::Khugepaged
    }
}

/// What has been counted of the pages of a range. The limits are the usual ones of Linux, as parts of a huge page.
pub(super) struct Counted<'m> {
    cpu: Cpu<'m>,
    by: Collapse,
    asks_user: bool,
    none_or_zero: u64,
    shared: u64,
    pub(super) swapped: u64,
    pub(super) referenced: u64,
    pub(super) writable: bool,
}

impl<'m> Counted<'m> {
    pub(super) fn new(cpu: Cpu<'m>, vma: Vma, by: Collapse) -> Counted<'m> {
        let asks_user = vma.flags(cpu).intersects(VmFlags::UFFD);
        let (none_or_zero, shared, swapped, referenced) = (0, 0, 0, 0);
        Counted { cpu, by, asks_user, none_or_zero, shared, swapped, referenced, writable: false }
    }

    /// One more page that is empty or full of zeroes: `khugepaged_max_ptes_none`. User code that handles its faults must not lose one.
    pub(super) fn add_none(&mut self) -> Result<(), Scan> {
        self.none_or_zero += 1;
        let too_many = self.by.is_khugepaged() && self.none_or_zero > self.cpu.pmd_nr() - 1;
        if self.asks_user || too_many { Err(Scan::ExceedNonePte) } else { Ok(()) }
    }

    /// One more page that is in swap: `khugepaged_max_ptes_swap`.
    pub(super) fn add_swapped(&mut self) -> Result<(), Scan> {
        self.swapped += 1;
        let too_many = self.by.is_khugepaged() && self.swapped > self.cpu.pmd_nr() / 8;
        if too_many { Err(Scan::ExceedSwapPte) } else { Ok(()) }
    }

    /// One more page, which others may map as well: `khugepaged_max_ptes_shared`.
    pub(super) async fn add_mapped(&mut self, page: Page) -> Result<(), Scan> {
        if page_mapcount(self.cpu, page).await > 1 {
            self.shared += 1;
            if self.by.is_khugepaged() && self.shared > self.cpu.pmd_nr() / 2 {
                return Err(Scan::ExceedSharedPte);
            }
        }
        Ok(())
    }

    /// Whether the page was used lately; only khugepaged wants to know.
    pub(super) async fn add_referenced(&mut self, pte: Pte, head: Page) {
        self.writable |= pte.write();
        let is_used = async || {
            let flags = self.cpu.load(self.cpu.kernel.page_flags(head)).await;
            pte.entry.has(sim_mmu::Entry::ACCESSED) || flags.contains(PageFlags::REFERENCED)
        };
        if self.by.is_khugepaged() && is_used().await {
            self.referenced += 1;
        }
    }
}
