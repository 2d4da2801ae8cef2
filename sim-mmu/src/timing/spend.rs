//! What a CPU spends on instructions, events and walks.

use sim_core::Loc;

use crate::addr::Level;
use crate::mmu::Cpu;
use crate::timing::Spent;

impl Cpu<'_> {
    /// The CPU spends what an instruction or an event costs by the profile. Without a profile the flat costs count.
    #[inline]
    pub(crate) fn spend_on(self, what: Spent) {
        if self.core.is_costed() {
            self.spend_by_profile(what, 1);
        } else {
            self.spend(self.mmu.costs.beyond_kind(what));
        }
    }

    #[cold]
    pub(crate) fn spend_by_profile(self, what: Spent, times: u64) {
        if let Some(timing) = &*self.mmu.timing.borrow() {
            self.spend((0..times).map(|_| timing.put(self.id, what, timing.price(what))).sum());
        }
    }

    /// The CPU's walker has loaded an entry of a level.
    #[inline]
    pub(crate) fn spend_on_walk(self, level: Level, entry: Loc) {
        if self.core.is_costed() {
            self.spend_on_walk_by_profile(level, entry);
        }
    }

    #[cold]
    fn spend_on_walk_by_profile(self, level: Level, entry: Loc) {
        if let Some(timing) = &*self.mmu.timing.borrow() {
            self.spend(timing.read(self.core, self.id, entry, Some(Spent::walk(level))));
        }
    }
}
