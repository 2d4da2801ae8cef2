//! Recounts the kernel's own structures, and says whether everything holds that must hold when nothing is going on.
//!
//! Mappings, page tables and page descriptors say the same thing three times. For example, a page that two
//! entries map has the mapcount 2. Files and page descriptors say twice which page is where. They may differ between the change of an entry and the change of the count.
//! They may not differ when no system call and no handler is under way.

use std::ops::Range;

use sim_mmu::{Entry, Level, Pfn, Translation, VirtAddr};

use crate::event::{Order, SharedPage};
use crate::folio::page_is_anon_now;
use crate::fs::PageTag;
use crate::huge_pte::huge_migration;
use crate::kernel::Kernel;
use crate::miscount::Miscount;
use crate::mm_types::VmaSnapshot;
use crate::mm_types::{MmId, MmStruct, Page};
use crate::page_flags::{PageFlags, anon_vma_of_mapping, file_of_mapping, is_anon_mapping};
use crate::pgtable::is_pte_present;
use crate::pgtable_huge::part_of_huge;
use crate::rcu::Callback;
use crate::settings::{HugeZeroCount, Mlock};
use crate::shmem_fs::Cached;
use crate::swap_info::SWAP_HAS_CACHE;
use crate::swapops::{MigrationEntry, SwpEntry};
use crate::vm_flags::VmFlags;

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
    /// Every entry that maps a huge page, in the order of their first frames. That of the huge page of zeroes is not among them.
    huge: Vec<Mapping>,
    /// How many entries map the huge page of zeroes.
    zeroes: u64,
    /// The mappings of the address space that is being walked.
    vmas: Vec<VmaSnapshot>,
    /// The pages that files have, and those that wait in batches, as often as they do.
    held: Vec<Pfn>,
    /// The `anon_vma`s that mappings hang on, by slot.
    anon_vmas: Vec<usize>,
    /// The pages that locked mappings map, on a machine that marks such pages.
    mlocked: Vec<Pfn>,
    /// The slots of the swap area that entries and files name, as often as they do.
    swapped: Vec<SwpEntry>,
    /// The tables of PMD entries, as often as entries lead to them, with the first address that they translate there. On a machine with a pool of huge
    /// pages only.
    pmd_tables: Vec<(Pfn, MmId, VirtAddr)>,
}

/// Those of the entries that map a frame.
fn of_frame(sorted: &[Mapping], frame: Pfn) -> &[Mapping] {
    let first = sorted.partition_point(|mapping| mapping.page < frame);
    let rest = &sorted[first..];
    &rest[..rest.partition_point(|mapping| mapping.page == frame)]
}

impl Reach {
    /// Whether a root leads to this page table, or it is one.
    pub fn has_table(&self, table: Pfn) -> bool {
        self.tables.binary_search(&table).is_ok()
    }

    /// The frames that anything leads to, of a huge page the first. Some are told more than once.
    fn frames(&self) -> impl Iterator<Item = Pfn> {
        let mapped = self.mappings.iter().chain(&self.huge).map(|mapping| mapping.page);
        mapped.chain(self.tables.iter().copied()).chain(self.held.iter().copied())
    }

    /// How many references files and batches have to a block of frames, which are one page.
    pub fn held(&self, frames: Range<Pfn>) -> u64 {
        let first = self.held.partition_point(|held| *held < frames.start);
        self.held[first..].iter().take_while(|held| **held < frames.end).count() as u64
    }

    /// The entries that map a frame by itself.
    pub fn mappings(&self, frame: Pfn) -> &[Mapping] {
        of_frame(&self.mappings, frame)
    }

    /// The entries that map a huge page, by its first frame.
    pub fn huge_mappings(&self, head: Pfn) -> &[Mapping] {
        of_frame(&self.huge, head)
    }

    /// How many entries hold a reference to the page whose frames these are.
    pub fn entries(&self, frames: Range<Pfn>) -> u64 {
        let first = self.mappings.partition_point(|mapping| mapping.page < frames.start);
        let rest = &self.mappings[first..];
        let small = rest.partition_point(|mapping| mapping.page < frames.end);
        (small + self.huge_mappings(frames.start).len()) as u64
    }

