//! A set-associative array. TLBs, paging-structure caches and data caches are made of such arrays.

use crate::timing::Shape;
use crate::timing::profile::Replacement;

/// The tag of a way that holds nothing. No page number is so large, and no line number.
const EMPTY: u64 = u64::MAX;

/// The tag of a way that held something before, and is still listed.
const VACATED: u64 = u64::MAX - 1;

/// Values by tag, as many as a [`Shape`] says. The low part of the tag selects the set. Several values may have
/// the same tag, and then the caller says what else tells them apart.
#[derive(Debug)]
pub(crate) struct SetAssoc<T> {
    sets: u64,
    ways: usize,
    tags: Box<[u64]>,
    values: Box<[Option<T>]>,
    recency: Recency,
    /// The ways whose tag is not [`EMPTY`]. All ways that hold something are among them.
    listed: Vec<u32>,
}

/// What is known of the order of uses.
#[derive(Debug)]
enum Recency {
    /// The time of each way's last use.
    Lru { now: u64, used: Box<[u64]> },
    /// For each set a tree of bits, the root first. Each bit points at the half that was used less recently.
    TreePlru(Box<[u64]>),
}

impl<T> SetAssoc<T> {
    pub(crate) fn new(shape: Shape) -> SetAssoc<T> {
        let entries = shape.entries() as usize;
        let recency = match shape.replacement() {
            Replacement::Lru => Recency::Lru { now: 0, used: vec![0; entries].into() },
            Replacement::TreePlru => Recency::TreePlru(vec![0; shape.sets() as usize].into()),
        };
        SetAssoc {
            sets: u64::from(shape.sets()),
            ways: shape.ways() as usize,
            tags: vec![EMPTY; entries].into(),
            values: (0..entries).map(|_| None).collect(),
            recency,
            listed: Vec::new(),
        }
    }

    /// The first way of the tag's set.
    fn first(&self, tag: u64) -> usize {
        (tag % self.sets) as usize * self.ways
    }

    fn find(&self, tag: u64, wants: impl Fn(&T) -> bool) -> Option<usize> {
        let first = self.first(tag);
        let ways = &self.tags[first..first + self.ways];
        let is_wanted =
            |(way, at): (usize, &u64)| *at == tag && self.values[first + way].as_ref().is_some_and(&wants);
        ways.iter().enumerate().position(is_wanted).map(|way| first + way)
    }

