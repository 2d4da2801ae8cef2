//! Looking at the machine as the recorder looked at its kernel: mappings, page tables, page descriptors.
//!
//! Everything is read from the words of the simulated memory and from the kernel's own lists. Nothing is read
//! from the memory of the oracles.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use sim_core::Shared;
use sim_mm::{
    Inode, Kernel, MmId, Order, Page, PageFlags, Release, SMAPS_CODES, SwpEntry, VmFlags, VmaSnapshot,
    allows_large_folios, has_block, is_file_aligned, is_guard, is_pte_present, page_is_anon_now,
    pte_swp_soft_dirty,
};
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use super::program::{PROCESSES, Setting};
use super::view::{Observation, PageRun, ProcessView, VmaView};

/// An entry that is not empty.
struct Mapped {
    page: u64,
    entry: Entry,
    frame: Pfn,
    huge: bool,
}

impl Mapped {
    fn is_present(&self) -> bool {
        is_pte_present(self.entry)
    }
}

/// What is remembered of frames from one look to the next. A frame keeps its number as long as something goes on mapping it.
pub struct Eye {
    setting: Setting,
    look: u32,
    next: u64,
    frames: Vec<Known>,
    /// The frame behind each page of each process at the last look.
    before: Vec<Vec<Option<Pfn>>>,
    /// The memfds: `f0`, `f1`.
    memfds: Vec<Inode>,
    /// The files of shared anonymous memory, in the order in which they were seen: `z0`, `z1`.
    files: Vec<Inode>,
}

/// What `mremap()` did: pages `from` on of a process are at `to` now.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The process.
    pub process: u8,
    /// The first page of the old place.
    pub from: u64,
    /// The first page of the new place.
    pub to: u64,
    /// The number of pages.
    pub pages: u64,
}

impl Moved {
    /// The old place of the contents that are at a page now.
    fn source(&self, page: u64) -> Option<u64> {
        let nth = page.checked_sub(self.to).filter(|nth| *nth < self.pages)?;
        Some(self.from + nth)
    }
}

/// A frame.
#[derive(Clone, Copy, Default)]
struct Known {
    id: u64,
    /// The last look at which it was mapped.
    seen: u32,
    /// The last look at which a page still mapped it that had mapped it at the look before.
    kept: u32,
}

impl Eye {
    /// Before the first look.
    pub fn new(setting: Setting, frames: u64, memfds: Vec<Inode>) -> Eye {
        let pages = vec![None; setting.pages as usize];
        Eye {
            setting,
            look: 0,
            next: 1,
            frames: vec![Known::default(); frames as usize],
            before: vec![pages; usize::from(PROCESSES)],
            memfds,
            files: Vec::new(),
        }
    }

    /// What can be seen of the processes now. `moved` says which pages the step before moved. A frame that was mapped at the
    /// old place keeps its number at the new place.
    pub fn look(&mut self, kernel: &Kernel, processes: &BTreeMap<u8, MmId>, moved: Option<Moved>) -> Observation {
        self.look += 1;
        let mapped: BTreeMap<u8, Vec<Mapped>> =
            processes.iter().map(|(process, mm)| (*process, walk(kernel, *mm, self.setting))).collect();
        for (process, entries) in &mapped {
            for Mapped { page, frame, .. } in entries.iter().filter(|mapped| mapped.is_present()) {
                let before = &self.before[usize::from(*process)];
                let was_there = |page: u64| before.get(page as usize) == Some(&Some(*frame));
                let came_from =
                    moved.filter(|moved| moved.process == *process).and_then(|moved| moved.source(*page));
                if (was_there(*page) || came_from.is_some_and(was_there))
                    && let Some(known) = self.frames.get_mut(frame.0 as usize)
                {
                    known.kept = self.look;
                }
            }
        }
        let mut seen = Observation::new();
        for process in 0..PROCESSES {
            let before = &mut self.before[usize::from(process)];
            before.fill(None);
            let (Some(mm), Some(entries)) = (processes.get(&process), mapped.get(&process)) else { continue };
            let mut view = ProcessView { vmas: Vec::new(), pages: Vec::new() };
            let vmas = kernel.vma_list(kernel.mm(*mm));
            let fresh = Fresh::of(&vmas, self.setting);
            let mut holes = fresh.holes(entries).peekable();
            for entry in entries {
                while let Some(hole) = holes.next_if(|hole| hole.page < entry.page) {
                    PageRun::append(&mut view.pages, hole);
                }
                let (look, next) = (self.look, &mut self.next);
                let id = match self.frames.get_mut(entry.frame.0 as usize) {
                    Some(known) if !is_zero(kernel, entry.frame) && entry.is_present() => {
                        before[entry.page as usize] = Some(entry.frame);
                        known.number(look, next)
                    }
                    _ => 0,
                };
                PageRun::append(
                    &mut view.pages,
                    page_run(kernel, self.setting.kernel, entry, id, fresh.has(entry.page)),
                );
            }
            holes.for_each(|hole| PageRun::append(&mut view.pages, hole));
            for vma in &vmas {
                let backing = self.backing(vma.file);
                view.vmas.push(vma_view(kernel, vma, entries, self.setting, backing));
            }
            seen.insert(process, Arc::new(view));
        }
        seen
    }
}

