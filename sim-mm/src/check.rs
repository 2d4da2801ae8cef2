//! What must hold when nothing is going on, recounted from the kernel's own structures.
//!
//! Mappings, page tables and page descriptors say the same thing three times. For example, a page that two
//! entries map has the mapcount 2. They may differ between the change of an entry and the change of the count.
//! They may not differ when no system call and no handler is under way.

use std::fmt;

use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use crate::kernel::Kernel;
use crate::mm_types::VmaSnapshot;
use crate::mm_types::{MmId, Page};
use crate::pgtable::is_pte_present;
use crate::rcu::Callback;
use crate::vm_flags::VmFlags;

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
    /// An entry of a shared mapping maps another page than the one that its file has there.
    OtherPage {
        /// The address space.
        mm: MmId,
        /// The address.
        va: VirtAddr,
        /// The page that is mapped.
        page: Page,
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
            Miscount::OtherPage { mm, va, page } => {
                write!(f, "mm{}: the entry for {va} maps {}, which the file does not have there", mm.0, page.0)
            }
            Miscount::LostVmas { exist, listed } => {
                write!(f, "{exist} mappings exist, and the address spaces list {listed}")
            }
            Miscount::LostAnonVmas { exist, linked } => {
                write!(f, "{exist} anon_vmas exist, and mappings hang on {linked}")
            }
            Miscount::Disorder { mm } => write!(f, "mm{}: the list of mappings is out of order", mm.0),
        }
    }
}

/// An entry that maps a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// The page.
    pub page: Pfn,
    /// The address space.
    pub mm: MmId,
    /// Where.
    pub va: VirtAddr,
}

/// What the address spaces that are in use lead to: found by walking from each root, as the kernel itself would find
/// it when it tears them down.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Every page table, in the order of the frames. Roots are among them.
    tables: Vec<Pfn>,
    /// Every entry that maps a page and is counted, in the order of the pages. Special entries, as those of the
    /// zero page, are not.
    mappings: Vec<Mapping>,
    /// The mappings of the address space that is being walked.
    vmas: Vec<VmaSnapshot>,
    /// The pages that files have, and those that wait in batches, as often as they do.
    held: Vec<Pfn>,
    /// The `anon_vma`s that mappings hang on, by slot.
    anon_vmas: Vec<usize>,
}

impl Reach {
    /// Whether a root leads to this page table, or it is one.
    pub fn has_table(&self, table: Pfn) -> bool {
        self.tables.binary_search(&table).is_ok()
    }

    /// How many references files and batches have to a page.
    pub fn held(&self, page: Pfn) -> u64 {
        let first = self.held.partition_point(|held| *held < page);
        self.held[first..].iter().take_while(|held| **held == page).count() as u64
    }

    /// The entries that map a page.
    pub fn mappings(&self, page: Pfn) -> &[Mapping] {
        let first = self.mappings.partition_point(|mapping| mapping.page < page);
        let rest = &self.mappings[first..];
        &rest[..rest.partition_point(|mapping| mapping.page == page)]
    }

    /// Walks from every root; to be called when nothing is going on.
    ///
    /// # Errors
    /// The first thing by which an address space contradicts itself.
    pub fn walk(&mut self, kernel: &Kernel) -> Result<(), Miscount> {
        self.tables.clear();
        self.mappings.clear();
        self.anon_vmas.clear();
        self.held.clear();
        self.held.extend(kernel.shmem.pages().iter().chain(&kernel.lru_batches.pages()).map(|page| page.0));
        self.held.sort_unstable();
        let mut listed = 0;
        for id in 0..kernel.config.mms as u8 {
            let mm = kernel.mm(MmId(id));
            let word = |loc| kernel.core().memory.get(loc);
            if word(mm.mm_users().loc()) > 0 {
                kernel.vma_list_into(mm, &mut self.vmas);
                listed += self.vmas.len();
                self.anon_vmas.extend(mm.anon_vma_chains.peek().iter().map(|avc| avc.anon_vma().index()));
                self.in_order(mm.id)?;
                self.table(kernel, mm.id, Pfn(word(mm.pgd().loc())), Level::P4d, VirtAddr(0))?;
            } else if kernel.mm_slab.current(kernel.core(), usize::from(id)).is_some() {
                // A lazy CPU still has it loaded. Its user half is empty.
                self.tables.push(Pfn(word(mm.pgd().loc())));
            }
        }
        self.tables.sort_unstable();
        self.mappings.sort_unstable();
        let exists = |slot: &usize| kernel.vmas.current(kernel.core(), *slot).is_some();
        // Those that wait for a grace period are nobody's, and not lost.
        let pending = kernel.core().rcu.pending();
        let waiting =
            pending.iter().filter(|callback| matches!(Callback::from_token(callback.token), Callback::Vma(_)));
        let exist = (0..kernel.vmas.used(kernel.core())).filter(exists).count() - waiting.count();
        if exist != listed {
            return Err(Miscount::LostVmas { exist, listed });
        }
        self.anon_vmas.sort_unstable();
        self.anon_vmas.dedup();
        let linked = self.anon_vmas.len();
        let exists = |slot: &usize| kernel.anon_vmas.current(kernel.core(), *slot).is_some();
        let exist = (0..kernel.anon_vmas.used(kernel.core())).filter(exists).count();
        if exist != linked {
            return Err(Miscount::LostAnonVmas { exist, linked });
        }
        match self.tables.array_windows().find(|[one, other]| one == other) {
            Some([table, _]) => Err(Miscount::SharedTable { table: *table }),
            None => Ok(()),
        }
    }

