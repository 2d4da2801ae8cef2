//! What does not hold when the kernel's own structures are recounted, with the numbers that do not agree.

use std::fmt;

use sim_mmu::{Pfn, VirtAddr};

use crate::event::SharedPage;
use crate::mm_types::{MmId, Page};
use crate::swapops::SwpEntry;

/// What does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miscount {
    /// `_mapcount` differs from the number of entries that map the page.
    Mapcount {
        /// The page.
        page: Page,
        /// Its count.
        count: u64,
        /// The entries.
        entries: u64,
    },
    /// `_refcount` differs from the number of those who hold the page.
    Refcount {
        /// The page.
        page: Page,
        /// Its count.
        count: u64,
        /// Entries that map it, tables that it is, and references of others.
        holders: u64,
    },
    /// A frame is on the free list, and something leads to it.
    FreeInUse {
        /// The frame.
        page: Page,
    },
    /// A frame is on two free lists, or on one although it is in use.
    FreeTwice {
        /// The frame.
        page: Page,
    },
    /// Nobody uses a frame, and no free list has it.
    FreeLost {
        /// The frame.
        page: Page,
    },
    /// What a free list has is no block of its order, or could be merged with its buddy.
    NoBlock {
        /// The first frame of it.
        page: Page,
        /// The order.
        order: u8,
    },
    /// A free list has more or fewer blocks than it says.
    FreeCount {
        /// The order of its blocks.
        order: u8,
        /// What it says.
        count: u64,
    },
    /// A guest has a page that its process does not have there, or may do more with it than the process.
    Spte {
        /// The address space of the process.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page.
        page: Page,
    },
    /// Two entries lead to one page table.
    SharedTable {
        /// The table.
        table: Pfn,
    },
    /// A table of PMD entries counts more or fewer users than entries lead to it.
    TableUsers {
        /// The table.
        table: Pfn,
        /// How many more than one it counts.
        count: u64,
        /// The entries that lead to it.
        users: u64,
    },
    /// An address space shares a table of PMD entries where no mapping covers all that the table translates.
    SharedInPart {
        /// The address space.
        mm: MmId,
        /// The first address that the table translates there.
        va: VirtAddr,
    },
    /// The pool of huge pages has more or fewer pages than it says.
    HugePages {
        /// How many it says.
        says: u64,
        /// How many are free or in use.
        has: u64,
    },
    /// More or fewer huge pages are set aside than the pool says, or more than are free.
    HugePagesSetAside {
        /// How many it says.
        says: u64,
        /// For how many pages of mappings one is set aside.
        has: u64,
        /// How many are free.
        free: u64,
    },
    /// A huge page is set aside for a private mapping that is not there.
    SetAsideForNone {
        /// The address space that it would be in.
        mm: MmId,
        /// The page of the file.
        index: u64,
    },
    /// An entry maps a page where no mapping is, or lets more be done than the mapping.
    Stray {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
    },
    /// Beside a table of PMD entries there are not as many page tables as entries of it map huge pages.
    Deposits {
        /// The address space.
        mm: MmId,
        /// The first address that the table translates.
        va: VirtAddr,
        /// The entries that map huge pages.
        huge: usize,
        /// The page tables that are kept for them.
        deposited: usize,
    },
    /// An entry says that its page is being moved, and nobody is left who moves it.
    Migrating {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
    },
    /// An entry maps a page from which nobody comes to the mapping of the entry, because that does not hang on the page's `anon_vma`.
    Unlinked {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page that is mapped.
        page: Page,
    },
    /// An anonymous page says that it is at another place of its mappings than where an entry maps it. So nobody comes from the page to the
    /// entry.
    OtherIndex {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page that is mapped.
        page: Page,
        /// What it says.
        says: u64,
        /// The index of the address in its mapping.
        index: u64,
    },
    /// An entry of a shared mapping maps another page than the one that its file has there.
    OtherPage {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page that is mapped.
        page: Page,
    },
    /// An entry of a mapping maps a page behind the end of its file.
    MappedBehindEnd {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page that is mapped.
        page: Page,
    },
    /// A file has a page behind its end.
    CachedBehindEnd {
        /// The page.
        page: Page,
        /// The place in the file.
        at: SharedPage,
    },
    /// A file has a page in swap behind its end.
    SwappedBehindEnd {
        /// The slot of the page.
        slot: SwpEntry,
        /// The place in the file.
        at: SharedPage,
    },
    /// A file has a page that does not say so, or a page says that a file has it which has not.
    OtherFile {
        /// The page.
        page: Page,
        /// The place in the file.
        at: SharedPage,
    },
    /// A page of a file on the disk is dirty, and its file does not have it under the tag by which dirty pages are found.
    Untagged {
        /// The page.
        page: Page,
        /// The place in the file.
        at: SharedPage,
    },
    /// `nr_thps` of a file on the disk differs from the number of its huge pages.
    HugePagesOfFile {
        /// The file.
        file: u32,
        /// What it says.
        says: u64,
        /// The huge pages that it has.
        has: u64,
    },
    /// A page is locked, and nobody is left who could unlock it.
    Locked {
        /// The page.
        page: Page,
    },
    /// A page says that it is locked in memory, and no locked mapping maps it.
    Mlocked {
        /// The page.
        page: Page,
    },
    /// `NR_MLOCK` differs from the number of pages that say that they are locked in memory.
    MlockedCount {
        /// What it says.
        count: u64,
        /// The pages.
        pages: u64,
    },
    /// Mappings exist that no address space has in its list: nobody will free them.
    LostVmas {
        /// Those that exist.
        exist: usize,
        /// Those in lists.
        listed: usize,
    },
    /// `anon_vma`s exist that no mapping hangs on.
    LostAnonVmas {
        /// How many exist.
        exist: usize,
        /// How many of them mappings hang on.
        linked: usize,
    },
    /// The `swap_map` of a slot differs from what leads to the slot.
    SwapMap {
        /// The slot.
        slot: SwpEntry,
        /// Entries that `swap_map` counts, and whether it says that the swap cache has the slot.
        map: (u64, bool),
        /// Entries and files that name the slot, and whether the swap cache has a page of it.
        found: (u64, bool),
    },
    /// The queue of folios that are to be split has what is no large folio any more.
    Queued {
        /// The page.
        page: Page,
    },
    /// The count of the huge page of zeroes differs from the number of those who keep it.
    HugeZero {
        /// Its count.
        count: u64,
        /// The entries or the address spaces that keep it.
        keepers: u64,
        /// One for the shrinker, if there is such a page.
        shrinker: u64,
    },
    /// The swap cache has a page for a slot that says of itself that it is another slot's page, or none's.
    SwapCache {
        /// The slot.
        slot: SwpEntry,
        /// The page.
        page: Page,
    },
    /// Mappings overlap, are empty, or are out of order.
    Disorder {
        /// The address space.
        mm: MmId,
    },
}

