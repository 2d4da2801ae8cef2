//! Mappings: their places in the user space, and what names them.

use std::collections::BTreeMap;
use std::ops::Range;

use sim_mmu::{Geometry, VirtAddr};

use super::decode::Notes;
use super::op::tag;
use super::suggest::{counted, did_you_mean, quote};
use super::validate::{Parents, Sequence, ancestors, path, unique};
use super::{Op, Place, Scenario, What};

/// A mapping that an operation makes.
struct Mapping<'a> {
    name: &'a str,
    pages: u64,
    at: Option<VirtAddr>,
    op: &'a Op,
    /// Whether an operation of the process unmaps some of it, so that another can take its place.
    unmapped: bool,
}

/// The mappings of each process, without those that it inherits.
type Mappings<'a> = BTreeMap<&'a str, Vec<Mapping<'a>>>;

/// Checks all mappings, and the places that name them.
pub(super) fn validate(scenario: &Scenario, sequences: &[Sequence<'_>], parents: &Parents<'_>, notes: &Notes) {
    let mappings = collect(sequences);
    for (process, own) in &mappings {
        names(process, own, &mappings, parents, notes);
        layout(process, own, user_pages(scenario.machine.entries_per_table), notes);
    }
    smaller_machines(scenario, &mappings, notes);
    let exists = |process: &str| {
        parents.contains_key(process) || scenario.processes.iter().any(|other| other.name == process)
    };
    for Sequence { process, ops } in sequences.iter().filter(|sequence| exists(sequence.process)) {
        let line = ancestors(process, parents);
        let visible: BTreeMap<&str, u64> = (line.iter().flat_map(|process| mappings.get(process)).flatten())
            .map(|mapping| (mapping.name, mapping.pages))
            .collect();
        for op in *ops {
            place(op, &visible, &mappings, notes);
        }
    }
}

fn collect<'a>(sequences: &[Sequence<'a>]) -> Mappings<'a> {
    let mut mappings = Mappings::new();
    for Sequence { process, ops } in sequences {
        for op in *ops {
            if let What::Mmap { name, pages, at, .. } = &op.what {
                let mapping = Mapping { name, pages: *pages, at: *at, op, unmapped: false };
                mappings.entry(*process).or_default().push(mapping);
            }
        }
    }
    for Sequence { process, ops } in sequences {
        let gone: Vec<&What> = ops.iter().map(|op| &op.what).filter(|what| tag(what) == "munmap").collect();
        for mapping in mappings.get_mut(process).into_iter().flatten() {
            mapping.unmapped |= gone.iter().any(|what| unmaps(what, mapping));
        }
    }
    mappings
}

/// Whether an operation unmaps some of a mapping.
fn unmaps(what: &What, mapping: &Mapping<'_>) -> bool {
    match what {
        What::Munmap { at: Place::Mapping { name, .. }, .. } => name == mapping.name,
        What::Munmap { at: Place::Address(from), pages } => mapping.at.is_some_and(|start| {
            *from < start.plus_pages(mapping.pages) && start < from.plus_pages(pages.unwrap_or(1))
        }),
        _ => false,
    }
}

/// Pages of user space. A number of entries that is not valid never gets here.
fn user_pages(entries_per_table: u32) -> u64 {
    Geometry::new(entries_per_table).map_or(0, |geometry| geometry.task_size().vpn().0)
}