    /// Walks from every root; to be called when nothing is going on.
    ///
    /// # Errors
    /// The first thing by which an address space contradicts itself.
    pub fn walk(&mut self, kernel: &Kernel) -> Result<(), Miscount> {
        self.tables.clear();
        self.mappings.clear();
        self.huge.clear();
        self.zeroes = 0;
        self.anon_vmas.clear();
        self.held.clear();
        self.swapped.clear();
        self.mlocked.clear();
        self.pmd_tables.clear();
        let swap_cache = kernel.swap.in_use(&kernel.core().memory).filter_map(|(.., page)| page);
        self.held.extend(swap_cache.map(|page| page.0));
        let cached = kernel.shmem.cached();
        for (_, has) in &cached {
            match has {
                Cached::Swapped(entry, _) => self.swapped.push(*entry),
                Cached::Page(page) => self.held.push(page.0),
            }
        }
        kernel.lru_batches.each_page(|page| self.held.push(page.0));
        self.held.extend(kernel.huge_zero_page().map(|page| page.0));
        self.held.sort_unstable();
        kernel.check_files(&cached)?;
        let mut listed = 0;
        for mm in kernel.live_mms().map(|mm| kernel.mm(mm)) {
            kernel.vma_list_into(mm, &mut self.vmas);
            listed += self.vmas.len();
            self.anon_vmas.extend(mm.anon_vma_chains.peek().iter().map(|avc| avc.anon_vma().index()));
            self.in_order(mm.id)?;
            let root = Pfn(kernel.core().memory.get(mm.pgd().loc()));
            self.table(kernel, mm.id, root, Level::P4d, VirtAddr(0))?;
        }
        for mm in kernel.kept_mms().map(|mm| kernel.mm(mm)) {
            // A lazy CPU still has it loaded. Its user half is empty.
            self.tables.push(Pfn(kernel.core().memory.get(mm.pgd().loc())));
        }
        self.tables.sort_unstable();
        self.mappings.sort_unstable();
        self.huge.sort_unstable();
        let exists = |slot: &usize| kernel.vmas.current(kernel.core(), *slot).is_some();
        // Those that wait for a grace period are nobody's, and not lost.
        let mut waiting = 0;
        kernel.core().rcu.each_pending(|callback| {
            waiting += usize::from(matches!(Callback::from_token(callback.token), Callback::Vma(_)));
        });
        let exist = (0..kernel.vmas.used(kernel.core())).filter(exists).count() - waiting;
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
        self.check_swap(kernel)?;
        self.check_huge_zero(kernel)?;
        self.check_mlocked(kernel)?;
        kernel.check_hugetlb(&self.pmd_tables)?;
        kernel.mms().try_for_each(|mm| kernel.check_sptes(mm))?;
        match self.tables.array_windows().find(|[one, other]| one == other) {
            Some([table, _]) => Err(Miscount::SharedTable { table: *table }),
            None => Ok(()),
        }
    }

    /// Whether each slot of the swap area counts what leads to it. A slot that is counted too high is never free again, and one
    /// that is counted too low is given to somebody else.
    fn check_swap(&mut self, kernel: &Kernel) -> Result<(), Miscount> {
        self.swapped.sort_unstable();
        let memory = &kernel.core().memory;
        let named = |slot: SwpEntry| {
            let first = self.swapped.partition_point(|other| *other < slot);
            self.swapped[first..].iter().take_while(|other| **other == slot).count() as u64
        };
        for (slot, map, page) in kernel.swap.in_use(memory) {
            let map = (map & !SWAP_HAS_CACHE, map & SWAP_HAS_CACHE != 0);
            let found = (named(slot), page.is_some());
            if map != found {
                return Err(Miscount::SwapMap { slot, map, found });
            }
            if let Some(page) = page
                && memory.get(kernel.page(page).private().loc()) != slot.0 + 1
            {
                return Err(Miscount::SwapCache { slot, page });
            }
        }
        let is_free = |slot: &&SwpEntry| memory.get(kernel.swap.slot(**slot).swap_map().loc()) == 0;
        match self.swapped.iter().find(is_free) {
            Some(slot) => Err(Miscount::SwapMap { slot: *slot, map: (0, false), found: (named(*slot), false) }),
            None => Ok(()),
        }
    }

    /// Whether the huge page of zeroes counts who keeps it: one that is counted too low is freed while somebody reads it.
    fn check_huge_zero(&self, kernel: &Kernel) -> Result<(), Miscount> {
        let memory = &kernel.core().memory;
        let keeps = |mm: &MmId| memory.get(kernel.mm(*mm).huge_zero().loc()) != 0;
        let keepers = match kernel.config.setting::<HugeZeroCount>() {
            HugeZeroCount::Entries => self.zeroes,
            HugeZeroCount::Mms => kernel.live_mms().filter(keeps).count() as u64,
        };
        let count = memory.get(kernel.huge_zero.refcount.loc());
        let shrinker = u64::from(kernel.huge_zero_page().is_some());
        if count == keepers + shrinker { Ok(()) } else { Err(Miscount::HugeZero { count, keepers, shrinker }) }
    }

