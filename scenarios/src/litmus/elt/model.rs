//! Whether an execution is allowed: by the model of the source, and by the SDM.
//!
//! The model of the source has five axioms. Each says that a relation has no cycle. The model of the SDM is one relation, in
//! which INVLPG and walks have a place. The rules in which the two differ can be used one by one.

use super::execution::{EntryStore, Execution};
use super::program::{Program, What};
use crate::litmus::rule::Rules;

/// The most events of a program: an execution has up to three nodes for each.
pub(super) const MAX_EVENTS: usize = 21;

/// A relation between up to 64 nodes. Each node has the set of the nodes that come after it.
#[derive(Clone, Copy)]
struct Relation([u64; 64]);

impl Relation {
    fn new() -> Relation {
        Relation([0; 64])
    }

    fn add(&mut self, first: usize, second: usize) {
        self.0[first] |= 1 << second;
    }

    fn or(mut self, other: &Relation) -> Relation {
        self.0.iter_mut().zip(other.0).for_each(|(mine, others)| *mine |= others);
        self
    }

    /// Removes nodes that lead nowhere, until no node is left, or until only cycles are left.
    fn is_acyclic(&self) -> bool {
        let mut left = u64::MAX;
        loop {
            let ends = (0..64).filter(|node| left & 1 << node != 0 && self.0[*node] & left == 0);
            let ends = ends.fold(0_u64, |ends, node| ends | 1 << node);
            if ends == 0 {
                return left == 0;
            }
            left &= !ends;
        }
    }
}

/// The nodes of an execution: the events, then the walk of each access, then the walker's store that sets D for each access.
struct Nodes<'e, 'p> {
    execution: &'e Execution<'p>,
    program: &'p Program,
    events: usize,
}

impl Nodes<'_, '_> {
    fn walk(&self, access: usize) -> usize {
        self.events + access
    }

    fn store(&self, store: EntryStore) -> usize {
        match store {
            EntryStore::Wpte(event) => event,
            EntryStore::Dirty(event) => 2 * self.events + event,
        }
    }

    fn thread(&self, node: usize) -> usize {
        self.program.events[node % self.events].thread
    }

    fn walks(&self) -> impl Iterator<Item = usize> {
        (0..self.events).filter(|event| {
            let page = self.program.accessed(*event);
            page.is_some_and(|page| self.program.moves(page)) && self.execution.walk_of[*event] == *event
        })
    }

    fn is_memory(&self, event: usize) -> bool {
        !matches!(self.program.events[event].what, What::Invlpg { .. } | What::Mfence)
    }

    /// Pairs of program order.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let pairs = (0..self.events).flat_map(|first| (first + 1..self.events).map(move |second| (first, second)));
        pairs.filter(|(first, second)| self.program.before(*first, *second))
    }

    /// Reads-from; coherence and from-read.
    fn communication(&self) -> (Vec<(usize, usize)>, Relation) {
        let (mut reads_from, mut other) = (Vec::new(), Relation::new());
        let mut ordered = |stores: &[usize]| {
            for (nth, first) in stores.iter().enumerate() {
                stores[nth + 1..].iter().for_each(|second| other.add(*first, *second));
            }
        };
        let of_entry =
            |stores: &[EntryStore]| -> Vec<usize> { stores.iter().map(|store| self.store(*store)).collect() };
        self.execution.stores.values().for_each(|stores| ordered(stores));
        self.execution.entries.values().for_each(|stores| ordered(&of_entry(stores)));
        for load in (0..self.events).filter(|event| self.program.is_read(*event)) {
            let stores = self.execution.stores.get(&self.execution.frame[load]).map_or(&[][..], Vec::as_slice);
            let from = self.execution.reads[load];
            reads_from.extend(from.map(|store| (store, load)));
            let later =
                from.map_or(0, |from| stores.iter().position(|store| *store == from).map_or(0, |at| at + 1));
            stores[later..].iter().for_each(|store| other.add(load, *store));
        }
        for access in self.walks() {
            let stores = of_entry(self.execution.entry_stores(access));
            let read = self.execution.walk_reads[access];
            reads_from.extend(stores[..read].last().map(|store| (*store, self.walk(access))));
            stores[read..].iter().for_each(|store| other.add(self.walk(access), *store));
        }
        (reads_from, other)
    }

    /// Program order between accesses of user code to one frame, and between stores to one entry.
    fn same_place(&self) -> Relation {
        let mut relation = Relation::new();
        for (first, second) in self.pairs() {
            let are_accesses = self.program.accessed(first).is_some() && self.program.accessed(second).is_some();
            let one_frame = are_accesses && self.execution.frame[first] == self.execution.frame[second];
            let entry = self.program.remaps_page(first);
            if one_frame || entry.is_some() && entry == self.program.remaps_page(second) {
                relation.add(first, second);
            }
        }
        relation
    }

    /// The accesses to the entry of a page for which an event stands: the event itself, or those of the walker for it.
    fn entry_accesses(&self, event: usize) -> (Option<usize>, Vec<usize>) {
        if let Some(page) = self.program.remaps_page(event) {
            return (Some(page), vec![event]);
        }
        let sets = self.execution.entry_stores(event).contains(&EntryStore::Dirty(event));
        let walks = self.walks().any(|access| access == event);
        let nodes = walks.then(|| self.walk(event)).into_iter();
        let nodes = nodes.chain(sets.then(|| self.store(EntryStore::Dirty(event)))).collect();
        (self.program.accessed(event), nodes)
    }

    /// Program order between accesses to one entry, by the model of the source. The accesses of the walker count too.
    fn same_entry(&self) -> Relation {
        let mut relation = Relation::new();
        for (first, second) in self.pairs() {
            let ((page, firsts), (other, seconds)) = (self.entry_accesses(first), self.entry_accesses(second));
            if page.is_some() && page == other {
                firsts.iter().for_each(|first| seconds.iter().for_each(|second| relation.add(*first, *second)));
            }
        }
        relation
    }

    /// The part of program order that total store order preserves, and what MFENCE and INVLPG add to it.
    fn preserved(&self) -> Relation {
        let mut relation = Relation::new();
        for (first, second) in self.pairs() {
            let fenced = (first..=second).any(|event| !self.is_memory(event));
            let is_store = |event| self.program.is_write(event) || self.program.remaps_page(event).is_some();
            if fenced || !is_store(first) || !self.program.is_read(second) {
                relation.add(first, second);
            }
        }
        relation
    }

    /// From each access to the stores by which its page leads elsewhere later.
    fn remapped(&self) -> Relation {
        let mut relation = Relation::new();
        for access in 0..self.events {
            let walk = self.execution.walk_of[access];
            let stores = self.execution.entry_stores(access);
            for store in &stores[self.execution.walk_reads[walk].min(stores.len())..] {
                if let EntryStore::Wpte(event) = store {
                    relation.add(access, *event);
                }
            }
        }
        relation
    }

    fn remaps(&self) -> Relation {
        let mut relation = Relation::new();
        self.program.remaps.iter().for_each(|(store, invlpg)| relation.add(*store, *invlpg));
        relation
    }
}

