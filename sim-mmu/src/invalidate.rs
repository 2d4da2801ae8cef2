//! What each instruction and each fault invalidates on its own CPU (SDM 4.10.4.1, 4.10.5). No other file but
//! `broadcast.rs` says so.
//!
//! Each drops the least that the architecture demands. All these instructions are serialising.

use sim_core::{Loc, Op, OpKind};

use crate::addr::{Pfn, VirtAddr, Vpn};
use crate::control::{Controls, Cr0, Cr3, Cr4, Efer, KeyRights, Pcid, Refused, Vendor};
use crate::event::Event;
use crate::mmu::Cpu;
use crate::timing::Spent;
use crate::tlb::{Partial, Seek, Translation};

/// INVPCID: its type and descriptor (SDM 2, INVPCID).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invpcid {
    /// Type 0: what an access to one address under one PCID would use; global translations may stay.
    Address(Pcid, VirtAddr),
    /// Type 1: one PCID; global translations may stay.
    Context(Pcid),
    /// Type 2: everything, global translations too.
    All,
    /// Type 3: everything but global translations.
    AllNonGlobal,
}

impl Invpcid {
    /// From the register operand and the two words of the descriptor.
    ///
    /// # Errors
    /// #GP, if the type is above 3, or bits 63:12 of the first word are set.
    pub fn decode(kind: u64, descriptor: [u64; 2]) -> Result<Invpcid, Refused> {
        let [first, address] = descriptor;
        if first >> 12 != 0 {
            return Err(Refused);
        }
        let pcid = Pcid(first as u16);
        match kind {
            0 => Ok(Invpcid::Address(pcid, VirtAddr(address))),
            1 => Ok(Invpcid::Context(pcid)),
            2 => Ok(Invpcid::All),
            3 => Ok(Invpcid::AllNonGlobal),
            _ => Err(Refused),
        }
    }

    /// #GP, if a PCID other than 0 is named while PCIDs are off, or an address is not canonical.
    fn check(self, cpu: Cpu<'_>) -> Result<(), Refused> {
        let controls = cpu.controls();
        let (pcid, canonical) = match self {
            Invpcid::Address(pcid, va) => (pcid, cpu.mmu.geometry.is_canonical(va, controls.root_level())),
            Invpcid::Context(pcid) => (pcid, true),
            Invpcid::All | Invpcid::AllNonGlobal => (Pcid(0), true),
        };
        let refused = pcid != Pcid(0) && !controls.cr4.has(Cr4::PCIDE) || !canonical;
        if refused { Err(Refused) } else { Ok(()) }
    }
}

/// The pages whose translations INVLPG of an address, or a fault on it, drops.
#[derive(Clone, Copy, Debug)]
struct Target {
    vpn: Vpn,
    /// The size of the page that the structures now map at the address: the number of base pages, as a power of two.
    order: u8,
}

impl Target {
    fn of(cpu: Cpu<'_>, seek: &Seek) -> Target {
        let order = cpu.mapped_now(seek).map_or(0, |(level, ..)| cpu.mmu.geometry.order(level));
        Target { vpn: seek.va.vpn(), order }
    }

    /// Takes translations of the page number. If the structures map a large page there, takes also all translations
    /// within it that the processor made of pieces of a large page (SDM 4.10.2.3, 4.10.4.1).
    fn takes(self, entry: &Translation) -> bool {
        let in_the_page = (entry.vpn.0 ^ self.vpn.0) >> self.order == 0;
        entry.covers(self.vpn) || in_the_page && entry.order < entry.page_order
    }
}