    /// Whether the pages that say that they are locked in memory are so, and are counted.
    fn check_mlocked(&self, kernel: &Kernel) -> Result<(), Miscount> {
        if !kernel.mlocked_matters() {
            return Ok(());
        }
        let says_so = |pfn: &Pfn| kernel.flags_now(Page(*pfn)).contains(PageFlags::MLOCKED);
        let mut pages = 0;
        // A free page says nothing: who takes it clears its flags.
        for pfn in kernel.taken_frames().filter(says_so) {
            if !self.mlocked.contains(&pfn) {
                return Err(Miscount::Mlocked { page: Page(pfn) });
            }
            pages += 1;
        }
        let count = kernel.core().memory.get(kernel.nr_mlock.loc());
        if count == pages { Ok(()) } else { Err(Miscount::MlockedCount { count, pages }) }
    }

    fn in_order(&self, mm: MmId) -> Result<(), Miscount> {
        let empty = self.vmas.iter().any(|vma| vma.start >= vma.end);
        let overlap = self.vmas.array_windows().any(|[one, next]| one.end > next.start);
        if empty || overlap { Err(Miscount::Disorder { mm }) } else { Ok(()) }
    }

    fn is_locked(&self, va: VirtAddr) -> bool {
        self.vmas.iter().any(|vma| vma.start <= va && va < vma.end && vma.flags.contains(VmFlags::LOCKED))
    }