impl Eye {
    /// The pages that the last look read, in order. These are mapped, and are not the zero page.
    pub fn pages(&self) -> Vec<Page> {
        self.before.iter().flatten().flatten().map(|frame| Page(*frame)).collect()
    }

    /// The backing of a mapping: `a` for anonymous memory, otherwise a name for the file.
    fn backing(&mut self, file: Option<Inode>) -> String {
        let Some(file) = file else { return "a".to_owned() };
        if let Some(nth) = self.memfds.iter().position(|memfd| *memfd == file) {
            return format!("f{nth}");
        }
        let nth = self.files.iter().position(|known| *known == file).unwrap_or_else(|| {
            self.files.push(file);
            self.files.len() - 1
        });
        format!("z{nth}")
    }
}

impl Known {
    /// The number of a frame that is mapped now. It is a new number, unless a page went on mapping the frame.
    fn number(&mut self, look: u32, next: &mut u64) -> u64 {
        if self.seen != look {
            if self.seen + 1 != look || self.kept != look || self.id == 0 {
                self.id = *next;
                *next += 1;
            }
            self.seen = look;
        }
        self.id
    }
}

/// The entries of the window that are not empty, by address.
fn walk(kernel: &Kernel, mm: MmId, setting: Setting) -> Vec<Mapped> {
    let mmu = &kernel.mmu;
    let geometry = mmu.geometry;
    let root = Pfn(kernel.core().memory.get(kernel.mm(mm).pgd().loc()));
    let end = setting.window.plus_pages(setting.pages);
    let mut found = Vec::new();
    let mut va = setting.window;
    while va < end {
        let (table, level, entry) = mmu.lowest_under(root, va);
        let next = geometry.addr_end(level, va, end);
        if level == Level::Pte {
            // The rest of the table is read without another walk.
            let next = geometry.addr_end(Level::Pmd, va, end);
            while va < next {
                let entry = mmu.entry_now(table, geometry.index(va, Level::Pte));
                if !entry.is_none() {
                    found.push(Mapped { page: setting.page(va), entry, frame: entry.pfn(), huge: false });
                }
                va = va.plus_pages(1);
            }
            continue;
        }
        if !entry.is_none() {
            for nth in 0..(next.0 - va.0) / VirtAddr::PAGE_SIZE {
                let first = (va.0 & (geometry.span(level) - 1)) / VirtAddr::PAGE_SIZE;
                let frame = Pfn(entry.pfn().0 + first + nth);
                found.push(Mapped { page: setting.page(va) + nth, entry, frame, huge: true });
            }
        }
        va = next;
    }
    found
}

impl Setting {
    /// The page of the window that an address is in.
    fn page(&self, va: VirtAddr) -> u64 {
        va.vpn().0.wrapping_sub(self.window.vpn().0)
    }
}

/// The pages of mappings that count as written altogether, in order.
struct Fresh(Vec<Range<u64>>);

impl Fresh {
    fn of(vmas: &[VmaSnapshot], setting: Setting) -> Fresh {
        let fresh = vmas.iter().filter(|vma| vma.flags.contains(VmFlags::SOFTDIRTY));
        Fresh(fresh.map(|vma| setting.page(vma.start)..setting.page(vma.end)).collect())
    }

