//! The walk (SDM 4.5), over any memory.

use sim_mmu::{Controls, Vendor};

use super::rights::{self, Asked};
use super::{Kind, Mode};

/// The registers, and what kind of processor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Registers {
    pub(crate) cr0: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) efer: u64,
    pub(crate) pkru: u32,
    pub(crate) pkrs: u32,
    pub(crate) amd: bool,
    pub(crate) maxphyaddr: u32,
    /// Bits of an index at each level, that of PTEs first: 9, or less on a machine with smaller tables.
    pub(crate) index_bits: [u32; 5],
}

impl Registers {
    pub(crate) fn new(controls: &Controls, cr3: u64, index_bits: [u32; 5]) -> Registers {
        Registers {
            cr0: controls.cr0.0,
            cr3,
            cr4: controls.cr4.0,
            efer: controls.efer.0,
            pkru: controls.pkru.0,
            pkrs: controls.pkrs.0,
            amd: controls.vendor == Vendor::Amd,
            maxphyaddr: u32::from(controls.maxphyaddr),
            index_bits,
        }
    }

    pub(crate) fn wp(&self) -> bool {
        self.cr0 >> 16 & 1 == 1
    }
    pub(crate) fn pge(&self) -> bool {
        self.cr4 >> 7 & 1 == 1
    }
    pub(crate) fn levels(&self) -> u32 {
        if self.cr4 >> 12 & 1 == 1 { 5 } else { 4 }
    }
    pub(crate) fn pcide(&self) -> bool {
        self.cr4 >> 17 & 1 == 1
    }
    pub(crate) fn smep(&self) -> bool {
        self.cr4 >> 20 & 1 == 1
    }
    pub(crate) fn smap(&self) -> bool {
        self.cr4 >> 21 & 1 == 1
    }
    pub(crate) fn pke(&self) -> bool {
        self.cr4 >> 22 & 1 == 1
    }
    pub(crate) fn pks(&self) -> bool {
        self.cr4 >> 24 & 1 == 1
    }
    pub(crate) fn nxe(&self) -> bool {
        self.efer >> 11 & 1 == 1
    }
    /// INVLPG spares upper-level entries of other addresses.
    pub(crate) fn tce(&self) -> bool {
        self.amd && self.efer >> 15 & 1 == 1
    }

    pub(crate) fn pcid(&self) -> u64 {
        if self.pcide() { self.cr3 & 0xfff } else { 0 }
    }

    pub(crate) fn root(&self) -> Stand {
        let table = (self.cr3 & 0x000f_ffff_ffff_f000) >> 12;
        Stand { level: self.levels(), table, rw: true, user: true, xd: false }
    }

    /// Base pages that an entry at `level` covers.
    pub(crate) fn pages(&self, level: u32) -> u64 {
        1 << self.bits_of(level - 1)
    }

    /// Bits of the indices at the lowest `levels` levels.
    fn bits_of(&self, levels: u32) -> u32 {
        self.index_bits[..levels as usize].iter().sum()
    }

    fn reserved(&self, level: u32, entry: u64) -> u64 {
        let bit = |n: u32| 1_u64 << n;
        let span = |from: u32, to: u32| (from..to).map(bit).fold(0, |bits, bit| bits | bit);
        let page_bits = 12 + self.bits_of(level - 1);
        let large = entry & bit(7) != 0;
        // Level, PS, and what is reserved then; tables 4-14 to 4-20.
        let rows = [
            (5, None, bit(7) | if self.amd { bit(8) } else { 0 }),
            (4, None, bit(7) | if self.amd { bit(8) } else { 0 }),
            (3, Some(true), span(13, page_bits)),
            (3, Some(false), 0),
            (2, Some(true), span(13, page_bits)),
            (2, Some(false), 0),
            (1, None, 0),
        ];
        let row = rows.iter().find(|(at, ps, _)| *at == level && ps.is_none_or(|ps| ps == large));
        let everywhere = span(self.maxphyaddr, 52) | if self.nxe() { 0 } else { bit(63) };
        row.expect("every level has its rows").2 | everywhere
    }
}