    /// Whether a mapping allows what an entry does, and of a shared mapping whether the entry maps the page of its file.
    fn judge(&self, kernel: &Kernel, mm: MmId, va: VirtAddr, entry: Entry) -> Result<(), Miscount> {
        let mut vmas = self.vmas.iter().enumerate();
        let found = vmas.find(|(_, vma)| vma.start <= va && va < vma.end);
        let allows = |vma: &VmaSnapshot| !entry.has(Entry::RW) || vma.flags.intersects(VmFlags::WRITE);
        let Some((nth, vma)) = found.filter(|(_, vma)| allows(vma)) else {
            return Err(Miscount::Stray { mm, va });
        };
        let page = Page(entry.pfn());
        let index = vma.pgoff + (va.vpn().0 - vma.start.vpn().0);
        if entry.has(Entry::DEVMAP) {
            let is_behind_end = vma.file.is_some_and(|file| index >= kernel.i_size(file.index()));
            let block = vma.file.and_then(|file| kernel.pgmap.block_now(file.index(), index));
            return match block == Some(page) {
                _ if is_behind_end => Err(Miscount::MappedBehindEnd { mm, va, page }),
                true => Ok(()),
                false => Err(Miscount::OtherPage { mm, va, page }),
            };
        }
        if !entry.has(Entry::SPECIAL) && !kernel.rmap_finds(mm, nth, page) {
            return Err(Miscount::Unlinked { mm, va, page });
        }
        let (mapping, says) = kernel.mapping_of(page);
        if !entry.has(Entry::SPECIAL) && anon_vma_of_mapping(mapping).is_some() && says != index {
            return Err(Miscount::OtherIndex { mm, va, page, says, index });
        }
        let Some(file) = vma.file.filter(|_| !entry.has(Entry::SPECIAL)) else { return Ok(()) };
        if kernel.folio_index(page, index) >= kernel.i_size(file.index()) {
            return Err(Miscount::MappedBehindEnd { mm, va, page });
        }
        // A private mapping has copied what is anonymous.
        let is_copy = !vma.flags.contains(VmFlags::SHARED) && is_anon_mapping(mapping);
        let is_the_files = kernel.pgmap.block_now(file.index(), index) == Some(page)
            || kernel.shmem.i_pages(file).peek().get(&index) == Some(&Cached::Page(page));
        if !is_copy && !is_the_files {
            return Err(Miscount::OtherPage { mm, va, page });
        }
        Ok(())
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
        // Address spaces may share a table of PMD entries: what it leads to is counted once, and each mapping of it is judged.
        let again = level == Level::Pmd
            && kernel.has_hugetlb()
            && self.pmd_tables.iter().any(|(other, ..)| *other == table);
        if level == Level::Pmd && kernel.has_hugetlb() {
            self.pmd_tables.push((table, mm, base));
        }
        if !again {
            self.tables.push(table);
        }
        let before = self.tables.len();
        if level == Level::Pmd && !again {
            self.tables.extend(kernel.deposited(table));
        }
        let deposited = self.tables.len() - before;
        let geometry = kernel.mmu.geometry;
        // The upper half of the top-level table is the kernel's.
        let user = geometry.entries(level) / if level == Level::P4d { 2 } else { 1 };
        let mut huge = 0;
        for index in 0..user {
            let entry = kernel.mmu.entry_now(table, index);
            // Most entries are empty.
            if entry == Entry::NONE {
                continue;
            }
            let va = VirtAddr(base.0 + (u64::from(index) << geometry.shift(level)));
            let is_huge = matches!(level, Level::Pmd | Level::Pud) && entry.has(Entry::PAGE_SIZE);
            let present = match level {
                Level::Pte => is_pte_present(entry),
                _ => entry.is_present() || is_huge && is_pte_present(entry.without(Entry::PAGE_SIZE)),
            };
            if !present {
                if level == Level::Pte {
                    self.swapped.extend(SwpEntry::of_pte(entry));
                }
                let is_moved = match level {
                    Level::Pte => MigrationEntry::of_pte(entry).is_some(),
                    Level::Pmd | Level::Pud => huge_migration(entry).is_some(),
                    _ => false,
                };
                if is_moved {
                    return Err(Miscount::Migrating { mm, va });
                }
                continue;
            }
            if is_huge {
                self.huge_page(kernel, (mm, va), (entry, level), again)?;
                // Nothing is deposited for a huge page of a file, or of the pool.
                let page = Page(entry.pfn());
                let is_thp = !kernel.is_hugetlb(page) && page_is_anon_now(kernel, page);
                huge += usize::from(is_thp || kernel.huge_zero_page() == Some(page));
                continue;
            }
            match level.next() {
                // Set by `bare::set_entry()`: the table belongs to where else it is.
                Some(_) if entry.has(Entry::SPECIAL) => continue,
                Some(below) => {
                    self.table(kernel, mm, entry.pfn(), below, va)?;
                    continue;
                }
                None => self.judge(kernel, mm, va, entry)?,
            }
            if kernel.mlocked_matters() && self.is_locked(va) {
                self.mlocked.push(entry.pfn());
            }
            if !entry.has(Entry::SPECIAL) {
                self.mappings.push(Mapping { page: entry.pfn(), mm, va });
            }
        }
        if deposited != huge {
            return Err(Miscount::Deposits { mm, va: base, huge, deposited });
        }
        Ok(())
    }
}

impl Reach {
    /// Notes what an entry that maps a huge page leads to.
    fn huge_page(
        &mut self,
        kernel: &Kernel,
        (mm, va): (MmId, VirtAddr),
        (entry, level): (Entry, Level),
        again: bool,
    ) -> Result<(), Miscount> {
        for nth in 0..Order::of(level, kernel.mmu.geometry).pages() {
            let part = part_of_huge(entry, nth);
            if part == Entry::NONE {
                return Err(Miscount::Stray { mm, va });
            }
            self.judge(kernel, mm, va.plus_pages(nth), part)?;
        }
        let head = Page(entry.pfn());
        if kernel.huge_zero_page() == Some(head) {
            self.zeroes += 1;
        } else if !again && !entry.has(Entry::DEVMAP) {
            self.huge.push(Mapping { page: head.0, mm, va });
        }
        Ok(())
    }
}

impl Kernel {
    /// The address spaces that have users.
    pub fn live_mms(&self) -> impl Iterator<Item = MmId> {
        let has_users = |mm: &MmId| self.core().memory.get(self.mm(*mm).mm_users().loc()) > 0;
        (0..self.config.mms as u8).map(MmId).filter(has_users)
    }

    /// The address spaces that have no user any more, and that some CPU still has loaded.
    fn kept_mms(&self) -> impl Iterator<Item = MmId> {
        let has_users = |mm: &MmId| self.core().memory.get(self.mm(*mm).mm_users().loc()) > 0;
        let exists = |mm: &MmId| self.mm_slab.current(self.core(), usize::from(mm.0)).is_some();
        (0..self.config.mms as u8).map(MmId).filter(move |mm| exists(mm) && !has_users(mm))
    }

