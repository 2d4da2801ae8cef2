//! The stage: a simulated machine, and the names that the operations of a scenario use for the things on it.

mod entry_flag;
mod names;
mod place;
mod spot;
mod task;

pub(crate) use entry_flag::EntryFlag;
pub(crate) use names::Mismatch;
pub(crate) use place::Place;
pub(crate) use spot::Spot;
pub(crate) use task::Task;

use std::cell::RefCell;
use std::rc::Rc;

use sim_core::{Loc, MemoryBuilder, TaskId};
use sim_gup::GUP_CALLS;
use sim_gup::callers::{Pipe, Ring};
use sim_mm::{Driver, Errno, Kernel, MachineConfig, Memfd, MmId};
use sim_mmu::{Pfn, VirtAddr};

use names::Names;

/// The number of kept values that an exhaustive search can tell apart.
const VALUES: u32 = 64;

/// The things that the operations of a scenario name, as they are known before anything runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cast {
    /// Names of the processes: those that set-up makes, then those that operations make.
    pub(crate) processes: Vec<String>,
    /// How many of them set-up makes.
    pub(crate) given: usize,
    /// Whether some process gets another address space by `exec`, so that threads can be killed.
    pub(crate) execs: bool,
    /// For each thread, which of the processes it runs in.
    pub(crate) threads: Vec<usize>,
    /// For each thread, the thread that must end before it begins.
    pub(crate) after: Vec<Option<usize>>,
    /// Names of the pipes.
    pub(crate) pipes: Vec<String>,
    /// Names of the rings.
    pub(crate) rings: Vec<String>,
    /// Names of the files.
    pub(crate) files: Vec<String>,
    /// Names of the drivers.
    pub(crate) drivers: Vec<String>,
}

/// A simulated machine, and the names that operations use for the things on it.
pub(crate) struct Stage {
    /// The machine.
    pub kernel: Kernel,
    cast: Cast,
    pipes: Vec<Pipe>,
    rings: Vec<Ring>,
    files: Vec<Memfd>,
    drivers: Vec<Driver>,
    /// For each process, a word that says whether it exists.
    born: Loc,
    /// For each thread that another waits for, a word that says whether it has ended.
    ended: Loc,
    /// For each process, the place that stands for the list of its mappings. Steps touch it.
    mappings: Loc,
    /// The places that stand for the values which operations keep by name. Steps touch them.
    values: Loc,
    names: RefCell<Names>,
    /// The names at the start of every run.
    base: RefCell<Names>,
}

impl Stage {
    /// Builds the machine.
    pub(crate) fn new(cast: Cast, config: MachineConfig) -> Stage {
        let mut memory = MemoryBuilder::default();
        let pipes = cast.pipes.iter().map(|name| Pipe::new(&mut memory, name)).collect();
        let rings = cast.rings.iter().map(|name| Ring::new(&mut memory, name)).collect();
        let files = cast.files.iter().map(|name| Memfd::new(&mut memory, name)).collect();
        let drivers = cast.drivers.iter().map(|name| Driver::new(&mut memory, name)).collect();
        let born = memory.words("process.born", cast.processes.len());
        let ended = memory.words("thread.ended", cast.threads.len());
        let kernel = Kernel::new(memory, config, GUP_CALLS);
        let mappings = kernel.core().reserve_places(cast.processes.len());
        let values = kernel.core().reserve_places(VALUES as usize);
        let names = Names::new(cast.processes.len());
        let base = RefCell::new(names.clone());
        Stage {
            kernel,
            cast,
            pipes,
            rings,
            files,
            drivers,
            born,
            ended,
            mappings,
            values,
            names: RefCell::new(names),
            base,
        }
    }

    /// The number of the process of a name.
    fn process(&self, name: &str) -> usize {
        let index = self.cast.processes.iter().position(|process| process == name);
        index.expect("the loader checked the names of processes")
    }

    /// The address space of a process, once it exists.
    pub(crate) fn mm(&self, process: usize) -> Option<MmId> {
        self.names.borrow().mms[process]
    }

    /// The processes that exist, by address space. A process that has had several is there with each of them in turn. Of two that
    /// share one, the parent comes first.
    pub(crate) fn process_names(&self) -> Vec<(MmId, String)> {
        let names = self.names.borrow();
        let named = self.cast.processes.iter().enumerate();
        named
            .flat_map(|(process, name)| names.mms_of(process).map(|mm| (mm, name.clone())).collect::<Vec<_>>())
            .collect()
    }

    /// What the scenario calls a page of an address space: `buf+1`.
    pub(crate) fn page_name(&self, mm: MmId, va: VirtAddr) -> Option<String> {
        self.names.borrow().page_name(mm, va)
    }

    /// Every page that is mapped, in any address space.
    pub(crate) fn pages(&self) -> Vec<VirtAddr> {
        self.names.borrow().pages()
    }

