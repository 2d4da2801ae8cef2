//! The adversarial TLB.
//!
//! A translation may be cached from the walk that made it until an invalidation drops it. An entry
//! may also vanish at any time (SDM 4.10.4.1, end), so an access that could hit may as well walk.

use crate::access::DataOp;
use crate::addr::{Pfn, Vpn};
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::event::Event;
use crate::fault::PageFault;
use crate::rights::{Access, Rights};

/// A cached translation, with its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Tells entries of one run apart.
    pub id: u32,
    /// The root whose walk made it.
    pub root: Pfn,
    /// The page.
    pub vpn: Vpn,
    /// The frame.
    pub pfn: Pfn,
    /// Rights over all levels.
    pub rights: Rights,
    /// Whether D was set when it was made. If not, a write walks anew (SDM 4.8).
    pub dirty: bool,
    /// The leaf entry that it was made from.
    pub leaf: Entry,
    /// The run's step at which it was made.
    pub filled_at: u64,
}

/// The translations that one CPU has cached, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tlb {
    entries: Vec<Translation>,
    /// Counts the broadcasts that this TLB has answered: a walk that one overtakes starts over.
    pub(crate) broadcasts: u64,
}

/// More translations of one page than this are never kept side by side.
const SIDE_BY_SIDE: usize = 4;

impl Tlb {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn drop_where(&mut self, matches: impl Fn(&Translation) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| !matches(entry));
        self.entries.len() != before
    }

    fn holds(&self, id: u32) -> bool {
        self.entries.iter().any(|entry| entry.id == id)
    }

    fn of(&self, root: Pfn, vpn: Vpn) -> impl DoubleEndedIterator<Item = &Translation> {
        self.entries.iter().filter(move |entry| entry.root == root && entry.vpn == vpn)
    }

    fn insert(&mut self, new: Translation) {
        self.entries.retain(|old| {
            !(old.root == new.root
                && old.vpn == new.vpn
                && old.pfn == new.pfn
                && old.rights == new.rights
                && old.dirty <= new.dirty)
        });
        if self.of(new.root, new.vpn).count() >= SIDE_BY_SIDE
            && let Some(oldest) = self.entries.iter().position(|e| e.root == new.root && e.vpn == new.vpn)
        {
            self.entries.remove(oldest);
        }
        self.entries.push(new);
    }
}

/// What the TLB has to say of an access.
pub(crate) enum Lookup {
    /// This translation serves it.
    Hit(Translation),
    /// A cached translation denies it.
    Deny(PageFault),
    /// Walk.
    Miss,
}

impl Cpu<'_> {
    /// Looks an access up. Where a cached translation serves, whether it is used is a choice: among
    /// those that serve or deny, newest first, and last a walk.
    pub(crate) fn look_up(self, va: crate::addr::VirtAddr, access: Access) -> Lookup {
        let root = self.cr3();
        let tlb = self.mmu.tlbs[self.id.index()].borrow();
        let serves = |entry: &&Translation| !(access.writes() && entry.rights.permit(access) && !entry.dirty);
        let candidates = tlb.of(root, va.vpn()).filter(serves).count();
        if candidates == 0 {
            return Lookup::Miss;
        }
        let chosen = self.core.choose_value("translation", candidates + 1);
        let Some(entry) = tlb.of(root, va.vpn()).rev().filter(serves).nth(chosen).copied() else {
            return Lookup::Miss;
        };
        drop(tlb);
        if entry.rights.permit(access) {
            return Lookup::Hit(entry);
        }
        Lookup::Deny(PageFault::new(va, access, true, false))
    }

    /// Caches what a walk found; answers it with its identity.
    pub(crate) fn fill(self, found: Translation) -> Translation {
        let id = self.mmu.next_id.get();
        self.mmu.next_id.set(id + 1);
        let translation = Translation { id, filled_at: self.core.steps(), ..found };
        self.mmu.tlbs[self.id.index()].borrow_mut().insert(translation);
        self.report(Event::Filled(translation));
        translation
    }

    /// Retires a data access through a translation, if the TLB still holds it.
    pub(crate) fn retire(
        self,
        op: sim_core::Op,
        va: crate::addr::VirtAddr,
        access: Access,
        through: Translation,
        data: DataOp,
    ) -> Option<u64> {
        if !self.mmu.tlbs[self.id.index()].borrow().holds(through.id) {
            return None;
        }
        let value = match data {
            DataOp::Read => self.perform_load(&op),
            DataOp::Write(value) => {
                self.perform_store(&op, value);
                value
            }
        };
        let word = (va.offset() / 8) as u32;
        self.report(Event::Retired { va, access, through, word, value });
        Some(value)
    }
}

impl Translation {
    /// What a walk found, before it is cached.
    pub(crate) fn found(root: Pfn, vpn: Vpn, rights: Rights, leaf: Entry) -> Translation {
        let dirty = leaf.has(Entry::DIRTY);
        Translation { id: 0, root, vpn, pfn: leaf.pfn(), rights, dirty, leaf, filled_at: 0 }
    }
}
