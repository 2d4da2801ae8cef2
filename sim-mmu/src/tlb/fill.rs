//! What a walk leaves in the caches.

use crate::addr::{Level, Pfn};
use crate::control::Cr4;
use crate::entry::Entry;
use crate::event::Event;
use crate::mmu::Cpu;
use crate::paging::{Rights, Walk};
use crate::tlb::{Partial, Policy, Seek, Translation};

impl<'m> Cpu<'m> {
    /// Caches the translation that a walk found.
    pub(crate) fn fill(
        self,
        seek: &Seek,
        root: Pfn,
        level: Level,
        rights: Rights,
        leaf: Entry,
        since: u64,
    ) -> Translation {
        let geometry = self.mmu.geometry;
        let order = geometry.order(level);
        let mut translation = Translation {
            id: self.next_translation(),
            root,
            pcid: seek.pcid,
            // G counts only in an entry that maps a page, and only with CR4.PGE (SDM 4.10.2.4).
            global: leaf.has(Entry::GLOBAL) && seek.controls.cr4.has(Cr4::PGE),
            order,
            page_order: order,
            vpn: seek.va.align_down(geometry.shift(level)).vpn(),
            pfn: Walk::page_frame(geometry, level, leaf),
            rights,
            dirty: leaf.has(Entry::DIRTY),
            leaf,
            since,
            filled_at: self.core.steps(),
        };
        let mut caches = self.caches().borrow_mut();
        match self.mmu.policy {
            Policy::Coherent => caches.walked = Some(translation),
            // The walker inserts it, because it knows whether the access is a fetch.
            Policy::Profile => {}
            Policy::Laziest => translation.id = caches.insert(translation),
            Policy::Adversarial { .. } => {
                // Instead the processor may have cached a piece of a large page (SDM 4.10.2.3).
                let mut pieces = level.next();
                while let Some(size) = pieces {
                    let piece = translation.piece(seek.va.vpn(), geometry.order(size));
                    caches.insert(Translation { id: self.next_translation(), ..piece });
                    pieces = size.next();
                }
                translation.id = caches.insert(translation);
            }
        }
        drop(caches);
        self.report_with(|| Event::Filled(translation));
        translation
    }

    pub(crate) fn next_translation(self) -> u32 {
        let id = self.mmu.next_id.get();
        self.mmu.next_id.set(id + 1);
        id
    }

    /// Caches the way to the table that the walk has just stepped down to.
    pub(crate) fn fill_partial(
        self,
        seek: &Seek,
        root: Pfn,
        level: Level,
        walk: &Walk<'_>,
        entry: Entry,
        since: u64,
    ) {
        if self.mmu.policy == Policy::Coherent {
            return;
        }
        let geometry = self.mmu.geometry;
        self.caches().borrow_mut().insert_partial(Partial {
            root,
            pcid: seek.pcid,
            level,
            order: geometry.order(level),
            vpn: seek.va.align_down(geometry.shift(level)).vpn(),
            table: walk.table(),
            rights: walk.rights(),
            entry,
            since,
            filled_at: self.core.steps(),
        });
    }
}
