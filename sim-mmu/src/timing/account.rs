//! What the cycles of a CPU were spent on.

use crate::addr::Level;

macro_rules! spent {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a cycle was spent on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Spent {
            $($(#[$doc])* $variant,)*
        }

        impl Spent {
            /// All of them, in the order in which an account shows them.
            pub const ALL: &[Spent] = &[$(Spent::$variant,)*];

            /// A short name: `tlb-l2`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Spent::$variant => $name,)*
                }
            }
        }
    };
}

spent! {
    /// Data in the core's first cache.
    L1 = "l1",
    /// Data in the core's second cache.
    L2 = "l2",
    /// Data in the cache that the cores share.
    L3 = "l3",
    /// Data that no cache had.
    Dram = "dram",
    /// Data that another core had written, or that another core held when this core wrote it.
    OtherCore = "other-core",
    /// Stores, without the cycles that it takes to get the line.
    Store = "store",
    /// Locked operations, without the cycles that it takes to get the line.
    Atomic = "atomic",
    /// Translations that the second level of the TLB had.
    TlbL2 = "tlb-l2",
    /// Look-ups of translations that the TLB did not have. A walk began after each of them.
    TlbMiss = "tlb-miss",
    /// A walk's loads of PML5Es.
    WalkPml5e = "walk-pml5e",
    /// A walk's loads of PML4Es.
    WalkPml4e = "walk-pml4e",
    /// A walk's loads of PDPTEs.
    WalkPdpte = "walk-pdpte",
    /// A walk's loads of PDEs.
    WalkPde = "walk-pde",
    /// A walk's loads of PTEs.
    WalkPte = "walk-pte",
    /// Page faults: entry to the handler, and return.
    Exception = "exception",
    /// Sending interrupts to other CPUs.
    IpiSend = "ipi-send",
    /// Taking interrupts, and returning from them.
    Interrupt = "ipi-delivery",
    /// INVLPG.
    Invlpg = "invlpg",
    /// INVPCID.
    Invpcid = "invpcid",
    /// MOV to CR3.
    Cr3 = "cr3",
    /// INVLPGB.
    Invlpgb = "invlpgb",
    /// TLBSYNC.
    Tlbsync = "tlbsync",
    /// Other serialising instructions.
    Serialising = "serialising",
    /// Waiting for another CPU: at a gate, for an interrupt on its way, or idle.
    Wait = "wait",
}

impl Spent {
    const COUNT: usize = Spent::ALL.len();

    /// A walk's load of an entry of a level.
    pub const fn walk(level: Level) -> Spent {
        match level {
            Level::Pgd => Spent::WalkPml5e,
            Level::P4d => Spent::WalkPml4e,
            Level::Pud => Spent::WalkPdpte,
            Level::Pmd => Spent::WalkPde,
            Level::Pte => Spent::WalkPte,
        }
    }

    /// Whether it is a walk's load.
    pub const fn is_walk(self) -> bool {
        matches!(self, Spent::WalkPml5e | Spent::WalkPml4e | Spent::WalkPdpte | Spent::WalkPde | Spent::WalkPte)
    }
}

/// For each thing that one CPU spent cycles on, the cycles and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    cycles: [u64; Spent::COUNT],
    times: [u64; Spent::COUNT],
}

impl Default for Account {
    fn default() -> Account {
        Account { cycles: [0; Spent::COUNT], times: [0; Spent::COUNT] }
    }
}

impl Account {
    pub(crate) fn add(&mut self, what: Spent, cycles: u64) {
        self.cycles[what as usize] += cycles;
        self.times[what as usize] += 1;
    }

    /// The cycles spent on `what`.
    pub fn cycles(&self, what: Spent) -> u64 {
        self.cycles[what as usize]
    }

    /// How often cycles were spent on `what`.
    pub fn times(&self, what: Spent) -> u64 {
        self.times[what as usize]
    }

    /// All cycles. This is the clock of the CPU.
    pub fn total(&self) -> u64 {
        self.cycles.iter().sum()
    }

    /// Cycles of all loads of walks.
    pub fn walk_cycles(&self) -> u64 {
        Spent::ALL.iter().filter(|what| what.is_walk()).map(|what| self.cycles(*what)).sum()
    }

    /// How many loads walks made.
    pub fn walk_loads(&self) -> u64 {
        Spent::ALL.iter().filter(|what| what.is_walk()).map(|what| self.times(*what)).sum()
    }

    /// Walks that accesses began.
    pub fn walks(&self) -> u64 {
        self.times(Spent::TlbMiss)
    }

    /// The cycles spent since the account was `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Account) -> Account {
        let less = |now: &[u64; Spent::COUNT], then: &[u64; Spent::COUNT]| {
            std::array::from_fn(|i| now[i].saturating_sub(then[i]))
        };
        Account { cycles: less(&self.cycles, &earlier.cycles), times: less(&self.times, &earlier.times) }
    }
}
