//! The scenario: what a JSON file says, checked and resolved.

mod case;
mod config;
mod decode;
mod error;
mod fields;
mod load;
mod mappings;
mod op;
mod show;
mod suggest;
mod validate;

use sim_mm::{
    CowReuse, Flush, GupProtect, KernelConfig, MemoryOrder, Platform, Preempt, Release, Safeguard, TableFree,
};
use sim_mmu::VirtAddr;

pub use case::ORACLE_IDS;
pub use error::{LoadError, LoadErrors};
pub use load::load;

/// A scenario file.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: lower-case words joined by hyphens.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Where the race comes from.
    pub history: History,
    /// The machine.
    pub machine: MachineSpec,
    /// The kernel.
    pub kernel: KernelSpec,
    /// Processes with the operations that set them up, run one after the other before every schedule.
    pub processes: Vec<Process>,
    /// Threads, run by the schedule.
    pub threads: Vec<Thread>,
    /// What must hold when a run has ended.
    pub checks: Vec<Check>,
    /// Variants with what is expected of each.
    pub cases: Vec<Case>,
}

/// Where a race comes from.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Commits that brought or fixed it.
    pub commits: Vec<String>,
    /// The release of the fix, or of the safeguard.
    pub release: Option<String>,
    /// Its CVE.
    pub cve: Option<String>,
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineSpec {
    /// Number of CPUs, 1 to 16.
    pub cpus: usize,
    /// Entries a table, a power of two from 2 to 512.
    pub entries_per_table: u32,
    /// Frames of memory, 8 to 65536.
    pub frames: u64,
    /// Bits of a page's reference count, 3 to 32.
    pub refcount_bits: u32,
    /// The platform.
    pub platform: Platform,
}

impl Default for MachineSpec {
    fn default() -> Self {
        MachineSpec {
            cpus: 2,
            entries_per_table: 512,
            frames: 64,
            refcount_bits: 32,
            platform: Platform::default(),
        }
    }
}

/// What a case changes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineChange {
    /// See [`MachineSpec::frames`].
    pub frames: Option<u64>,
    /// See [`MachineSpec::entries_per_table`].
    pub entries_per_table: Option<u32>,
    /// See [`MachineSpec::refcount_bits`].
    pub refcount_bits: Option<u32>,
    /// What changes of the platform.
    pub platform: PlatformChange,
}

/// What a case, or the command line, changes of the platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlatformChange {
    /// See [`Platform::flush`].
    pub flush: Option<Flush>,
    /// See [`Platform::table_free`].
    pub table_free: Option<TableFree>,
    /// See [`Platform::memory`].
    pub memory: Option<MemoryOrder>,
    /// See [`Platform::preempt`].
    pub preempt: Option<Preempt>,
}

/// A kernel, as a scenario or a case names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSpec {
    /// The release to start from; `v5.0`, the era of the `gup.c` that is modelled, if none is named.
    pub version: Option<Release>,
    /// Safeguards switched off.
    pub without: Vec<Safeguard>,
    /// Safeguards switched on.
    pub with: Vec<Safeguard>,
    /// See [`KernelConfig::cow_reuse`].
    pub cow_reuse: Option<CowReuse>,
    /// See [`KernelConfig::gup_protect`].
    pub gup_protect: Option<GupProtect>,
}

/// A process that exists when the schedules start.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// What it does before.
    pub setup: Vec<Op>,
}

/// A thread of a schedule.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// The process whose memory it runs in: one of [`Scenario::processes`], or one that a `fork` names.
    pub process: String,
    /// Where it runs.
    pub cpu: u8,
    /// What it does.
    pub run: Vec<Op>,
}

/// An address as a scenario writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `"buf"` or `"buf+1"`: a page of a mapping that `mmap` named.
    Mapping {
        /// The mapping.
        name: String,
        /// Pages from its start.
        page: u64,
    },
    /// `"0x7000"`.
    Address(VirtAddr),
}

/// An operation and where in the file it stands.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its JSON path: `threads[0].run[1]`.
    pub path: String,
    /// What it does.
    pub what: What,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Maps private anonymous memory.
    Mmap {
        /// What operations call it.
        name: String,
        /// Its length.
        pages: u64,
        /// Whether it is writable (it is always readable).
        writable: bool,
        /// Where; if not given, where the kernel would put it.
        at: Option<VirtAddr>,
    },
    /// Unmaps pages; all of the mapping if no number is given.
    Munmap {
        /// The first.
        at: Place,
        /// How many.
        pages: Option<u64>,
    },
    /// User code writes a value to the first word of a page.
    Write {
        /// The page.
        to: Place,
        /// The value.
        value: u64,
    },
    /// User code reads the first word of a page.
    Read {
        /// The page.
        from: Place,
        /// What checks call the value.
        name: Option<String>,
    },
    /// `madvise()`.
    Madvise {
        /// The first page.
        at: Place,
        /// How many; all of the mapping if not given.
        pages: Option<u64>,
        /// The advice.
        advice: Advice,
    },
    /// Forks; the child is a process of that name.
    Fork {
        /// The child's name.
        name: String,
    },
    /// The process ends.
    Exit,
    /// Pins pages.
    Gup {
        /// By which function.
        call: GupCall,
        /// The first page.
        at: Place,
        /// How many.
        pages: u64,
        /// Whether to write through the pin.
        write: bool,
        /// What operations call the pin.
        name: String,
    },
    /// Drops the references of a pin.
    PutPages {
        /// The pin.
        pin: String,
    },
    /// A device reads the first word of a pinned page.
    DeviceRead {
        /// The pin.
        pin: String,
        /// Which of its pages.
        page: u64,
        /// What checks call the value.
        name: Option<String>,
    },
    /// A device writes the first word of a pinned page.
    DeviceWrite {
        /// The pin.
        pin: String,
        /// Which of its pages.
        page: u64,
        /// The value.
        value: u64,
    },
    /// Gives references to pages into a pipe.
    Vmsplice {
        /// The first page.
        from: Place,
        /// How many.
        pages: u64,
        /// The pipe.
        pipe: String,
    },
    /// Reads the first word of each of the next pages in a pipe; waits for them.
    PipeRead {
        /// The pipe.
        pipe: String,
        /// How many.
        pages: u64,
        /// What checks call the last value.
        name: Option<String>,
    },
}

