//! Mappings: their places in the user space, and the places that name them.

use std::collections::BTreeMap;
use std::ops::Range;

use sim_mmu::{Geometry, VirtAddr};

use super::Scenario;
use super::sequence::{Parents, Sequence, ancestors, unique};
use crate::json::{Notes, counted, did_you_mean, quote};
use crate::operation::{Mention, Noun, Statement};
use crate::stage::Place;

/// A mapping that an operation makes.
struct Mapping<'a> {
    name: &'a str,
    pages: u64,
    at: Option<VirtAddr>,
    statement: &'a Statement,
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
        layout(process, own, user_pages(scenario.machine.geometry), notes);
    }
    smaller_machines(scenario, &mappings, notes);
    let exists = |process: &str| {
        parents.contains_key(process) || scenario.processes.iter().any(|other| other.name == process)
    };
    let visible = |process: &str| -> BTreeMap<&str, u64> {
        let line = ancestors(process, parents);
        let all = line.iter().flat_map(|process| mappings.get(process)).flatten();
        all.map(|mapping| (mapping.name, mapping.pages)).collect()
    };
    for Sequence { process, statements } in sequences.iter().filter(|sequence| exists(sequence.process)) {
        let own = visible(process);
        for statement in *statements {
            place(statement, &own, &mappings, notes);
            let other = statement.uses(Noun::Process).filter(|(_, process)| exists(process));
            if let Some((_, process)) = other {
                elsewhere(statement, &visible(process), &mappings, notes);
            }
        }
    }
    for (i, last) in scenario.finals.iter().enumerate() {
        if exists(&last.process) {
            page(&last.at.place, || format!("final[{i}].at"), &visible(&last.process), &mappings, notes);
        } else if !notes.forgives(&last.process) {
            let message = format!("unknown process {}", quote(&last.process));
            notes.error(&format!("final[{i}].process"), message, None);
        }
    }
}

fn collect<'a>(sequences: &[Sequence<'a>]) -> Mappings<'a> {
    let mut mappings = Mappings::new();
    for Sequence { process, statements } in sequences {
        for statement in *statements {
            if let Some((_, name)) = statement.defines(Noun::Mapping) {
                let pages = statement.new_pages().unwrap_or(1);
                let at = statement.mentions().into_iter().find_map(|(_, mention)| match mention {
                    Mention::Fixed(at) => Some(at),
                    _ => None,
                });
                let mapping = Mapping { name, pages, at, statement, unmapped: false };
                mappings.entry(*process).or_default().push(mapping);
            }
        }
    }
    for Sequence { process, statements } in sequences {
        for mapping in mappings.get_mut(process).into_iter().flatten() {
            mapping.unmapped |= statements.iter().any(|statement| unmaps(statement, mapping));
        }
    }
    mappings
}

/// Whether an operation unmaps some of a mapping, or puts another in its place.
fn unmaps(statement: &Statement, mapping: &Mapping<'_>) -> bool {
    if statement.replaces_mm() {
        return true;
    }
    let unmapped = statement.place().filter(|_| statement.unmaps());
    unmapped.is_some_and(|(_, place)| mapping.has_some_of(place, statement.pages().unwrap_or(1)))
        || statement.replaces().is_some_and(|(place, pages)| mapping.has_some_of(&place, pages))
}

/// Pages of user space.
fn user_pages(geometry: Geometry) -> u64 {
    geometry.task_size().vpn().0
}

