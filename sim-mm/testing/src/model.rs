//! A model of what user code may rely on: anonymous memory as a map from pages to their words. Shared memory is a map of its own, to
//! which the pages lead.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sim_mm::arch::fault::user_access;
use sim_mm::{
    Advice, Errno, Kernel, MapFlags, Mmap, Mremap, MremapFlags, MremapTarget, Prot, Spare, TableFree,
    shrink_inactive_list, sys_madvise, sys_mmap, sys_mprotect, sys_mremap, sys_munlock, sys_swapoff,
};
use sim_mmu::{DataOp, VirtAddr};

use crate::{Shell, address};

/// The words of a page that are looked at. Every page has so many, even on the smallest machine.
pub const WORDS: u64 = 2;

/// What a child gets of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFork {
    Copied,
    /// `MADV_WIPEONFORK`: zeroes.
    Wiped,
    /// `MADV_DONTFORK`: nothing.
    Left,
}

/// A page of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageOf {
    pub readable: bool,
    pub writable: bool,
    /// Whether an access ends in a signal although the mapping allows it.
    pub guard: bool,
    pub at_fork: AtFork,
    /// Of shared memory, which page it is: the words there count, and not those here.
    pub shared: Option<u64>,
    pub words: [u64; WORDS as usize],
}

impl PageOf {
    fn fresh(writable: bool) -> PageOf {
        let words = [0; WORDS as usize];
        PageOf { readable: true, writable, guard: false, at_fork: AtFork::Copied, shared: None, words }
    }
}

/// The memory of a process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pages: BTreeMap<u64, PageOf>,
    /// The pages of shared memory that were ever mapped. A child has the same ones.
    shared: Rc<RefCell<Vec<[u64; WORDS as usize]>>>,
}

/// What a process does: a system call or an access, by page number.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Mmap {
        page: Option<u64>,
        pages: u64,
        writable: bool,
    },
    /// Maps shared anonymous memory.
    MmapShared {
        page: u64,
        pages: u64,
    },
    Munmap {
        page: u64,
        pages: u64,
    },
    Write {
        page: u64,
        word: u64,
        value: u64,
    },
    Read {
        page: u64,
        word: u64,
    },
    DontNeed {
        page: u64,
        pages: u64,
    },
    /// Changes the accesses that pages allow: none, reads only, or reads and writes.
    Mprotect {
        page: u64,
        pages: u64,
        prot: Prot,
    },
    /// Moves pages to another place, and replaces what is there.
    Mremap {
        page: u64,
        pages: u64,
        to: u64,
    },
    Munlock {
        page: u64,
        pages: u64,
    },
    Advise {
        page: u64,
        pages: u64,
        advice: Advice,
    },
    /// The kernel looks for pages that it can take away, whosever they are.
    Reclaim {
        pages: u64,
        spare: Spare,
    },
    /// The swap area goes, if it is there still.
    Swapoff,
}

impl Memory {
    pub fn page(&self, page: u64) -> Option<PageOf> {
        let of = *self.pages.get(&page)?;
        Some(PageOf { words: of.shared.map_or(of.words, |n| self.shared.borrow()[n as usize]), ..of })
    }

    /// Whether any of these pages is shared memory.
    fn shares_any(&self, page: u64, pages: u64) -> bool {
        self.pages.range(page..page + pages).any(|(_, of)| of.shared.is_some())
    }

    /// Whether any of these pages is mapped.
    pub fn maps_any(&self, page: u64, pages: u64) -> bool {
        self.pages.range(page..page + pages).next().is_some()
    }

    /// Whether all of these pages are mapped.
    pub fn maps_all(&self, page: u64, pages: u64) -> bool {
        self.pages.range(page..page + pages).count() as u64 == pages
    }

    /// The memory of a child.
    #[must_use]
    pub fn forked(&self) -> Memory {
        let child = |(page, of): (&u64, &PageOf)| match of.at_fork {
            AtFork::Copied => Some((*page, *of)),
            AtFork::Wiped => {
                let words = [0; WORDS as usize];
                Some((*page, PageOf { guard: false, words, ..*of }))
            }
            AtFork::Left => None,
        };
        Memory { pages: self.pages.iter().filter_map(child).collect(), shared: self.shared.clone() }
    }

    /// Changes the pages of a range that are mapped; answers `ENOMEM` if one is not.
    fn each(&mut self, page: u64, pages: u64, change: impl Fn(&mut PageOf)) -> Result<u64, Errno> {
        self.pages.range_mut(page..page + pages).for_each(|(_, of)| change(of));
        if self.maps_all(page, pages) { Ok(0) } else { Err(Errno::Enomem) }
    }

    /// The same up to the first page that is not mapped.
    fn each_up_to_a_hole(&mut self, page: u64, pages: u64, change: impl Fn(&mut PageOf)) -> Result<u64, Errno> {
        for page in page..page + pages {
            change(self.pages.get_mut(&page).ok_or(Errno::Enomem)?);
        }
        Ok(0)
    }

