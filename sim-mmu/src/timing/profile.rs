//! What is known of a processor: sizes and latencies. A profile is data, and has no behaviour.
//!
//! Times are in cycles of the core. The file of the profile states the origin of each figure beside it.

use std::fmt;

use crate::addr::Level;
use crate::control::Vendor;

/// How an array chooses the entry that it gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replacement {
    /// It gives up the entry that was used least recently.
    #[default]
    Lru,
    /// It gives up the entry at which a binary tree of bits points. That is seldom one that was used recently.
    TreePlru,
}

/// The shape of a set-associative array: sets of `ways` entries each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    entries: u32,
    ways: u32,
    replacement: Replacement,
}

/// The most entries of an array: 64 MiB of cache lines.
const MAX_ENTRIES: u32 = 1 << 20;

/// Why there can be no array of such a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadShape {
    /// It has no entries, or more than anybody builds.
    Entries,
    /// It has no ways, or more ways than entries.
    Ways,
    /// The number of entries is no multiple of the number of ways.
    Multiple,
    /// A tree needs a power of two of ways, up to 32.
    Tree,
}

impl fmt::Display for BadShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadShape::Entries => write!(f, "an array has 1 to {MAX_ENTRIES} entries"),
            BadShape::Ways => f.write_str("an array has from one way to as many as it has entries"),
            BadShape::Multiple => f.write_str("the entries are no multiple of the ways"),
            BadShape::Tree => f.write_str("tree-plru needs a power of two of ways, 2 to 32"),
        }
    }
}

impl std::error::Error for BadShape {}

impl Shape {
    /// `entries` entries in sets of `ways`. An array with as many ways as entries is fully associative.
    ///
    /// # Errors
    /// See [`BadShape`].
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> Result<Shape, BadShape> {
        if !(1..=MAX_ENTRIES).contains(&entries) {
            return Err(BadShape::Entries);
        }
        if !(1..=entries).contains(&ways) {
            return Err(BadShape::Ways);
        }
        if !entries.is_multiple_of(ways) {
            return Err(BadShape::Multiple);
        }
        if replacement == Replacement::TreePlru && !(ways.is_power_of_two() && (2..=32).contains(&ways)) {
            return Err(BadShape::Tree);
        }
        Ok(Shape { entries, ways, replacement })
    }

    /// The number of entries.
    pub fn entries(self) -> u32 {
        self.entries
    }

    /// The number of entries of a set.
    pub fn ways(self) -> u32 {
        self.ways
    }

    /// The number of sets.
    pub fn sets(self) -> u32 {
        self.entries / self.ways
    }

    /// How it chooses the entry that it gives up.
    pub fn replacement(self) -> Replacement {
        self.replacement
    }
}

/// The pages that a TLB array holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// 4 KiB pages.
    pub base: bool,
    /// 2 MiB pages.
    pub large: bool,
    /// 1 GiB pages.
    pub huge: bool,
}

impl Sizes {
    /// Whether the array holds pages that entries of a level map.
    pub fn has(self, level: Level) -> bool {
        match level {
            Level::Pte => self.base,
            Level::Pmd => self.large,
            Level::Pud => self.huge,
            Level::P4d | Level::Pgd => false,
        }
    }
}

/// One array of a TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlbArray {
    /// The sizes of the pages that it holds.
    pub sizes: Sizes,
    /// The number of its entries, and their sets.
    pub shape: Shape,
}

/// The second level of the TLB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondLevel {
    /// Instructions and data share it.
    Unified(Vec<TlbArray>),
    /// Instructions and data have one each.
    Split {
        /// For fetches.
        instruction: Vec<TlbArray>,
        /// For loads and stores.
        data: Vec<TlbArray>,
    },
}

impl SecondLevel {
    /// The arrays that serve data accesses.
    pub fn data(&self) -> &[TlbArray] {
        match self {
            SecondLevel::Unified(arrays) | SecondLevel::Split { data: arrays, .. } => arrays,
        }
    }
}

/// The TLB of a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlb {
    /// The first level for fetches.
    pub instruction: Vec<TlbArray>,
    /// The first level for loads and stores.
    pub data: Vec<TlbArray>,
    /// The second level.
    pub second: SecondLevel,
    /// The cycles that a look-up in the second level adds to an access, whether it finds something or not.
    pub second_cycles: u64,
}

/// The paging-structure caches of a core (SDM 4.10.3), each under the name of the entries that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructureCaches {
    /// PDEs. After a hit, the walk for a 4 KiB page makes one load.
    pub pde: Option<Shape>,
    /// PDPTEs.
    pub pdpte: Option<Shape>,
    /// PML4Es, and with 5-level paging PML5Es.
    pub pml4e: Option<Shape>,
}

/// A data cache. Its entries are lines of 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataCache {
    /// Its lines.
    pub shape: Shape,
    /// From the load to its use, in cycles, when the line is found here.
    pub cycles: u64,
}

/// The data caches: two levels of each core, one level that all cores share, and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataCaches {
    /// The first level of a core.
    pub l1: DataCache,
    /// The second level of a core.
    pub l2: DataCache,
    /// The level that the cores share.
    pub l3: DataCache,
    /// The cycles of a load that no cache can serve.
    pub memory_cycles: u64,
    /// The cycles of a load of a line that another core wrote last, or of a store to a line that another core holds.
    pub other_core_cycles: u64,
}

/// What instructions and events cost beyond the memory that they touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    /// A store, without the cycles that it takes to get the line.
    pub store: u64,
    /// A locked operation, without the cycles that it takes to get the line.
    pub atomic: u64,
    /// From a fault to the first instruction of its handler.
    pub exception: u64,
    /// The return from a fault's handler.
    pub exception_return: u64,
    /// From the moment at which an interrupt is taken to the first instruction of its handler.
    pub interrupt: u64,
    /// The return from an interrupt handler.
    pub interrupt_return: u64,
    /// The write to the interrupt command register, for the sender.
    pub ipi_send: u64,
    /// From there to the moment at which the target can take the interrupt.
    pub ipi_flight: u64,
    /// INVLPG.
    pub invlpg: u64,
    /// INVPCID of any type.
    pub invpcid: u64,
    /// MOV to CR3.
    pub mov_cr3: u64,
    /// Any other serialising instruction: MOV to CR0 and CR4, WRPKRU, WRMSR.
    pub serialising: u64,
}

/// Invalidation on all cores without interrupts: INVLPGB and TLBSYNC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcasts {
    /// INVLPGB.
    pub invlpgb: u64,
    /// The pages that one INVLPGB can name (CPUID Fn8000_0008 EDX 15:0, plus one).
    pub pages: u64,
    /// TLBSYNC.
    pub tlbsync: u64,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Who makes it.
    pub vendor: Vendor,
    /// Its clock in MHz, which turns cycles into nanoseconds.
    pub mhz: u32,
    /// Its TLB.
    pub tlb: Tlb,
    /// Its paging-structure caches.
    pub structure: StructureCaches,
    /// The number of walks that it makes at a time. A simulated CPU has one access under way, so more than one change nothing.
    pub walkers: u32,
    /// Its data caches.
    pub data: DataCaches,
    /// Everything else.
    pub latency: Latencies,
    /// Its broadcasts, if it has any.
    pub broadcasts: Option<Broadcasts>,
}
