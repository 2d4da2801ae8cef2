//! The machine on which programs are replayed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use sim_core::MemoryBuilder;
use sim_core::source::Source;
use sim_gup::callers::{Pipe, Ring};
use sim_gup::{CATALOGUE, GUP_CALLS};
use sim_mm::{Choices, Inode, Kernel, KernelConfig, LruBatch, MachineConfig, Memfd, Migration, MmId, Nodes, Page};
use sim_mmu::Geometry;

use super::program::{Host, PROCESSES};

/// The frames of the machine. They are enough for four processes with a quarter of the usual window each, and for the pages
/// that pipes hold.
const FRAMES: u64 = 8192;

/// The address spaces of a program. One that has ended is not used again.
const MMS: usize = 64;

/// A machine that programs run on, one after the other.
pub struct Machine {
    /// Its kernel.
    pub kernel: Kernel,
    /// The files that all processes have open: `f0` and `f1`.
    pub(super) memfds: [Memfd; 2],
    /// The pipes that all processes share.
    pub(super) pipes: [Pipe; 2],
    /// The rings of process 0 and its children. There is none until it is opened.
    pub(super) rings: [Ring; 2],
    /// Which of the rings are open.
    pub(super) open: [Cell<bool>; 2],
    /// The processes that still share the recorder's own memory since a fork, in groups. When one does something, the recorder first writes to
    /// that memory, and the process has it alone from then on. If others share it then its COW faults empty the CPU's batches of pages.
    pub(super) cold: RefCell<Vec<BTreeSet<u8>>>,
    /// The processes that are alive.
    pub(super) processes: RefCell<BTreeMap<u8, MmId>>,
}

/// The most mappings of all processes at a time. Each page of the window may be a mapping by itself.
const VMAS: usize = 4 * 4096;

/// Pages of each memfd at the start of a program.
pub(super) const MEMFD_PAGES: u64 = 2048;

/// The most files of shared memory at a time.
const FILES: usize = 256;

impl Machine {
    /// A machine with a kernel on which nothing runs, set as the recorded one was.
    pub fn new(kernel: KernelConfig, host: Host) -> Machine {
        let knobs = Choices::default().with(LruBatch::On).with(host.swap).with(Migration::On);
        let knobs = knobs.with(host.pkeys).with(host.soft_dirty).with(host.anon_orders);
        let knobs = knobs.with(host.shmem_orders).with(host.shmem_orders_where);
        let knobs = knobs.with(host.thp).with(host.shmem_thp).with(host.zero_thp).with(host.nodes);
        let mut memory = MemoryBuilder::default();
        let memfds = ["0", "1"].map(|name| Memfd::new(&mut memory, name));
        let pipes = ["0", "1"].map(|name| Pipe::new(&mut memory, name));
        let rings = ["0", "1"].map(|name| Ring::new(&mut memory, name));
        let config = MachineConfig {
            cpus: 1,
            geometry: Geometry::default(),
            // Of two nodes each has as many as programs need.
            frames: if host.nodes == Nodes::Two { 2 * FRAMES } else { FRAMES },
            refcount_bits: 32,
            mms: MMS,
            vmas: VMAS,
            files: FILES,
            tasks: usize::from(PROCESSES),
            platform: CATALOGUE.platform(kernel.version, &knobs),
            kernel,
        };
        let machine = Machine {
            kernel: Kernel::new(memory, config, GUP_CALLS),
            memfds,
            pipes,
            rings,
            open: Default::default(),
            cold: RefCell::default(),
            processes: RefCell::default(),
        };
        machine.kernel.core().set_source(Source::First);
        machine.kernel.checkpoint();
        machine
    }

    /// The number of references to a page that wait in a pipe, or that a ring has.
    pub(super) fn held_elsewhere(&self, page: Page) -> u64 {
        let in_pipes: u64 = self.pipes.iter().map(|pipe| pipe.references(page)).sum();
        let in_rings: u64 = self.rings.iter().map(|ring| ring.pins(page)).sum();
        in_pipes + in_rings * self.kernel.pin_references(page)
    }

    /// A process forks: the child shares what the parent has, and what others share with the parent.
    pub(super) fn shares(&self, parent: u8, child: u8) {
        let mut groups = self.cold.borrow_mut();
        match groups.iter_mut().find(|group| group.contains(&parent)) {
            Some(group) => {
                group.insert(child);
            }
            None => groups.push(BTreeSet::from([parent, child])),
        }
    }

    /// A process shares nothing any more. Whether it did.
    pub(super) fn unshares(&self, process: u8) -> bool {
        let mut groups = self.cold.borrow_mut();
        let did = groups.iter_mut().any(|group| group.remove(&process));
        groups.retain(|group| group.len() > 1);
        did
    }

    /// The memfds, in order.
    pub(super) fn files(&self) -> Vec<Inode> {
        self.memfds.iter().filter_map(Memfd::file).collect()
    }

    /// The processes that are alive.
    pub fn processes(&self) -> BTreeMap<u8, MmId> {
        self.processes.borrow().clone()
    }
}
