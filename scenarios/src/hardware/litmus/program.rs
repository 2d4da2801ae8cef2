//! A litmus program: the state at the start, the steps, and the outcomes that are allowed.

use std::collections::BTreeSet;

use sim_mmu::{
    Controls, Cr0, Cr3, Cr4, Entry, Invlpgb, Invpcid, KeyRights, Pfn, PhysAddr, Privilege, Refused, VirtAddr,
};

/// A program, and what is known of it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Sections of the SDM, volume 3A.
    pub sdm: String,
    /// Registers of every CPU at the start.
    pub controls: Controls,
    /// CR3 of every CPU at the start.
    pub cr3: Cr3,
    /// Entries in memory at the start; the others are zero.
    pub memory: Vec<(PhysAddr, u64)>,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The tuples of outcomes that are allowed, if not all combinations are.
    pub joint: Option<BTreeSet<Vec<String>>>,
    /// Why its sets of outcomes are doubtful. A doubtful program need not reach what it allows.
    pub doubtful: Option<String>,
}

/// A step of a program.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The CPU that takes it.
    pub cpu: u8,
    /// What it does.
    pub what: Action,
    /// Whether the instruction must be refused with #GP.
    pub refused: bool,
    /// The outcomes that an access may have; `None`, if the program does not say.
    pub allowed: Option<BTreeSet<String>>,
    /// Those of the allowed outcomes that need not be reached.
    pub doubtful: BTreeSet<String>,
    /// Outcomes that are allowed too if two entries of one page, size and tag may be cached at once.
    pub if_duplicates: BTreeSet<String>,
    /// Entries to look at afterwards, and what A and D of them may be.
    pub flags: Vec<Flags>,
}

/// A and D of an entry after a step.
#[derive(Clone, Debug)]
pub struct Flags {
    /// The entry.
    pub entry: PhysAddr,
    /// `--`, `A-`, `-D` or `AD`.
    pub allowed: BTreeSet<String>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// An access.
    Access {
        /// The address.
        va: VirtAddr,
        /// On whose behalf.
        privilege: Privilege,
        /// Read, write or fetch.
        kind: Kind,
    },
    /// A store of 8 bytes to physical memory.
    Store(PhysAddr, u64),
    /// INVLPG.
    Invlpg(VirtAddr),
    /// MOV to CR3. Bit 63 of the operand is given separately.
    MovCr3(Cr3, bool),
    /// MOV to CR4.
    MovCr4(Cr4),
    /// MOV to CR0.
    MovCr0(Cr0),
    /// WRPKRU.
    Wrpkru(KeyRights),
    /// WRMSR to IA32_PKRS.
    Wrpkrs(KeyRights),
    /// INVPCID. `Err`, if its type or its descriptor is refused in any case.
    Invpcid(Result<Invpcid, Refused>),
    /// INVLPGB.
    Invlpgb(Invlpgb),
    /// TLBSYNC.
    Tlbsync,
}

/// The kind of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Fetch.
    Fetch,
}

impl Program {
    /// The accesses, in their order.
    pub fn accesses(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.what, Action::Access { .. }))
    }

    /// The number of CPUs that take steps.
    pub fn cpus(&self) -> usize {
        self.steps.iter().map(|step| usize::from(step.cpu) + 1).max().unwrap_or(1)
    }

    /// The frames in which a walk may look for entries: those of the roots and of everything that any
    /// entry points at.
    pub(super) fn frames(&self) -> Vec<Pfn> {
        let mut frames = BTreeSet::from([self.cr3.root()]);
        let mut word = |at: PhysAddr, value: u64| {
            frames.insert(at.pfn());
            frames.insert(Entry(value).pfn());
        };
        for (at, value) in &self.memory {
            word(*at, *value);
        }
        for step in &self.steps {
            if let Action::Store(at, value) = step.what {
                word(at, value);
            }
        }
        for step in &self.steps {
            if let Action::MovCr3(value, _) = step.what {
                frames.insert(value.root());
            }
        }
        frames.retain(|pfn| pfn.base().0 >> self.controls.maxphyaddr == 0);
        frames.into_iter().collect()
    }
}
