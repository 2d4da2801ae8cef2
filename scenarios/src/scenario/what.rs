//! Operations.

use sim_mmu::VirtAddr;

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
