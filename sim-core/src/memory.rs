//! The words that CPUs share, their names, and the journal that takes a run back to its start.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use crate::life::{SlabLayout, WhenFree};
use crate::loc::Loc;
use crate::record::{Array, Field, FieldLayout, Record};
use crate::word::Shared;

/// A named run of words: `count` records with these fields.
#[derive(Debug)]
struct Region {
    name: Cow<'static, str>,
    base: Loc,
    count: u32,
    fields: &'static [FieldLayout],
    /// Words a record.
    width: u32,
    /// For each field, what the name of the region and its own add to digests.
    digests: Vec<u64>,
}

impl Region {
    fn len(&self) -> u32 {
        self.count * self.width
    }

    /// The index of the record that a word belongs to, the number of its field, and which of the field's words it is.
    fn place(&self, loc: Loc) -> (u32, usize, u32) {
        let (index, mut word) = ((loc.0 - self.base.0) / self.width, (loc.0 - self.base.0) % self.width);
        let field = self.fields.iter().position(|field| {
            let here = word < field.words;
            if !here {
                word -= field.words;
            }
            here
        });
        (index, field.expect("the fields of a record are as wide as the record"), word)
    }

    fn describe(&self, loc: Loc) -> String {
        let (index, field, word) = self.place(loc);
        let field = &self.fields[field];
        let mut text = self.name.to_string();
        if self.count > 1 {
            text.push_str(&format!("[{index}]"));
        }
        if !field.name.is_empty() {
            text.push('.');
        }
        text.push_str(&field.describe(word));
        text
    }

    fn name_digest(&self, loc: Loc) -> u64 {
        let (index, field, word) = self.place(loc);
        let digest = |digest, part: &u32| mix(digest, u64::from(*part));
        [index, word].iter().fold(self.digests[field], digest)
    }
}

/// FNV-1a, as in RFC 9923: the offset basis and the prime.
const NO_NAME: u64 = 0xcbf2_9ce4_8422_2325;
const NAME_PRIME: u64 = 0x0000_0100_0000_01b3;

fn mix(digest: u64, part: u64) -> u64 {
    (digest ^ part).wrapping_mul(NAME_PRIME)
}

/// Lays out the shared words of a machine. Every word has a name before the first run.
#[derive(Debug, Default)]
pub struct MemoryBuilder {
    regions: Vec<Region>,
    slabs: Vec<SlabLayout>,
    next: u32,
}

impl MemoryBuilder {
    fn region(
        &mut self,
        name: Cow<'static, str>,
        count: usize,
        fields: &'static [FieldLayout],
        width: u32,
    ) -> Loc {
        let end = u64::from(self.next) + count as u64 * u64::from(width);
        assert!(end < u64::from(u32::MAX), "a machine has fewer than 2^32 words");
        let base = Loc(self.next);
        let digest = |field: &FieldLayout| {
            let names = name.bytes().chain([0]).chain(field.name.bytes());
            names.fold(NO_NAME, |digest, byte| mix(digest, u64::from(byte)))
        };
        let digests = fields.iter().map(digest).collect();
        let region = Region { name, base, count: count as u32, fields, width, digests };
        self.next += region.len();
        self.regions.push(region);
        base
    }

    /// `count` records, all words zero.
    pub fn array<R: Record>(&mut self, name: impl Into<Cow<'static, str>>, count: usize) -> Array<R> {
        Array::new(self.region(name.into(), count, R::FIELDS, R::WORDS), count as u32)
    }

    /// One record, all words zero.
    pub fn record<R: Record>(&mut self, name: impl Into<Cow<'static, str>>) -> R {
        self.array(name, 1).at(0)
    }

    /// `count` words without fields.
    pub fn words(&mut self, name: impl Into<Cow<'static, str>>, count: usize) -> Loc {
        self.region(name.into(), count, const { &[FieldLayout::of::<Shared<u64>>("")] }, 1)
    }

    /// A value of a type that is a field of records elsewhere, here by itself.
    pub fn alone<F: Field>(&mut self, name: impl Into<Cow<'static, str>>) -> F {
        F::at(self.region(name.into(), 1, const { &[FieldLayout::of::<F>("")] }, F::WORDS))
    }