    /// All values, by the time at which their way was first filled.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.listed.iter().filter_map(|slot| self.values[*slot as usize].as_ref())
    }

    /// A value that is wanted, without using it.
    pub(crate) fn peek(&self, tag: u64, wants: impl Fn(&T) -> bool) -> Option<&T> {
        self.find(tag, wants).and_then(|slot| self.values[slot].as_ref())
    }

    /// A value that is wanted. It counts as used.
    pub(crate) fn get(&mut self, tag: u64, wants: impl Fn(&T) -> bool) -> Option<&T> {
        let slot = self.find(tag, wants)?;
        self.note_use(slot);
        self.values[slot].as_ref()
    }

    /// Puts a value into the way of a value that it replaces, or into an empty way, or into the way that was used least
    /// recently. Answers what was there before.
    pub(crate) fn insert(&mut self, tag: u64, value: T, replaces: impl Fn(&T) -> bool) -> Option<(u64, T)> {
        let slot = self.find(tag, replaces).unwrap_or_else(|| self.victim(self.first(tag)));
        if self.tags[slot] == EMPTY {
            self.listed.push(slot as u32);
        }
        let gone = self.values[slot].replace(value).map(|old| (self.tags[slot], old));
        self.tags[slot] = tag;
        self.note_use(slot);
        gone
    }

    /// Drops the value that is wanted.
    pub(crate) fn remove(&mut self, tag: u64, wants: impl Fn(&T) -> bool) -> Option<T> {
        let slot = self.find(tag, wants)?;
        self.tags[slot] = VACATED;
        self.values[slot].take()
    }

    /// Drops all values that match; answers whether there were any.
    pub(crate) fn drop_if(&mut self, matches: impl Fn(&T) -> bool) -> bool {
        let (tags, values) = (&mut self.tags, &mut self.values);
        let mut dropped = false;
        self.listed.retain(|slot| {
            let slot = *slot as usize;
            if values[slot].as_ref().is_some_and(&matches) {
                values[slot] = None;
                dropped = true;
            }
            if values[slot].is_none() {
                tags[slot] = EMPTY;
            }
            values[slot].is_some()
        });
        dropped
    }

    /// Drops everything, and forgets what was used when.
    pub(crate) fn clear(&mut self) {
        for slot in self.listed.drain(..) {
            self.tags[slot as usize] = EMPTY;
            self.values[slot as usize] = None;
        }
        match &mut self.recency {
            Recency::Lru { now, .. } => *now = 0,
            Recency::TreePlru(trees) => trees.fill(0),
        }
    }

    fn note_use(&mut self, slot: usize) {
        let ways = self.ways;
        match &mut self.recency {
            Recency::Lru { now, used } => {
                *now += 1;
                used[slot] = *now;
            }
            Recency::TreePlru(trees) => {
                let (tree, way) = (&mut trees[slot / ways], slot % ways);
                // Node 1 is the root; the children of node n are 2n and 2n + 1; the leaves are the ways.
                let mut node = 1;
                for level in (0..ways.trailing_zeros()).rev() {
                    let right = way >> level & 1;
                    *tree = *tree & !(1 << node) | (1 - right as u64) << node;
                    node = 2 * node + right;
                }
            }
        }
    }

    fn victim(&self, first: usize) -> usize {
        let ways = first..first + self.ways;
        if let Some(free) = ways.clone().find(|slot| self.tags[*slot] >= VACATED) {
            return free;
        }
        match &self.recency {
            Recency::Lru { used, .. } => ways.min_by_key(|slot| used[*slot]).unwrap_or(first),
            Recency::TreePlru(trees) => {
                let tree = trees[first / self.ways];
                let mut node = 1;
                while node < self.ways {
                    node = 2 * node + (tree >> node & 1) as usize;
                }
                first + node - self.ways
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn array<T>(entries: u32, ways: u32, replacement: Replacement) -> SetAssoc<T> {
        SetAssoc::new(Shape::new(entries, ways, replacement).expect("a good shape"))
    }

    /// Uses a tag: finds it, or puts it there; answers whether it was there.
    fn touch(array: &mut SetAssoc<()>, tag: u64) -> bool {
        let found = array.get(tag, |()| true).is_some();
        if !found {
            array.insert(tag, (), |()| true);
        }
        found
    }

    /// Uses the tags from 0 on.
    fn fill(array: &mut SetAssoc<()>, tags: u64) {
        for tag in 0..tags {
            touch(array, tag);
        }
    }

    /// A cycle over as many tags as fit always hits; over one more, never, if there is one set.
    #[test]
    fn a_cycle_just_too_long_never_hits() {
        for (entries, ways, over) in [(96, 96, 97), (64, 4, 80), (1536, 12, 1664), (15, 5, 18)] {
            for (tags, hits) in [(entries, true), (over, false)] {
                let mut array = array(entries, ways, Replacement::Lru);
                let round = |array: &mut SetAssoc<()>| -> Vec<bool> {
                    (0..tags.into()).map(|tag| touch(array, tag)).collect()
                };
                round(&mut array);
                assert!(round(&mut array).iter().all(|hit| *hit == hits), "{entries} in {ways} ways, {tags} tags");
            }
        }
    }

    /// One tag too many makes its own set miss, and no other.
    #[test]
    fn one_too_many_costs_one_set() {
        let mut array = array(64, 4, Replacement::Lru);
        for _ in 0..2 {
            fill(&mut array, 65);
        }
        let hits = (0..65).filter(|tag| touch(&mut array, *tag)).count();
        assert_eq!(hits, 65 - 5);
    }

    #[test]
    fn a_tree_gives_up_none_that_was_just_used() {
        let mut array = array(8, 8, Replacement::TreePlru);
        fill(&mut array, 8);
        for tag in 8..100 {
            let last = tag - 1;
            assert!(touch(&mut array, last), "{last} was used last");
            let gone = array.insert(tag, (), |()| true).map(|(gone, ())| gone);
            assert!(gone.is_some_and(|gone| gone != last && gone < last), "{gone:?} made place for {tag}");
        }
        // Untouched, in the order of the tree: each half in turn.
        let mut array = self::array(4, 4, Replacement::TreePlru);
        fill(&mut array, 4);
        let gone: Vec<_> = (4..8).filter_map(|tag| Some(array.insert(tag, (), |()| true)?.0)).collect();
        assert_eq!(gone, [0, 2, 1, 3]);
    }

    #[test]
    fn values_of_one_tag_are_told_apart() {
        let mut array = array(4, 4, Replacement::Lru);
        array.insert(7, "a", |old| *old == "a");
        array.insert(7, "b", |old| *old == "b");
        assert_eq!(array.values().collect::<Vec<_>>(), [&"a", &"b"]);
        assert_eq!(array.insert(7, "a", |old| *old == "a"), Some((7, "a")), "it is replaced");
        assert_eq!(array.peek(7, |value| *value == "b"), Some(&"b"));
        assert_eq!(array.remove(7, |value| *value == "a"), Some("a"));
        assert_eq!(array.values().collect::<Vec<_>>(), [&"b"]);
        assert!(array.drop_if(|value| *value == "b"));
        assert!(!array.drop_if(|_| true));
        assert_eq!(array.get(7, |_| true), None);
    }

    #[test]
    fn what_comes_and_goes_leaves_nothing_behind() {
        let mut array = array(4, 2, Replacement::Lru);
        for tag in 0..1000 {
            array.insert(tag, (), |()| true);
            array.remove(tag, |()| true);
        }
        assert!(array.listed.len() <= 4, "{:?}", array.listed);
        array.insert(1, (), |()| true);
        array.clear();
        assert_eq!(array.values().count(), 0);
        assert!(!touch(&mut array, 1));
    }

    proptest! {
        /// Against lists, the least recently used first.
        #[test]
        fn lru_is_a_list_for_each_set(
            ways in 1_u32..5,
            sets in 1_u32..4,
            steps in proptest::collection::vec((0_u64..20, 0_u8..8), 1..200),
        ) {
            let mut array = array(ways * sets, ways, Replacement::Lru);
            let mut model: Vec<Vec<u64>> = vec![Vec::new(); sets as usize];
            for (tag, what) in steps {
                let list = &mut model[(tag % u64::from(sets)) as usize];
                let place = list.iter().position(|other| *other == tag);
                match what {
                    0 => {
                        let removed = place.map(|place| list.remove(place));
                        prop_assert_eq!(array.remove(tag, |()| true).is_some(), removed.is_some());
                    }
                    1 => prop_assert_eq!(array.peek(tag, |()| true).is_some(), place.is_some()),
                    _ => {
                        prop_assert_eq!(touch(&mut array, tag), place.is_some());
                        match place {
                            Some(place) => drop(list.remove(place)),
                            None if list.len() == ways as usize => drop(list.remove(0)),
                            None => {}
                        }
                        list.push(tag);
                    }
                }
            }
        }
    }
}