/// The names of a process's mappings are unique, those that it inherits included.
fn names(process: &str, own: &[Mapping<'_>], all: &Mappings<'_>, parents: &Parents<'_>, notes: &Notes) {
    unique("mapping", own.iter().map(|mapping| (mapping.name, path(mapping.op, "as"))), notes);
    let mut inherited = BTreeMap::new();
    for parent in ancestors(process, parents).into_iter().filter(|parent| *parent != process) {
        for mapping in all.get(parent).into_iter().flatten() {
            inherited.entry(mapping.name).or_insert(parent);
        }
    }
    for mapping in own {
        if let Some(parent) = inherited.get(mapping.name) {
            let message =
                format!("{} is the name of a mapping inherited from {}", quote(mapping.name), quote(parent));
            notes.error(&path(mapping.op, "as"), message, None);
        }
    }
}

/// Mappings lie in the user space, all of them have room, and fixed ones do not overlap.
fn layout(process: &str, own: &[Mapping<'_>], user: u64, notes: &Notes) {
    let mut asked = 0;
    for mapping in own {
        if let Some(at) = mapping.at {
            if at.offset() != 0 {
                notes.error(
                    &path(mapping.op, "at"),
                    format!("`{at}` is not a multiple of the page size, 0x1000"),
                    None,
                );
                continue;
            }
            if at.vpn().0 + mapping.pages > user {
                let end = VirtAddr::default().plus_pages(user);
                let message = format!(
                    "mapping {} would reach beyond the user space, which ends at `{end}`",
                    quote(mapping.name)
                );
                notes.error(&path(mapping.op, "at"), message, None);
                continue;
            }
        }
        let before = asked;
        asked += mapping.kept_pages();
        if mapping.pages > user || (before <= user && asked > user) {
            let message = format!(
                "the mappings of process {} ask for {}, and the user space has {user}",
                quote(process),
                counted(asked.max(mapping.pages), "page")
            );
            notes.error(&path(mapping.op, "pages"), message, None);
        }
    }
    overlaps(own, notes);
}

fn overlaps(own: &[Mapping<'_>], notes: &Notes) {
    for (i, mapping) in own.iter().enumerate() {
        let overlapped = |earlier: &&Mapping<'_>| match (mapping.fixed(), earlier.fixed()) {
            (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
            _ => false,
        };
        if let Some(earlier) = own[..i].iter().find(overlapped)
            && let Some(taken) = earlier.fixed()
        {
            let message = format!("mapping {} overlaps mapping {}", quote(mapping.name), quote(earlier.name));
            let help = format!("{} is at `{}` to `{}`", quote(earlier.name), taken.start, taken.end);
            notes.error(&path(mapping.op, "at"), message, Some(help));
        }
    }
}

/// Cases with smaller tables have room for the mappings as well.
fn smaller_machines(scenario: &Scenario, mappings: &Mappings<'_>, notes: &Notes) {
    let last_fixed =
        mappings.values().flatten().filter_map(|m| m.at.map(|at| at.vpn().0.saturating_add(m.pages))).max();
    let largest = mappings.values().flatten().map(|mapping| mapping.pages).max();
    let most_asked = mappings.values().map(|own| own.iter().map(Mapping::kept_pages).sum()).max();
    let needed: u64 = last_fixed.max(largest).max(most_asked).unwrap_or(0);
    let base = user_pages(scenario.machine.entries_per_table);
    for (i, case) in scenario.cases.iter().enumerate() {
        if let Some(entries) = case.machine.entries_per_table
            && (user_pages(entries) + 1..=base).contains(&needed)
        {
            let message = format!(
                "the mappings need a user space of {needed} pages, and with {entries} entries a table it has {}",
                user_pages(entries)
            );
            notes.error(&format!("cases[{i}].machine.entries_per_table"), message, None);
        }
    }
}

/// A place names a mapping that its process has, and pages that the mapping has.
fn place(op: &Op, visible: &BTreeMap<&str, u64>, all: &Mappings<'_>, notes: &Notes) {
    let (field, place, pages) = match &op.what {
        What::Munmap { at, pages } | What::Madvise { at, pages, .. } => ("at", at, pages.unwrap_or(1)),
        What::Gup { at, pages, .. } => ("at", at, *pages),
        What::Vmsplice { from, pages, .. } => ("from", from, *pages),
        What::Write { to, .. } => ("to", to, 1),
        What::Read { from, .. } => ("from", from, 1),
        _ => return,
    };
    let Place::Mapping { name, page } = place else {
        return;
    };
    let Some(&length) = visible.get(&**name) else {
        if !notes.forgives(name) {
            let elsewhere = all.iter().find(|(_, own)| own.iter().any(|mapping| mapping.name == name));
            let help = did_you_mean(name, visible.keys().copied())
                .or_else(|| elsewhere.map(|(process, _)| format!("process {} has it", quote(process))));
            notes.error(&path(op, field), format!("unknown mapping {}", quote(name)), help);
        }
        return;
    };
    let has = format!("mapping {}, which has {}", quote(name), counted(length, "page"));
    if *page >= length {
        notes.error(&path(op, field), format!("page {page} is outside of {has}"), None);
    } else if pages > length - page {
        notes.error(
            &path(op, "pages"),
            format!("{} from page {page} reach beyond {has}", counted(pages, "page")),
            None,
        );
    }
}

impl Mapping<'_> {
    /// The addresses that no other mapping of the process can have, if it has a fixed place.
    fn fixed(&self) -> Option<Range<VirtAddr>> {
        self.at.filter(|_| !self.unmapped).map(|at| at..at.plus_pages(self.pages))
    }

    /// Pages that are never given back.
    fn kept_pages(&self) -> u64 {
        if self.unmapped { 0 } else { self.pages }
    }
}