/// Whether the bits that a walk does not use all equal the highest that it uses.
pub(crate) fn is_canonical(registers: &Registers, va: u64) -> bool {
    let used = 12 + registers.bits_of(registers.levels());
    let above: Vec<u64> = (used - 1..64).map(|n| va >> n & 1).collect();
    above.iter().all(|bit| *bit == above[0])
}

/// Where a walk stands: the entry that it reads next is in this table, and of this level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stand {
    pub(crate) level: u32,
    pub(crate) table: u64,
    /// R/W was 1 in every entry so far, U/S too, and XD in some.
    pub(crate) rw: bool,
    pub(crate) user: bool,
    pub(crate) xd: bool,
}

/// An entry that a walk used, and where it stands after that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) place: (u64, u32),
    pub(crate) entry: u64,
    pub(crate) level: u32,
    pub(crate) then: Stand,
}

/// The page at the end of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its size, in base pages.
    pub(crate) pages: u64,
    pub(crate) frame: u64,
    pub(crate) rw: bool,
    pub(crate) user: bool,
    pub(crate) xd: bool,
    pub(crate) key: u32,
}

/// Why a walk does not complete.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Obstacle {
    NotPresent,
    Reserved,
    Rights(Asked),
}

impl Obstacle {
    /// What it is called where ends of walks are counted.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Obstacle::NotPresent => "not present",
            Obstacle::Reserved => "reserved",
            Obstacle::Rights(_) => "denied",
        }
    }
}

/// A walk: the entries that it used, the highest first, and its result. The entry that stopped it is not one of them.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: Result<Page, Obstacle>,
}

impl Walked {
    /// What the walk of an access that completes sets: A in every entry, D in the last for a write.
    pub(crate) fn flags(&self, kind: Kind) -> impl Iterator<Item = ((u64, u32), u64)> {
        let last = self.steps.len() - 1;
        let dirty = move |n: usize| if n == last && kind == Kind::Write { 1 << 6 } else { 0 };
        self.steps.iter().enumerate().map(move |(n, step)| (step.place, 1 << 5 | dirty(n)))
    }
}

/// Walks from `start`. For an access, rights are judged on the whole walk. For a speculative walk they are not judged.
pub(crate) fn walk(
    registers: &Registers,
    start: Stand,
    va: u64,
    access: Option<(Mode, Kind)>,
    read: impl Fn(u64, u32) -> u64,
) -> Walked {
    let mut stand = start;
    let mut steps = Vec::new();
    loop {
        let Stand { level, table, .. } = stand;
        let index =
            (va >> 12 >> registers.bits_of(level - 1)) & ((1 << registers.index_bits[level as usize - 1]) - 1);
        let place = (table, index as u32);
        let entry = read(place.0, place.1);
        let bit = |n: u32| entry >> n & 1 == 1;
        if !bit(0) {
            return Walked { steps, end: Err(Obstacle::NotPresent) };
        }
        if entry & registers.reserved(level, entry) != 0 {
            return Walked { steps, end: Err(Obstacle::Reserved) };
        }
        let frame = (entry & 0x000f_ffff_ffff_f000) >> 12;
        let (rw, user, xd) = (stand.rw && bit(1), stand.user && bit(2), stand.xd || bit(63));
        if level == 1 || level <= 3 && bit(7) {
            let pages = registers.pages(level);
            let key = (entry >> 59 & 0xf) as u32;
            // The bits of the address below the page's size are offset; bit 12 of a large page is PAT.
            let page = Page { pages, frame: frame / pages * pages, rw, user, xd, key };
            if let Some((mode, kind)) = access {
                let asked = Asked { mode, kind, user_page: user, rw, xd, key };
                if !rights::may(registers, &asked) {
                    return Walked { steps, end: Err(Obstacle::Rights(asked)) };
                }
            }
            steps.push(Step { place, entry, level, then: stand });
            return Walked { steps, end: Ok(page) };
        }
        stand = Stand { level: level - 1, table: frame, rw, user, xd };
        steps.push(Step { place, entry, level, then: stand });
    }
}
