//! Paging-structure entries as the kernel sees them: `arch/x86/include/asm/pgtable.h`.
//!
//! A value knows the root under which it was read, and a pointer knows its table. So a walk through the wrong table is
//! noticed. With 4-level paging the PGD is folded onto the P4D: a read of a PGD entry reads the top-level table, and the P4D
//! entry is the same value.

use std::fmt;

use sim_core::{Op, OpKind, Step};
use sim_mmu::{Entry, Geometry, Level, Pfn, VirtAddr, Walker};

use crate::arch::pkeys::pkru_allows_pkey;
use crate::event::{Event, Order, Sharing};
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Page, Vma};
pub use crate::pgtable_types::{PAGE_PROTNONE, is_pte_present};
use crate::safeguards::UFFD_WP_NOTIFY;
use crate::settings::{SoftDirty, UffdWpNotify};
use crate::vm_flags::VmFlags;

/// A pointer to an entry, of which only a run may tell the level.
pub trait EntryPtr: Copy + Unpin {
    /// The entry it points to.
    type Value;
    /// The root, the table and the index.
    fn slot(self) -> Slot;
    /// The level of the entry.
    fn level(self) -> Level;
    /// An entry read through it.
    fn value(self, entry: Entry) -> Self::Value;
}

/// A pointer to an entry of a level.
pub trait TablePtr: EntryPtr {
    /// The level of the entry.
    const LEVEL: Level;
    /// The pointer to an entry.
    fn at(slot: Slot) -> Self;
    /// A pointer to the entry at the next index of the same table. Behind the table's end nothing is.
    #[must_use]
    fn next(self) -> Self;
}

/// Where an entry is: under which root, in which table, at which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    root: Pfn,
    table: Pfn,
    index: u32,
}

impl Slot {
    /// The frame of the table.
    pub fn table(self) -> Pfn {
        self.table
    }
}

macro_rules! levels {
    ($($(#[$doc:meta])* $value:ident, $(#[$pdoc:meta])* $ptr:ident, $level:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $value {
            /// Its bits.
            pub entry: Entry,
            #[allow(dead_code, reason = "the lowest level leads to no further table")]
            root: Pfn,
        }

        $(#[$pdoc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $ptr(Slot);

        impl EntryPtr for $ptr {
            type Value = $value;
            #[inline]
            fn slot(self) -> Slot {
                self.0
            }
            #[inline]
            fn level(self) -> Level {
                $level
            }
            #[inline]
            fn value(self, entry: Entry) -> $value {
                $value { entry, root: self.0.root }
            }
        }

        impl TablePtr for $ptr {
            const LEVEL: Level = $level;
            #[inline]
            fn at(slot: Slot) -> $ptr {
                $ptr(slot)
            }
            #[inline]
            fn next(self) -> $ptr {
                $ptr(Slot { index: self.0.index + 1, ..self.0 })
            }
        }

        impl $ptr {
            /// The frame of the table.
            pub fn table(self) -> Pfn {
                self.0.table
            }
        }

        impl PartialEq for $value {
            fn eq(&self, other: &$value) -> bool {
                self.entry == other.entry
            }
        }

        impl fmt::Debug for $value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($value), self.entry)
            }
        }
    )*};
}

levels! {
    /// A PGD entry. Folded: see the module's head.
    Pgd, /// Points to a PGD entry.
    Pgdp, Level::P4d;
    /// A P4D entry: PML4E.
    P4d, /// Points to a P4D entry.
    P4dp, Level::P4d;
    /// A PUD entry: PDPTE.
    Pud, /// Points to a PUD entry.
    Pudp, Level::Pud;
    /// A PMD entry: PDE.
    Pmd, /// Points to a PMD entry.
    Pmdp, Level::Pmd;
    /// A PTE.
    Pte, /// Points to a PTE.
    Ptep, Level::Pte;
}

/// Bits of an entry that leads to a table: `_PAGE_TABLE`. Accessed and dirty are set from the start.
pub(crate) const PAGE_TABLE: u64 = Entry::PRESENT | Entry::RW | Entry::USER | Entry::ACCESSED | Entry::DIRTY;

/// `pgd_offset_k()`: in the kernel's own tables.
pub(crate) fn pgd_offset_k(cpu: Cpu<'_>, addr: VirtAddr) -> P4dp {
    pgd_offset_of(cpu, cpu.kernel.init_pgd, addr)
}

/// `pgd_offset_pgd()`: in the tables of a root.
pub(crate) fn pgd_offset_of(cpu: Cpu<'_>, root: Pfn, addr: VirtAddr) -> P4dp {
    P4dp(slot(cpu.mmu.geometry, root, root, addr, Level::P4d))
}

