//! The translation caches of a profile: two levels of TLB, and a cache for each kind of upper entry.
//!
//! A walk fills both levels. Neither level contains the other, and neither excludes it. So an entry that one
//! level gives up may still be in the other level. A translation that both levels gave up is gone.

use crate::addr::{Level, Vpn};
use crate::geometry::Geometry;
use crate::timing::profile::{Profile, SecondLevel, Shape, Sizes, TlbArray};
use crate::timing::set_assoc::SetAssoc;
use crate::tlb::{Partial, Translation};

/// The levels whose entries can map a page.
const LEAVES: [Level; 3] = [Level::Pte, Level::Pmd, Level::Pud];

/// The finite caches of one CPU.
#[derive(Debug)]
pub(crate) struct FiniteTlb {
    geometry: Geometry,
    instruction: Bank,
    data: Bank,
    second_instruction: Option<Bank>,
    /// It serves instructions too, if they have no bank of their own.
    second_data: Bank,
    /// Made from PDEs, PDPTEs, PML4Es and PML5Es.
    partials: [(Level, Option<SetAssoc<Partial>>); 4],
}

/// One level of the TLB, for fetches or for data: an array for each group of page sizes.
#[derive(Debug)]
struct Bank(Vec<(Sizes, SetAssoc<Translation>)>);

/// The level at which a translation was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    First,
    Second,
}

impl Bank {
    fn new(arrays: &[TlbArray]) -> Bank {
        Bank(arrays.iter().map(|array| (array.sizes, SetAssoc::new(array.shape))).collect())
    }

    fn get(&mut self, geometry: Geometry, vpn: Vpn, wants: impl Fn(&Translation) -> bool) -> Option<Translation> {
        for (sizes, array) in &mut self.0 {
            for level in LEAVES.into_iter().filter(|level| sizes.has(*level)) {
                let order = geometry.order(level);
                let found = array.get(vpn.0 >> order, |entry| entry.order == order && wants(entry));
                if found.is_some() {
                    return found.copied();
                }
            }
        }
        None
    }

    fn insert(&mut self, geometry: Geometry, new: &Translation) {
        let holds = |sizes: &Sizes| LEAVES.into_iter().any(|l| sizes.has(l) && geometry.order(l) == new.order);
        if let Some((_, array)) = self.0.iter_mut().find(|(sizes, _)| holds(sizes)) {
            array.insert(new.vpn.0 >> new.order, *new, |old| old.rivals(new));
        }
    }

    fn find(&self, geometry: Geometry, vpn: Vpn, id: u32) -> Option<&Translation> {
        let of_size = |level| {
            let tag = vpn.0 >> geometry.order(level);
            self.0.iter().find_map(|(_, array)| array.peek(tag, |entry| entry.id == id))
        };
        LEAVES.into_iter().find_map(of_size)
    }

    fn drop_if(&mut self, matches: &dyn Fn(&Translation) -> bool) -> bool {
        self.0.iter_mut().fold(false, |dropped, (_, array)| array.drop_if(matches) | dropped)
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(|(_, array)| array.clear());
    }
}

impl FiniteTlb {
    pub(crate) fn new(profile: &Profile, geometry: Geometry) -> FiniteTlb {
        let (second_instruction, second_data) = match &profile.tlb.second {
            SecondLevel::Unified(arrays) => (None, Bank::new(arrays)),
            SecondLevel::Split { instruction, data } => (Some(Bank::new(instruction)), Bank::new(data)),
        };
        let cache = |shape: Option<Shape>| shape.map(SetAssoc::new);
        let structure = profile.structure;
        FiniteTlb {
            geometry,
            instruction: Bank::new(&profile.tlb.instruction),
            data: Bank::new(&profile.tlb.data),
            second_instruction,
            second_data,
            partials: [
                (Level::Pmd, cache(structure.pde)),
                (Level::Pud, cache(structure.pdpte)),
                (Level::P4d, cache(structure.pml4e)),
                (Level::Pgd, cache(structure.pml4e)),
            ],
        }
    }

    fn banks(&mut self) -> impl Iterator<Item = &mut Bank> {
        [&mut self.instruction, &mut self.data, &mut self.second_data]
            .into_iter()
            .chain(&mut self.second_instruction)
    }

