//! A task of a scenario, as its operations see it.

use std::ops::Range;

use sim_core::{CpuId, Gate, Loc, Op, OpKind, Shared, TaskId};
use sim_gup::Pin;
use sim_gup::callers::{Pipe, Ring};
use sim_mm::{
    Cpu, Driver, Errno, Memfd, MmId, MmStruct, do_exit, get_signal, mm_access, put_task_mm, sleep_until_killed,
    start_task_in,
};
use sim_mmu::VirtAddr;

use super::{Mismatch, Place, Spot, Stage, VALUES};

/// A task of a scenario, on its CPU, in its process.
#[derive(Clone, Copy)]
pub(crate) struct Task<'m> {
    stage: &'m Stage,
    /// The CPU that it runs on.
    pub(crate) cpu: Cpu<'m>,
    /// Its number: threads come first, then the set-up of each process.
    pub(crate) id: TaskId,
    process: usize,
}

impl<'m> Task<'m> {
    /// The task of a thread.
    pub(crate) fn of_thread(stage: &'m Stage, thread: usize, cpu: CpuId) -> Task<'m> {
        let process = stage.cast.threads[thread];
        Task { stage, cpu: Cpu::new(&stage.kernel, cpu), id: TaskId(thread as u8), process }
    }

    /// The number of the task that sets a process up.
    pub(super) fn setup_of(stage: &Stage, process: usize) -> TaskId {
        TaskId((stage.cast.threads.len() + process) as u8)
    }

    /// The task that sets a process up.
    pub(crate) fn of_setup(stage: &'m Stage, process: usize) -> Task<'m> {
        let id = Task::setup_of(stage, process);
        Task { stage, cpu: Cpu::new(&stage.kernel, CpuId(0)), id, process }
    }

    /// Makes its process. If there is no frame for it, the process never exists.
    pub(crate) async fn make_process(self) {
        let Ok(mm) = self.stage.kernel.new_process(self.cpu.id).await else { return };
        self.stage.names.borrow_mut().mms[self.process] = Some(mm);
        self.mark_born(self.process);
        self.stage.kernel.set_task_mm(self.id, Some(mm));
        start_task_in(self.cpu, self.stage.kernel.mm(mm)).await;
    }

    /// Waits until its process is made. Answers whether the process exists then, because a fork may have failed.
    pub(crate) async fn wait_for_process(self) -> bool {
        // This asks for the address space, and not whether the process is born. A thread that runs first when the process is
        // born already has no address space yet.
        if self.stage.kernel.mm_of_task(self.id).is_none() {
            let born = self.stage.born.offset(self.process as u32);
            let op = Op::new(OpKind::Wait, born).behind(Gate::NonZero(born)).sleeping();
            self.cpu.step(op, |_| ()).await;
            let Some(mm) = self.stage.mm(self.process) else { return false };
            self.stage.kernel.set_task_mm(self.id, Some(mm));
            start_task_in(self.cpu, self.stage.kernel.mm(mm)).await;
        }
        true
    }

    /// Waits for the thread that has to end before this one, if there is one.
    pub(crate) async fn wait_for_its_turn(self) {
        let before = self.stage.cast.after.get(usize::from(self.id.0)).copied().flatten();
        if let Some(before) = before {
            let ended = self.stage.ended.offset(before as u32);
            let op = Op::new(OpKind::Wait, ended).behind(Gate::NonZero(ended)).sleeping();
            self.cpu.step(op, |_| ()).await;
        }
    }

    /// Says that the thread has ended, if another waits for that. This is a store, so all earlier stores are visible then.
    pub(crate) async fn end_its_turn(self) {
        let me = usize::from(self.id.0);
        if self.stage.cast.after.contains(&Some(me)) {
            self.cpu.store(Shared::at(self.stage.ended.offset(me as u32)), 1_u64).await;
        }
    }

    /// Its address space.
    pub(crate) fn mm(self) -> Result<MmId, Errno> {
        self.stage.mm(self.process).ok_or(Errno::Efault)
    }

    /// The present step looks at the list of mappings of a process, or changes it.
    fn touch_mappings(self, process: usize, changes: bool) {
        self.cpu.core.touch(self.stage.mappings.offset(process as u32), changes);
    }

    /// The address of a place of a process, and the number of pages from there to the end of its mapping.
    fn find(self, process: usize, place: &Place) -> Result<(VirtAddr, u64), Errno> {
        match place {
            Place::Address(va) => Ok((*va, 1)),
            Place::Mapping { name, page } => {
                self.touch_mappings(process, false);
                let (start, pages) = self.stage.names.borrow().mapping(process, name).ok_or(Errno::Efault)?;
                Ok((start.plus_pages(*page), pages.saturating_sub(*page)))
            }
        }
    }

    /// The address of a place.
    ///
    /// # Errors
    /// `EFAULT` if it names a mapping that the process does not have now.
    pub(crate) fn address(self, place: &Place) -> Result<VirtAddr, Errno> {
        self.find(self.process, place).map(|(va, _)| va)
    }

    /// The address of a place of another process, by the names of that process.
    ///
    /// # Errors
    /// As [`address`](Task::address).
    pub(crate) fn address_in(self, process: &str, place: &Place) -> Result<VirtAddr, Errno> {
        self.find(self.stage.process(process), place).map(|(va, _)| va)
    }

    /// The address space of a process, with one more user. The caller gives it back by `put_task_mm()`.
    ///
    /// # Errors
    /// `ESRCH` if the process does not exist yet, or has ended.
    async fn mm_of(self, process: &str) -> Result<&'m MmStruct, Errno> {
        let process = self.stage.process(process);
        // find_get_task_by_vpid(): the look-up of the process is a step of its own.
        self.cpu.load(Shared::<u64>::at(self.stage.born.offset(process as u32))).await;
        let leader = self.stage.threads_of(process).first().copied();
        let now = || {
            self.touch_mappings(process, false);
            self.stage.mm(process)
        };
        mm_access(self.cpu, leader, now).await
    }

    /// Does something to the address space of a process, which stays until that is done.
    ///
    /// # Errors
    /// As [`mm_of`](Task::mm_of).
    pub(crate) async fn with_mm<R>(
        self,
        process: &str,
        what: impl AsyncFnOnce(&'m MmStruct) -> R,
    ) -> Result<R, Errno> {
        let mm = self.mm_of(process).await?;
        let done = what(mm).await;
        put_task_mm(self.cpu, mm).await;
        Ok(done)
    }

    /// A page of a process, by the names of that process, and its address space as it is now. Nothing keeps either of them.
    ///
    /// # Errors
    /// `ESRCH` if the process does not exist yet; as [`address_in`](Task::address_in).
    pub(crate) fn page_now(self, process: &str, place: &Place) -> Result<(&'m MmStruct, VirtAddr), Errno> {
        let va = self.address_in(process, place)?;
        let mm = self.stage.mm(self.stage.process(process)).ok_or(Errno::Esrch)?;
        Ok((self.stage.kernel.mm(mm), va))
    }

    /// Does something to a page of a process, by the names of that process.
    ///
    /// # Errors
    /// As [`mm_of`](Task::mm_of) and [`address_in`](Task::address_in), and those of `what`.
    pub(crate) async fn with_page<R>(
        self,
        process: &str,
        place: &Place,
        what: impl AsyncFnOnce(&'m MmStruct, VirtAddr) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let at = async |mm| match self.address_in(process, place) {
            Ok(va) => what(mm, va).await,
            Err(errno) => Err(errno),
        };
        self.with_mm(process, at).await?
    }

    /// What the scenario calls a page of its process: `buf+1`.
    pub(crate) fn page_name(self, va: VirtAddr) -> Option<String> {
        self.stage.page_name(self.mm().ok()?, va)
    }

    /// The address of a spot.
    ///
    /// # Errors
    /// As [`address`](Task::address).
    pub(crate) fn spot(self, spot: &Spot) -> Result<VirtAddr, Errno> {
        self.address(&spot.place).map(|page| spot.address(page))
    }

    /// A word of the page at an address, as the tables of its process are now.
    ///
    /// # Errors
    /// `EFAULT` if nothing is mapped there.
    pub(crate) fn word_behind(self, va: VirtAddr, word: u32) -> Result<Loc, Errno> {
        self.stage.word_behind(self.mm()?, va, word).ok_or(Errno::Efault)
    }

    /// Its task waits for a word from now on.
    pub(crate) fn begin_wait(self, va: VirtAddr, word: u32, loc: Loc) {
        self.stage.names.borrow_mut().begin_wait(self.id, va, word, loc);
    }

    /// It waits no longer.
    pub(crate) fn end_wait(self) {
        self.stage.names.borrow_mut().end_wait(self.id);
    }

    /// The addresses of some pages from a place on. If no number is given, these are all up to the end of its mapping.
    ///
    /// # Errors
    /// As [`address`](Task::address).
    pub(crate) fn range(self, place: &Place, pages: Option<u64>) -> Result<Range<VirtAddr>, Errno> {
        let (start, rest) = self.find(self.process, place)?;
        Ok(start..start.plus_pages(pages.unwrap_or(rest)))
    }

    /// From now on its process has a mapping of that name.
    pub(crate) fn map(self, name: &str, start: VirtAddr, pages: u64) {
        self.touch_mappings(self.process, true);
        self.stage.names.borrow_mut().map(self.process, name, start, pages);
    }

    /// The present step looks at the value of a name, or changes it.
    fn touch_value(self, name: &str, changes: bool) {
        let sum = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        self.cpu.core.touch(self.stage.values.offset(sum % VALUES), changes);
    }

    /// The value that was kept under a name.
    pub(crate) fn kept(self, name: &str) -> Option<u64> {
        self.touch_value(name, false);
        self.stage.value(name)
    }

    /// Keeps a value for checks, if it has a name.
    pub(crate) fn keep(self, name: Option<&str>, value: u64) {
        if let Some(name) = name {
            self.touch_value(name, true);
            self.stage.names.borrow_mut().set_value(name, value);
        }
    }

    /// From now on the task has a pin of that name.
    pub(crate) fn pin(self, name: &str, pins: Vec<Pin>) {
        self.stage.names.borrow_mut().pin(self.id, name, pins);
    }

    /// One of the pages of a pin of the task.
    ///
    /// # Errors
    /// `EFAULT` if fewer pages were pinned.
    pub(crate) fn pinned(self, name: &str, page: u64) -> Result<Pin, Errno> {
        self.stage.names.borrow().pinned(self.id, name, page).ok_or(Errno::Efault)
    }

    /// All pages of a pin of the task, whether it was put or not.
    pub(crate) fn pins(self, name: &str) -> Vec<Pin> {
        self.stage.names.borrow().pins(self.id, name)
    }

    /// The pipe of a name.
    pub(crate) fn pipe(self, name: &str) -> &'m Pipe {
        let index = self.stage.cast.pipes.iter().position(|pipe| pipe == name);
        &self.stage.pipes[index.expect("the loader checked the names of pipes")]
    }

    /// The file of a name.
    pub(crate) fn file(self, name: &str) -> &'m Memfd {
        let index = self.stage.cast.files.iter().position(|file| file == name);
        &self.stage.files[index.expect("the loader checked the names of files")]
    }