    fn advise(&mut self, page: u64, pages: u64, advice: Advice) -> Result<u64, Errno> {
        self.each(page, pages, |of| match advice {
            Advice::DontFork => of.at_fork = AtFork::Left,
            Advice::DoFork if of.at_fork == AtFork::Left => of.at_fork = AtFork::Copied,
            Advice::GuardInstall => *of = PageOf { guard: true, words: [0; WORDS as usize], ..*of },
            Advice::GuardRemove => of.guard = false,
            _ => {}
        })
    }

    /// Pages that hold something, but for shared memory, which holds it without being mapped.
    pub fn written(&self) -> impl Iterator<Item = u64> {
        self.pages
            .iter()
            .filter(|(_, page)| page.shared.is_none() && page.words != [0; WORDS as usize])
            .map(|(page, _)| *page)
    }

    /// The highest place for a mapping. Page zero is no place.
    fn gap(&self, pages: u64, top: u64) -> Result<u64, Errno> {
        let mut end = top;
        loop {
            let start = end.checked_sub(pages).filter(|start| *start > 0).ok_or(Errno::Enomem)?;
            match self.pages.range(start..end).next() {
                None => return Ok(start),
                Some((mapped, _)) => end = *mapped,
            }
        }
    }

    /// Does to the model what a call does, and answers what the call answers. User space ends at page `top`.
    pub fn apply(&mut self, call: Call, top: u64) -> Result<u64, Errno> {
        match call {
            Call::Mmap { page, pages, writable } => {
                let start = page.map_or_else(|| self.gap(pages, top), Ok)?;
                if start + pages > top {
                    return Err(Errno::Enomem);
                }
                if start == 0 {
                    return Err(Errno::Eperm);
                }
                if self.maps_any(start, pages) {
                    return Err(Errno::Eexist);
                }
                self.pages.extend((start..start + pages).map(|page| (page, PageOf::fresh(writable))));
                Ok(start)
            }
            Call::MmapShared { page, pages } => {
                if page + pages > top {
                    return Err(Errno::Enomem);
                }
                if page == 0 {
                    return Err(Errno::Eperm);
                }
                if self.maps_any(page, pages) {
                    return Err(Errno::Eexist);
                }
                let mut shared = self.shared.borrow_mut();
                for page in page..page + pages {
                    let n = shared.len() as u64;
                    shared.push([0; WORDS as usize]);
                    self.pages.insert(page, PageOf { shared: Some(n), ..PageOf::fresh(true) });
                }
                Ok(page)
            }
            Call::Munmap { page, pages } => {
                self.pages.retain(|mapped, _| !(page..page + pages).contains(mapped));
                Ok(0)
            }
            Call::DontNeed { page, pages } => self.each(page, pages, |of| of.words = [0; WORDS as usize]),
            Call::Mprotect { page, pages, prot } => self.each_up_to_a_hole(page, pages, |of| {
                of.readable = prot.contains(Prot::READ);
                of.writable = prot.contains(Prot::WRITE);
            }),
            Call::Mremap { page, pages, to } => {
                let moved: Vec<PageOf> = self.pages.range(page..page + pages).map(|(_, of)| *of).collect();
                self.pages.retain(|mapped, _| {
                    !(page..page + pages).contains(mapped) && !(to..to + pages).contains(mapped)
                });
                self.pages.extend((to..).zip(moved));
                Ok(to)
            }
            Call::Munlock { page, pages } => self.each_up_to_a_hole(page, pages, |_| ()),
            Call::Reclaim { .. } | Call::Swapoff => Ok(0),
            Call::Advise { page, pages, advice } => self.advise(page, pages, advice),
            Call::Read { page, word } => {
                let mapped = self.page(page).filter(|of| of.readable && !of.guard).ok_or(Errno::Efault)?;
                Ok(mapped.words[word as usize])
            }
            Call::Write { page, word, value } => {
                let mapped =
                    self.pages.get_mut(&page).filter(|of| of.writable && !of.guard).ok_or(Errno::Efault)?;
                match mapped.shared {
                    Some(n) => self.shared.borrow_mut()[n as usize][word as usize] = value,
                    None => mapped.words[word as usize] = value,
                }
                Ok(value)
            }
        }
    }
}

