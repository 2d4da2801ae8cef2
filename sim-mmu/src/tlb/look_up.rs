//! Which cached translation an access uses, and where a walk begins.

use crate::addr::{Level, VirtAddr};
use crate::control::{Controls, Cr0, Cr3, Pcid};
use crate::entry::Entry;
use crate::fault::PageFault;
use crate::geometry::Geometry;
use crate::mmu::Cpu;
use crate::paging::{Access, Next, Rights, Walk};
use crate::timing::{Hit, Spent};
use crate::tlb::{Partial, Policy, Through, Translation};

/// How the TLB answers an access.
pub(crate) enum Lookup {
    /// This translation serves it.
    Hit(Through),
    /// A cached translation denies it.
    Deny(PageFault),
    /// No cached translation is used: the access walks.
    Miss,
    /// Paging is off: a linear address is a physical one (SDM 4.1.1).
    Untranslated,
    /// The address is not canonical, which comes before anything is looked up (SDM 4.5.3).
    NotCanonical,
}

/// What is looked up, under the registers of this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seek {
    pub(crate) controls: Controls,
    pub(crate) cr3: Cr3,
    pub(crate) pcid: Pcid,
    pub(crate) va: VirtAddr,
}

impl Seek {
    /// Whether a cached translation can decide the access. A translation that was made while D was clear serves
    /// no write, because the walk has to set D first (SDM 4.8).
    fn decides(&self, entry: &Translation, access: Access) -> bool {
        entry.covers(self.va.vpn())
            && entry.is_for(self.pcid)
            && (entry.dirty || !access.writes() || !entry.rights.permit(&self.controls, access))
    }

    /// Whether the address is translated at all: paging is on, and the address canonical.
    pub(crate) fn is_paged(&self, geometry: Geometry) -> bool {
        self.controls.cr0.has(Cr0::PG) && geometry.is_canonical(self.va, self.controls.root_level())
    }

    fn verdict(&self, entry: &Translation, access: Access) -> Lookup {
        if entry.rights.permit(&self.controls, access) {
            Lookup::Hit(entry.through(self.va))
        } else {
            Lookup::Deny(entry.denies(&self.controls, self.va, access))
        }
    }

    pub(crate) fn may_begin_with(&self, partial: &Partial) -> bool {
        partial.pcid == self.pcid && partial.covers(self.va.vpn())
    }
}

impl<'m> Cpu<'m> {
    /// The registers of this moment, for an access to `va`.
    #[inline]
    pub(crate) fn seek(self, va: VirtAddr) -> Seek {
        let (controls, cr3) = (self.controls(), self.cr3());
        Seek { controls, cr3, pcid: controls.pcid(cr3), va }
    }

    /// Looks an access up in the TLB.
    pub(crate) fn look_up(self, va: VirtAddr, access: Access) -> Lookup {
        let seek = &self.seek(va);
        if !seek.controls.cr0.has(Cr0::PG) {
            return Lookup::Untranslated;
        }
        if !seek.is_paged(self.mmu.geometry) {
            return Lookup::NotCanonical;
        }
        match self.mmu.policy {
            Policy::Coherent => Lookup::Miss,
            Policy::Profile if self.caches().borrow().finite.is_some() => self.look_up_finite(seek, access),
            Policy::Profile | Policy::Laziest => {
                let caches = self.caches().borrow();
                let oldest = caches.translations.iter().find(|entry| seek.decides(entry, access));
                oldest.map_or(Lookup::Miss, |entry| seek.verdict(entry, access))
            }
            Policy::Adversarial { duplicates } => self.choose_translation(seek, access, duplicates),
        }
    }

    /// Looks an access up in the TLB of a profile. A translation from the second level costs more.
    fn look_up_finite(self, seek: &Seek, access: Access) -> Lookup {
        let mut caches = self.caches().borrow_mut();
        let Some(finite) = &mut caches.finite else { return Lookup::Miss };
        let found = finite.look_up(seek.va.vpn(), access.fetches(), |entry| seek.decides(entry, access));
        drop(caches);
        let Some((entry, hit)) = found else { return Lookup::Miss };
        if hit == Hit::Second {
            self.spend_on(Spent::TlbL2);
        }
        seek.verdict(&entry, access)
    }

