//! Looking at the machine as the recorder looked at its kernel: mappings, page tables, page descriptors.
//!
//! Everything comes from the words of the simulated memory and the kernel's own lists; nothing that an oracle
//! keeps beside them is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sim_mm::{Kernel, MmId, Page, PageFlags, VmFlags, VmaSnapshot};
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

use super::program::{PROCESSES, Setting};
use super::view::{Observation, PageRun, ProcessView, VmaView};

/// The codes of mapping flags.
const VM_CODES: &[(VmFlags, &str)] = &[
    (VmFlags::READ, "rd"),
    (VmFlags::WRITE, "wr"),
    (VmFlags::SHARED, "sh"),
    (VmFlags::MAYREAD, "mr"),
    (VmFlags::MAYWRITE, "mw"),
    (VmFlags::MAYEXEC, "me"),
    (VmFlags::ACCOUNT, "ac"),
];

/// An entry that is not empty.
struct Mapped {
    page: u64,
    entry: Entry,
    frame: Pfn,
    huge: bool,
}

/// What is remembered of frames from one look to the next, so that each is called by the same number while
/// something goes on mapping it.
pub struct Eye {
    setting: Setting,
    look: u32,
    next: u64,
    frames: Vec<Known>,
    /// The frame behind each page of each process at the last look.
    before: Vec<Vec<Option<Pfn>>>,
}

/// A frame.
#[derive(Clone, Copy, Default)]
struct Known {
    id: u64,
    /// The last look at which it was mapped.
    seen: u32,
    /// The last look at which some page that mapped it before mapped it still.
    kept: u32,
}

impl Eye {
    /// Before the first look.
    pub fn new(setting: Setting, frames: u64) -> Eye {
        let pages = vec![None; setting.pages as usize];
        Eye {
            setting,
            look: 0,
            next: 1,
            frames: vec![Known::default(); frames as usize],
            before: vec![pages; usize::from(PROCESSES)],
        }
    }

    /// What can be seen of the processes now.
    pub fn look(&mut self, kernel: &Kernel, processes: &BTreeMap<u8, MmId>) -> Observation {
        self.look += 1;
        let mapped: BTreeMap<u8, Vec<Mapped>> =
            processes.iter().map(|(process, mm)| (*process, walk(kernel, *mm, self.setting))).collect();
        let zero = kernel.zero_page.0;
        for (process, entries) in &mapped {
            for Mapped { page, frame, .. } in entries.iter().filter(|mapped| mapped.entry.is_present()) {
                if self.before[usize::from(*process)][*page as usize] == Some(*frame)
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
            for entry in entries {
                let (look, next) = (self.look, &mut self.next);
                let id = match self.frames.get_mut(entry.frame.0 as usize) {
                    Some(known) if entry.frame != zero && entry.entry.is_present() => {
                        before[entry.page as usize] = Some(entry.frame);
                        known.number(look, next)
                    }
                    _ => 0,
                };
                PageRun::append(&mut view.pages, page_run(kernel, entry, id));
            }
            let vmas = kernel.vma_list(kernel.mm(*mm));
            view.vmas = vmas.iter().map(|vma| vma_view(kernel, vma, entries, self.setting)).collect();
            seen.insert(process, Arc::new(view));
        }
        seen
    }
}

impl Known {
    /// The number of a frame that is mapped now: a new one, unless a page went on mapping it.
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
    let (memory, mmu) = (&kernel.core().memory, &kernel.mmu);
    let geometry = mmu.geometry;
    let read = |table: Pfn, va: VirtAddr, level: Level| {
        Entry(memory.get(mmu.phys.entry(table, geometry.index(va, level)).loc()))
    };
    let root = Pfn(memory.get(kernel.mm(mm).pgd().loc()));
    let end = setting.window.plus_pages(setting.pages);
    let mut found = Vec::new();
    let mut va = setting.window;
    while va < end {
        let mut table = root;
        let mut level = Level::P4d;
        let entry = loop {
            let entry = read(table, va, level);
            match level.next() {
                Some(below) if entry.is_present() && !entry.has(Entry::PAGE_SIZE) => {
                    (table, level) = (entry.pfn(), below);
                }
                _ => break entry,
            }
        };
        let next = geometry.addr_end(level, va, end);
        if level == Level::Pte {
            // The rest of the table, without walking to it again.
            let next = geometry.addr_end(Level::Pmd, va, end);
            while va < next {
                let entry = read(table, va, Level::Pte);
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

/// A page as `pagemap`, `kpagecount` and `kpageflags` tell it. All that is mapped is anonymous or the zero page.
fn page_run(kernel: &Kernel, mapped: &Mapped, id: u64) -> PageRun {
    let memory = &kernel.core().memory;
    let &Mapped { page, entry, frame, huge } = mapped;
    if !entry.is_present() {
        return PageRun { page, pages: 1, flags: "s".to_owned(), present: None };
    }
    if frame == kernel.zero_page.0 {
        return PageRun { page, pages: 1, flags: "Zp".to_owned(), present: Some((0, 0, 0)) };
    }
    let mapcount = memory.get(kernel.mapcount(Page(frame)).loc());
    let exclusive = PageFlags::from_bits_retain(memory.get(kernel.page_flags(Page(frame)).loc()))
        .contains(PageFlags::ANON_EXCLUSIVE);
    let marks = [('A', true), ('H', huge), ('T', huge), ('e', exclusive), ('p', true), ('x', mapcount == 1)];
    let flags = marks.iter().filter(|(_, set)| *set).map(|(mark, _)| *mark).collect();
    let byte = memory.get(kernel.mmu.phys.word(frame, 0)) as u8;
    PageRun { page, pages: 1, flags, present: Some((id, mapcount, byte)) }
}

/// A mapping as `smaps` tells it.
fn vma_view(kernel: &Kernel, vma: &VmaSnapshot, entries: &[Mapped], setting: Setting) -> VmaView {
    let flags: BTreeSet<String> = VM_CODES
        .iter()
        .filter(|(flag, _)| vma.flags.intersects(*flag))
        .map(|(_, code)| (*code).to_owned())
        .collect();
    let letter = |flag: VmFlags, letter| if vma.flags.contains(flag) { letter } else { '-' };
    let share = if vma.flags.contains(VmFlags::SHARED) { 's' } else { 'p' };
    let (page, pages) = (setting.page(vma.start), vma.end.vpn().0 - vma.start.vpn().0);
    let first = entries.partition_point(|mapped| mapped.page < page);
    let within = entries[first..].iter().take_while(|mapped| mapped.page < page + pages);
    let anon = within.filter(|mapped| mapped.entry.is_present() && mapped.frame != kernel.zero_page.0).count();
    let mut stats = BTreeMap::new();
    if anon > 0 {
        stats.insert("anon".to_owned(), anon as u64);
    }
    VmaView {
        page,
        pages,
        perms: [letter(VmFlags::READ, 'r'), letter(VmFlags::WRITE, 'w'), '-', share].iter().collect(),
        backing: "a".to_owned(),
        offset: 0,
        flags,
        stats,
    }
}