impl<'p> Execution<'p> {
    fn nodes(&self) -> Nodes<'_, 'p> {
        Nodes { execution: self, program: self.program, events: self.program.events.len() }
    }

    /// Whether the model of the source judges this execution at all. It must be one in which a store to an entry reaches the
    /// accesses of its own thread in program order.
    pub(super) fn is_candidate(&self) -> bool {
        let program = self.program;
        (0..program.events.len()).filter(|event| program.accessed(*event).is_some()).all(|access| {
            let Some(by) = self.mapped_by(access) else { return true };
            let others = by + 1..access;
            program.events[by].thread != program.events[access].thread
                || by < access
                    && !others.into_iter().any(|other| program.remaps_page(other) == program.accessed(access))
        })
    }

    /// Whether the source's model allows it: `sc_per_loc`, `causality`, `tlb_causality` and `invlpg`.
    pub(super) fn source_allows(&self) -> bool {
        let nodes = self.nodes();
        let (reads_from, other) = nodes.communication();
        let (mut all, mut external) = (other, other);
        for (store, load) in &reads_from {
            all.add(*store, *load);
            if nodes.thread(*store) != nodes.thread(*load) {
                external.add(*store, *load);
            }
        }
        let mut walk_source = all;
        for access in (0..nodes.events).filter(|access| self.walk_of[*access] != *access) {
            walk_source.add(self.walk_of[access], access);
        }
        let mut order = Relation::new();
        nodes.pairs().for_each(|(first, second)| order.add(first, second));
        all.or(&nodes.same_place()).or(&nodes.same_entry()).is_acyclic()
            && external.or(&nodes.preserved()).is_acyclic()
            && walk_source.is_acyclic()
            && nodes.remapped().or(&order).or(&nodes.remaps()).is_acyclic()
    }

    /// Whether it is allowed under the given rules of the SDM. For each other rule, what the source says counts.
    pub(super) fn sdm_allows(&self, rules: Rules) -> bool {
        let nodes = self.nodes();
        let program = self.program;
        let (reads_from, other) = nodes.communication();
        let (mut places, mut order) = (other.or(&nodes.same_place()), other);
        for (store, load) in &reads_from {
            places.add(*store, *load);
            let walks = (nodes.events..2 * nodes.events).contains(load);
            if nodes.thread(*store) != nodes.thread(*load) || walks && rules.walk {
                order.add(*store, *load);
            }
        }
        order = order.or(&nodes.preserved()).or(&nodes.remaps());
        if !rules.stale {
            places = places.or(&nodes.same_entry());
        }
        let mut flushed = nodes.remapped().or(&nodes.remaps());
        for (first, second) in nodes.pairs() {
            let page = program.accessed(second);
            let flushes = page.is_some_and(|page| program.events[first].what == What::Invlpg { page });
            if flushes && rules.flush && program.moves(page.unwrap_or_default()) {
                order.add(first, nodes.walk(self.walk_of[second]));
            }
            let store = program.remaps_page(first).is_some();
            if !rules.stale || flushes || store && !nodes.is_memory(second) {
                flushed.add(first, second);
            }
        }
        if rules.walk {
            let accesses = (0..nodes.events).filter(|event| program.accessed(*event).is_some());
            accesses.for_each(|access| order.add(nodes.walk(self.walk_of[access]), access));
        }
        if rules.dirty {
            let set = self.entries.values().flatten().filter_map(|store| match store {
                EntryStore::Dirty(event) => Some(*event),
                EntryStore::Wpte(_) => None,
            });
            for event in set {
                let node = nodes.store(EntryStore::Dirty(event));
                order.add(node, event);
                for (first, second) in nodes.pairs() {
                    if second == event {
                        order.add(first, node);
                    } else if first == event {
                        order.add(node, second);
                    }
                }
            }
        }
        places.is_acyclic() && order.is_acyclic() && (rules.flush && rules.stale || flushed.is_acyclic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found() {
        let mut relation = Relation::new();
        for (first, second) in [(0, 1), (1, 2), (5, 2)] {
            relation.add(first, second);
        }
        assert!(relation.is_acyclic());
        relation.add(2, 0);
        assert!(!relation.is_acyclic());
    }
}
