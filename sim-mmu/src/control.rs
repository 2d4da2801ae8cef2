//! The registers that govern paging, and which values an instruction may load into them.

use crate::addr::{Level, Pfn};

/// Who made the processor. The two makers differ in some rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    #[default]
    Intel,
    /// AMD.
    Amd,
}

/// CR0, as far as paging is concerned (SDM 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cr0(pub u64);

/// CR4, as far as paging is concerned (SDM 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cr4(pub u64);

/// IA32_EFER (SDM 2.2.1; AMD APM volume 2, 3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Efer(pub u64);

/// CR3 (SDM 4.5.2): the root, and with CR4.PCIDE the identifier of the address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cr3(pub u64);

/// A process-context identifier, 12 bits (SDM 4.10.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pcid(pub u16);

/// The rights that protection keys take away: PKRU or IA32_PKRS (SDM 4.6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRights(pub u32);

impl Cr0 {
    /// PE, protection enable.
    pub const PE: u64 = 1 << 0;
    /// WP: supervisor writes respect R/W.
    pub const WP: u64 = 1 << 16;
    /// PG, paging.
    pub const PG: u64 = 1 << 31;

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }
}

impl Cr4 {
    /// PAE.
    pub const PAE: u64 = 1 << 5;
    /// PGE: the G bit of entries counts.
    pub const PGE: u64 = 1 << 7;
    /// LA57: five levels.
    pub const LA57: u64 = 1 << 12;
    /// PCIDE: translations are tagged with a PCID.
    pub const PCIDE: u64 = 1 << 17;
    /// SMEP: no supervisor fetch from user pages.
    pub const SMEP: u64 = 1 << 20;
    /// SMAP: no supervisor data access to user pages, unless EFLAGS.AC is set.
    pub const SMAP: u64 = 1 << 21;
    /// PKE: PKRU governs user pages.
    pub const PKE: u64 = 1 << 22;
    /// PKS: IA32_PKRS governs supervisor pages.
    pub const PKS: u64 = 1 << 24;

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }
}

impl Efer {
    /// LME, long mode enable.
    pub const LME: u64 = 1 << 8;
    /// LMA, long mode active.
    pub const LMA: u64 = 1 << 10;
    /// NXE: the XD bit of entries counts.
    pub const NXE: u64 = 1 << 11;
    /// TCE, AMD: INVLPG spares upper-level entries of other addresses.
    pub const TCE: u64 = 1 << 15;

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }
}

impl Cr3 {
    /// A root, with PCID 0.
    pub const fn of(root: Pfn) -> Cr3 {
        Cr3(root.0 << 12)
    }

    /// The same root with a PCID.
    #[must_use]
    pub const fn with(self, pcid: Pcid) -> Cr3 {
        Cr3(self.0 & !0xfff | (pcid.0 & 0xfff) as u64)
    }

    /// The frame of the root.
    #[inline]
    pub const fn root(self) -> Pfn {
        Pfn(self.0 << 12 >> 24)
    }

    /// Bits 11:0, a PCID if CR4.PCIDE is set.
    #[inline]
    pub const fn pcid(self) -> Pcid {
        Pcid(self.0 as u16 & 0xfff)
    }
}

impl KeyRights {
    /// ADi: no data access to pages of key `key`.
    #[inline]
    pub const fn access_disabled(self, key: u8) -> bool {
        self.0 >> (2 * key) & 1 != 0
    }

    /// WDi: no write to pages of key `key`.
    #[inline]
    pub const fn write_disabled(self, key: u8) -> bool {
        self.0 >> (2 * key + 1) & 1 != 0
    }
}

/// An instruction was refused with #GP(0), and changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// The registers of a CPU that govern paging, and what kind of processor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// CR0.
    pub cr0: Cr0,
    /// CR4.
    pub cr4: Cr4,
    /// IA32_EFER.
    pub efer: Efer,
    /// PKRU, for user pages.
    pub pkru: KeyRights,
    /// IA32_PKRS, for supervisor pages.
    pub pkrs: KeyRights,
    /// Who made the processor.
    pub vendor: Vendor,
    /// MAXPHYADDR, 36 to 52: bits of a physical address.
    pub maxphyaddr: u8,
}