    /// A choice decides which possible translation is used. The options are the translations that serve or deny
    /// the access, the newest first, and a walk as the last option.
    fn choose_translation(self, seek: &Seek, access: Access, duplicates: bool) -> Lookup {
        let mut caches = self.caches().borrow_mut();
        let newest_first = || caches.translations.iter().rev().filter(|entry| seek.decides(entry, access));
        let mut candidates = newest_first();
        let newest = candidates.next();
        let used = match newest.map_or(0, |_| self.core.choose_value("translation", candidates.count() + 2)) {
            0 => newest,
            chosen => newest_first().nth(chosen),
        };
        let verdict = used.map_or(Lookup::Miss, |used| seek.verdict(used, access));
        if !duplicates {
            let used = used.copied();
            // If a translation is used, it is cached, so its rivals are not. If the access walks, none of them is cached.
            caches.translations.retain(|other| match &used {
                Some(used) => other.id == used.id || !other.rivals(used),
                None => !(other.covers(seek.va.vpn()) && other.is_for(seek.pcid)),
            });
        }
        verdict
    }

    /// The cached entry that a walk begins with; `None` for the root.
    pub(crate) fn begin_walk(self, seek: &Seek) -> Option<Partial> {
        if self.mmu.policy == Policy::Profile
            && let Some(finite) = &mut self.caches().borrow_mut().finite
        {
            return finite.begin_walk(seek.va.vpn(), |partial| seek.may_begin_with(partial));
        }
        let caches = self.caches().borrow();
        if caches.partials.is_empty() {
            return None;
        }
        match self.mmu.policy {
            Policy::Coherent => None,
            Policy::Profile | Policy::Laziest => {
                let usable = caches.partials.iter().filter(|partial| seek.may_begin_with(partial));
                // A walk begins as far down as it can (SDM 4.10.3.2). Of the entries of that level the oldest is used.
                usable.min_by_key(|partial| partial.level).copied()
            }
            Policy::Adversarial { .. } => {
                // An entry that agrees with memory changes nothing, because a walk from the root can read the same
                // before any other CPU moves.
                let stale = |partial: &&Partial| seek.may_begin_with(partial) && !self.agrees(seek, partial);
                let candidates = caches.partials.iter().filter(stale).count();
                if candidates == 0 {
                    return None;
                }
                let chosen = self.core.choose_value("walk start", candidates + 1);
                let nth = chosen.checked_sub(1)?;
                caches.partials.iter().rev().filter(stale).nth(nth).copied()
            }
        }
    }

    /// Whether a walk from the root would come to the same table with the same rights, and set no A on
    /// its way.
    fn agrees(self, seek: &Seek, partial: &Partial) -> bool {
        let mut walk = Walk::new(&seek.controls, self.mmu.geometry, seek.cr3.root(), seek.va, None);
        while walk.level() >= partial.level {
            if walk.judge(self.mmu.entry_now(walk.table(), walk.index())) != Next::Descend {
                return false;
            }
        }
        walk.table() == partial.table && walk.rights() == partial.rights
    }

    /// What a walk would find now, without any access: the level and the entry that map the page.
    pub(crate) fn mapped_now(self, seek: &Seek) -> Option<(Level, Entry, Rights)> {
        let mut walk = Walk::new(&seek.controls, self.mmu.geometry, seek.cr3.root(), seek.va, None);
        loop {
            let level = walk.level();
            let mut entry = self.mmu.entry_now(walk.table(), walk.index());
            let next = match walk.judge(entry) {
                Next::Mark(flags) => {
                    entry = entry.with(flags);
                    walk.judge(entry)
                }
                next => next,
            };
            match next {
                Next::Descend => {}
                Next::Mapped(rights) => return Some((level, entry, rights)),
                _ => return None,
            }
        }
    }
}