    /// Records of an array that come and go together: those from `first` on. They are there while the word is odd, and each access to one of them while
    /// it is even is a use after the end of its life. Answers the word, which is 0.
    pub fn come_and_go<R: Record>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        array: &Array<R>,
        first: usize,
        count: usize,
    ) -> Shared<u64> {
        let lives = self.words(name, 1);
        let base = array.at(first).loc();
        let end = base.offset(count as u32 * R::WORDS);
        self.note_slab(SlabLayout {
            base,
            end,
            width: R::WORDS,
            lives,
            apart: 0,
            when_free: WhenFree::Untouchable,
        });
        Shared::at(lives)
    }

    /// Some of the records are a slab's.
    pub(crate) fn note_slab(&mut self, slab: SlabLayout) {
        self.slabs.push(slab);
    }

    /// The memory, all zero.
    pub fn build(self) -> Memory {
        let first = self.slabs.iter().map(|slab| slab.range().0.0).min().unwrap_or(0);
        let last = self.slabs.iter().map(|slab| slab.range().1.0).max().unwrap_or(0);
        let mut lives = vec![Loc::NONE; (last - first) as usize].into_boxed_slice();
        for slab in &self.slabs {
            let (base, end) = slab.range();
            slab.fill(&mut lives[(base.0 - first) as usize..(end.0 - first) as usize]);
        }
        Memory {
            first_slab_word: first,
            lives,
            words: bytemuck::zeroed_slice_box(self.next as usize),
            journal: RefCell::new(Vec::with_capacity(256)),
            tracked: Cell::new(false),
            looks: RefCell::default(),
            regions: self.regions,
        }
    }
}

/// All words that more than one CPU may touch.
///
/// Words that were never touched cost no memory of the host, because the host gives zeroed pages when they are first
/// used. So a machine may have frames of full size, and a run uses a few words of them.
///
/// A write remembers the old value of the word. So [`rewind`](Memory::rewind) costs as much as the run wrote, and not as
/// much as the machine holds.
#[derive(Debug)]
pub struct Memory {
    words: Box<[Cell<u64>]>,
    journal: RefCell<Vec<(Loc, u64)>>,
    /// Whether the present step's footprint is wanted.
    tracked: Cell<bool>,
    /// What the present step has looked at, and what was there.
    looks: RefCell<Vec<(Loc, u64)>>,
    regions: Vec<Region>,
    first_slab_word: u32,
    /// For each word from the first of a slab to the last, the word that tells whether its record is in use.
    lives: Box<[Loc]>,
}

impl Memory {
    /// The value of a word. No observer hears of it.
    #[inline]
    pub fn get(&self, loc: Loc) -> u64 {
        let value = self.word(loc);
        if self.tracked.get() {
            self.note_look(loc, value);
        }
        value
    }

    /// The value of a word, for code that notes the look itself, or on whose look no step depends.
    #[inline]
    pub(crate) fn word(&self, loc: Loc) -> u64 {
        self.words[loc.0 as usize].get()
    }

    /// Adds to the footprint of the present step.
    #[cold]
    pub(crate) fn note_look(&self, loc: Loc, value: u64) {
        self.looks.borrow_mut().push((loc, value));
    }

    /// From now on looks are noted, or no longer.
    pub(crate) fn set_tracked(&self, on: bool) {
        self.tracked.set(on);
    }

