//! A litmus test: what its threads do, and the outcomes that it may have.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::Condition;
use super::rule::Rule;

/// A litmus test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    /// Its name. The source of the test may stand before it.
    pub name: String,
    /// The value of each location at the start. Locations that are not named hold zero.
    pub initial: BTreeMap<String, u64>,
    /// The instructions of each thread.
    pub threads: Vec<Vec<Instruction>>,
    /// The names of the values of an outcome, in this order: registers as `P0.r0`, final values of locations by their names.
    pub observe: Vec<String>,
    /// Registers that no instruction loads, each with its value.
    pub constants: BTreeMap<String, u64>,
    /// The outcome that the test is about.
    pub condition: Option<Condition>,
    /// Whether the model allows that.
    pub is_allowed: Option<bool>,
    /// Every outcome that the model allows.
    pub all_outcomes: Option<BTreeSet<Vec<u64>>>,
    /// The pages that its locations are, in a test of translation. In others, locations are words of one mapping.
    pub pages: Option<Pages>,
    /// Outcomes on which the SDM and the model of the source differ.
    pub differs: Vec<Difference>,
}

/// An outcome that the source of a test allows and the SDM does not, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The outcome.
    pub outcome: Vec<u64>,
    /// Whether the source allows it, and the SDM does not.
    pub source_allows: bool,
    /// The rules of the SDM that say otherwise.
    pub rules: Vec<Rule>,
}

/// Virtual pages, and the frames to which their entries lead. The names of both are locations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// The pages.
    pub pages: Vec<VirtualPage>,
    /// The frames, each with its value at the start.
    pub frames: Vec<(String, u64)>,
    /// The words by which a thread hears of an interrupt.
    pub flags: Vec<String>,
}

/// A virtual page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualPage {
    /// Its name.
    pub name: String,
    /// The frame to which its entry leads at the start.
    pub frame: String,
    /// Whether D is clear in its entry at the start, so that an outcome can tell whether it is set at the end.
    pub is_clean: bool,
}

impl VirtualPage {
    /// The name of D of the entry of a page in an outcome.
    pub(super) fn dirty_name(page: &str) -> String {
        format!("dirty-{page}")
    }
}

/// An instruction of a thread. Registers have names of their own in each thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// A store of a value.
    Store {
        /// The location.
        to: String,
        /// The value.
        value: u64,
    },
    /// A store of the value of a register, which an earlier instruction of the thread has loaded.
    StoreLoaded {
        /// The location.
        to: String,
        /// The register.
        from: String,
    },
    /// A load.
    Load {
        /// The location.
        from: String,
        /// Where the value goes.
        into: String,
    },
    /// XCHG.
    Xchg {
        /// The location.
        at: String,
        /// The new value.
        value: u64,
        /// Where the old one goes.
        into: String,
    },
    /// LOCK XADD.
    Xadd {
        /// The location.
        at: String,
        /// The value that is added.
        value: u64,
        /// Where the old one goes, if it is kept.
        into: Option<String>,
    },
    /// LOCK CMPXCHG.
    Cmpxchg {
        /// The location.
        at: String,
        /// The value that must be there.
        expected: u64,
        /// The new value.
        value: u64,
        /// Where the old one goes.
        into: String,
    },
    /// A store to the entry of a page.
    SetEntry {
        /// The page.
        of: String,
        /// The frame to which it leads from then on.
        to: String,
        /// Whether D is clear in the new entry.
        is_clean: bool,
    },
    /// INVLPG.
    Invlpg {
        /// The page.
        at: String,
    },
    /// Waits until a location is not zero.
    Await {
        /// The location.
        at: String,
    },
    /// MFENCE.
    Mfence,
    /// LFENCE.
    Lfence,
    /// SFENCE.
    Sfence,
}

