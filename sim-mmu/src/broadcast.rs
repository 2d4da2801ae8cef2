//! Invalidations that reach every CPU: INVLPGB and TLBSYNC (AMD APM volume 3; the SDM has no such instruction), and
//! the flush that a hypervisor offers instead of them.

use std::ops::Range;

use sim_core::{CpuId, Gate, Op, OpKind};

use crate::addr::{Pfn, VirtAddr, Vpn};
use crate::control::{Refused, Vendor};
use crate::event::Event;
use crate::invlpgb::{Broadcast, Invlpgb};
use crate::mmu::Cpu;
use crate::timing::Spent;
use crate::tlb::{Partial, Translation};

impl<'m> Cpu<'m> {
    /// INVLPGB: asks every CPU to drop translations. It does not wait until they have done so. Until this CPU
    /// executes [`tlbsync`](Cpu::tlbsync), any CPU may still have the translations.
    ///
    /// # Errors
    /// #UD, on a processor that is not AMD's.
    #[track_caller]
    pub fn invlpgb(self, what: Invlpgb) -> impl Future<Output = Result<(), Refused>> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.registers.at(0).cr3().loc());
        let mut what = Some(what);
        self.step(op, move |_| {
            if self.controls().vendor != Vendor::Amd {
                return Err(Refused);
            }
            self.spend_on_broadcast(what.as_ref().and_then(|what| what.pages.as_ref()));
            // TLBSYNC spares what a CPU reads from now on.
            for target in CpuId::all(self.mmu.cpus.len()) {
                self.core.touch(self.mmu.caches.offset(u32::from(target.0)), true);
            }
            let broadcast = what.take().map(|what| Broadcast { by: self.id, what, at: self.core.steps() });
            self.mmu.pending_broadcasts.borrow_mut().extend(broadcast);
            Ok(())
        })
    }

    /// TLBSYNC: waits until every CPU has done what the INVLPGBs of this CPU asked for. It also waits for the
    /// accesses that began before the INVLPGBs.
    #[track_caller]
    pub fn tlbsync(self) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.registers.at(0).cr3().loc()).behind(Gate::AllDrained);
        self.step(op, move |_| {
            self.spend_on(Spent::Tlbsync);
            let asked: Vec<Broadcast> = self
                .mmu
                .pending_broadcasts
                .borrow_mut()
                .extract_if(.., |broadcast| broadcast.by == self.id)
                .collect();
            for Broadcast { what, at, .. } in &asked {
                let is_named = |vpn, order, pcid| {
                    what.pages.as_ref().is_none_or(|pages| overlaps(pages, vpn, order))
                        && what.pcid.is_none_or(|named| named == pcid)
                };
                let translations = |t: &Translation| {
                    t.since < *at
                        && (if t.global {
                            what.include_global
                                && is_named(t.vpn, t.page_order.max(t.order), what.pcid.unwrap_or(t.pcid))
                        } else {
                            is_named(t.vpn, t.page_order.max(t.order), t.pcid)
                        })
                };
                let partials = |p: &Partial| p.since < *at && !what.final_only && is_named(p.vpn, p.order, p.pcid);
                self.everywhere(what.pages.as_ref().map(|pages| pages.start), translations, partials);
            }
        })
    }

    /// A hypervisor's flush of a range under `root`, on every CPU at once, whether it takes interrupts
    /// or not. Accesses that retired before it are in memory when it completes.
    #[track_caller]
    pub fn broadcast_invalidate(self, root: Pfn, range: Range<Vpn>) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.registers.at(0).cr3().loc()).behind(Gate::AllDrained);
        self.step(op, move |_| {
            // The costs are those of INVLPGB and TLBSYNC. A flush of all addresses need not name any of them.
            let all = Vpn(0)..VirtAddr(1 << self.mmu.geometry.address_bits()).vpn();
            self.spend_on_broadcast((range != all).then_some(&range));
            self.spend_on(Spent::Tlbsync);
            self.everywhere(
                Some(range.start),
                |t| t.root == root && overlaps(&range, t.vpn, t.page_order.max(t.order)),
                |p| p.root == root,
            );
        })
    }

    /// Spends as many INVLPGBs as it takes to name the pages. One is enough for all addresses.
    fn spend_on_broadcast(self, pages: Option<&Range<Vpn>>) {
        let each = self.mmu.profile().and_then(|profile| Some(profile.broadcasts?.pages)).unwrap_or(u64::MAX);
        let times = pages.map_or(1, |pages| (pages.end.0 - pages.start.0).div_ceil(each).max(1));
        if self.core.is_costed() {
            self.spend_by_profile(Spent::Invlpgb, times);
        }
    }

    fn everywhere(
        self,
        first: Option<Vpn>,
        translations: impl Fn(&Translation) -> bool,
        partials: impl Fn(&Partial) -> bool,
    ) {
        self.before_change();
        for target in CpuId::all(self.mmu.cpus.len()) {
            self.core.touch(self.mmu.caches.offset(u32::from(target.0)), true);
            let mut caches = self.mmu.cpus[target.index()].caches.borrow_mut();
            caches.broadcasts += 1;
            let dropped = caches.drop_translations(&translations) | caches.drop_partials(&partials);
            drop(caches);
            if dropped {
                self.report(Event::Invalidated { target, page: first.map(Vpn::base), pcid: None });
            }
        }
    }
}

/// Whether `1 << order` pages around `vpn` and the range have one in common.
fn overlaps(range: &Range<Vpn>, vpn: Vpn, order: u8) -> bool {
    let first = vpn.0 >> order << order;
    first < range.end.0 && range.start.0 < first + (1 << order)
}