impl Shell<'_> {
    /// Has the process that it is in do something.
    pub async fn call(self, call: Call) -> Result<u64, Errno> {
        self.machine.watch.tell(**self.cpu, || format!("{call:?}"));
        let word = |page, word| VirtAddr(address(page).0 + 8 * word);
        match call {
            Call::Mmap { page, pages, writable } => self.mmap(pages, writable, page).await,
            Call::MmapShared { page, pages } => {
                let flags = MapFlags::SHARED | MapFlags::FIXED_NOREPLACE;
                let request =
                    Mmap { addr: Some(address(page)), pages, prot: Prot::READ_WRITE, flags, ..Mmap::default() };
                sys_mmap(self.cpu, request).await.map(|start| start.vpn().0)
            }
            Call::Swapoff => sys_swapoff(self.cpu).await.map(|()| 0),
            Call::Munmap { page, pages } => self.munmap(page, pages).await,
            Call::DontNeed { page, pages } => self.dontneed(page, pages).await,
            Call::Mprotect { page, pages, prot } => {
                sys_mprotect(self.cpu, address(page), address(page + pages), prot).await.map(|()| 0)
            }
            Call::Mremap { page, pages, to } => {
                let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
                let new_addr = Some(address(to));
                let addr = address(page);
                let request = Mremap { addr, old_pages: pages, new_pages: pages, flags, new_addr };
                sys_mremap(self.cpu, request).await.map(|to| to.vpn().0)
            }
            Call::Munlock { page, pages } => {
                sys_munlock(self.cpu, address(page), address(page + pages)).await.map(|()| 0)
            }
            Call::Advise { page, pages, advice } => {
                sys_madvise(self.cpu, address(page), address(page + pages), advice).await.map(|()| 0)
            }
            Call::Reclaim { pages, spare } => {
                shrink_inactive_list(self.cpu, pages, spare).await;
                Ok(0)
            }
            Call::Read { page, word: n } => Ok(user_access(self.cpu, word(page, n), DataOp::Read).await?),
            Call::Write { page, word: n, value } => {
                Ok(user_access(self.cpu, word(page, n), DataOp::Write(value)).await?)
            }
        }
    }

    /// Has the process do something. The answer must be that of `memory`. If frames may run out, an error for that is right
    /// too, and then nothing may have changed.
    pub async fn call_as(self, memory: &mut Memory, call: Call, frames: Frames) {
        let top = self.cpu.mmu.geometry.task_size().vpn().0;
        let kernel = &self.machine.kernel;
        if let Call::Mremap { page, pages, to } = call
            && !can_move(memory, page, pages, to)
        {
            return;
        }
        if let (Call::Advise { advice: Advice::GuardInstall, .. }, Frames::MayRunOut) = (call, frames) {
            // If no frame is free for a table, a part of the guards may be there, and it is not known which part.
            return;
        }
        if let Call::Advise { page, pages, advice: Advice::GuardInstall | Advice::GuardRemove | Advice::Free } =
            call
            && memory.shares_any(page, pages)
        {
            // Kernels differ in that.
            return;
        }
        let before = memory.clone();
        let shared = memory.shared.borrow().clone();
        let expected = match call {
            Call::Advise { advice, .. } if !is_known(kernel, advice) => Err(Errno::Einval),
            _ => memory.apply(call, top),
        };
        let actual = self.call(call).await;
        if let (Call::Mremap { pages, to, .. }, Err(Errno::Efault)) = (call, actual) {
            // The pages are those of several mappings. Until v6.17 the new place was empty by then.
            *memory = before;
            if kernel.config.setting::<MremapTarget>() != MremapTarget::CheckFirst {
                memory.pages.retain(|mapped, _| !(to..to + pages).contains(mapped));
            }
            return;
        }
        // With one CPU nobody else is in the kernel; a table that waits for a grace period has left the books already.
        if kernel.config.cpus == 1
            && kernel.config.setting::<TableFree>() != TableFree::RcuSched
            && let Err(wrong) = kernel.check(|_| 0)
        {
            self.machine.watch.wrong(**self.cpu, format!("after {call:?} {wrong}"));
        }
        if actual == expected || matches!((call, actual), (Call::Swapoff, Err(Errno::Einval))) {
            return;
        }
        let no_frame = matches!(actual, Err(Errno::Enomem | Errno::Eagain));
        if no_frame && frames == Frames::MayRunOut {
            *memory = before;
            *memory.shared.borrow_mut() = shared;
            if let Call::Mremap { pages, to, .. } = call {
                // What was there made room before a frame was missing.
                memory.pages.retain(|mapped, _| !(to..to + pages).contains(mapped));
            }
        } else {
            self.machine.watch.wrong(**self.cpu, format!("{call:?} answers {actual:?}, not {expected:?}"));
        }
    }
}

/// Whether it is known what moving the pages does: all of them are there, and they do not move onto themselves.
fn can_move(memory: &Memory, page: u64, pages: u64, to: u64) -> bool {
    memory.maps_all(page, pages) && (to + pages <= page || page + pages <= to)
}

fn is_known(kernel: &Kernel, advice: Advice) -> bool {
    advice.since().is_none_or(|since| since <= kernel.config.kernel.version)
}

/// Whether the machine has frames for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    Suffice,
    MayRunOut,
}
