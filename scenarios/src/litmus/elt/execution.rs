//! The executions that a program can have, allowed or not. An execution says which walk serves each access, what each walk
//! and each load reads, and the order of the stores to each place.

use std::collections::BTreeMap;

use super::program::{Program, What};

/// A store to an entry: by an instruction, or by the walker that sets D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryStore {
    /// `WPTE`.
    Wpte(usize),
    /// The store of the walker that sets D for a store of user code.
    Dirty(usize),
}

/// The executions that are considered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// Whether a walk may serve other accesses of its thread than the one it was made for. If not, each has a walk of its
    /// own, which may be one that was made on speculation.
    pub(super) shared_walks: bool,
    /// Whether D is set by a locked operation that ends the walk for a store, and only if it is clear. If not, each store
    /// of user code sets D, at any time.
    pub(super) locked_dirty: bool,
}

/// An execution. Each vector has an element for each event.
#[derive(Clone, Debug)]
pub(super) struct Execution<'p> {
    pub(super) program: &'p Program,
    /// The access whose walk serves an access.
    pub(super) walk_of: Vec<usize>,
    /// The stores to the entry of each page, in their order.
    pub(super) entries: BTreeMap<usize, Vec<EntryStore>>,
    /// The number of these stores that come before the read of an access's walk.
    pub(super) walk_reads: Vec<usize>,
    /// The frame that an access touches.
    pub(super) frame: Vec<usize>,
    /// The stores to each frame, in their order.
    pub(super) stores: BTreeMap<usize, Vec<usize>>,
    /// The store whose value a load reads. `None`, if the load reads the value at the start.
    pub(super) reads: Vec<Option<usize>>,
}

/// The most ways in which walks can serve the accesses of a program.
const MOST: u64 = 3_000_000;

/// A search that goes through executions.
struct Search<'s, 'p> {
    space: Space,
    ways: u64,
    /// Whether executions are wanted that have the same walks, entries and frames as this one.
    keep: &'s mut dyn FnMut(&Execution<'p>) -> bool,
    visit: &'s mut dyn FnMut(&Execution<'p>),
}