    fn first(&mut self, fetch: bool) -> &mut Bank {
        if fetch { &mut self.instruction } else { &mut self.data }
    }

    fn second(&mut self, fetch: bool) -> &mut Bank {
        match &mut self.second_instruction {
            Some(bank) if fetch => bank,
            _ => &mut self.second_data,
        }
    }

    /// A translation that is wanted, and where it was. If the second level had it, it enters the first.
    pub(crate) fn look_up(
        &mut self,
        vpn: Vpn,
        fetch: bool,
        wants: impl Fn(&Translation) -> bool,
    ) -> Option<(Translation, Hit)> {
        let geometry = self.geometry;
        if let Some(found) = self.first(fetch).get(geometry, vpn, &wants) {
            return Some((found, Hit::First));
        }
        let found = self.second(fetch).get(geometry, vpn, &wants)?;
        self.first(fetch).insert(geometry, &found);
        Some((found, Hit::Second))
    }

    /// The translation that a walk found enters both levels.
    pub(crate) fn insert(&mut self, new: &Translation, fetch: bool) {
        let geometry = self.geometry;
        self.first(fetch).insert(geometry, new);
        self.second(fetch).insert(geometry, new);
    }

    /// An upper entry through which a walk stepped down enters its cache.
    #[cold]
    pub(crate) fn insert_partial(&mut self, new: &Partial) {
        let cache = self.partials.iter_mut().find(|(level, _)| *level == new.level);
        if let Some((_, Some(cache))) = cache {
            let replaces = |old: &Partial| old.vpn == new.vpn && old.pcid == new.pcid;
            cache.insert(new.vpn.0 >> new.order, *new, replaces);
        }
    }

    /// The cached entry with which a walk begins: one of the lowest level that has one (SDM 4.10.3.2).
    pub(crate) fn begin_walk(&mut self, vpn: Vpn, wants: impl Fn(&Partial) -> bool) -> Option<Partial> {
        let geometry = self.geometry;
        let usable = |(level, cache): &mut (Level, Option<SetAssoc<Partial>>)| {
            cache.as_mut()?.get(vpn.0 >> geometry.order(*level), &wants).copied()
        };
        self.partials.iter_mut().find_map(usable)
    }

    #[cold]
    pub(crate) fn find(&self, vpn: Vpn, id: u32) -> Option<&Translation> {
        let banks = [&self.instruction, &self.data, &self.second_data].into_iter().chain(&self.second_instruction);
        banks.into_iter().find_map(|bank| bank.find(self.geometry, vpn, id))
    }

    pub(crate) fn holds_partial(&self, wanted: &Partial) -> bool {
        let caches = self.partials.iter().filter_map(|(_, cache)| cache.as_ref());
        let tag = wanted.vpn.0 >> wanted.order;
        caches.into_iter().any(|cache| cache.peek(tag, |entry| entry == wanted).is_some())
    }

    pub(crate) fn contents(&self) -> (Vec<Translation>, Vec<Partial>) {
        let banks = [&self.instruction, &self.data, &self.second_data].into_iter().chain(&self.second_instruction);
        let translations = banks.flat_map(|bank| &bank.0).flat_map(|(_, array)| array.values());
        let partials = self.partials.iter().filter_map(|(_, cache)| cache.as_ref()).flat_map(SetAssoc::values);
        (translations.copied().collect(), partials.copied().collect())
    }

    // There is one copy of this code, apart from the code for the lists that exploring runs use. The other functions that
    // are marked cold have the same reason.
    #[cold]
    pub(crate) fn drop_translations(&mut self, matches: &dyn Fn(&Translation) -> bool) -> bool {
        self.banks().fold(false, |dropped, bank| bank.drop_if(matches) | dropped)
    }

    #[cold]
    pub(crate) fn drop_partials(&mut self, matches: &dyn Fn(&Partial) -> bool) -> bool {
        let caches = self.partials.iter_mut().filter_map(|(_, cache)| cache.as_mut());
        caches.fold(false, |dropped, cache| cache.drop_if(matches) | dropped)
    }

    pub(crate) fn clear(&mut self) {
        self.banks().for_each(Bank::clear);
        self.partials.iter_mut().filter_map(|(_, cache)| cache.as_mut()).for_each(SetAssoc::clear);
    }
}