    /// Whether looks are noted.
    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        self.tracked.get()
    }

    /// The looks since the last call.
    pub(crate) fn take_looks(&self, mut tell: impl FnMut(Loc, u64)) {
        self.looks.borrow_mut().drain(..).for_each(|(loc, value)| tell(loc, value));
    }

    /// Number of writes since the last checkpoint.
    pub(crate) fn writes(&self) -> usize {
        self.journal.borrow().len()
    }

    /// Tells of each write since there were `from` of them: where it was, and the value before.
    pub(crate) fn writes_since(&self, from: usize, mut tell: impl FnMut(Loc, u64)) {
        self.journal.borrow()[from..].iter().for_each(|&(loc, old)| tell(loc, old));
    }

    /// Writes a word. No observer hears of it.
    #[inline]
    pub fn set(&self, loc: Loc, value: u64) {
        let old = self.words[loc.0 as usize].replace(value);
        self.journal.borrow_mut().push((loc, old));
    }

    /// Writes words from `first` on. Words that hold the value already are not written, because a page is mostly zeroes.
    pub(crate) fn fill(&self, first: Loc, values: impl Iterator<Item = u64>) {
        for (index, value) in (0..).zip(values) {
            let loc = first.offset(index);
            if self.get(loc) != value {
                self.set(loc, value);
            }
        }
    }

    /// Zeroes `count` words from `first` on. Words that are zero already are not written, because most words of a record are.
    pub fn clear(&self, first: Loc, count: u32) {
        let range = first.0 as usize..(first.0 + count) as usize;
        for (index, word) in (0..).zip(&self.words[range]) {
            let (loc, value) = (first.offset(index), word.get());
            if self.tracked.get() {
                self.note_look(loc, value);
            }
            if value != 0 {
                self.set(loc, 0);
            }
        }
    }

    /// Makes the present state the one that [`rewind`](Memory::rewind) returns to.
    pub fn checkpoint(&self) {
        self.journal.borrow_mut().clear();
    }

    /// Takes back every write since the last checkpoint.
    pub fn rewind(&self) {
        for (loc, old) in self.journal.borrow_mut().drain(..).rev() {
            self.words[loc.0 as usize].set(old);
        }
    }

    /// Whether a word belongs to a record that is free, and that nobody may touch.
    #[inline]
    pub(crate) fn is_dead(&self, loc: Loc) -> bool {
        match self.lives.get(loc.0.wrapping_sub(self.first_slab_word) as usize) {
            None | Some(&Loc::NONE) => false,
            Some(&life) => self.get(life).is_multiple_of(2),
        }
    }

    /// Number of words.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// Tells of each word that was written since the journal had `from` entries. Answers how many it has now.
    pub(crate) fn changed_since(&self, from: usize, mut tell: impl FnMut(Loc)) -> usize {
        let journal = self.journal.borrow();
        for (loc, _) in journal.get(from..).unwrap_or_default() {
            tell(*loc);
        }
        journal.len()
    }

    /// The first word of the record that a word belongs to.
    pub fn record_of(&self, loc: Loc) -> Loc {
        let after = self.regions.partition_point(|r| r.base <= loc);
        let Some(region) = after.checked_sub(1).map(|i| &self.regions[i]) else { return loc };
        Loc(loc.0 - (loc.0 - region.base.0) % region.width)
    }

    /// A number that stands for the word's name in digests. It stays the same when other records are added, and
    /// when fields are added to the word's own record.
    pub(crate) fn name_digest(&self, loc: Loc) -> u64 {
        if loc == Loc::NONE {
            return 0;
        }
        let after = self.regions.partition_point(|r| r.base <= loc);
        self.regions[after - 1].name_digest(loc)
    }

    /// The word's name: `page[7]._refcount`.
    pub fn describe(&self, loc: Loc) -> String {
        if loc == Loc::NONE {
            return String::new();
        }
        let after = self.regions.partition_point(|r| r.base <= loc);
        self.regions[after - 1].describe(loc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::record! {
        /// Two words.
        struct Pair {
            first: Shared<u64> = "first";
            second: Shared<u64> = "second";
        }
    }

    #[test]
    fn a_word_has_the_name_of_its_place() {
        let mut memory = MemoryBuilder::default();
        let lock = memory.words("lock", 1);
        memory.words("nothing", 0);
        let slots = memory.words("slot".to_owned(), 3);
        let page: Array<Pair> = memory.array("page", 2);
        let mm: Pair = memory.record("mm");
        let memory = memory.build();
        for (loc, name) in [
            (lock, "lock"),
            (slots, "slot[0]"),
            (slots.offset(2), "slot[2]"),
            (page.at(0).second().loc(), "page[0].second"),
            (page.at(1).first().loc(), "page[1].first"),
            (mm.second().loc(), "mm.second"),
            (Loc::NONE, ""),
        ] {
            assert_eq!(memory.describe(loc), name, "{loc:?}");
        }
    }

    #[test]
    fn a_rewind_restores_the_checkpoint() {
        let mut memory = MemoryBuilder::default();
        let base = memory.words("word", 3);
        let memory = memory.build();
        let words = || [0, 1, 2].map(|n| memory.get(base.offset(n)));
        memory.set(base, 7);
        memory.checkpoint();
        for _ in 0..2 {
            memory.set(base, 8);
            memory.set(base.offset(2), 1);
            memory.set(base, 9);
            assert_eq!(words(), [9, 0, 1]);
            memory.rewind();
            assert_eq!(words(), [7, 0, 0]);
        }
    }
}