impl<'p> Execution<'p> {
    /// Goes through all executions. `keep` is asked when the walks, entries and frames of an execution are known, and no load
    /// has read anything yet. If it says no, all executions with these walks, entries and frames are left out.
    ///
    /// # Errors
    /// If they are too many.
    pub(super) fn each(
        program: &'p Program,
        space: Space,
        keep: &mut dyn FnMut(&Execution<'p>) -> bool,
        visit: &mut dyn FnMut(&Execution<'p>),
    ) -> Result<(), String> {
        let events = program.events.len();
        let start = Execution {
            program,
            walk_of: (0..events).collect(),
            entries: BTreeMap::new(),
            walk_reads: vec![0; events],
            frame: vec![0; events],
            stores: BTreeMap::new(),
            reads: vec![None; events],
        };
        let mut search = Search { space, ways: 0, keep, visit };
        start.with_walks(&mut search);
        if search.ways > MOST {
            Err(format!("its accesses have more than {MOST} ways to be served"))
        } else {
            Ok(())
        }
    }

    /// The accesses to pages whose entries change.
    fn walking(&self) -> Vec<usize> {
        let moves = |event: &usize| self.program.accessed(*event).is_some_and(|page| self.program.moves(page));
        (0..self.program.events.len()).filter(moves).collect()
    }

    /// Which walk serves each access.
    fn with_walks(&self, search: &mut Search<'_, 'p>) {
        let space = search.space;
        let walking = self.walking();
        let may_serve = |access: usize, of: usize| {
            let (program, page) = (self.program, self.program.accessed(access));
            let (first, last) = (access.min(of), access.max(of));
            access == of
                || space.shared_walks
                    && program.events[access].thread == program.events[of].thread
                    && program.accessed(of) == page
                    && page.is_some_and(|page| !program.flushes_between(first, last, page))
        };
        let options: Vec<Vec<usize>> = (walking.iter())
            .map(|access| walking.iter().copied().filter(|of| may_serve(*access, *of)).collect())
            .collect();
        each_choice(&options, &mut |chosen| {
            let mut next = self.clone();
            walking.iter().zip(chosen).for_each(|(access, of)| next.walk_of[*access] = *of);
            if walking.iter().all(|access| next.walk_of[next.walk_of[*access]] == next.walk_of[*access]) {
                next.with_entries(search);
            }
        });
    }

    /// Which stores set D, and the order of the stores to each entry.
    fn with_entries(&self, search: &mut Search<'_, 'p>) {
        let (program, space) = (self.program, search.space);
        let sets = |event: usize| {
            program.is_write(event) && program.accessed(event).is_some_and(|page| program.clean[page])
        };
        let setting: Vec<usize> = (0..program.events.len()).filter(|event| sets(*event)).collect();
        let whether = if space.locked_dirty { vec![1, 0] } else { vec![1] };
        each_choice(&vec![whether; setting.len()], &mut |chosen| {
            let mut lists: BTreeMap<usize, Vec<EntryStore>> = BTreeMap::new();
            for event in 0..program.events.len() {
                if let Some(page) = program.remaps_page(event) {
                    lists.entry(page).or_default().push(EntryStore::Wpte(event));
                }
            }
            for (event, _) in setting.iter().zip(chosen).filter(|(_, sets)| **sets == 1) {
                let page = program.accessed(*event).unwrap_or_default();
                lists.entry(page).or_default().push(EntryStore::Dirty(*event));
            }
            each_order(&lists, &mut |orders| {
                Execution { entries: orders.clone(), ..self.clone() }.with_translations(search);
            });
        });
    }

    /// What each walk reads.
    fn with_translations(&self, search: &mut Search<'_, 'p>) {
        let space = search.space;
        let walks: Vec<usize> =
            self.walking().into_iter().filter(|access| self.walk_of[*access] == *access).collect();
        let list = |access: usize| self.entry_stores(access);
        let options = |access: &usize| -> Vec<usize> {
            let set = list(*access).iter().position(|store| *store == EntryStore::Dirty(*access));
            let all = 0..=list(*access).len();
            match set.filter(|_| space.locked_dirty) {
                Some(before) => vec![before],
                None if self.needs_dirty(*access, space) => {
                    all.filter(|place| self.entry_after(*access, *place).1).collect()
                }
                None => all.collect(),
            }
        };
        let options: Vec<Vec<usize>> = walks.iter().map(options).collect();
        each_choice(&options, &mut |chosen| {
            let mut next = self.clone();
            walks.iter().zip(chosen).for_each(|(access, place)| next.walk_reads[*access] = *place);
            for access in (0..self.program.events.len()).filter(|event| self.program.accessed(*event).is_some()) {
                next.frame[access] = next.entry_after(access, next.walk_reads[next.walk_of[access]]).0;
            }
            search.ways += 1;
            if search.ways <= MOST && (search.keep)(&next) {
                next.with_data(search);
            }
        });
    }

    fn needs_dirty(&self, access: usize, space: Space) -> bool {
        let page = self.program.accessed(access);
        space.locked_dirty && self.program.is_write(access) && page.is_some_and(|page| self.program.clean[page])
    }

    /// The stores to the entry of the page of an access, in their order.
    pub(super) fn entry_stores(&self, access: usize) -> &[EntryStore] {
        self.program.accessed(access).and_then(|page| self.entries.get(&page)).map_or(&[], Vec::as_slice)
    }

    /// The frame to which the entry of an access's page leads after so many stores to the entry, and whether D is set in it.
    fn entry_after(&self, access: usize, stores: usize) -> (usize, bool) {
        let page = self.program.accessed(access).unwrap_or_default();
        self.entry_of(page, stores)
    }

    fn entry_of(&self, page: usize, stores: usize) -> (usize, bool) {
        let list = self.entries.get(&page).map_or(&[][..], Vec::as_slice);
        let clean = self.program.clean[page];
        list[..stores].iter().fold((page, !clean), |(frame, _), store| match store {
            EntryStore::Dirty(_) => (frame, true),
            EntryStore::Wpte(event) => match self.program.events[*event].what {
                What::Wpte { frame, .. } => (frame, !clean),
                _ => unreachable!("only a store to an entry is one"),
            },
        })
    }

    /// The store to an entry that gives an access its frame. `None`, if the entry is as it was at the start.
    pub(super) fn mapped_by(&self, access: usize) -> Option<usize> {
        let list = &self.entry_stores(access)[..self.walk_reads[self.walk_of[access]]];
        list.iter().rev().find_map(|store| match store {
            EntryStore::Wpte(event) => Some(*event),
            EntryStore::Dirty(_) => None,
        })
    }

    /// The order of the stores to each frame, and what each load reads.
    fn with_data(&self, search: &mut Search<'_, 'p>) {
        let program = self.program;
        let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for event in (0..program.events.len()).filter(|event| program.is_write(*event)) {
            lists.entry(self.frame[event]).or_default().push(event);
        }
        let loads: Vec<usize> = (0..program.events.len()).filter(|event| program.is_read(*event)).collect();
        let options: Vec<Vec<Option<usize>>> = (loads.iter())
            .map(|load| {
                let stores = lists.get(&self.frame[*load]).into_iter().flatten().copied().map(Some);
                std::iter::once(None).chain(stores).collect()
            })
            .collect();
        each_order(&lists, &mut |orders| {
            each_choice(&options, &mut |chosen| {
                let mut next = self.clone();
                next.stores.clone_from(orders);
                loads.iter().zip(chosen).for_each(|(load, store)| next.reads[*load] = *store);
                (search.visit)(&next);
            });
        });
    }

    /// D at the end, for the entries that are looked at.
    pub(super) fn dirty(&self) -> Vec<u64> {
        let last = |page: usize| self.entry_of(page, self.entries.get(&page).map_or(0, Vec::len)).1;
        self.program.watched().into_iter().map(|page| u64::from(last(page))).collect()
    }

    /// The outcome of the execution, in the order of what the program observes.
    pub(super) fn outcome(&self) -> Vec<u64> {
        let program = self.program;
        let of_frame = |frame: usize, store: Option<usize>| store.map_or(Program::initial(frame), Program::value);
        let reads = (0..program.events.len()).filter(|event| program.is_read(*event));
        let reads = reads.map(|load| of_frame(self.frame[load], self.reads[load]));
        let frames = (0..program.frames).map(|frame| {
            let last = self.stores.get(&frame).and_then(|stores| stores.last().copied());
            of_frame(frame, last)
        });
        reads.chain(frames).chain(self.dirty()).collect()
    }
}

/// Every way to choose one of each of some lists.
fn each_choice<T: Copy>(options: &[Vec<T>], visit: &mut dyn FnMut(&[T])) {
    fn next<T: Copy>(options: &[Vec<T>], chosen: &mut Vec<T>, visit: &mut dyn FnMut(&[T])) {
        let Some(list) = options.get(chosen.len()) else { return visit(chosen) };
        for choice in list {
            chosen.push(*choice);
            next(options, chosen, visit);
            chosen.pop();
        }
    }
    next(options, &mut Vec::new(), visit);
}

/// Lists, by a number.
type Lists<T> = BTreeMap<usize, Vec<T>>;

/// Every order of each of some lists.
fn each_order<T: Copy>(lists: &Lists<T>, visit: &mut dyn FnMut(&Lists<T>)) {
    fn next<T: Copy>(lists: &mut Lists<T>, keys: &[usize], fixed: usize, visit: &mut dyn FnMut(&Lists<T>)) {
        let Some((key, others)) = keys.split_first() else { return visit(lists) };
        let len = lists[key].len();
        if fixed + 1 >= len {
            return next(lists, others, 0, visit);
        }
        let swap = |lists: &mut Lists<T>, with| {
            lists.get_mut(key).expect("the keys are those of the lists").swap(fixed, with);
        };
        for with in fixed..len {
            swap(lists, with);
            next(lists, keys, fixed + 1, visit);
            swap(lists, with);
        }
    }
    let keys: Vec<usize> = lists.keys().copied().collect();
    next(&mut lists.clone(), &keys, 0, visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_and_every_order_is_told_once() {
        let mut told = Vec::new();
        each_choice(&[vec![1, 2], vec![3], vec![4, 5]], &mut |chosen| told.push(chosen.to_vec()));
        assert_eq!(told, [[1, 3, 4], [1, 3, 5], [2, 3, 4], [2, 3, 5]]);
        let lists = BTreeMap::from([(0, vec![1, 2, 3]), (7, vec![4, 5]), (8, vec![])]);
        let mut orders = std::collections::BTreeSet::new();
        let mut count = 0;
        each_order(&lists, &mut |lists| {
            orders.insert(lists.clone());
            count += 1;
        });
        assert_eq!((count, orders.len()), (12, 12));
    }
}