impl Instruction {
    /// The location that it touches.
    pub fn location(&self) -> Option<&str> {
        match self {
            Instruction::Store { to: at, .. }
            | Instruction::StoreLoaded { to: at, .. }
            | Instruction::Load { from: at, .. }
            | Instruction::Xchg { at, .. }
            | Instruction::Xadd { at, .. }
            | Instruction::Cmpxchg { at, .. }
            | Instruction::SetEntry { of: at, .. }
            | Instruction::Invlpg { at }
            | Instruction::Await { at } => Some(at),
            Instruction::Mfence | Instruction::Lfence | Instruction::Sfence => None,
        }
    }

    /// The register that it writes.
    pub fn register(&self) -> Option<&str> {
        match self {
            Instruction::Load { into, .. }
            | Instruction::Xchg { into, .. }
            | Instruction::Cmpxchg { into, .. }
            | Instruction::Xadd { into: Some(into), .. } => Some(into),
            _ => None,
        }
    }
}

/// The most threads of a test.
const MAX_THREADS: usize = 16;

/// The name of a thread's register in an outcome.
pub(super) fn observed(thread: usize, register: &str) -> String {
    format!("P{thread}.{register}")
}

impl Test {
    /// The locations, by name.
    pub fn locations(&self) -> BTreeSet<&str> {
        let used = self.threads.iter().flatten().filter_map(Instruction::location);
        let named = self.initial.keys().map(String::as_str);
        used.chain(named)
            .chain(self.observe.iter().map(String::as_str).filter(|name| !name.contains('.')))
            .collect()
    }

    /// Whether its condition asks for a register or a location.
    pub(super) fn asks_for(&self, wanted: &str) -> bool {
        let mut asks = false;
        self.condition.iter().for_each(|condition| condition.names(&mut |name| asks |= name == wanted));
        asks
    }

    /// All names that an outcome can have: each register that is loaded, then each location.
    pub(super) fn everything(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (nth, thread) in self.threads.iter().enumerate() {
            for name in thread.iter().filter_map(|instruction| Some(observed(nth, instruction.register()?))) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names.extend(self.locations().into_iter().map(str::to_owned));
        names
    }

    /// Whether everything exists for which the test asks, and the machine is large enough.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=MAX_THREADS).contains(&self.threads.len()) {
            return Err(format!(
                "it has {} threads, and a machine has 1 to {MAX_THREADS} CPUs",
                self.threads.len()
            ));
        }
        let mut names = self.observe.clone();
        self.condition.iter().for_each(|condition| condition.names(&mut |name| names.push(name.to_owned())));
        let known = self.everything();
        for name in names {
            if name.contains('.') && !known.contains(&name) && !self.constants.contains_key(&name) {
                return Err(format!("no thread has the register of `{name}`"));
            }
            if !name.contains('.') && !self.locations().contains(&*name) {
                return Err(format!("no thread has the location `{name}`"));
            }
        }
        Ok(())
    }

    /// The name in a scenario of the value that an instruction of a thread loads. It is the name of the register, if the value
    /// is still there at the end. It is another name, if the value is only stored again. There is none, if nothing asks for it.
    pub(super) fn name_of(thread: &[Instruction], number: usize, nth: usize) -> Option<String> {
        let register = thread[nth].register()?;
        if Test::stays(thread).nth(nth)? {
            return Some(observed(number, register));
        }
        let stored =
            |later: &Instruction| matches!(later, Instruction::StoreLoaded { from, .. } if from == register);
        let mut until = thread[nth + 1..].iter().take_while(|later| later.register() != Some(register));
        until.any(stored).then(|| format!("{}-{nth}", observed(number, register)))
    }

    /// For each instruction of a thread, whether the value that it loads is still in its register at the end.
    pub(super) fn stays(thread: &[Instruction]) -> impl Iterator<Item = bool> {
        thread.iter().enumerate().map(|(nth, instruction)| {
            let register = instruction.register();
            register.is_some() && !thread[nth + 1..].iter().any(|later| later.register() == register)
        })
    }
}
