//! The micro-model as a program of ordinary threads. It is written once for all checkers that have their own atomics. In
//! each checker, the main thread spawns all threads and joins them.

/// A checker's atomic word, sequentially consistent.
pub(crate) trait Word: Send + Sync + 'static {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    fn swap(&self, value: u64) -> u64;
    /// Answers the old value.
    fn cmpxchg(&self, expected: u64, new: u64) -> u64;
    fn decrement(&self) -> u64;
}

/// Implements [`Word`] for an `AtomicU64` with the interface of the standard library's.
macro_rules! word {
    ($atomic:ty) => {
        impl $crate::program::Word for $atomic {
            fn new(value: u64) -> Self {
                <$atomic>::new(value)
            }
            fn load(&self) -> u64 {
                <$atomic>::load(self, SeqCst)
            }
            fn store(&self, value: u64) {
                <$atomic>::store(self, value, SeqCst);
            }
            fn swap(&self, value: u64) -> u64 {
                <$atomic>::swap(self, value, SeqCst)
            }
            fn cmpxchg(&self, expected: u64, new: u64) -> u64 {
                self.compare_exchange(expected, new, SeqCst, SeqCst).unwrap_or_else(|seen| seen)
            }
            fn decrement(&self) -> u64 {
                self.fetch_sub(1, SeqCst)
            }
        }
    };
}
pub(crate) use word;

const FREE: u64 = 0;
const VICTIM: u64 = 1;
const OTHER: u64 = 2;

/// The words of one execution: three levels, the flush word, and of each page its entry, references,
/// owner and free flag.
pub(crate) struct Program<W> {
    words: Vec<W>,
    pages: usize,
}

impl<W: Word> Program<W> {
    pub(crate) fn new(pages: u32) -> Program<W> {
        let pages = pages as usize;
        let heads = [1, 1, 1, 0].into_iter();
        let entries = (0..pages).map(|page| page as u64 + 1);
        let frames = [1, VICTIM, 0].into_iter().flat_map(|value| std::iter::repeat_n(value, pages));
        Program { words: heads.chain(entries).chain(frames).map(W::new).collect(), pages }
    }

    /// Runs thread `id` to its end; answers the number of its atomic operations.
    pub(crate) fn thread(&self, id: usize) -> u64 {
        let mut thread = Thread { program: self, steps: 0 };
        match id {
            1 => thread.zap(),
            2 => thread.alloc(),
            _ => thread.gup(),
        }
        thread.steps
    }
}

struct Thread<'p, W> {
    program: &'p Program<W>,
    steps: u64,
}

impl<'p, W: Word> Thread<'p, W> {
    fn word(&mut self, index: usize) -> &'p W {
        self.steps += 1;
        &self.program.words[index]
    }
    fn flush(&mut self) -> &'p W {
        self.word(3)
    }
    fn pte(&mut self, page: usize) -> &'p W {
        self.word(4 + page)
    }
    fn refs(&mut self, frame: usize) -> &'p W {
        self.word(4 + self.program.pages + frame)
    }
    fn owner(&mut self, frame: usize) -> &'p W {
        self.word(4 + 2 * self.program.pages + frame)
    }
    fn free(&mut self, frame: usize) -> &'p W {
        self.word(4 + 3 * self.program.pages + frame)
    }

    fn put(&mut self, frame: usize) {
        if self.refs(frame).decrement() == 1 {
            self.owner(frame).store(FREE);
            self.free(frame).store(1);
        }
    }

    /// Takes a reference unless there is none.
    fn try_get(&mut self, frame: usize) -> bool {
        let mut refs = self.refs(frame).load();
        while refs != 0 {
            let seen = self.refs(frame).cmpxchg(refs, refs + 1);
            if seen == refs {
                return true;
            }
            refs = seen;
        }
        false
    }

    fn gup(&mut self) {
        for level in 0..3 {
            if self.word(level).load() == 0 {
                return;
            }
        }
        for page in 0..self.program.pages {
            let pte = self.pte(page).load();
            if pte == 0 {
                continue;
            }
            let frame = pte as usize - 1;
            if !self.try_get(frame) {
                continue;
            }
            if self.pte(page).load() == pte {
                assert_eq!(self.owner(frame).load(), VICTIM);
            }
            self.put(frame);
        }
    }

    fn zap(&mut self) {
        for page in 0..self.program.pages {
            let pte = self.pte(page).swap(0);
            self.flush().store(1);
            self.flush().load();
            if pte != 0 {
                self.put(pte as usize - 1);
            }
        }
    }

    fn alloc(&mut self) {
        for frame in 0..self.program.pages {
            if self.free(frame).swap(0) == 1 {
                self.owner(frame).store(OTHER);
                self.refs(frame).store(1);
            }
        }
    }
}