impl Default for Controls {
    /// 4-level paging as a kernel sets it up: CR0.WP and EFER.NXE on, everything else off.
    fn default() -> Self {
        Controls {
            cr0: Cr0(Cr0::PG | Cr0::WP | Cr0::PE),
            cr4: Cr4(Cr4::PAE),
            efer: Efer(Efer::LME | Efer::LMA | Efer::NXE),
            pkru: KeyRights(0),
            pkrs: KeyRights(0),
            vendor: Vendor::Intel,
            maxphyaddr: 40,
        }
    }
}

impl Controls {
    /// The level of the root's entries: five levels with CR4.LA57, else four (SDM 4.5).
    #[inline]
    pub const fn root_level(&self) -> Level {
        if self.cr4.has(Cr4::LA57) { Level::Pgd } else { Level::P4d }
    }

    /// The PCID that translations are tagged with: 000H unless CR4.PCIDE is set (SDM 4.10.1).
    #[inline]
    pub const fn pcid(&self, cr3: Cr3) -> Pcid {
        if self.cr4.has(Cr4::PCIDE) { cr3.pcid() } else { Pcid(0) }
    }

    /// MOV to CR0. EFER.LMA follows PG where EFER.LME is set (SDM 4.1.1).
    ///
    /// # Errors
    /// #GP(0), if PG is set while PE is clear, if PG is set with EFER.LME while PAE is clear, or if PG is cleared while
    /// PCIDs are on (SDM 2, MOV to control registers). A processor lets PG be cleared in compatibility mode only. The code
    /// segment is not modelled, so PG may always be cleared here.
    pub fn load_cr0(self, value: Cr0) -> Result<Controls, Refused> {
        let without_protection = value.has(Cr0::PG) && !value.has(Cr0::PE);
        let with_pcids = !value.has(Cr0::PG) && self.cr4.has(Cr4::PCIDE);
        let enters = value.has(Cr0::PG) && self.efer.has(Efer::LME);
        let without_pae = enters && !self.cr4.has(Cr4::PAE);
        if without_protection || with_pcids || without_pae || value.0 >> 32 != 0 {
            return Err(Refused);
        }
        let efer = Efer(self.efer.0 & !Efer::LMA | if enters { Efer::LMA } else { 0 });
        Ok(Controls { cr0: value, efer, ..self })
    }

    /// MOV to CR4.
    ///
    /// # Errors
    /// #GP(0) in long mode, if PAE is cleared, if LA57 is changed, or if PCIDE is set while bits 11:0 of CR3 are
    /// not zero. #GP(0) outside long mode, if PCIDE is set (SDM 2, MOV to control registers; SDM 4.10.1).
    pub fn load_cr4(self, value: Cr4, cr3: Cr3) -> Result<Controls, Refused> {
        let long_mode = self.efer.has(Efer::LMA);
        let changes = |flag| value.has(flag) != self.cr4.has(flag);
        let pcide_set = changes(Cr4::PCIDE) && value.has(Cr4::PCIDE);
        if long_mode && (!value.has(Cr4::PAE) || changes(Cr4::LA57))
            || pcide_set && (!long_mode || cr3.pcid() != Pcid(0))
            || value.0 >> 32 != 0
        {
            return Err(Refused);
        }
        Ok(Controls { cr4: value, ..self })
    }

    /// Whether MOV to CR3 accepts a value. Bits from MAXPHYADDR up must be zero (SDM 4.5.2). Bit 63 is not judged here.
    ///
    /// # Errors
    /// #GP(0), if one of those bits is set.
    pub fn check_cr3(&self, value: Cr3) -> Result<(), Refused> {
        if value.0 >> self.maxphyaddr == 0 { Ok(()) } else { Err(Refused) }
    }
}