/// The names of the mappings of a process are unique. Those that it inherits count too.
fn names(process: &str, own: &[Mapping<'_>], all: &Mappings<'_>, parents: &Parents<'_>, notes: &Notes) {
    unique("mapping", own.iter().map(|mapping| (mapping.name, mapping.statement.field("as"))), notes);
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
            notes.error(&mapping.statement.field("as"), message, None);
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
                    &mapping.statement.field("at"),
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
                notes.error(&mapping.statement.field("at"), message, None);
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
            notes.error(&mapping.statement.field("pages"), message, None);
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
            notes.error(&mapping.statement.field("at"), message, Some(help));
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
    let base = user_pages(scenario.machine.geometry);
    for (i, case) in scenario.cases.iter().enumerate() {
        if let Some(geometry) = case.machine.geometry
            && (user_pages(geometry) + 1..=base).contains(&needed)
        {
            let message = format!(
                "the mappings need a user space of {needed} pages, and with {geometry} entries a table it has {}",
                user_pages(geometry)
            );
            notes.error(&format!("cases[{i}].machine.entries_per_table"), message, None);
        }
    }
}

/// The places of an operation name mappings that its process has, and pages that the mappings have.
fn place(statement: &Statement, visible: &BTreeMap<&str, u64>, all: &Mappings<'_>, notes: &Notes) {
    for (_, mention) in statement.mentions() {
        let Mention::Expects(expected) = mention else { continue };
        for (i, at) in expected.iter().enumerate() {
            page(at, || format!("{}[{i}].at", statement.field("expect")), visible, all, notes);
        }
    }
    for (field, place) in statement.other_places() {
        page(place, || statement.field(field), visible, all, notes);
    }
    let Some((field, place)) = statement.place() else { return };
    let pages = statement.pages().unwrap_or(1);
    let Some((has, rest)) = page(place, || statement.field(field), visible, all, notes) else { return };
    if pages > rest {
        let message = format!("{} from page {} reach beyond {has}", counted(pages, "page"), place.distance());
        notes.error(&statement.field("pages"), message, None);
    }
}

/// A place in another process names a mapping that this process has. `visible` are its mappings.
fn elsewhere(statement: &Statement, visible: &BTreeMap<&str, u64>, all: &Mappings<'_>, notes: &Notes) {
    for (field, mention) in statement.mentions() {
        if let Mention::Elsewhere(place) = mention {
            page(place, || statement.field(field), visible, all, notes);
        }
    }
}

/// The mapping that has the page which a place names, and how many pages it has from that page on. `None`, if the place is
/// an address, or is wrong.
fn page(
    place: &Place,
    path: impl FnOnce() -> String,
    visible: &BTreeMap<&str, u64>,
    all: &Mappings<'_>,
    notes: &Notes,
) -> Option<(String, u64)> {
    let Place::Mapping { name, page } = place else { return None };
    let Some(&length) = visible.get(&**name) else {
        if !notes.forgives(name) {
            let elsewhere = all.iter().find(|(_, own)| own.iter().any(|mapping| mapping.name == name));
            let help = did_you_mean(name, visible.keys().copied())
                .or_else(|| elsewhere.map(|(process, _)| format!("process {} has it", quote(process))));
            notes.error(&path(), format!("unknown mapping {}", quote(name)), help);
        }
        return None;
    };
    let has = format!("mapping {}, which has {}", quote(name), counted(length, "page"));
    if *page >= length {
        notes.error(&path(), format!("page {page} is outside of {has}"), None);
        return None;
    }
    Some((has, length - page))
}

impl Mapping<'_> {
    /// The addresses that no other mapping of the process can have, if it has a fixed place.
    fn fixed(&self) -> Option<Range<VirtAddr>> {
        let at = self.at.filter(|_| !self.unmapped && self.statement.replaces().is_none());
        at.map(|at| at..at.plus_pages(self.pages))
    }

    /// Whether it has some of the pages from a place on, as far as this can be known before anything runs.
    fn has_some_of(&self, place: &Place, pages: u64) -> bool {
        match place {
            Place::Mapping { name, .. } => name == self.name,
            Place::Address(from) => self.at.is_some_and(|start| {
                let end = from.plus_pages(pages);
                *from < start.plus_pages(self.pages) && start < end
            }),
        }
    }

    /// The pages that are never given back, and that no other mapping had before.
    fn kept_pages(&self) -> u64 {
        if self.unmapped || self.statement.replaces().is_some() { 0 } else { self.pages }
    }
}
