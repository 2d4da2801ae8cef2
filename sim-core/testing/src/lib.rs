//! The micro-model: fast GUP against zap and reuse, on P pages with T threads.
//!
//! Each atomic operation is one step. Thread 0 walks three levels and pins each page, thread 1 zaps
//! the pages, thread 2 reuses freed frames, thread 3 is a second walker.

use sim_core::{
    BoxFuture, Config, Core, Cpu, CpuId, Executor, Loc, MemoryBuilder, Outcome, Platform, Shared, TaskId, Vector,
};

/// A frame's owner, as the oracle sees it.
const FREE: u64 = 0;
const VICTIM: u64 = 1;
const OTHER: u64 = 2;

/// The shared words: one table of each level, and for each page its entry and the state of its frame.
pub struct Model {
    /// Executes it.
    pub core: Core,
    pages: u32,
    guard: bool,
    base: Loc,
}

impl Model {
    /// The model with `pages` pages and as many CPUs as threads. With the guard, a walker looks at an entry again.
    pub fn new(pages: u32, threads: usize, guard: bool) -> Model {
        let mut memory = MemoryBuilder::default();
        let base = memory.words("model", 4 + 4 * pages as usize);
        let core = Core::new(memory.build(), Config { cpus: threads, ..Config::default() });
        let model = Model { core, pages, guard, base };
        for loc in 0..3 {
            model.core.memory.set(base.offset(loc), 1);
        }
        for page in 0..pages {
            model.core.memory.set(model.pte(page).loc(), u64::from(page) + 1);
            model.core.memory.set(model.refs(page).loc(), 1);
            model.core.memory.set(model.owner(page).loc(), VICTIM);
        }
        model.core.checkpoint();
        model
    }

    fn word(&self, index: u32) -> Shared<u64> {
        Shared::at(self.base.offset(index))
    }
    fn flush(&self) -> Shared<u64> {
        self.word(3)
    }
    fn pte(&self, page: u32) -> Shared<u64> {
        self.word(4 + page)
    }
    fn refs(&self, frame: u32) -> Shared<u64> {
        self.word(4 + self.pages + frame)
    }
    fn owner(&self, frame: u32) -> Shared<u64> {
        self.word(4 + 2 * self.pages + frame)
    }
    fn free(&self, frame: u32) -> Shared<u64> {
        self.word(4 + 3 * self.pages + frame)
    }

    async fn put(&self, cpu: Cpu<'_>, frame: u32) {
        if cpu.rmw(self.refs(frame), |refs: u64| refs.wrapping_sub(1)).await == 1 {
            cpu.store(self.owner(frame), FREE).await;
            cpu.store(self.free(frame), 1).await;
        }
    }

    async fn gup(&self, cpu: Cpu<'_>) {
        for level in 0..3 {
            if cpu.load(self.word(level)).await == 0 {
                return;
            }
        }
        for page in 0..self.pages {
            cpu.forget_all_but(page.into());
            let pte = cpu.load(self.pte(page)).await;
            if pte == 0 {
                continue;
            }
            let frame = pte as u32 - 1;
            let mut refs = cpu.load(self.refs(frame)).await;
            let mut got = false;
            while refs != 0 {
                let seen = cpu.cmpxchg(self.refs(frame), refs, refs + 1).await;
                if seen == refs {
                    got = true;
                    break;
                }
                refs = seen;
            }
            if !got {
                continue;
            }
            if self.guard && cpu.load(self.pte(page)).await != pte {
                self.put(cpu, frame).await;
                continue;
            }
            if cpu.load(self.owner(frame)).await != VICTIM {
                cpu.core.request_stop();
            }
            self.put(cpu, frame).await;
        }
    }

    async fn zap(&self, cpu: Cpu<'_>) {
        for page in 0..self.pages {
            cpu.forget_all_but(page.into());
            let pte = cpu.xchg(self.pte(page), 0).await;
            cpu.store(self.flush(), 1).await;
            cpu.load(self.flush()).await;
            if pte != 0 {
                self.put(cpu, pte as u32 - 1).await;
            }
        }
    }

    async fn alloc(&self, cpu: Cpu<'_>) {
        for frame in 0..self.pages {
            cpu.forget_all_but(frame.into());
            if cpu.xchg(self.free(frame), 0).await == 1 {
                cpu.store(self.owner(frame), OTHER).await;
                cpu.store(self.refs(frame), 1).await;
            }
        }
    }

    /// One execution from the start; `true` if the assertion failed.
    pub fn run<'m>(&'m self, executor: &mut Executor<'m, Model>) -> bool {
        matches!(self.outcome(executor), Outcome::Stopped)
    }

    /// One execution from the start, and how it ended.
    pub fn outcome<'m>(&'m self, executor: &mut Executor<'m, Model>) -> Outcome {
        executor.clear();
        self.core.rewind();
        for id in CpuId::all(self.core.config.cpus) {
            let cpu = Cpu { core: &self.core, id };
            let code: BoxFuture<'m> = match id.0 {
                1 => Box::pin(self.zap(cpu)),
                2 => Box::pin(self.alloc(cpu)),
                _ => Box::pin(self.gup(cpu)),
            };
            executor.spawn(id, TaskId(id.0), code);
        }
        executor.run(u64::MAX)
    }
}

impl<'m> Platform<'m> for Model {
    fn interrupt(&'m self, _: Cpu<'m>, _: Vector) -> BoxFuture<'m> {
        Box::pin(async {})
    }
    fn switch_to(&'m self, _: Cpu<'m>, _: TaskId) -> Option<BoxFuture<'m>> {
        None
    }
    fn rcu_vector(&self) -> Vector {
        Vector(0)
    }
}