fn slot(geometry: Geometry, root: Pfn, table: Pfn, addr: VirtAddr, level: Level) -> Slot {
    Slot { root, table, index: geometry.index(addr, level) }
}

/// `pgd_offset()`.
pub fn pgd_offset(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Pgdp {
    let root = cpu.this_cpu_read(mm.pgd());
    Pgdp(slot(cpu.mmu.geometry, root, root, addr, Level::P4d))
}

/// The entry of a level on the way to an address, as the tables are now, without an access to them; `None` if there is no
/// table of that level.
pub(crate) fn offset_now<P: TablePtr>(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<P> {
    let root = cpu.this_cpu_read(mm.pgd());
    let table = cpu.mmu.table_under(root, addr, P::LEVEL)?;
    Some(P::at(slot(cpu.mmu.geometry, root, table, addr, P::LEVEL)))
}

impl Pgd {
    /// `pgd_none()`: never, when folded.
    pub fn none(self) -> bool {
        false
    }

    /// The P4D entry that is folded into this value: `*p4d_offset(&pgd, addr)`.
    pub fn p4d(self) -> P4d {
        P4d { entry: self.entry, root: self.root }
    }
}

impl Pgdp {
    /// `p4d_offset()`: the same entry, when folded.
    pub fn p4d_offset(self) -> P4dp {
        P4dp(self.0)
    }
}

impl P4d {
    /// `p4d_none()`.
    pub fn none(self) -> bool {
        self.entry.is_none()
    }

    /// `pud_offset()`.
    pub fn pud_offset(self, geometry: Geometry, addr: VirtAddr) -> Pudp {
        Pudp(slot(geometry, self.root, self.entry.pfn(), addr, Level::Pud))
    }
}

/// Whether an entry above those of page tables leads to a table, or maps a huge page. One that says that its page is being moved, or is broken, does not.
fn is_table_or_huge(entry: Entry) -> bool {
    entry.0 & (Entry::PRESENT | PAGE_PROTNONE | Entry::PAGE_SIZE) != 0
}

impl Pud {
    /// `pud_none()`.
    pub fn none(self) -> bool {
        self.entry.is_none()
    }

    /// `pud_present()`: it leads to a table, or maps a gigantic page.
    pub fn present(self) -> bool {
        is_table_or_huge(self.entry)
    }

    /// Whether it leads to a table of PMD entries: `pud_present() && !pud_leaf()`.
    pub fn leads_to_table(self) -> bool {
        self.present() && !self.entry.has(Entry::PAGE_SIZE)
    }

    /// `pmd_offset()`.
    pub fn pmd_offset(self, geometry: Geometry, addr: VirtAddr) -> Pmdp {
        Pmdp(slot(geometry, self.root, self.entry.pfn(), addr, Level::Pmd))
    }
}

impl Pmd {
    /// `pmd_none()`.
    pub fn none(self) -> bool {
        self.entry.is_none()
    }

    /// `pmd_present()`: it leads to a table, or maps a huge page, even one of which the hardware must not know just now.
    pub fn present(self) -> bool {
        is_table_or_huge(self.entry)
    }

    /// Whether it leads to a page table: `!pmd_none() && !pmd_trans_huge() && !pmd_devmap()`, and no migration entry.
    pub fn leads_to_table(self) -> bool {
        self.present() && !self.leaf()
    }

    /// `pmd_bad()`: anything but an entry that leads to a table.
    pub fn bad(self) -> bool {
        self.entry.flags() & !Entry::USER != PAGE_TABLE & !Entry::USER
    }

    /// `pte_offset_map()`.
    pub fn pte_offset(self, geometry: Geometry, addr: VirtAddr) -> Ptep {
        Ptep(slot(geometry, self.root, self.entry.pfn(), addr, Level::Pte))
    }
}

/// Bits that survive a change of protection: `_PAGE_CHG_MASK` without the frame.
pub(crate) const PAGE_CHG_MASK: u64 =
    Entry::ACCESSED | Entry::DIRTY | Entry::SPECIAL | Entry::DEVMAP | Entry::SOFT_DIRTY | Entry::UFFD_WP;

/// `vm_get_page_prot()`: the bits of an entry of a mapping. Private memory is never writable by them: COW, or
/// `pte_mkwrite()` makes it so.
pub(crate) fn vm_get_page_prot(flags: VmFlags) -> u64 {
    let key = Entry::of_key(flags.pkey());
    if !flags.is_accessible() {
        return PAGE_PROTNONE | Entry::ACCESSED | key;
    }
    let write = if flags.contains(VmFlags::WRITE | VmFlags::SHARED) { Entry::RW } else { 0 };
    let fetch = if flags.contains(VmFlags::EXEC) { 0 } else { Entry::NX };
    Entry::PRESENT | Entry::USER | Entry::ACCESSED | write | fetch | key
}

/// `vma_set_page_prot()`: the bits of an entry of a mapping. Writes to shared memory fault where they have to be noticed.
pub(crate) fn vma_page_prot(cpu: Cpu<'_>, flags: VmFlags) -> u64 {
    let prot = vm_get_page_prot(flags);
    if vma_wants_writenotify(cpu, flags) { prot & !Entry::RW } else { prot }
}

/// `vma_wants_writenotify()`.
pub(crate) fn vma_wants_writenotify(cpu: Cpu<'_>, flags: VmFlags) -> bool {
    let noticed = flags.contains(VmFlags::DIRTY_TRACKING)
        || vma_soft_dirty_enabled(cpu, flags)
        || flags.contains(VmFlags::UFFD_WP) && notifies_uffd_wp(cpu);
    flags.contains(VmFlags::WRITE | VmFlags::SHARED) && noticed
}

/// Whether every first write to shared memory that `userfaultfd` may write-protect is a fault.
fn notifies_uffd_wp(cpu: Cpu<'_>) -> bool {
    cpu.consulted(UFFD_WP_NOTIFY);
    cpu.setting::<UffdWpNotify>() == UffdWpNotify::Yes
}

/// `vma_soft_dirty_enabled()`: whether a page of the mapping counts as written only if its entry says so.
pub(crate) fn vma_soft_dirty_enabled(cpu: Cpu<'_>, flags: VmFlags) -> bool {
    cpu.setting::<SoftDirty>() == SoftDirty::On && !flags.contains(VmFlags::SOFTDIRTY)
}

/// The bit that `maybe_mkwrite()` sets: entries of a mapping are writable only if the mapping is.
pub(crate) fn maybe_mkwrite(cpu: Cpu<'_>, vma: Vma) -> u64 {
    if vma.flags(cpu).contains(VmFlags::WRITE) { Entry::RW } else { 0 }
}

/// The bits that `pte_mkdirty()` sets.
pub(crate) fn mkdirty(cpu: Cpu<'_>) -> u64 {
    Entry::DIRTY | soft_dirty(cpu)
}

/// The bit that `pte_mksoft_dirty()` sets. A kernel that keeps no such bit sets nothing.
pub(crate) fn soft_dirty(cpu: Cpu<'_>) -> u64 {
    match cpu.setting::<SoftDirty>() {
        SoftDirty::Off => 0,
        SoftDirty::On => Entry::SOFT_DIRTY,
    }
}

impl Pte {
    /// `mk_pte()`.
    pub(crate) fn make(pfn: Pfn, prot: u64) -> Entry {
        Entry::new(pfn, prot)
    }

    /// `pte_modify()`: the same page with another protection.
    pub(crate) fn modify(entry: Entry, prot: u64) -> Entry {
        Entry::new(entry.pfn(), entry.flags() & PAGE_CHG_MASK | prot)
    }

    /// `pte_none()`.
    pub fn none(self) -> bool {
        self.entry.is_none()
    }

    /// `pte_present()`.
    pub fn present(self) -> bool {
        is_pte_present(self.entry)
    }
}

/// What is asked of an entry that maps memory, whatever its size: `pte_write()` and `pmd_write()` are [`Pte::write`] and [`Pmd::write`].
macro_rules! mapping_entries {
    ($($value:ident)*) => {$(
        impl $value {
            /// `_protnone()`: mapped, and the hardware faults, so that the kernel sees who uses it.
            pub fn protnone(self) -> bool {
                !self.entry.is_present() && self.entry.has(PAGE_PROTNONE)
            }

            /// `_write()`.
            pub fn write(self) -> bool {
                self.entry.has(Entry::RW)
            }

            /// `_dirty()`.
            pub fn dirty(self) -> bool {
                self.entry.has(Entry::DIRTY)
            }

            /// `_young()`.
            pub fn young(self) -> bool {
                self.entry.has(Entry::ACCESSED)
            }

            /// `_soft_dirty()`.
            pub fn soft_dirty(self) -> bool {
                self.entry.has(Entry::SOFT_DIRTY)
            }

            /// `_uffd_wp()`.
            pub fn uffd_wp(self) -> bool {
                self.entry.has(Entry::UFFD_WP)
            }

            /// `_special()`: no page is behind it that could be counted.
            pub fn special(self) -> bool {
                self.entry.has(Entry::SPECIAL)
            }

            /// `_access_permitted()`: present, for user mode, and writable for a write; and what runs here has the rights for
            /// the page's key.
            pub fn access_permitted(self, cpu: Cpu<'_>, write: bool) -> bool {
                let need = Entry::PRESENT | Entry::USER | if write { Entry::RW } else { 0 };
                self.entry.has(need) && pkru_allows_pkey(cpu, self.entry.key(), write)
            }

            /// `_pfn()`: the first frame.
            pub fn pfn(self) -> Pfn {
                self.entry.pfn()
            }

            /// `_devmap()`: the page is a device's, and the entry has no reference to it.
            pub fn devmap(self) -> bool {
                self.entry.has(Entry::DEVMAP) && self.entry.0 & (Entry::PRESENT | PAGE_PROTNONE) != 0
            }

            /// The first page, if the entry has one that is counted: `vm_normal_page()`, and its like for a PMD.
            pub fn page(self) -> Option<Page> {
                (!self.special() && !self.devmap()).then_some(Page(self.pfn()))
            }
        }
    )*};
}

pub(crate) use mapping_entries;

mapping_entries!(Pte Pmd);

impl<'m> Cpu<'m> {
    /// What an entry holds now, without an access to it.
    pub(crate) fn entry_now<P: EntryPtr>(self, ptr: P) -> Entry {
        let Slot { table, index, .. } = ptr.slot();
        self.mmu.entry_now(table, index)
    }

    pub(crate) fn table_access<P: EntryPtr>(self, ptr: P) {
        let Slot { root, table, .. } = ptr.slot();
        self.report(sim_mmu::Event::TableAccess { root, level: ptr.level(), table, by: Walker::Software });
    }

    pub(crate) fn entry_op<P: EntryPtr>(
        self,
        ptr: P,
        kind: OpKind,
        place: &'static std::panic::Location<'static>,
    ) -> Op {
        let Slot { table, index, .. } = ptr.slot();
        Op { place, ..Op::new(kind, self.mmu.phys.entry(table, index).loc()) }
    }

    /// `READ_ONCE(*ptr)`.
    #[track_caller]
    pub fn read_once<P: EntryPtr>(
        self,
        ptr: P,
    ) -> Step<'m, impl FnMut(sim_core::Cpu<'m>) -> P::Value + Unpin + use<'m, P>> {
        let op = self.entry_op(ptr, OpKind::Read, std::panic::Location::caller());
        self.step(op, move |hw| {
            let entry = Entry(hw.perform_load(&op));
            self.table_access(ptr);
            ptr.value(entry)
        })
    }

    /// A plain store to an entry that leads to a table: `pmd_populate()`, `pud_clear()` and their kin.
    #[track_caller]
    pub(crate) fn set_table<P: TablePtr>(self, ptr: P, entry: Entry) -> impl Future<Output = ()> + use<'m, P> {
        let op = self.entry_op(ptr, OpKind::Write, std::panic::Location::caller());
        self.step(op, move |hw| {
            self.before_change();
            hw.perform_store(&op, entry.0);
            self.table_access(ptr);
        })
    }

    /// Tells of the change of a PTE, in the step that makes it.
    pub(crate) fn note_pte(self, mm: &MmStruct, va: VirtAddr, old: Entry, new: Entry) {
        let mapped = if is_pte_present(new) { new } else { old };
        let has_page = !mapped.has(Entry::SPECIAL) || mapped.has(Entry::DEVMAP);
        let sharing = if is_pte_present(mapped) && has_page {
            let (mapping, index) = self.kernel.mapping_of(Page(mapped.pfn()));
            match Sharing::of_page(mapping, index) {
                // The mapping of an entry does not change while the entry is made.
                Sharing::Shared(page) if self.kernel.is_private(mm, va) => Sharing::CopyOnWrite(page),
                sharing => sharing,
            }
        } else {
            Sharing::Nobody
        };
        self.note(Event::PteChanged { mm: mm.id, va, old, new, order: Order::PTE, sharing });
    }

    /// The same for an entry that was found by an address. Its table may have been moved since: then the entry is that of another
    /// address. Of a table that is just being moved nothing is told, because the entries that it has at the end of the move are.
    pub(crate) fn note_change(self, mm: &MmStruct, va: VirtAddr, ptep: Ptep, old: Entry, new: Entry) {
        let root = self.this_cpu_read(mm.pgd());
        let Slot { table, index, .. } = ptep.slot();
        let is_there = self.mmu.table_under(root, va, Level::Pte) == Some(table);
        let found = if is_there { Some(va) } else { self.mmu.address_of(root, table, index) };
        if let Some(va) = found {
            self.note_pte(mm, va, old, new);
        }
    }
}