    fn has(&self, page: u64) -> bool {
        self.0.iter().any(|pages| pages.contains(&page))
    }

    /// The pages that have no entry. `pagemap` shows nothing else of them.
    fn holes<'a>(&'a self, entries: &'a [Mapped]) -> impl Iterator<Item = PageRun> + 'a {
        let is_hole = |page: &u64| entries.binary_search_by_key(page, |mapped| mapped.page).is_err();
        let pages = self.0.iter().cloned().flatten().filter(is_hole);
        pages.map(|page| PageRun { page, pages: 1, flags: "dn".to_owned(), present: None })
    }
}

/// A page as `pagemap`, `kpagecount` and `kpageflags` show it. `fresh` says whether its mapping counts as written altogether.
fn page_run(kernel: &Kernel, release: Release, mapped: &Mapped, id: u64, fresh: bool) -> PageRun {
    let memory = &kernel.core().memory;
    let &Mapped { page, entry, frame, huge } = mapped;
    if !mapped.is_present() {
        let soft_dirty = fresh || SwpEntry::of_pte(entry).is_some() && pte_swp_soft_dirty(entry);
        let marks = [('d', soft_dirty), ('g', is_guard(entry)), ('s', true)];
        return PageRun { page, pages: 1, flags: set_marks(&marks), present: None };
    }
    // PAGEMAP_SCAN, by which the recorder sees what a PMD maps, came with v6.7.
    let scanned = huge && release >= Release::v(6, 7);
    let soft_dirty = fresh || entry.has(Entry::SOFT_DIRTY);
    let flags_of = |word: Shared<PageFlags>| PageFlags::from_bits_retain(memory.get(word.loc()));
    let head = kernel.folio_of(Page(frame));
    if is_zero(kernel, frame) {
        // PM_FILE of huge pages came with v6.11.
        let large = kernel.folio_order(head) > 0;
        let file = large && huge && release >= Release::v(6, 11);
        let marks = [('F', file), ('H', scanned), ('T', large), ('Z', true), ('d', soft_dirty), ('p', true)];
        return PageRun { page, pages: 1, flags: set_marks(&marks), present: Some((0, 0, 0)) };
    }
    let mapcount = kernel.mapcount_now(Page(frame));
    let anon = is_anon(kernel, frame);
    let flags = flags_of(kernel.page_flags(Page(frame)));
    let large = kernel.folio_order(head) > 0;
    // /proc/kpageflags shows the mark of the first page of a folio only.
    let exclusive = frame == head.0 && flags.contains(PageFlags::ANON_EXCLUSIVE);
    // pagemap_pmd_range() asks the first page of a huge page for all of them.
    let mapped_once = if huge { kernel.mapcount_now(head) } else { mapcount } == 1;
    let in_swap_cache = flags.contains(PageFlags::SWAPCACHE);
    let marks = [
        ('A', anon),
        ('C', in_swap_cache),
        ('F', !anon),
        ('H', scanned),
        ('T', large),
        ('d', soft_dirty),
        ('e', exclusive),
        ('p', true),
        ('x', mapped_once),
    ];
    let flags = set_marks(&marks);
    let byte = memory.get(kernel.mmu.phys.word(frame, 0)) as u8;
    PageRun { page, pages: 1, flags, present: Some((id, mapcount, byte)) }
}

/// The marks that are set, in the order in which they stand.
fn set_marks(marks: &[(char, bool)]) -> String {
    marks.iter().filter(|(_, set)| *set).map(|(mark, _)| *mark).collect()
}

/// Whether a frame is the page of zeroes, or a part of the huge one.
fn is_zero(kernel: &Kernel, frame: Pfn) -> bool {
    frame == kernel.zero_page.0 || kernel.huge_zero_page() == Some(kernel.folio_of(Page(frame)))
}

fn is_anon(kernel: &Kernel, frame: Pfn) -> bool {
    page_is_anon_now(kernel, Page(frame))
}

