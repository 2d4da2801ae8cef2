//! What must hold when nothing is going on, recounted from the kernel's own structures.
//!
//! Mappings, page tables and page descriptors say the same thing three times. Between an entry's change and its
//! count's they may differ; when no system call and no handler is under way, they may not.

use std::fmt;

use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::kernel::Kernel;
use crate::mm_types::{MmId, Page};
use crate::vm_flags::VmFlags;
use crate::vma::VmaSnapshot;

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
    /// Two entries lead to one page table.
    SharedTable {
        /// The table.
        table: Pfn,
    },
    /// An entry maps a page where no mapping is, or lets more be done than the mapping.
    Stray {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
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
            Miscount::SharedTable { table } => write!(f, "two entries lead to the page table {table}"),
            Miscount::Stray { mm, va } => {
                write!(f, "mm{}: the entry for {va} is not what its mapping allows", mm.0)
            }
            Miscount::Disorder { mm } => write!(f, "mm{}: the list of mappings is out of order", mm.0),
        }
    }
}

/// What leads to each frame.
struct Recount<'k> {
    kernel: &'k Kernel,
    /// Entries that map it.
    entries: Vec<u64>,
    /// Whether it is a page table.
    tables: Vec<bool>,
}

impl Kernel {
    /// Recounts everything; to be called when nothing is going on. `others` is how many references to a page are
    /// held by those that the memory manager does not know: pins, pipes.
    ///
    /// # Errors
    /// The first thing that does not hold, by address space and then by frame.
    pub fn check(&self, others: impl Fn(Page) -> u64) -> Result<(), Miscount> {
        let frames = self.config.frames as usize;
        let mut recount = Recount { kernel: self, entries: vec![0; frames], tables: vec![false; frames] };
        for id in 0..self.config.mms as u8 {
            let mm = self.mm(MmId(id));
            if self.core().memory.get(mm.mm_users().loc()) > 0 {
                let space = Space { mm: mm.id, mappings: self.vma_list(mm) };
                space.in_order()?;
                let root = Pfn(self.core().memory.get(mm.pgd().loc()));
                recount.table(&space, root, Level::P4d, VirtAddr(0))?;
            }
        }
        recount.compare(others)
    }
}

/// An address space that is in use.
struct Space {
    mm: MmId,
    mappings: Vec<VmaSnapshot>,
}

impl Space {
    fn in_order(&self) -> Result<(), Miscount> {
        let empty = self.mappings.iter().any(|vma| vma.start >= vma.end);
        let overlap = self.mappings.windows(2).any(|pair| pair[0].end > pair[1].start);
        if empty || overlap { Err(Miscount::Disorder { mm: self.mm }) } else { Ok(()) }
    }

    /// Whether a mapping allows what an entry does.
    fn allows(&self, entry: Entry, va: VirtAddr) -> bool {
        let vma = self.mappings.iter().find(|vma| vma.start <= va && va < vma.end);
        vma.is_some_and(|vma| !entry.has(Entry::RW) || vma.flags.intersects(VmFlags::WRITE))
    }
}

impl Recount<'_> {
    /// Counts what a table of an address space leads to. `base` is the first address that it translates.
    fn table(&mut self, space: &Space, table: Pfn, level: Level, base: VirtAddr) -> Result<(), Miscount> {
        let seen = &mut self.tables[table.0 as usize];
        if std::mem::replace(seen, true) {
            return Err(Miscount::SharedTable { table });
        }
        let geometry = self.kernel.mmu.geometry;
        // The upper half of the top-level table is the kernel's.
        let user = if level == Level::P4d { geometry.entries() / 2 } else { geometry.entries() };
        for index in 0..user {
            let entry = self.kernel.mmu.entry_now(table, index);
            if !entry.is_present() {
                continue;
            }
            let va = VirtAddr(base.0 + (u64::from(index) << geometry.shift(level)));
            match level.next() {
                Some(below) => self.table(space, entry.pfn(), below, va)?,
                None if !space.allows(entry, va) => return Err(Miscount::Stray { mm: space.mm, va }),
                // Special entries, as those of the zero page, are not counted.
                None if entry.has(Entry::SPECIAL) => {}
                None => self.entries[entry.pfn().0 as usize] += 1,
            }
        }
        Ok(())
    }

    fn compare(&self, others: impl Fn(Page) -> u64) -> Result<(), Miscount> {
        let kernel = self.kernel;
        let memory = &kernel.core().memory;
        for page in (0..kernel.config.frames).map(|pfn| Page(Pfn(pfn))) {
            let frame = page.0.0 as usize;
            let entries = self.entries[frame];
            let count = memory.get(kernel.mapcount(page).loc());
            if count != entries {
                return Err(Miscount::Mapcount { page, count, entries });
            }
            let boot = page == kernel.zero_page || page.0 == kernel.init_pgd;
            let holders = entries + u64::from(self.tables[frame] || boot) + others(page);
            let count = memory.get(kernel.refcount(page).loc());
            if count != holders {
                return Err(Miscount::Refcount { page, count, holders });
            }
            if holders > 0 && kernel.zone.is_set(memory, kernel.zone.free, page.0) {
                return Err(Miscount::FreeInUse { page });
            }
        }
        Ok(())
    }
}
