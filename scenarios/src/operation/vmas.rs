//! `vmas`: the list of mappings of a process, against what is expected of it.

use std::fmt;

use serde_json::Value;
use sim_mm::{Prot, VmFlags, VmaSnapshot, find_vma};
use sim_mmu::VirtAddr;

use super::argument::{Argument, Mention, RangePages};
use super::{Operation, Running, operation, pages_text};
use crate::json::{Bool, Kind, Node, NonEmpty, fields, name_of};
use crate::stage::{Mismatch, Place, Task};

operation! {
    /// Looks at the list of mappings of the process, as `/proc/PID/maps` shows it. If it is not as expected, the check
    /// fails, with both lists. Answers how many mappings there are.
    "vmas" Vmas {
        /// What the list is expected to have; it may have others as well.
        required "expect" expect: ExpectedVmas,
    }
}

fields! {
    /// A mapping that is expected in the list of a process.
    pub(crate) struct ExpectedVmaFields {
        /// Its first page.
        required "at" at: Place,
        /// Its length.
        required "pages" pages: RangePages,
        /// What may be done with it; anything if not given.
        optional "prot" prot: Prot,
        /// Whether it is shared; either if not given.
        optional "shared" shared: Bool,
    }
}

/// A mapping that is expected in the list of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedVma {
    /// Its first page.
    at: Place,
    pages: u64,
    prot: Option<Prot>,
    shared: Option<bool>,
}

impl Kind for ExpectedVma {
    type Value = ExpectedVma;

    fn decode(node: &Node<'_>) -> Option<ExpectedVma> {
        let ExpectedVmaFields { at, pages, prot, shared } = ExpectedVmaFields::read(node)?;
        Some(ExpectedVma { at: at?, pages: pages?, prot: prot?, shared: shared? })
    }

    fn schema() -> Value {
        ExpectedVmaFields::FACTS.schema()
    }
}

/// Mappings that are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedVmas {
    vmas: Vec<ExpectedVma>,
    /// Their places, in the same order.
    places: Vec<Place>,
}

impl Kind for ExpectedVmas {
    type Value = ExpectedVmas;

    fn decode(node: &Node<'_>) -> Option<ExpectedVmas> {
        let vmas = NonEmpty::<ExpectedVma>::decode(node)?;
        let places = vmas.iter().map(|vma| vma.at.clone()).collect();
        Some(ExpectedVmas { vmas, places })
    }

    fn schema() -> Value {
        NonEmpty::<ExpectedVma>::schema()
    }
}

impl Argument for ExpectedVmas {
    fn mention(value: &ExpectedVmas) -> Option<Mention<'_>> {
        Some(Mention::Expects(&value.places))
    }
}

/// What a mapping allows.
fn prot(vma: &VmaSnapshot) -> Prot {
    let allows = |flag, prot| if vma.flags.contains(flag) { prot } else { Prot::empty() };
    allows(VmFlags::READ, Prot::READ) | allows(VmFlags::WRITE, Prot::WRITE) | allows(VmFlags::EXEC, Prot::EXEC)
}

fn pages(vma: &VmaSnapshot) -> u64 {
    vma.end.vpn().0 - vma.start.vpn().0
}

impl ExpectedVma {
    /// Whether the list has it, where `at` is its address.
    fn is_in(&self, list: &[VmaSnapshot], at: VirtAddr) -> bool {
        let vma = list.iter().find(|vma| vma.start <= at && at < vma.end);
        vma.is_some_and(|vma| {
            let same_prot = self.prot.is_none_or(|expected| expected == prot(vma));
            let same_kind = self.shared.is_none_or(|shared| shared == vma.flags.contains(VmFlags::SHARED));
            vma.start == at && pages(vma) == self.pages && same_prot && same_kind
        })
    }
}

impl fmt::Display for ExpectedVma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", pages_text(self.pages), self.at)?;
        if let Some(prot) = self.prot {
            write!(f, " {}", name_of(prot))?;
        }
        match self.shared {
            Some(true) => f.write_str(" shared"),
            Some(false) => f.write_str(" private"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Vmas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expect mappings: {}", listed(&self.expect.vmas))
    }
}

fn listed(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Vmas {
    /// Notes it if the list is not as expected.
    fn compare(&self, task: Task<'_>, list: &[VmaSnapshot]) {
        let is_there = |expected: &ExpectedVma| {
            // A name that stands for nothing now is a mapping that is not there.
            task.address(&expected.at).is_ok_and(|at| expected.is_in(list, at))
        };
        if self.expect.vmas.iter().all(is_there) {
            return;
        }
        let told = |vma: &VmaSnapshot| {
            let place = match task.page_name(vma.start) {
                Some(name) => format!("{name} ({})", vma.start),
                None => vma.start.to_string(),
            };
            let shared = if vma.flags.contains(VmFlags::SHARED) { " shared" } else { "" };
            format!("{} at {place} {}{shared}", pages_text(pages(vma)), name_of(prot(vma)))
        };
        let found: Vec<String> = list.iter().map(told).collect();
        task.note_mismatch(Mismatch {
            expected: listed(&self.expect.vmas),
            found: if found.is_empty() { "no mappings".to_owned() } else { listed(&found) },
        });
    }
}

impl Operation for Vmas {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let mm = task.cpu.kernel.mm(task.mm()?);
            let _kernel = task.cpu.enter_kernel();
            // As `show_map()`: under `mmap_lock` the list stays as it is.
            let _mmap_lock = task.cpu.down_read(mm.mmap_lock).await;
            find_vma(task.cpu, mm, VirtAddr(0)).await;
            let list = task.cpu.kernel.vma_list(mm);
            self.compare(task, &list);
            Ok(list.len() as i64)
        })
    }
}
