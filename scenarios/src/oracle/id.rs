//! The table of the oracles, with a row for each.

use std::fmt;

/// Makes [`OracleId`] of rows. A row has a sentence on what the oracle checks, its name in code, and its name in scenarios,
/// records and output.
macro_rules! oracles {
    ($(#[doc = $about:literal] $id:ident = $name:literal;)*) => {
        /// Which oracle.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum OracleId {
            $(#[doc = $about] $id,)*
        }

        impl OracleId {
            /// Every oracle that there is.
            pub const ALL: &[OracleId] = &[$(OracleId::$id),*];

            /// Its name in scenarios, records and output.
            pub fn name(self) -> &'static str {
                match self {
                    $(OracleId::$id => $name,)*
                }
            }

            /// What it checks, in a sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(OracleId::$id => $about.trim_ascii(),)*
                }
            }
        }
    };
}

oracles! {
    /// A CPU, a walker, a device or a pin holder touches a frame that is free or has another owner.
    FrameUseAfterFree = "frame-use-after-free";
    /// A walk reads a frame that is not now a table of that level and address space.
    PageTableUseAfterFree = "page-table-use-after-free";
    /// An access uses a translation that the last complete flush should have dropped.
    StaleTlb = "stale-tlb";
    /// Two CPUs see different pages at one address, and one of them reads an old value.
    Incoherent = "incoherent";
    /// A TLB holds translations of two sizes for one address.
    MultiHit = "multi-hit";
    /// A write becomes visible through private memory that was not shared.
    CowBroken = "cow-broken";
    /// A process reads bytes that another process wrote after the two had ceased to share them.
    Leak = "leak";
    /// Code uses a kernel object (a mapping, an address space) after its end.
    ObjectUseAfterFree = "object-use-after-free";
    /// A `BUG_ON()` or `WARN_ON()` of the kernel fires.
    KernelBug = "kernel-bug";
    /// A caller of GUP puts a reference twice, or uses it after it has put it.
    PinMisuse = "pin-misuse";
    /// An address space maps a copy of a page that is pinned there.
    StalePin = "stale-pin";
    /// A function of GUP tells its caller another number of pages than it gave out, or gave out others.
    ReturnValue = "return-value";
    /// The lock of a page is taken by a task that has it, or given back by one that has it not.
    Lock = "lock";
    /// Code may sleep where it must not: with a spin lock, with interrupts or preemption off, or as a reader of RCU.
    SleepInAtomic = "sleep-in-atomic";
    /// A reference count differs from the number of holders.
    Refcount = "refcount";
    /// A mapcount differs from the number of mappings.
    Mapcount = "mapcount";
    /// Mappings, page tables and entries contradict each other when everything is at rest.
    BadPageMap = "bad-page-map";
    /// A page was written, and neither an entry nor the page itself says so any more.
    DirtyLost = "dirty-lost";
    /// A flag of a page that somebody set is gone, and nobody cleared it.
    FlagLost = "flag-lost";
    /// User code wrote to a page after the kernel had copied it, and the copy takes the page's place.
    LostWrite = "lost-write";
    /// An interface of the kernel breaks its promise. For example, a page was written and soft-dirty does not tell it.
    Semantics = "semantics";
    /// No task can go on, and some task has not ended.
    Deadlock = "deadlock";
    /// A thread waits for a word whose page has moved meanwhile. The simulator does not follow it, and gives the run up.
    LostWait = "lost-wait";
    /// A run has not ended within its bound on steps.
    Livelock = "livelock";
    /// A check that the scenario states about its own values failed.
    Check = "check";
}

impl OracleId {
    /// The oracle of a name.
    pub fn by_name(name: &str) -> Option<OracleId> {
        OracleId::ALL.iter().copied().find(|id| id.name() == name)
    }
}

impl fmt::Display for OracleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