/// A mapping as `smaps` shows it. `backing` is the name of shared memory.
fn vma_view(kernel: &Kernel, vma: &VmaSnapshot, entries: &[Mapped], setting: Setting, backing: String) -> VmaView {
    let flags: BTreeSet<String> = SMAPS_CODES
        .iter()
        .filter(|(flag, _)| vma.flags.intersects(*flag))
        .map(|(flag, code)| {
            // `lf` came between v5.10 and v6.18.
            let unnamed = *flag == VmFlags::LOCKONFAULT && setting.kernel < Release::v(5, 16);
            (if unnamed { "??" } else { code }).to_owned()
        })
        .collect();
    let letter = |flag: VmFlags, letter| if vma.flags.contains(flag) { letter } else { '-' };
    let share = if vma.flags.contains(VmFlags::MAYSHARE) { 's' } else { 'p' };
    let (page, pages) = (setting.page(vma.start), vma.end.vpn().0 - vma.start.vpn().0);
    let first = entries.partition_point(|mapped| mapped.page < page);
    let within = entries[first..].iter().take_while(|mapped| mapped.page < page + pages);
    let by_entry = within.clone().filter(|mapped| SwpEntry::of_pte(mapped.entry).is_some()).count() as u64;
    // shmem_swap_usage(): what the file has in swap, but for what a private mapping that may be written has copied.
    let copies = !vma.flags.contains(VmFlags::SHARED) && vma.flags.contains(VmFlags::WRITE);
    let is_copied = |page: u64| copies && within.clone().any(|mapped| mapped.page == page);
    let by_file = vma.file.map_or(0, |file| {
        let swapped = kernel.shmem_swapped(file, vma.pgoff..vma.pgoff + pages);
        swapped.iter().filter(|index| !is_copied(page + (**index - vma.pgoff))).count() as u64
    });
    let swapped = by_entry + by_file;
    let counted: Vec<&Mapped> =
        within.filter(|mapped| mapped.is_present() && !is_zero(kernel, mapped.frame)).collect();
    let mapcount = |mapped: &&Mapped| kernel.mapcount_now(Page(mapped.frame));
    // The proportional share of each page, added up as in smaps_account(): in bytes, shifted by PSS_SHIFT.
    let pss: u64 = counted.iter().map(|mapped| (VirtAddr::PAGE_SIZE << 12) / mapcount(mapped).max(1)).sum();
    let locked = if vma.flags.contains(VmFlags::LOCKED) { (pss >> 12 >> 10) / 4 } else { 0 };
    let huge_pages = Order::of(Level::Pmd, kernel.mmu.geometry).pages();
    let stats = [
        (
            "ahp",
            counted.iter().filter(|mapped| mapped.huge && is_anon(kernel, mapped.frame)).count() as u64
                / huge_pages,
        ),
        ("anon", counted.iter().filter(|mapped| is_anon(kernel, mapped.frame)).count() as u64),
        ("lk", locked),
        (
            "spm",
            counted.iter().filter(|mapped| mapped.huge && !is_anon(kernel, mapped.frame)).count() as u64
                / huge_pages,
        ),
        ("sw", swapped),
        ("te", u64::from(is_thp_eligible(kernel, vma))),
    ];
    VmaView {
        page,
        pages,
        perms: [letter(VmFlags::READ, 'r'), letter(VmFlags::WRITE, 'w'), letter(VmFlags::EXEC, 'x'), share]
            .iter()
            .collect(),
        backing,
        offset: if vma.file.is_some() { vma.pgoff } else { 0 },
        flags,
        stats: stats.iter().filter(|(_, n)| *n > 0).map(|(name, n)| ((*name).to_owned(), *n)).collect(),
    }
}

/// `THPeligible`: large folios of some size are asked for, and there is room for one.
fn is_thp_eligible(kernel: &Kernel, vma: &VmaSnapshot) -> bool {
    let huge = kernel.mmu.geometry.order(Level::Pmd);
    let fits = |order| has_block(order, (vma.start, vma.end));
    let Some(file) = vma.file else {
        let wanted = kernel.asks_for_huge_pages(vma.flags) && allows_large_folios(vma.flags);
        return kernel.anon_orders_of(vma.flags).highest_first().chain(wanted.then_some(huge)).any(fits);
    };
    let orders = kernel.shmem_orders(vma.pgoff, kernel.file_pages(file), Some(vma.flags));
    orders.highest_first().any(|order| fits(order) && is_file_aligned(order, vma.start, vma.pgoff))
}