    fn in_order(&self, mm: MmId) -> Result<(), Miscount> {
        let empty = self.vmas.iter().any(|vma| vma.start >= vma.end);
        let overlap = self.vmas.array_windows().any(|[one, next]| one.end > next.start);
        if empty || overlap { Err(Miscount::Disorder { mm }) } else { Ok(()) }
    }

    /// Whether a mapping allows what an entry does, and of a shared mapping whether the entry maps the page of its file.
    fn judge(&self, kernel: &Kernel, mm: MmId, va: VirtAddr, entry: Entry) -> Result<(), Miscount> {
        let vma = self.vmas.iter().find(|vma| vma.start <= va && va < vma.end);
        let Some(vma) = vma.filter(|vma| !entry.has(Entry::RW) || vma.flags.intersects(VmFlags::WRITE)) else {
            return Err(Miscount::Stray { mm, va });
        };
        let page = Page(entry.pfn());
        let differs = |file| {
            let index = vma.pgoff + (va.vpn().0 - vma.start.vpn().0);
            kernel.shmem.i_pages(file).peek().get(&index) != Some(&page)
        };
        if !entry.has(Entry::SPECIAL) && vma.file.is_some_and(differs) {
            Err(Miscount::OtherPage { mm, va, page })
        } else {
            Ok(())
        }
    }

    /// Notes what a table leads to. `base` is the first address that it translates.
    fn table(
        &mut self,
        kernel: &Kernel,
        mm: MmId,
        table: Pfn,
        level: Level,
        base: VirtAddr,
    ) -> Result<(), Miscount> {
        self.tables.push(table);
        let geometry = kernel.mmu.geometry;
        // The upper half of the top-level table is the kernel's.
        let user = geometry.entries(level) / if level == Level::P4d { 2 } else { 1 };
        for index in 0..user {
            let entry = kernel.mmu.entry_now(table, index);
            let present = if level == Level::Pte { is_pte_present(entry) } else { entry.is_present() };
            if !present {
                continue;
            }
            let va = VirtAddr(base.0 + (u64::from(index) << geometry.shift(level)));
            match level.next() {
                // Set by `bare::set_entry()`: the table belongs to where else it is.
                Some(_) if entry.has(Entry::SPECIAL) => continue,
                Some(below) => {
                    self.table(kernel, mm, entry.pfn(), below, va)?;
                    continue;
                }
                None => self.judge(kernel, mm, va, entry)?,
            }
            if !entry.has(Entry::SPECIAL) {
                self.mappings.push(Mapping { page: entry.pfn(), mm, va });
            }
        }
        Ok(())
    }
}

impl Kernel {
    /// Recounts everything; to be called when nothing is going on. `others` is how many references to a page are
    /// held by those that the memory manager does not know: pins, pipes.
    ///
    /// # Errors
    /// The first thing that does not hold, by address space and then by frame.
    pub fn check(&self, others: impl Fn(Page) -> u64) -> Result<(), Miscount> {
        let mut reach = Reach::default();
        reach.walk(self)?;
        (0..self.config.frames).try_for_each(|pfn| {
            let page = Page(Pfn(pfn));
            self.check_page(page, &reach, others(page))
        })
    }

    /// What a page's descriptor says, against what leads to the page.
    fn check_page(&self, page: Page, reach: &Reach, others: u64) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let entries = reach.mappings(page.0).len() as u64;
        let count = memory.get(self.mapcount(page).loc());
        if count != entries {
            return Err(Miscount::Mapcount { page, count, entries });
        }
        let boot = page.0.0 < self.config.boot_frames();
        let cached = reach.held(page.0);
        let holders = entries + u64::from(reach.has_table(page.0) || boot) + cached + others;
        let count = memory.get(self.refcount(page).loc());
        if count != holders {
            return Err(Miscount::Refcount { page, count, holders });
        }
        if holders > 0 && self.zone.is_set(memory, self.zone.free, page.0) {
            return Err(Miscount::FreeInUse { page });
        }
        Ok(())
    }
}
