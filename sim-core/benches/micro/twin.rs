//! The micro-model as state machines that are written by hand. It shows what an engine could reach that runs nothing else.
//!
//! It draws the decisions that `sim_core::source::Random` draws, so a seed means the same run in both.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const FREE: u64 = 0;
const VICTIM: u64 = 1;
const OTHER: u64 = 2;

/// One operation, as a search sees it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Access {
    /// The word, by its place among [`Twin::words`].
    pub(crate) loc: u8,
    /// Whether it writes. A compare-and-swap that fails does not, nor an exchange that changes nothing.
    pub(crate) writes: bool,
}

impl Access {
    pub(crate) fn conflicts(self, other: Access) -> bool {
        self.loc == other.loc && (self.writes || other.writes)
    }
}

/// What a thread does next.
#[derive(Clone, Copy)]
enum At {
    Level(usize),
    Entry,
    ReadRefs,
    Get,
    Recheck,
    Assert,

    Clear,
    Flush,
    Flushed,

    Take,
    Reown,
    Reref,

    Put,
    Disown,
    Release,

    End,
}

#[derive(Clone, Copy)]
struct Thread {
    at: At,
    /// Where it begins with each page.
    first: At,
    page: usize,
    frame: usize,
    pte: u64,
    refs: u64,
}

impl Thread {
    fn new(id: usize) -> Thread {
        let (at, first) = match id {
            1 => (At::Clear, At::Clear),
            2 => (At::Take, At::Take),
            _ => (At::Level(0), At::Entry),
        };
        Thread { at, first, page: 0, frame: 0, pte: 0, refs: 0 }
    }

    fn next_page(&mut self, pages: usize) -> At {
        self.page += 1;
        if self.page < pages { self.first } else { At::End }
    }
}

pub(crate) struct Twin {
    pages: usize,
    guard: bool,
    start: Vec<u64>,
    words: Vec<u64>,
    fresh: Vec<Thread>,
    threads: Vec<Thread>,
    violated: bool,
}

/// How a run went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) steps: u64,
    pub(crate) violated: bool,
}

impl Twin {
    pub(crate) fn new(pages: u32, threads: usize, guard: bool) -> Twin {
        let pages = pages as usize;
        let mut start = vec![1, 1, 1, 0];
        start.extend(1..=pages as u64);
        for value in [1, VICTIM, 0] {
            start.extend(std::iter::repeat_n(value, pages));
        }
        let fresh: Vec<_> = (0..threads).map(Thread::new).collect();
        Twin { pages, guard, words: start.clone(), start, threads: fresh.clone(), fresh, violated: false }
    }

