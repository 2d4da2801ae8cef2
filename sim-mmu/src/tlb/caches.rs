//! The translations and upper-level entries that a CPU has cached.

use crate::addr::Vpn;
use crate::timing::FiniteTlb;
use crate::tlb::{Partial, Translation};

/// The translations and partial translations that one CPU holds, or possibly holds, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) translations: Vec<Translation>,
    pub(crate) partials: Vec<Partial>,
    /// Under a policy that keeps nothing, the translation that the last walk found.
    pub(crate) walked: Option<Translation>,
    /// Counts the broadcasts that this CPU has answered. If a broadcast comes during a walk, the walk starts over.
    pub(crate) broadcasts: u64,
    /// The caches of a profile. They take the place of the lists above.
    pub(crate) finite: Option<Box<FiniteTlb>>,
}

impl Caches {
    pub(crate) fn clear(&mut self) {
        self.translations.clear();
        self.partials.clear();
        self.walked = None;
        if let Some(finite) = &mut self.finite {
            finite.clear();
        }
    }

    /// Empties the caches, and makes them those of a profile, or unbounded again.
    pub(crate) fn set_finite(&mut self, finite: Option<FiniteTlb>) {
        self.clear();
        self.finite = finite.map(Box::new);
    }

    /// Drops TLB entries; answers whether there were any.
    pub(crate) fn drop_translations(&mut self, matches: impl Fn(&Translation) -> bool) -> bool {
        if let Some(finite) = &mut self.finite {
            return finite.drop_translations(&matches);
        }
        let before = self.translations.len();
        self.translations.retain(|entry| !matches(entry));
        self.translations.len() != before
    }

    /// Drops entries of the paging-structure caches; answers whether there were any.
    pub(crate) fn drop_partials(&mut self, matches: impl Fn(&Partial) -> bool) -> bool {
        if let Some(finite) = &mut self.finite {
            return finite.drop_partials(&matches);
        }
        let before = self.partials.len();
        self.partials.retain(|entry| !matches(entry));
        self.partials.len() != before
    }

    /// Everything that the caches hold. A translation that both levels of a profile's TLB hold is listed twice.
    pub(crate) fn contents(&self) -> (Vec<Translation>, Vec<Partial>) {
        match &self.finite {
            None => (self.translations.clone(), self.partials.clone()),
            Some(finite) => finite.contents(),
        }
    }

    /// The first translation of such a kind.
    pub(crate) fn find_such(&self, is_such: impl Fn(&Translation) -> bool) -> Option<Translation> {
        match &self.finite {
            None => self.translations.iter().find(|entry| is_such(entry)).copied(),
            Some(finite) => finite.contents().0.into_iter().find(is_such),
        }
    }

    /// The translation with this identity, if it is still there.
    pub(crate) fn find(&self, vpn: Vpn, id: u32) -> Option<&Translation> {
        match &self.finite {
            None => self.translations.iter().find(|entry| entry.id == id),
            Some(finite) => finite.find(vpn, id),
        }
    }

    pub(crate) fn holds_partial(&self, wanted: &Partial) -> bool {
        match &self.finite {
            None => self.partials.contains(wanted),
            Some(finite) => finite.holds_partial(wanted),
        }
    }

    /// Caches the translation that a walk for an access found. A profile has different TLBs for fetches and for data.
    pub(crate) fn insert_walked(&mut self, new: Translation, fetch: bool) {
        match &mut self.finite {
            None => {
                self.insert(new);
            }
            Some(finite) => finite.insert(&new, fetch),
        }
    }

    /// Holds a translation, and answers its identity. If one that says the same is cached already, that one becomes younger
    /// and keeps its identity. So an access that goes through it can go on.
    pub(crate) fn insert(&mut self, mut new: Translation) -> u32 {
        if let Some(place) = self.translations.iter().position(|old| old.repeats(&new)) {
            new.id = self.translations.remove(place).id;
        }
        self.translations.push(new);
        new.id
    }

    pub(crate) fn insert_partial(&mut self, new: Partial) {
        if let Some(finite) = &mut self.finite {
            finite.insert_partial(&new);
            return;
        }
        self.partials.retain(|old| !old.repeats(&new));
        self.partials.push(new);
    }
}
