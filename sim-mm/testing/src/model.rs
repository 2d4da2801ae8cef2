//! What user code may rely on: private anonymous memory as a map from pages to their words.

use std::collections::BTreeMap;

use sim_mm::arch::fault::user_access;
use sim_mm::{Errno, TableFree};
use sim_mmu::{DataOp, VirtAddr};

use crate::{Shell, address};

/// Words of a page that are looked at. Every page has as many, however small the machine.
pub const WORDS: u64 = 2;

/// A page of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageOf {
    pub writable: bool,
    pub words: [u64; WORDS as usize],
}

/// The memory of a process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pages: BTreeMap<u64, PageOf>,
}

/// What a process does: a system call or an access, by page number.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Mmap { page: Option<u64>, pages: u64, writable: bool },
    Munmap { page: u64, pages: u64 },
    Write { page: u64, word: u64, value: u64 },
    Read { page: u64, word: u64 },
    DontNeed { page: u64, pages: u64 },
}

impl Memory {
    pub fn page(&self, page: u64) -> Option<PageOf> {
        self.pages.get(&page).copied()
    }

    /// Whether any of these pages is mapped.
    pub fn maps_any(&self, page: u64, pages: u64) -> bool {
        self.pages.range(page..page + pages).next().is_some()
    }

    /// Pages that hold something.
    pub fn written(&self) -> impl Iterator<Item = u64> {
        self.pages.iter().filter(|(_, page)| page.words != [0; WORDS as usize]).map(|(page, _)| *page)
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

    /// Does what a call does; answers what it answers. User space ends at page `top`.
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
                let fresh = PageOf { writable, words: [0; WORDS as usize] };
                self.pages.extend((start..start + pages).map(|page| (page, fresh)));
                Ok(start)
            }
            Call::Munmap { page, pages } => {
                self.pages.retain(|mapped, _| !(page..page + pages).contains(mapped));
                Ok(0)
            }
            Call::DontNeed { page, pages } => {
                for (_, mapped) in self.pages.range_mut(page..page + pages) {
                    mapped.words = [0; WORDS as usize];
                }
                let all = self.pages.range(page..page + pages).count() as u64 == pages;
                if all { Ok(0) } else { Err(Errno::Enomem) }
            }
            Call::Read { page, word } => {
                self.page(page).map(|page| page.words[word as usize]).ok_or(Errno::Efault)
            }
            Call::Write { page, word, value } => {
                let mapped = self.pages.get_mut(&page).filter(|page| page.writable).ok_or(Errno::Efault)?;
                mapped.words[word as usize] = value;
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
            Call::Munmap { page, pages } => self.munmap(page, pages).await,
            Call::DontNeed { page, pages } => self.dontneed(page, pages).await,
            Call::Read { page, word: n } => Ok(user_access(self.cpu, word(page, n), DataOp::Read).await?),
            Call::Write { page, word: n, value } => {
                Ok(user_access(self.cpu, word(page, n), DataOp::Write(value)).await?)
            }
        }
    }

    /// Has the process do something, which must be answered as `memory` answers it. Where frames may run
    /// out, that is an answer too: then nothing has changed.
    pub async fn call_as(self, memory: &mut Memory, call: Call, frames: Frames) {
        let top = self.cpu.mmu.geometry.task_size().vpn().0;
        let before = memory.clone();
        let expected = memory.apply(call, top);
        let actual = self.call(call).await;
        let kernel = &self.machine.kernel;
        // With one CPU nobody else is in the kernel; a table that waits for a grace period has left the books already.
        if kernel.config.cpus == 1
            && kernel.config.setting::<TableFree>() != TableFree::RcuSched
            && let Err(wrong) = kernel.check(|_| 0)
        {
            self.machine.watch.wrong(**self.cpu, format!("after {call:?} {wrong}"));
        }
        if actual == expected {
            return;
        }
        if actual == Err(Errno::Enomem) && frames == Frames::MayRunOut {
            *memory = before;
        } else {
            self.machine.watch.wrong(**self.cpu, format!("{call:?} answers {actual:?}, not {expected:?}"));
        }
    }
}

/// Whether the machine has frames for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    Suffice,
    MayRunOut,
}
