//! Tells one entry of a walk.

use serde::Serialize;
use sim_mmu::{Entry, Geometry, Level, Walk};

use super::record::{Met, Seen};
use crate::hardware::translate::case::Case;

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The SDM's name of an entry at this level.
    pub level: &'static str,
    /// The address of the table. For the first it is `root`, because a case does not have the place of the root.
    pub table: String,
    /// The index of the entry.
    pub index: u32,
    /// The entry as it was read.
    pub entry: String,
    /// Its bits, as far as they mean something there.
    pub bits: Bits,
    /// The flags that the walk set in it: `A`, `D`, `AD` or nothing.
    pub sets: String,
    /// What it did, and which rule says so.
    pub does: String,
}

/// The bits of an entry. Bits that mean nothing in it are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bits {
    /// P.
    pub p: bool,
    /// R/W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rw: Option<bool>,
    /// U/S.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us: Option<bool>,
    /// A.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<bool>,
    /// D.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d: Option<bool>,
    /// PS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ps: Option<bool>,
    /// G.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub g: Option<bool>,
    /// PAT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pat: Option<bool>,
    /// XD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xd: Option<bool>,
    /// The protection key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u8>,
    /// The address of the table or the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Step {
    pub(super) fn of(case: &Case<'_>, seen: &Seen) -> Step {
        let root = seen.level == case.root_level();
        let letters = [(Entry::ACCESSED, 'A'), (Entry::DIRTY, 'D')];
        let sets: String =
            letters.iter().filter(|(flag, _)| seen.set & flag != 0).map(|(_, letter)| *letter).collect();
        Step {
            level: seen.level.sdm_name(),
            table: if root { "root".to_owned() } else { format!("{:x}", seen.table.base().0) },
            index: seen.index,
            entry: format!("{:016x}", seen.entry.0),
            bits: Bits::of(seen),
            does: does(case, seen, &sets),
            sets,
        }
    }
}

impl Bits {
    fn of(seen: &Seen) -> Bits {
        let Seen { level, entry, met, .. } = *seen;
        let bit = |flag| Some(entry.has(flag));
        let address = |base: u64| Some(format!("{base:x}"));
        // SDM 4.7: if P is clear, all other bits are ignored.
        if met == Met::NotPresent {
            return Bits::default();
        }
        let in_all = Bits {
            p: true,
            rw: bit(Entry::RW),
            us: bit(Entry::USER),
            a: bit(Entry::ACCESSED),
            ps: if level == Level::Pte { None } else { bit(Entry::PAGE_SIZE) },
            xd: bit(Entry::NX),
            address: address(entry.pfn().base().0),
            ..Bits::default()
        };
        match met {
            Met::Page(_) => Bits {
                d: bit(Entry::DIRTY),
                g: bit(Entry::GLOBAL),
                pat: bit(if level == Level::Pte { Entry::PAGE_SIZE } else { Entry::PAT_LARGE }),
                key: Some(entry.key()),
                address: address(Walk::page_frame(Geometry::default(), level, entry).base().0),
                ..in_all
            },
            _ => in_all,
        }
    }
}

fn does(case: &Case<'_>, seen: &Seen, sets: &str) -> String {
    let sets = match sets {
        "" => "",
        "A" => "sets A (4.8); ",
        "D" => "sets D (4.8); ",
        _ => "sets A and D (4.8); ",
    };
    match seen.met {
        Met::NotPresent if seen.entry.is_none() => {
            "P is clear, as are all other bits: not present (4.7)".to_owned()
        }
        Met::NotPresent => "P is clear: not present, and the other bits say nothing (4.7)".to_owned(),
        Met::Reserved(bits) => {
            // The SDM does not have the rules of AMD.
            let section = if bits == Entry::GLOBAL { "AMD APM volume 2, 5.3" } else { "4.5.4" };
            format!("reserved, and set: {} ({section}; 4.7)", reserved(case, seen.level, bits).join(", "))
        }
        Met::Table => format!("{sets}points at the {} (4.5.4)", table_name(seen.level)),
        Met::Page(_) => format!("{sets}maps a {} page (4.5.4)", page_size(seen.level)),
    }
}

/// What each reserved bit is.
fn reserved(case: &Case<'_>, level: Level, bits: u64) -> Vec<String> {
    let beyond = u64::MAX >> 12 & !((1 << case.maxphyaddr) - 1);
    let flags = Entry::PAT_LARGE - 1;
    let name = level.sdm_name();
    let what = [
        (Entry::NX, "XD, while EFER.NXE is clear".to_owned()),
        (beyond, "from MAXPHYADDR on".to_owned()),
        (!(beyond | Entry::NX | flags), "below the address of the page".to_owned()),
        (Entry::GLOBAL, format!("which a {name} of AMD has not")),
        (Entry::PAGE_SIZE, format!("PS, which a {name} has not")),
    ];
    what.iter()
        .filter(|(mask, _)| bits & mask != 0)
        .map(|(mask, why)| format!("{} {why}", ranges(bits & mask)))
        .collect()
}

/// The numbers of the bits that are set: `bit 63`, `bits 51:40 13`.
fn ranges(bits: u64) -> String {
    let mut text = if bits.is_power_of_two() { "bit" } else { "bits" }.to_owned();
    let mut left = bits;
    while left != 0 {
        let top = 63 - left.leading_zeros();
        let length = (left << left.leading_zeros()).leading_ones();
        let bottom = top + 1 - length;
        text.push_str(&if length == 1 { format!(" {top}") } else { format!(" {top}:{bottom}") });
        left &= (1 << bottom) - 1;
    }
    text
}

fn table_name(level: Level) -> &'static str {
    match level {
        Level::Pgd => "PML4 table",
        Level::P4d => "page-directory-pointer table",
        Level::Pud => "page directory",
        Level::Pmd | Level::Pte => "page table",
    }
}

fn page_size(level: Level) -> &'static str {
    match level {
        Level::Pud => "1 GiB",
        Level::Pmd => "2 MiB",
        _ => "4 KiB",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_named_by_ranges() {
        assert_eq!(ranges(1 << 63), "bit 63");
        assert_eq!(ranges(1), "bit 0");
        assert_eq!(ranges(0b1110), "bits 3:1");
        assert_eq!(ranges(0xfff << 40 | 1 << 13), "bits 51:40 13");
        assert_eq!(ranges(u64::MAX), "bits 63:0");
    }
}
