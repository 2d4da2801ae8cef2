//! The machine that programs are replayed on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use sim_core::MemoryBuilder;
use sim_core::source::Source;
use sim_gup::callers::{Pipe, Ring};
use sim_gup::{CATALOGUE, GUP_CALLS};
use sim_mm::{Choices, GUP_PIN_COUNTING_BIAS, Kernel, KernelConfig, LruBatch, MachineConfig, MmId, Page, Pkeys};
use sim_mmu::Geometry;

use super::program::PROCESSES;

/// Frames of the machine: four processes with a quarter of the usual window each, and room for what is
/// held by pipes.
pub const FRAMES: u64 = 8192;

/// Address spaces of a program: those that ended are not used again.
const MMS: usize = 64;

/// A machine that programs run on, one after the other.
pub struct Machine {
    /// Its kernel.
    pub kernel: Kernel,
    /// The pipes that all processes share.
    pub(super) pipes: [Pipe; 2],
    /// The rings of process 0 and its children; none until it is opened.
    pub(super) rings: [Ring; 2],
    /// Which of the rings are open.
    pub(super) open: [Cell<bool>; 2],
    /// A process that has forked and its child, until one of them does something. The recorder then touches its own
    /// memory first; the COW faults work off the CPU's batches of pages.
    pub(super) cold: RefCell<BTreeSet<u8>>,
    /// The processes that are alive.
    pub(super) processes: RefCell<BTreeMap<u8, MmId>>,
}

/// Mappings of all processes at a time: each page of the window by itself.
const VMAS: usize = 4 * 4096;

/// Files of shared memory at a time.
const FILES: usize = 256;

impl Machine {
    /// A machine with a kernel on which nothing runs.
    pub fn new(kernel: KernelConfig) -> Machine {
        let mut memory = MemoryBuilder::default();
        let pipes = ["0", "1"].map(|name| Pipe::new(&mut memory, name));
        let rings = ["0", "1"].map(|name| Ring::new(&mut memory, name));
        let config = MachineConfig {
            cpus: 1,
            geometry: Geometry::default(),
            frames: FRAMES,
            refcount_bits: 32,
            mms: MMS,
            vmas: VMAS,
            files: FILES,
            tasks: usize::from(PROCESSES),
            // The recorded machines had no protection keys.
            platform: CATALOGUE.platform(kernel.version, &Choices::default().with(LruBatch::On).with(Pkeys::Off)),
            kernel,
            gup: GUP_CALLS,
        };
        let machine = Machine {
            kernel: Kernel::new(memory, config),
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

    /// References to a page that wait in a pipe, or that a ring has.
    pub(super) fn held_elsewhere(&self, page: Page) -> u64 {
        let in_pipes: u64 = self.pipes.iter().map(|pipe| pipe.references(page)).sum();
        let in_rings: u64 = self.rings.iter().map(|ring| ring.pins(page)).sum();
        in_pipes + in_rings * GUP_PIN_COUNTING_BIAS
    }

    /// The processes that are alive.
    pub fn processes(&self) -> BTreeMap<u8, MmId> {
        self.processes.borrow().clone()
    }
}