    /// The driver of a name.
    pub(crate) fn driver(self, name: &str) -> &'m Driver {
        let index = self.stage.cast.drivers.iter().position(|driver| driver == name);
        &self.stage.drivers[index.expect("the loader checked the names of drivers")]
    }

    /// The ring of a name.
    pub(crate) fn ring(self, name: &str) -> &'m Ring {
        let index = self.stage.cast.rings.iter().position(|ring| ring == name);
        &self.stage.rings[index.expect("the loader checked the names of rings")]
    }

    /// Notes that the mappings of its process are not as its present operation expects them.
    pub(crate) fn note_mismatch(self, mismatch: Mismatch) {
        self.stage.names.borrow_mut().note_mismatch(self.id, mismatch);
    }

    /// From now on the process of that name is a child of the task's process, and has its mappings.
    pub(crate) fn adopt_child(self, name: &str, mm: MmId) {
        let stage = self.stage;
        let child = stage.process(name);
        self.touch_mappings(self.process, false);
        self.touch_mappings(child, true);
        stage.names.borrow_mut().fork(self.process, child, mm);
        let threads = stage.threads_of(child);
        // copy_thread()
        threads.iter().for_each(|thread| stage.kernel.inherit_pkru(self.id, *thread));
        // A child that was made in set-up gets its threads when set-up ends.
        if usize::from(self.id.0) < stage.cast.threads.len() {
            threads.iter().skip(1).for_each(|_| stage.kernel.adopt(mm));
        }
    }

    /// The first thread of a process.
    pub(crate) fn leader_of(self, process: &str) -> Option<TaskId> {
        self.stage.threads_of(self.stage.process(process)).first().copied()
    }

    /// Its process leaves its mappings behind and has another address space, in which the stack may have a name.
    pub(crate) fn replace_mm(self, mm: MmId, stack: (Option<&str>, VirtAddr)) {
        self.touch_mappings(self.process, true);
        self.stage.names.borrow_mut().exec(self.process, mm);
        if let (Some(name), start) = stack {
            self.map(name, start, 1);
        }
    }

    /// Whether there is an `exec` in the scenario, which is what kills threads.
    pub(crate) fn can_be_killed(self) -> bool {
        self.stage.cast.execs
    }

    /// Whether it has to die before its next operation. Then it has.
    pub(crate) async fn dies_by_signal(self) -> bool {
        let dies = get_signal(self.cpu, self.id).await;
        if dies {
            do_exit(self.cpu, self.id).await;
        }
        dies
    }

    /// After its last operation: it sleeps until it has to die, if there is anybody who could kill it.
    pub(crate) async fn sleep_until_killed(self) {
        let Some(mm) = self.stage.kernel.mm_of_task(self.id) else { return };
        if sleep_until_killed(self.cpu, self.id).await {
            // schedule(), to a task that has slept.
            start_task_in(self.cpu, self.stage.kernel.mm(mm)).await;
            do_exit(self.cpu, self.id).await;
        }
    }

    /// Lets those threads of a process go on that wait until it is made.
    pub(crate) fn start_threads_of(self, process: &str) {
        self.mark_born(self.stage.process(process));
    }

    fn mark_born(self, process: usize) {
        self.cpu.core.memory.set(self.stage.born.offset(process as u32), 1);
    }

    /// Notes the result of an operation of the task.
    pub(crate) fn set_result(self, op: usize, result: Result<i64, Errno>) {
        let mut names = self.stage.names.borrow_mut();
        match result {
            Ok(value) => names.set_returned(self.id, op, value),
            Err(errno) => names.set_failed(self.id, op, errno),
        }
    }
}