    /// The words after the last run, as `sim_core_testing::Model` lays them out.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn restart(&mut self) {
        self.words.copy_from_slice(&self.start);
        self.threads.copy_from_slice(&self.fresh);
        self.violated = false;
    }

    pub(crate) fn violated(&self) -> bool {
        self.violated
    }

    /// What a thread that is not at its end does next.
    pub(crate) fn next_access(&self, id: usize) -> Access {
        let (pages, words, thread) = (self.pages, &self.words, &self.threads[id]);
        let (page, frame) = (thread.page, thread.frame);
        let (flush, pte) = (3, 4 + page);
        let (refs, owner, free) = (4 + pages + frame, 4 + 2 * pages + frame, 4 + 3 * pages + frame);
        let taken = 4 + 3 * pages + page;
        let (loc, writes) = match thread.at {
            At::Level(level) => (level, false),
            At::Entry | At::Recheck => (pte, false),
            At::ReadRefs => (refs, false),
            At::Get => (refs, words[refs] == thread.refs),
            At::Assert => (owner, false),
            At::Clear => (pte, words[pte] != 0),
            At::Flush => (flush, true),
            At::Flushed => (flush, false),
            At::Take => (taken, words[taken] != 0),
            At::Reown | At::Disown => (owner, true),
            At::Reref | At::Put => (refs, true),
            At::Release => (free, true),
            At::End => unreachable!("thread {id} is at its end"),
        };
        Access { loc: loc as u8, writes }
    }

    pub(crate) fn run(&mut self, seed: u64) -> Run {
        self.restart();
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);

        let mut live = (1_u64 << self.threads.len()) - 1;
        let mut last = 0;
        let mut steps = 0;
        while live != 0 && !self.violated {
            let n = live.count_ones();
            let chosen = if n == 1 { 0 } else { ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as u32 };
            last = nth(live, last, chosen);
            steps += 1;
            if self.step(last) {
                live &= !(1 << last);
            }
        }
        Run { steps, violated: self.violated }
    }

    /// One atomic operation of a thread; answers whether it was the last.
    pub(crate) fn step(&mut self, id: usize) -> bool {
        let pages = self.pages;
        let thread = &mut self.threads[id];
        let (page, frame) = (thread.page, thread.frame);
        let (flush, pte) = (3, 4 + page);
        let (refs, owner, free) = (4 + pages + frame, 4 + 2 * pages + frame, 4 + 3 * pages + frame);
        let words = &mut self.words;
        thread.at = match thread.at {
            At::Level(level) => match words[level] {
                0 => At::End,
                _ if level < 2 => At::Level(level + 1),
                _ => At::Entry,
            },
            At::Entry => {
                thread.pte = words[pte];
                thread.frame = thread.pte.saturating_sub(1) as usize;
                if thread.pte == 0 { thread.next_page(pages) } else { At::ReadRefs }
            }
            At::ReadRefs => {
                thread.refs = words[refs];
                if thread.refs == 0 { thread.next_page(pages) } else { At::Get }
            }
            At::Get => {
                let seen = words[refs];
                if seen == thread.refs {
                    words[refs] += 1;
                    if self.guard { At::Recheck } else { At::Assert }
                } else {
                    thread.refs = seen;
                    if seen == 0 { thread.next_page(pages) } else { At::Get }
                }
            }
            At::Recheck => {
                if words[pte] == thread.pte {
                    At::Assert
                } else {
                    At::Put
                }
            }
            At::Assert => {
                self.violated |= words[owner] != VICTIM;
                At::Put
            }
            At::Clear => {
                thread.pte = std::mem::take(&mut words[pte]);
                At::Flush
            }
            At::Flush => {
                words[flush] = 1;
                At::Flushed
            }
            At::Flushed => {
                thread.frame = thread.pte.saturating_sub(1) as usize;
                if thread.pte == 0 { thread.next_page(pages) } else { At::Put }
            }
            At::Take => {
                thread.frame = page;
                if std::mem::take(&mut words[4 + 3 * pages + page]) == 1 {
                    At::Reown
                } else {
                    thread.next_page(pages)
                }
            }
            At::Reown => {
                words[owner] = OTHER;
                At::Reref
            }
            At::Reref => {
                words[refs] = 1;
                thread.next_page(pages)
            }
            At::Put => {
                words[refs] = words[refs].wrapping_sub(1);
                if words[refs] == 0 { At::Disown } else { thread.next_page(pages) }
            }
            At::Disown => {
                words[owner] = FREE;
                At::Release
            }
            At::Release => {
                words[free] = 1;
                thread.next_page(pages)
            }
            At::End => unreachable!("thread {id} is at its end"),
        };
        matches!(thread.at, At::End)
    }
}

/// The thread at place `chosen` among those in `live`. If `last` is one of them, it comes first. The others follow in order.
fn nth(live: u64, last: usize, chosen: u32) -> usize {
    let mut rest = live & !(1 << last);
    let mut skip = chosen;
    if rest != live {
        if chosen == 0 {
            return last;
        }
        skip -= 1;
    }
    for _ in 0..skip {
        rest &= rest - 1;
    }
    rest.trailing_zeros() as usize
}