impl fmt::Display for Miscount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miscount::Mapcount { page, count, entries } => {
                write!(f, "{} has _mapcount {count}, and {entries} entries map it", page.0)
            }
            Miscount::Refcount { page, count, holders } => {
                write!(f, "{} has _refcount {count}, and {holders} hold it", page.0)
            }
            Miscount::FreeInUse { page } => write!(f, "{} is free, and in use", page.0),
            Miscount::FreeTwice { page } => write!(f, "{} is on a free list, and on another or in use", page.0),
            Miscount::FreeLost { page } => write!(f, "{} is free, and on no list", page.0),
            Miscount::NoBlock { page, order } => {
                write!(f, "{} begins no block of order {order}, or one that could be larger", page.0)
            }
            Miscount::FreeCount { order, count } => {
                write!(f, "a free list of order {order} does not have {count} blocks, as it says")
            }
            Miscount::TableUsers { table, count, users } => {
                write!(f, "{users} entries lead to the table {table}, and it counts {count} beside the first")
            }
            Miscount::SharedInPart { mm, va } => {
                write!(
                    f,
                    "mm{} shares the table for {va}, and no mapping covers all that the table translates",
                    mm.0
                )
            }
            Miscount::HugePages { says, has } => {
                write!(f, "the pool has {has} huge pages, and nr_huge_pages is {says}")
            }
            Miscount::HugePagesSetAside { says, has, free } => {
                write!(f, "{has} of {free} free huge pages are set aside, and resv_huge_pages is {says}")
            }
            Miscount::SetAsideForNone { mm, index } => {
                write!(
                    f,
                    "a huge page is set aside for page {index} of a file in mm{}, which has no such private mapping",
                    mm.0
                )
            }
            Miscount::SharedTable { table } => write!(f, "two entries lead to the page table {table}"),
            Miscount::Stray { mm, va } => {
                write!(f, "mm{}: the entry for {va} is not what its mapping allows", mm.0)
            }
            Miscount::Deposits { mm, va, huge, deposited } => {
                let mm = mm.0;
                write!(f, "mm{mm}: {deposited} page tables are kept for {huge} huge pages in the table for {va}")
            }
            Miscount::Migrating { mm, va } => {
                write!(f, "mm{}: the entry for {va} waits for a page that nobody moves", mm.0)
            }
            Miscount::Unlinked { mm, va, page } => {
                write!(f, "mm{}: the mapping of {va} does not hang on the anon_vma of {}", mm.0, page.0)
            }
            Miscount::OtherIndex { mm, va, page, says, index } => {
                write!(f, "mm{}: the entry for {va}, of index {index}, maps {}, which says {says}", mm.0, page.0)
            }
            Miscount::Spte { mm, va, page } => {
                write!(f, "mm{}: its guest has {} at {va}, and the process does not, or may do less", mm.0, page.0)
            }
            Miscount::OtherPage { mm, va, page } => {
                write!(f, "mm{}: the entry for {va} maps {}, which the file does not have there", mm.0, page.0)
            }
            Miscount::MappedBehindEnd { mm, va, page } => {
                write!(f, "mm{}: the entry for {va} maps {}, behind the end of its file", mm.0, page.0)
            }
            Miscount::CachedBehindEnd { page, at } => {
                write!(f, "inode[{}] has {} as page {}, behind its end", at.file, page.0, at.index)
            }
            Miscount::SwappedBehindEnd { slot, at } => {
                write!(f, "inode[{}] has page {} in swap slot {}, behind its end", at.file, at.index, slot.0)
            }
            Miscount::OtherFile { page, at } => {
                write!(
                    f,
                    "{} and page {} of inode[{}] do not agree that they are the same",
                    page.0, at.index, at.file
                )
            }
            Miscount::Untagged { page, at } => {
                write!(f, "{} is dirty, and no tag of inode[{}] says so of page {}", page.0, at.file, at.index)
            }
            Miscount::HugePagesOfFile { file, says, has } => {
                write!(f, "inode[{file}] has {has} huge pages, and nr_thps is {says}")
            }
            Miscount::Locked { page } => write!(f, "{} is locked", page.0),
            Miscount::Mlocked { page } => {
                write!(f, "{} says that it is locked in memory, and no locked mapping maps it", page.0)
            }
            Miscount::MlockedCount { count, pages } => {
                write!(f, "NR_MLOCK is {count}, and {pages} pages say that they are locked in memory")
            }
            Miscount::LostVmas { exist, listed } => {
                write!(f, "{exist} mappings exist, and the address spaces list {listed}")
            }
            Miscount::LostAnonVmas { exist, linked } => {
                write!(f, "{exist} anon_vmas exist, and mappings hang on {linked}")
            }
            Miscount::SwapMap { slot, map, found } => {
                let told = |(entries, cached): &(u64, bool)| {
                    format!("{entries} entries and {} page in the swap cache", if *cached { "a" } else { "no" })
                };
                write!(f, "swap slot {} counts {}, and has {}", slot.0, told(map), told(found))
            }
            Miscount::Queued { page } => write!(f, "{} is to be split, and is no large folio", page.0),
            Miscount::HugeZero { count, keepers, shrinker } => {
                write!(
                    f,
                    "the huge page of zeroes counts {count}, and {keepers} and {shrinker} for the shrinker keep it"
                )
            }
            Miscount::SwapCache { slot, page } => {
                write!(f, "the swap cache has {} for slot {}, and the page does not say so", page.0, slot.0)
            }
            Miscount::Disorder { mm } => write!(f, "mm{}: the list of mappings is out of order", mm.0),
        }
    }
}
