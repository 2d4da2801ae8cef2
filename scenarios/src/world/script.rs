//! A thread's operations, as code that runs on a simulated CPU.

use sim_core::{CpuId, Gate, TaskId};
use sim_gup::callers::{device_read, device_write, pipe_read, vmsplice};
use sim_gup::{__get_user_pages_fast, FollFlags, Pages, get_user_pages_fast, get_user_pages_unlocked, put_pin};
use sim_mm::arch::fault::user_access;
use sim_mm::{Cpu, Errno, exit_mm, madvise_dontneed, start_task_in, sys_fork, sys_mmap, sys_munmap};
use sim_mmu::{DataOp, VirtAddr};

use super::{VALUES, World};
use crate::scenario::{Advice, GupCall, Op, Place, What};

/// Operations of one task, in its process, on its CPU.
#[derive(Clone, Copy)]
pub(super) struct Script<'m> {
    world: &'m World<'m>,
    cpu: Cpu<'m>,
    pub(super) task: TaskId,
    process: usize,
    ops: &'m [Op],
}

impl<'m> Script<'m> {
    pub(super) fn thread(world: &'m World<'_>, index: usize, cpu: CpuId) -> Script<'m> {
        let thread = &world.scenario.threads[index];
        Script {
            world,
            cpu: Cpu::new(&world.kernel, cpu),
            task: TaskId(index as u8),
            process: world.process(&thread.process),
            ops: &thread.run,
        }
    }

    pub(super) fn setup(world: &'m World<'_>, process: usize, ops: &'m [Op]) -> Script<'m> {
        let task = TaskId((world.scenario.threads.len() + process) as u8);
        Script { world, cpu: Cpu::new(&world.kernel, CpuId(0)), task, process, ops }
    }

    pub(super) fn made_process(&self) -> bool {
        self.world.state.borrow().mms[self.process].is_some()
    }

    /// Makes the process, then runs its set-up.
    pub(super) async fn run_setup(self) {
        let Ok(mm) = self.world.kernel.new_process(self.cpu.id).await else { return };
        self.world.state.borrow_mut().mms[self.process] = Some(mm);
        self.mark_born(self.process);
        self.world.kernel.set_task_mm(self.task, Some(mm));
        start_task_in(self.cpu, self.world.kernel.mm(mm)).await;
        self.run_ops().await;
    }

    /// Runs the thread; if its process is yet to be forked, waits for that first.
    pub(super) async fn run(self) {
        let born = self.world.born.offset(self.process as u32);
        if self.cpu.core.memory.get(born) == 0 {
            let op = sim_core::Op::new(sim_core::OpKind::Wait, born).behind(Gate::NonZero(born)).sleeping();
            self.cpu.step(op, |_| ()).await;
            let mm = self.world.state.borrow().mms[self.process];
            // A fork that failed leaves nobody to run.
            let Some(mm) = mm else { return };
            self.world.kernel.set_task_mm(self.task, Some(mm));
            start_task_in(self.cpu, self.world.kernel.mm(mm)).await;
        }
        self.run_ops().await;
    }

    async fn run_ops(self) {
        for (index, op) in self.ops.iter().enumerate() {
            let returned = match self.perform(op).await {
                Ok(value) => value,
                Err(errno) => errno.code(),
            };
            self.world.state.borrow_mut().set_returned(self.task, index, returned);
        }
    }

    /// Lets the threads of a process go on that wait for it to be forked.
    fn mark_born(self, process: usize) {
        self.cpu.core.memory.set(self.world.born.offset(process as u32), 1);
    }

    /// The present step looks at, or changes, where a process has its mappings.
    fn touch_names(self, process: usize, changes: bool) {
        self.cpu.core.touch(self.world.names.offset(process as u32), changes);
    }

    /// The address of a place, and the pages from there to the end of its mapping.
    fn place(self, place: &Place) -> Result<(VirtAddr, u64), Errno> {
        match place {
            Place::Address(va) => Ok((*va, 1)),
            Place::Mapping { name, page } => {
                self.touch_names(self.process, false);
                let (start, pages) = self.world.state.borrow().mapping(self.process, name).ok_or(Errno::Efault)?;
                Ok((start.plus_pages(*page), pages.saturating_sub(*page)))
            }
        }
    }

    fn keep(self, name: Option<&str>, value: u64) {
        if let Some(name) = name {
            let sum = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
            self.cpu.core.touch(self.world.values.offset(sum % VALUES), true);
            self.world.state.borrow_mut().set_value(name, value);
        }
    }

    async fn perform(self, op: &Op) -> Result<i64, Errno> {
        let cpu = self.cpu;
        match &op.what {
            What::Mmap { name, pages, writable, at } => {
                let start = sys_mmap(cpu, *pages, *writable, *at).await?;
                self.touch_names(self.process, true);
                self.world.state.borrow_mut().map(self.process, name, start, *pages);
                Ok(0)
            }
            What::Munmap { at, pages } => {
                let (start, rest) = self.place(at)?;
                sys_munmap(cpu, start, start.plus_pages(pages.unwrap_or(rest))).await?;
                Ok(0)
            }
            What::Write { to, value } => {
                let (va, _) = self.place(to)?;
                user_access(cpu, va, DataOp::Write(*value)).await?;
                Ok(0)
            }
            What::Read { from, name } => {
                let (va, _) = self.place(from)?;
                let value = user_access(cpu, va, DataOp::Read).await?;
                self.keep(name.as_deref(), value);
                Ok(value.cast_signed())
            }
            What::Madvise { at, pages, advice: Advice::DontNeed } => {
                let (start, rest) = self.place(at)?;
                madvise_dontneed(cpu, start, start.plus_pages(pages.unwrap_or(rest))).await?;
                Ok(0)
            }
            What::Fork { name } => self.fork(name).await,
            What::Exit => {
                exit_mm(cpu, self.task).await;
                Ok(0)
            }
            What::Gup { call, at, pages, write, name } => self.gup(*call, at, *pages, *write, name).await,
            What::PutPages { pin } => {
                let pins = self.world.state.borrow_mut().take_pin(self.task, pin);
                for pin in &pins {
                    let _kernel = cpu.enter_kernel();
                    put_pin(cpu, *pin).await;
                }
                Ok(pins.len() as i64)
            }
            What::DeviceRead { pin, page, name } => {
                let Some(pin) = self.pinned(pin, *page) else { return Err(Errno::Efault) };
                let value = device_read(cpu, pin).await;
                self.keep(name.as_deref(), value);
                Ok(value.cast_signed())
            }
            What::DeviceWrite { pin, page, value } => {
                let Some(pin) = self.pinned(pin, *page) else { return Err(Errno::Efault) };
                device_write(cpu, pin, *value).await;
                Ok(0)
            }
            What::Vmsplice { from, pages, pipe } => {
                let (start, _) = self.place(from)?;
                let nr = vmsplice(cpu, self.world.pipe(pipe), start, *pages).await?;
                Ok(nr as i64)
            }
            What::PipeRead { pipe, pages, name } => {
                let reader = self.world.state.borrow().mms[self.process].ok_or(Errno::Efault)?;
                let mut last = 0;
                for _ in 0..*pages {
                    last = pipe_read(cpu, self.world.pipe(pipe), reader).await;
                    self.keep(name.as_deref(), last);
                }
                Ok(last.cast_signed())
            }
        }
    }

    fn pinned(self, name: &str, page: u64) -> Option<sim_gup::Pin> {
        self.world.state.borrow().pinned(self.task, name, page)
    }

    async fn gup(self, call: GupCall, at: &Place, nr: u64, write: bool, name: &str) -> Result<i64, Errno> {
        let (start, _) = self.place(at)?;
        let mut pages = Pages::default();
        let result = match call {
            GupCall::Fast => get_user_pages_fast(self.cpu, start, nr, write, &mut pages).await,
            GupCall::FastOnly => Ok(__get_user_pages_fast(self.cpu, start, nr, write, &mut pages).await),
            GupCall::Unlocked => {
                let flags = if write { FollFlags::WRITE } else { FollFlags::NONE };
                get_user_pages_unlocked(self.cpu, start, nr, &mut pages, flags).await
            }
        };
        // The caller knows of as many pages as it is told; the rest is lost to it.
        let mut pins = pages.take();
        pins.truncate(result.unwrap_or(0) as usize);
        self.world.state.borrow_mut().pin(self.task, name, pins);
        result.map(|nr| nr as i64)
    }

    async fn fork(self, name: &str) -> Result<i64, Errno> {
        let world = self.world;
        let child = world.process(name);
        let mm = sys_fork(self.cpu).await.inspect_err(|_| self.mark_born(child))?;
        self.touch_names(self.process, false);
        self.touch_names(child, true);
        world.state.borrow_mut().fork(self.process, child, mm);
        let threads = world.scenario.threads.iter().filter(|thread| thread.process == name).count();
        // A child that set-up made gets its threads when set-up ends.
        if usize::from(self.task.0) < world.scenario.threads.len() {
            for _ in 1..threads {
                world.kernel.adopt(mm);
            }
        }
        self.mark_born(child);
        Ok(0)
    }
}