/// `madvise()` advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// `MADV_DONTNEED`.
    DontNeed,
}

/// The functions of `mm/gup.c` that a scenario can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GupCall {
    /// `get_user_pages_fast()`: JSON `gup_fast`.
    Fast,
    /// `__get_user_pages_fast()`: JSON `gup_fast_only`.
    FastOnly,
    /// `get_user_pages_unlocked()`: JSON `gup`.
    Unlocked,
}

/// What must hold when a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A value that an operation read is one of these (if the operation was reached).
    Value {
        /// The `as` of the operation.
        of: String,
        /// The allowed values.
        one_of: Vec<u64>,
    },
    /// What an operation returned is one of these: a count, or a negative errno.
    Returned {
        /// The thread.
        thread: String,
        /// The operation's place in its `run`.
        op: usize,
        /// The allowed values.
        one_of: Vec<i64>,
    },
}

/// A variant of the scenario, with what is expected of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What it shows, if the name does not say it all.
    pub about: Option<String>,
    /// What it changes of the kernel; its lists add to the scenario's.
    pub kernel: KernelSpec,
    /// What it changes of the machine.
    pub machine: MachineChange,
    /// How it is explored.
    pub explore: ExploreSpec,
    /// What is expected.
    pub expect: Expect,
}

/// How a case is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExploreSpec {
    /// The strategy.
    pub strategy: StrategyName,
    /// Runs at the most; the runner's default if not given.
    pub runs: Option<u64>,
}

/// A strategy, as a scenario or the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyName {
    /// `portfolio`: PCT 2 and 3, POS and sticky in turn.
    Portfolio,
    /// `random`.
    Random,
    /// `sticky`.
    Sticky,
    /// `pct`: depth 3.
    Pct,
    /// `pos`.
    Pos,
    /// `exhaustive`: explored by the portfolio, and reported as sampled.
    Exhaustive,
}

/// What is expected of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No oracle finds anything.
    NoViolation,
    /// One of these oracles finds something, in this routine if one is named.
    Violation {
        /// Oracle ids.
        any_of: Vec<String>,
        /// The routine.
        routine: Option<String>,
    },
}

impl KernelSpec {
    /// The kernel with a change on top: its choices win, its lists add.
    #[must_use]
    pub fn changed(&self, change: &KernelSpec) -> KernelSpec {
        let joined = |a: &[Safeguard], b: &[Safeguard], other: &[Safeguard]| {
            let mut list: Vec<Safeguard> = a.iter().filter(|s| !other.contains(s)).chain(b).copied().collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        KernelSpec {
            version: change.version.or(self.version),
            without: joined(&self.without, &change.without, &change.with),
            with: joined(&self.with, &change.with, &change.without),
            cow_reuse: change.cow_reuse.or(self.cow_reuse),
            gup_protect: change.gup_protect.or(self.gup_protect),
        }
    }

    /// The kernel that it names.
    pub fn resolve(&self) -> KernelConfig {
        let version = self.version.unwrap_or(Release::v(5, 0));
        KernelConfig::new(version, &self.without, &self.with, self.cow_reuse, self.gup_protect)
    }
}

impl MachineSpec {
    /// The machine with a change on top.
    #[must_use]
    pub fn changed(&self, change: &MachineChange) -> MachineSpec {
        MachineSpec {
            cpus: self.cpus,
            entries_per_table: change.entries_per_table.unwrap_or(self.entries_per_table),
            frames: change.frames.unwrap_or(self.frames),
            refcount_bits: change.refcount_bits.unwrap_or(self.refcount_bits),
            platform: change.platform.apply(self.platform),
        }
    }
}

impl PlatformChange {
    /// A platform with the change on top.
    pub fn apply(&self, to: Platform) -> Platform {
        Platform {
            flush: self.flush.unwrap_or(to.flush),
            table_free: self.table_free.unwrap_or(to.table_free),
            memory: self.memory.unwrap_or(to.memory),
            preempt: self.preempt.unwrap_or(to.preempt),
        }
    }
}
