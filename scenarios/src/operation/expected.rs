//! Mappings that a scenario expects in the list of a process.

use std::fmt;

use serde_json::{Value, json};
use sim_mm::{Prot, VmFlags, VmaSnapshot};
use sim_mmu::VirtAddr;

use super::argument::{Argument, Mention, RangePages};
use crate::json::{Bool, Kind, Node, NonEmpty, counted, fields, name_of};
use crate::stage::Place;

fields! {
    /// A mapping that is expected in the list of a process.
    pub(crate) struct ExpectedVmaFields {
        /// Its first page.
        required "at" at: Place,
        /// Its length.
        required "pages" pages: RangePages,
        /// The accesses that it allows; any if not given.
        optional "prot" prot: Prot,
        /// Whether it is shared. If this is not given, both are right.
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
        let mut schema = NonEmpty::<ExpectedVma>::schema();
        schema["examples"] = json!([[{ "at": "buf", "pages": 1 }]]);
        schema
    }
}

impl ExpectedVmas {
    /// Whether a list has all of them. `address` says what their places stand for. If a place stands for nothing, that
    /// mapping is not there.
    pub(super) fn are_in(&self, list: &[VmaSnapshot], address: impl Fn(&Place) -> Option<VirtAddr>) -> bool {
        self.vmas.iter().all(|vma| address(&vma.at).is_some_and(|at| vma.is_in(list, at)))
    }
}

impl fmt::Display for ExpectedVmas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.vmas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl Argument for ExpectedVmas {
    fn mention(value: &ExpectedVmas) -> Option<Mention<'_>> {
        Some(Mention::Expects(&value.places))
    }
}

/// The accesses that a mapping allows.
fn prot(vma: &VmaSnapshot) -> Prot {
    let allows = |flag, prot| if vma.flags.contains(flag) { prot } else { Prot::empty() };
    allows(VmFlags::READ, Prot::READ) | allows(VmFlags::WRITE, Prot::WRITE) | allows(VmFlags::EXEC, Prot::EXEC)
}

fn pages(vma: &VmaSnapshot) -> u64 {
    vma.end.vpn().0 - vma.start.vpn().0
}

impl ExpectedVma {
    /// Whether the list has the mapping. Its address is `at`.
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
        write!(f, "{} at {}", counted(self.pages, "page"), self.at)?;
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

/// A mapping of a list in the words of an expected one, at a place that the scenario may have a name for.
pub(super) fn vma_text(vma: &VmaSnapshot, name: Option<String>) -> String {
    let place = match name {
        Some(name) => format!("{name} ({})", vma.start),
        None => vma.start.to_string(),
    };
    let shared = if vma.flags.contains(VmFlags::SHARED) { "shared" } else { "private" };
    format!("{} at {place} {} {shared}", counted(pages(vma), "page"), name_of(prot(vma)))
}