    /// Whether a walk from a page by its `anon_vma` comes to a mapping, which is the one at this place in the list of its address space.
    fn rmap_finds(&self, mm: MmId, nth: usize, page: Page) -> bool {
        let Some(slot) = anon_vma_of_mapping(self.mapping_of(page).0) else { return true };
        let mm = self.mm(mm);
        let vma = mm.vmas.peek()[nth].0.index();
        mm.anon_vma_chains.peek().iter().any(|avc| avc.vma() == vma && avc.anon_vma().index() == slot)
    }

    /// Whether a guest has what its process has, and may do no more. A secondary MMU has no references, so nothing else keeps what it uses. The
    /// guest of a process that has ended has nothing.
    fn check_sptes(&self, mm: &MmStruct) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let root = Pfn(memory.get(mm.pgd().loc()));
        let has_ended = memory.get(mm.mm_users().loc()) == 0;
        let allows = |va: VirtAddr, spte: &Translation| {
            let (_, level, entry) = self.mmu.lowest_under(root, va);
            let pfn = Pfn(entry.pfn().0 + (va.vpn().0 & ((1 << self.mmu.geometry.order(level)) - 1)));
            let maps = entry.is_present() && (level == Level::Pte || entry.has(Entry::PAGE_SIZE));
            !has_ended && maps && pfn == spte.pfn && (entry.has(Entry::RW) || !spte.rights.write)
        };
        match mm.kvm.sptes.peek().iter().find(|(vpn, spte)| !allows(vpn.base(), spte)) {
            Some((vpn, spte)) => Err(Miscount::Spte { mm: mm.id, va: vpn.base(), page: Page(spte.pfn) }),
            None => Ok(()),
        }
    }

    /// Whether pages say that they are locked in memory.
    fn mlocked_matters(&self) -> bool {
        self.config.setting::<Mlock>() == Mlock::Walk
    }

    /// Recounts everything; to be called when nothing is going on. `others` is how many references to a page are
    /// held by those that the memory manager does not know: pins, pipes.
    ///
    /// # Errors
    /// The first thing that does not hold, by address space and then by frame.
    pub fn check(&self, others: impl Fn(Page) -> u64) -> Result<(), Miscount> {
        let mut reach = Reach::default();
        reach.walk(self)?;
        if let Some(page) = reach.frames().find(|pfn| !self.was_used(*pfn)) {
            return Err(Miscount::FreeInUse { page: Page(page) });
        }
        // A machine has thousands of frames that no run uses. Nothing leads to them, so they must count nothing.
        let counts = |pfn: &Pfn| self.was_used(*pfn) || self.counts_anything(Page(*pfn));
        self.mem_map.pfns().filter(counts).try_for_each(|pfn| self.check_page(Page(pfn), &reach, &others))?;
        self.check_free_lists()
    }

    /// `i_size` of the file in a slot now, in pages.
    fn i_size(&self, slot: usize) -> u64 {
        self.core().memory.get(self.shmem.inodes.record(slot).i_size().loc())
    }

    /// What files say of their pages, against what the pages say.
    fn check_files(&self, cached: &[(SharedPage, Cached)]) -> Result<(), Miscount> {
        for &(at, has) in cached {
            let is_behind_end = |index| index >= self.i_size(at.file as usize);
            let page = match has {
                Cached::Page(page) => page,
                Cached::Swapped(slot, _) if is_behind_end(at.index) => {
                    return Err(Miscount::SwappedBehindEnd { slot, at });
                }
                Cached::Swapped(..) => continue,
            };
            if is_behind_end(self.folio_index(page, at.index)) {
                return Err(Miscount::CachedBehindEnd { page, at });
            }
            if self.shared_page(page) != Some(at) {
                return Err(Miscount::OtherFile { page, at });
            }
            let flags = self.flags_now(page);
            if flags.contains(PageFlags::LOCKED) {
                return Err(Miscount::Locked { page });
            }
            let tags = self.disk.tags_now(at.file, self.folio_index(page, at.index));
            if flags.contains(PageFlags::DIRTY) && self.is_on_disk(at.file) && !tags.contains(PageTag::DIRTY) {
                return Err(Miscount::Untagged { page, at });
            }
        }
        self.check_nr_thps(cached)
    }

    /// `nr_thps` of each file, against the huge pages that it has.
    fn check_nr_thps(&self, cached: &[(SharedPage, Cached)]) -> Result<(), Miscount> {
        let files = if self.has_disk() { self.shmem.inodes.used(self.core()) } else { 0 };
        for file in 0..files {
            let says = self.core().memory.get(self.shmem.inodes.record(file).nr_thps().loc());
            let heads = cached.iter().filter(|(at, _)| at.file as usize == file && self.is_on_disk(at.file));
            let heads = heads.filter_map(|(_, has)| has.page().filter(|page| self.folio_of(*page) == *page));
            let order = self.mmu.geometry.order(Level::Pmd);
            let has = heads.filter(|head| self.folio_order(*head) == order).count() as u64;
            if says != has {
                return Err(Miscount::HugePagesOfFile { file: file as u32, says, has });
            }
        }
        Ok(())
    }

    /// The place of the first page of a folio in its file, if `index` is that of the page. A folio stays as a whole if a part of it is needed.
    fn folio_index(&self, page: Page, index: u64) -> u64 {
        index - (page.0.0 - self.folio_of(page).0.0).min(index)
    }

    /// Which page of which file a page says that it is.
    fn shared_page(&self, page: Page) -> Option<SharedPage> {
        let (mapping, index) = self.mapping_of(page);
        Some(SharedPage { file: file_of_mapping(mapping)?, index })
    }

    fn flags_now(&self, page: Page) -> PageFlags {
        PageFlags::from_bits_retain(self.core().memory.get(self.page_flags(page).loc()))
    }

    /// The frames of the page that begins with this one, or of which it is a part.
    pub fn folio_frames(&self, page: Page) -> Range<Pfn> {
        let head = self.folio_of(page);
        head.0..Pfn(head.0.0 + (1 << self.folio_order(head)))
    }

    /// The entries that map a frame, as the page says: by themselves, and with all of its folio.
    pub fn mapcount_now(&self, page: Page) -> u64 {
        let memory = &self.core().memory;
        let head = self.folio_of(page);
        let entire =
            if self.folio_order(head) == 0 { 0 } else { memory.get(self.page(head).entire_mapcount().loc()) };
        memory.get(self.mapcount(page).loc()) + entire
    }

    /// What a page's descriptor says, against what leads to the page. `others` are references to this very frame.
    fn check_page(&self, page: Page, reach: &Reach, others: &impl Fn(Page) -> u64) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let frames = self.folio_frames(page);
        let entries = (reach.mappings(page.0).len() + reach.huge_mappings(frames.start).len()) as u64;
        let count = self.mapcount_now(page);
        if count != entries {
            return Err(Miscount::Mapcount { page, count, entries });
        }
        let is_queued = memory.get(self.page(page).deferred().loc()) != 0;
        if is_queued && (self.is_free(page) || self.folio_order(page) == 0) {
            return Err(Miscount::Queued { page });
        }
        let count = memory.get(self.refcount(page).loc());
        // A tail counts nothing itself, and what its head counts is compared there.
        let is_tail = frames.start != page.0;
        let holders = if is_tail { 0 } else { self.holders(frames.clone(), reach, others) };
        if count != holders {
            return Err(Miscount::Refcount { page, count, holders });
        }
        if memory.get(self.refcount(Page(frames.start)).loc()) == 0 {
            return Ok(());
        }
        if self.is_zone_device(page.0) {
            return Ok(());
        }
        let is_cached = |at: SharedPage| self.shmem.has(at, page);
        if let Some(at) = self.shared_page(page).filter(|at| !is_cached(*at)) {
            return Err(Miscount::OtherFile { page, at });
        }
        if self.is_free(page) {
            return Err(Miscount::FreeInUse { page });
        }
        Ok(())
    }

    /// Whether a descriptor has a count, or says that its frame is a part of a folio.
    fn counts_anything(&self, page: Page) -> bool {
        let (memory, words) = (&self.core().memory, self.page(page));
        [words.refcount(), words.mapcount(), words.compound_head()].iter().any(|word| memory.get(word.loc()) != 0)
    }

    /// How many references there are to the page whose frames these are.
    fn holders(&self, frames: Range<Pfn>, reach: &Reach, others: &impl Fn(Page) -> u64) -> u64 {
        let head = frames.start;
        let others: u64 = (head.0..frames.end.0).map(|pfn| others(Page(Pfn(pfn)))).sum();
        let own = reach.has_table(head) || head.0 < self.config.boot_frames();
        let idle = self.idle_references(Page(head)).unwrap_or(0);
        idle + reach.entries(frames.clone()) + u64::from(own) + reach.held(frames) + others
    }
}