impl<'m> Cpu<'m> {
    /// INVLPG drops the translations of the page under the current PCID, and global ones. It also drops all entries
    /// of the paging-structure caches for that PCID, whatever their address. With EFER.TCE on an AMD processor it
    /// drops only those of them that lead to the page.
    #[track_caller]
    pub fn invlpg(self, va: VirtAddr) -> impl Future<Output = ()> + use<'m> {
        self.step(self.local(), move |_| {
            self.spend_on(Spent::Invlpg);
            let seek = self.seek(va);
            // In 64-bit mode INVLPG of such an address is a NOP (SDM 2, INVLPG).
            if !self.mmu.geometry.is_canonical(va, seek.controls.root_level()) {
                return;
            }
            let target = Target::of(self, &seek);
            let spares = seek.controls.vendor == Vendor::Amd && seek.controls.efer.has(Efer::TCE);
            let spares_global = self.mmu.invlpg_spares_global && seek.controls.cr4.has(Cr4::PCIDE);
            self.invalidate(
                Some(va),
                |t| target.takes(t) && t.is_for(seek.pcid) && !(spares_global && t.global),
                |p| p.pcid == seek.pcid && (!spares || p.covers(target.vpn)),
            );
        })
    }

    /// The caches of this CPU lose all that they have of a page, as they may at any time (SDM 4.10.4.1). This is no step of
    /// its own: the caller promises that what was cached there can have no other effect.
    pub fn evict(self, va: VirtAddr) {
        self.core.touch(self.mmu.caches.offset(u32::from(self.id.0)), true);
        self.before_own_change();
        let vpn = va.vpn();
        let mut caches = self.caches().borrow_mut();
        caches.drop_translations(|t| t.covers(vpn));
        caches.drop_partials(|p| p.covers(vpn));
    }

    /// A page fault drops translations of the page under the current PCID, and the entries of the paging-structure
    /// caches that lead to the page. So a cached translation that denies an access makes it fault at most once.
    pub(crate) fn invalidate_by_fault(self, seek: &Seek) {
        self.before_own_change();
        let target = Target::of(self, seek);
        let mut caches = self.caches().borrow_mut();
        caches.drop_translations(|t| target.takes(t) && t.is_for(seek.pcid));
        caches.drop_partials(|p| p.pcid == seek.pcid && p.covers(target.vpn));
    }

    /// INVPCID.
    ///
    /// # Errors
    /// #GP, if the descriptor is not allowed. Then nothing is invalidated.
    #[track_caller]
    pub fn invpcid(self, what: Invpcid) -> impl Future<Output = Result<(), Refused>> + use<'m> {
        self.step(self.local(), move |_| {
            what.check(self)?;
            self.spend_on(Spent::Invpcid);
            match what {
                Invpcid::Address(pcid, va) => {
                    let target = Target::of(self, &Seek { pcid, ..self.seek(va) });
                    self.invalidate(
                        Some(va),
                        |t| target.takes(t) && !t.global && t.pcid == pcid,
                        |p| p.pcid == pcid && p.covers(target.vpn),
                    );
                }
                Invpcid::Context(pcid) => self.invalidate_context(pcid),
                Invpcid::All => self.invalidate(None, |_| true, |_| true),
                Invpcid::AllNonGlobal => self.invalidate(None, |t| !t.global, |_| true),
            }
            Ok(())
        })
    }

    /// MOV to CR3 of a root alone. With CR4.PCIDE = 0 it drops everything that is not global. Under TSO it
    /// waits for the store buffer.
    #[track_caller]
    pub fn write_cr3(self, root: Pfn) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.cr3_loc(self.id));
        self.step(op, move |_| self.load_cr3(&op, Cr3::of(root), false))
    }

    /// MOV to CR3 of a value that is known to be allowed. [`mov_cr3`](Cpu::mov_cr3) checks the value.
    #[track_caller]
    pub fn load_root(self, value: Cr3, preserve: bool) -> impl Future<Output = ()> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.cr3_loc(self.id));
        self.step(op, move |_| self.load_cr3(&op, value, preserve))
    }

    /// MOV to CR3. It drops all translations of the PCID that it names, except global ones. If bit 63 of the operand
    /// (`preserve`) is set, it drops nothing.
    ///
    /// # Errors
    /// #GP, if the value has reserved bits, or bit 63 is set while CR4.PCIDE is not.
    #[track_caller]
    pub fn mov_cr3(self, value: Cr3, preserve: bool) -> impl Future<Output = Result<(), Refused>> + use<'m> {
        let op = Op::new(OpKind::Serialize, self.mmu.cr3_loc(self.id));
        self.step(op, move |_| {
            let controls = self.controls();
            controls.check_cr3(value)?;
            if preserve && !controls.cr4.has(Cr4::PCIDE) {
                return Err(Refused);
            }
            self.load_cr3(&op, value, preserve);
            Ok(())
        })
    }

    fn load_cr3(self, op: &Op, value: Cr3, preserve: bool) {
        self.spend_on(Spent::Cr3);
        self.before_own_change();
        let old = self.core.memory.get(op.loc);
        self.perform_rmw(op, old, value.0);
        if !preserve {
            self.invalidate_context(self.controls().pcid(value));
        }
    }

    /// MOV to CR4. A change of PGE drops everything, with global translations, and so does clearing PCIDE. A
    /// change of PAE drops what belongs to the current PCID, and so does setting SMEP.
    ///
    /// # Errors
    /// #GP, if the value may not be loaded; see [`Controls::load_cr4`].
    #[track_caller]
    pub fn mov_cr4(self, value: Cr4) -> impl Future<Output = Result<(), Refused>> + use<'m> {
        self.step(self.local(), move |_| {
            let old = self.controls();
            let new = old.load_cr4(value, self.cr3())?;
            self.spend_on(Spent::Serialising);
            let changes = |flag| old.cr4.has(flag) != new.cr4.has(flag);
            self.set_controls(new);
            if changes(Cr4::PGE) || changes(Cr4::PCIDE) && !new.cr4.has(Cr4::PCIDE) {
                self.invalidate(None, |_| true, |_| true);
            } else if changes(Cr4::PAE) || changes(Cr4::SMEP) && new.cr4.has(Cr4::SMEP) {
                self.invalidate_context(new.pcid(self.cr3()));
            }
            Ok(())
        })
    }

    /// MOV to CR0. Clearing PG drops everything. A change of WP drops nothing.
    ///
    /// # Errors
    /// #GP, if the value may not be loaded; see [`Controls::load_cr0`].
    #[track_caller]
    pub fn mov_cr0(self, value: Cr0) -> impl Future<Output = Result<(), Refused>> + use<'m> {
        self.step(self.local(), move |_| {
            let old = self.controls();
            let new = old.load_cr0(value)?;
            self.spend_on(Spent::Serialising);
            self.set_controls(new);
            if old.cr0.has(Cr0::PG) && !new.cr0.has(Cr0::PG) {
                self.invalidate(None, |_| true, |_| true);
            }
            Ok(())
        })
    }

    /// WRPKRU. Keys are judged at each access, so nothing is invalidated.
    #[track_caller]
    pub fn wrpkru(self, value: KeyRights) -> impl Future<Output = ()> + use<'m> {
        self.step(self.local(), move |_| {
            self.spend_on(Spent::Serialising);
            self.set_controls(Controls { pkru: value, ..self.controls() });
        })
    }

    /// PKRU as the kernel loads it for the next task (XRSTOR, WRPKRU), in the step of the switch.
    pub fn restore_pkru(self, value: KeyRights) {
        if self.controls().pkru != value {
            self.set_controls(Controls { pkru: value, ..self.controls() });
        }
    }

    /// WRMSR to IA32_PKRS. Nothing is invalidated.
    #[track_caller]
    pub fn wrpkrs(self, value: KeyRights) -> impl Future<Output = ()> + use<'m> {
        self.step(self.local(), move |_| {
            self.spend_on(Spent::Serialising);
            self.set_controls(Controls { pkrs: value, ..self.controls() });
        })
    }

    /// Drops all that one PCID has, except global translations.
    fn invalidate_context(self, pcid: Pcid) {
        let tag = self.controls().cr4.has(Cr4::PCIDE).then_some(pcid);
        self.invalidate_tagged(None, tag, |t| !t.global && t.pcid == pcid, |p| p.pcid == pcid);
    }

    fn invalidate(
        self,
        page: Option<VirtAddr>,
        translations: impl Fn(&Translation) -> bool,
        partials: impl Fn(&Partial) -> bool,
    ) {
        self.invalidate_tagged(page, None, translations, partials);
    }

    fn invalidate_tagged(
        self,
        page: Option<VirtAddr>,
        pcid: Option<Pcid>,
        translations: impl Fn(&Translation) -> bool,
        partials: impl Fn(&Partial) -> bool,
    ) {
        self.before_own_change();
        let mut caches = self.caches().borrow_mut();
        caches.drop_translations(translations);
        caches.drop_partials(partials);
        drop(caches);
        self.report(Event::Invalidated { target: self.id, page, pcid });
    }

    fn set_controls(self, controls: Controls) {
        self.mmu.cpus[self.id.index()].controls.set(controls);
    }

    /// The announcement of an instruction that touches no word that another CPU could touch.
    #[track_caller]
    fn local(self) -> Op {
        Op::new(OpKind::Serialize, Loc::NONE)
    }
}
