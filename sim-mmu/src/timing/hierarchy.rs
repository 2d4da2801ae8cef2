//! The data caches under accesses and walks. They remember which core wrote a line last.
//!
//! The caches hold tags alone: the contents of a line are in memory. The second level contains the first. The
//! shared level gets the lines that come from memory and those that the second levels give up. A line that the
//! shared level gives up stays in the levels above. A line either belongs to one core, which wrote it last and
//! nobody has looked at it since, or it belongs to no core.

use std::collections::BTreeMap;

use sim_core::CpuId;

use crate::timing::account::Spent;
use crate::timing::profile::DataCaches;
use crate::timing::set_assoc::SetAssoc;

/// A line of 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line(pub(crate) u64);

#[derive(Debug)]
struct Private {
    l1: SetAssoc<()>,
    l2: SetAssoc<()>,
}

/// The data caches of all CPUs.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    cores: Vec<Private>,
    l3: SetAssoc<()>,
    /// The lines that a core wrote last, and that no other core has looked at since.
    modified: BTreeMap<Line, CpuId>,
    caches: DataCaches,
}

/// Where a line was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    L1,
    L2,
    L3,
    Memory,
    OtherCore,
}

impl Found {
    /// The name under which an account has it.
    pub(crate) fn spent(self) -> Spent {
        match self {
            Found::L1 => Spent::L1,
            Found::L2 => Spent::L2,
            Found::L3 => Spent::L3,
            Found::Memory => Spent::Dram,
            Found::OtherCore => Spent::OtherCore,
        }
    }
}

fn any(_: &()) -> bool {
    true
}

impl Hierarchy {
    pub(crate) fn new(caches: DataCaches, cpus: usize) -> Hierarchy {
        let core = |_| Private { l1: SetAssoc::new(caches.l1.shape), l2: SetAssoc::new(caches.l2.shape) };
        Hierarchy {
            cores: (0..cpus).map(core).collect(),
            l3: SetAssoc::new(caches.l3.shape),
            modified: BTreeMap::new(),
            caches,
        }
    }

    pub(crate) fn clear(&mut self) {
        for core in &mut self.cores {
            core.l1.clear();
            core.l2.clear();
        }
        self.l3.clear();
        self.modified.clear();
    }

    /// The cycles that it takes to get a line from there.
    pub(crate) fn cycles(&self, found: Found) -> u64 {
        match found {
            Found::L1 => self.caches.l1.cycles,
            Found::L2 => self.caches.l2.cycles,
            Found::L3 => self.caches.l3.cycles,
            Found::Memory => self.caches.memory_cycles,
            Found::OtherCore => self.caches.other_core_cycles,
        }
    }

    /// A core loads from a line.
    pub(crate) fn read(&mut self, cpu: CpuId, line: Line) -> Found {
        let core = &mut self.cores[cpu.index()];
        if core.l1.get(line.0, any).is_some() {
            return Found::L1;
        }
        let found = if core.l2.get(line.0, any).is_some() {
            Found::L2
        } else if self.modified.get(&line).is_some_and(|owner| *owner != cpu) {
            self.modified.remove(&line);
            self.put_l3(line);
            Found::OtherCore
        } else if self.l3.get(line.0, any).is_some() {
            Found::L3
        } else {
            self.put_l3(line);
            Found::Memory
        };
        self.put_private(cpu, line);
        found
    }

    /// A core stores to a line. Afterwards no other core has the line.
    pub(crate) fn write(&mut self, cpu: CpuId, line: Line) -> Found {
        let mut held_elsewhere = false;
        if self.modified.get(&line) != Some(&cpu) {
            for (_, core) in self.cores.iter_mut().enumerate().filter(|(other, _)| *other != cpu.index()) {
                held_elsewhere |= core.l2.remove(line.0, any).is_some();
                core.l1.remove(line.0, any);
            }
            self.modified.remove(&line);
        }
        let found = self.read(cpu, line);
        self.modified.insert(line, cpu);
        if held_elsewhere { Found::OtherCore } else { found }
    }

    fn put_private(&mut self, cpu: CpuId, line: Line) {
        let core = &mut self.cores[cpu.index()];
        core.l1.insert(line.0, (), any);
        if let Some((gone, ())) = core.l2.insert(line.0, (), any)
            && gone != line.0
        {
            core.l1.remove(gone, any);
            if self.modified.get(&Line(gone)) == Some(&cpu) {
                self.modified.remove(&Line(gone));
            }
            self.put_l3(Line(gone));
        }
    }

    fn put_l3(&mut self, line: Line) {
        self.l3.insert(line.0, (), any);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::profile::{DataCache, Replacement, Shape};

    /// Two lines in the first level, four in the second, eight in the third, all fully associative.
    fn hierarchy() -> Hierarchy {
        let level = |lines, cycles| DataCache {
            shape: Shape::new(lines, lines, Replacement::Lru).expect("a good shape"),
            cycles,
        };
        let caches = DataCaches {
            l1: level(2, 4),
            l2: level(4, 14),
            l3: level(8, 50),
            memory_cycles: 400,
            other_core_cycles: 70,
        };
        Hierarchy::new(caches, 3)
    }

    const A: CpuId = CpuId(0);
    const B: CpuId = CpuId(1);
    const C: CpuId = CpuId(2);
    const X: Line = Line(5);

    #[test]
    fn a_line_is_where_there_was_room_for_it() {
        for (lines, found) in [(2, Found::L1), (4, Found::L2), (8, Found::L3), (9, Found::Memory)] {
            let mut caches = hierarchy();
            let mut round = || (0..lines).map(|line| caches.read(A, Line(line))).collect::<Vec<_>>();
            assert!(round().iter().all(|found| *found == Found::Memory), "cold");
            assert!(round().iter().all(|other| *other == found), "{lines} lines");
        }
    }

    #[test]
    fn what_another_core_wrote_is_fetched_from_it_once() {
        let mut caches = hierarchy();
        assert_eq!(caches.read(A, X), Found::Memory);
        assert_eq!(caches.write(B, X), Found::OtherCore, "A has it");
        assert_eq!(caches.write(B, X), Found::L1, "it is B's alone");
        assert_eq!(caches.read(A, X), Found::OtherCore);
        assert_eq!(caches.read(A, X), Found::L1, "now both have it");
        assert_eq!(caches.read(B, X), Found::L1);
        assert_eq!(caches.read(C, X), Found::L3, "B's change is there since A looked");
        assert_eq!(caches.write(A, X), Found::OtherCore, "B and C have it");
        assert_eq!(caches.read(B, X), Found::OtherCore);
    }

    #[test]
    fn a_line_that_its_writer_gave_up_is_in_the_shared_level() {
        let mut caches = hierarchy();
        caches.write(A, X);
        for line in 10..14 {
            caches.read(A, Line(line));
        }
        assert_eq!(caches.read(B, X), Found::L3);
        caches.clear();
        assert_eq!(caches.read(B, X), Found::Memory);
    }
}