    /// The value that an operation kept under a name.
    pub(crate) fn value(&self, name: &str) -> Option<u64> {
        self.names.borrow().value(name)
    }

    /// Keeps a value of the memory of a process as it is now, or a flag of the entry that maps it. If nothing is mapped there,
    /// it keeps nothing.
    pub(crate) fn keep_final(&self, as_name: &str, process: &str, at: &Spot, flag: Option<EntryFlag>) {
        let process = self.process(process);
        let Some(mm) = self.mm(process) else { return };
        let mapping = match &at.place {
            Place::Address(va) => Some(*va),
            Place::Mapping { name, page } => {
                self.names.borrow().mapping(process, name).map(|(start, _)| start.plus_pages(*page))
            }
        };
        let (memory, mmu) = (&self.kernel.core().memory, &self.kernel.mmu);
        let root = Pfn(memory.get(self.kernel.mm(mm).pgd().loc()));
        let mapped = mapping.and_then(|page| Some((page, mmu.frame_under(root, page)?)));
        let Some((page, frame)) = mapped else { return };
        let value = match flag {
            Some(flag) => u64::from(flag.is_in(mmu.lowest_under(root, page).2)),
            None => at.bytes().take(memory.get(mmu.phys.word(frame, at.word()))),
        };
        self.names.borrow_mut().set_value(as_name, value);
    }

    /// A word of the page at an address, as the tables are now. `None`, if nothing is mapped there.
    fn word_behind(&self, mm: MmId, va: VirtAddr, word: u32) -> Option<Loc> {
        let root = Pfn(self.kernel.core().memory.get(self.kernel.mm(mm).pgd().loc()));
        Some(self.kernel.mmu.phys.word(self.kernel.mmu.frame_under(root, va)?, word))
    }

    /// Whether a task waits for a word whose page has moved since it began.
    pub(crate) fn has_lost_wait(&self, task: TaskId) -> bool {
        let Some((va, word, loc)) = self.names.borrow().wait(task) else { return false };
        let process = self.cast.threads.get(usize::from(task.0));
        let mm = process.and_then(|process| self.mm(*process));
        mm.is_some_and(|mm| self.word_behind(mm, va, word) != Some(loc))
    }

    /// What an operation of a task returned.
    pub(crate) fn returned(&self, task: TaskId, op: usize) -> Option<i64> {
        self.names.borrow().returned(task, op)
    }

    /// The first operation of a task that failed, and its error.
    pub(crate) fn failure(&self, task: TaskId) -> Option<(usize, Errno)> {
        self.names.borrow().failed().iter().find(|(of, ..)| *of == task).map(|(_, op, errno)| (*op, *errno))
    }

    /// Every operation that failed in the run: the task, the operation and its error.
    pub(crate) fn failures(&self, mut hear: impl FnMut(TaskId, usize, Errno)) {
        self.names.borrow().failed().iter().for_each(|(task, op, errno)| hear(*task, *op, *errno));
    }

    /// Every operation that found other mappings than it expected: the task, the operation and the difference.
    pub(crate) fn mismatches(&self) -> Vec<(TaskId, usize, Rc<Mismatch>)> {
        self.names.borrow().mismatches().to_vec()
    }

    /// Gives every thread the address space of its process, if that exists already.
    pub(crate) fn enlist_threads(&self) {
        for process in 0..self.cast.processes.len() {
            let Some(mm) = self.mm(process) else { continue };
            let threads = self.cast.threads.iter().enumerate().filter(|(_, of)| **of == process);
            for (nth, (thread, _)) in threads.enumerate() {
                self.kernel.set_task_mm(TaskId(thread as u8), Some(mm));
                // Threads of a forked process have the rights that their parent had when it forked.
                if process < self.cast.given {
                    self.kernel.inherit_pkru(Task::setup_of(self, process), TaskId(thread as u8));
                }
                if nth > 0 {
                    self.kernel.adopt(mm);
                }
            }
        }
    }

    /// The threads of a process.
    fn threads_of(&self, process: usize) -> Vec<TaskId> {
        let threads = self.cast.threads.iter().enumerate().filter(|(_, of)| **of == process);
        threads.map(|(thread, _)| TaskId(thread as u8)).collect()
    }

    /// Where some process calls `exec`, the threads of each process are told apart from those of others.
    pub(crate) fn make_thread_groups(&self) {
        for process in (0..self.cast.processes.len()).filter(|_| self.cast.execs) {
            self.kernel.make_thread_group(&self.threads_of(process));
        }
    }

    /// From now on runs start from the present state of the machine and of the names. What operations returned until now is
    /// forgotten.
    pub(crate) fn checkpoint(&self) {
        self.names.borrow_mut().forget_results();
        self.base.replace(self.names.borrow().clone());
        self.kernel.checkpoint();
    }

    /// Goes back to the checkpoint.
    pub(crate) fn rewind(&self) {
        self.kernel.rewind();
        self.names.borrow_mut().clone_from(&self.base.borrow());
    }
}
