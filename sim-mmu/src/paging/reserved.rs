//! Bits of an entry that must be zero (SDM 4.5.4, tables 4-14 to 4-20).

use crate::addr::Level;
use crate::control::{Controls, Efer, Vendor};
use crate::entry::Entry;
use crate::geometry::Geometry;

/// The reserved bits of `entry`, which was read at `level`. If the entry is present and one of them is set, the access
/// faults with RSVD.
#[inline]
pub fn reserved_bits(controls: &Controls, geometry: Geometry, level: Level, entry: Entry) -> u64 {
    let mut bits = address_bits_beyond(controls.maxphyaddr);
    if !controls.efer.has(Efer::NXE) {
        bits |= Entry::NX;
    }
    match level {
        Level::Pte => {}
        // Bits between PAT and the address of the page. The PS bit itself decides.
        Level::Pmd | Level::Pud if entry.has(Entry::PAGE_SIZE) => {
            bits |= ((1 << geometry.shift(level)) - 1) & !(2 * Entry::PAT_LARGE - 1);
        }
        Level::Pmd | Level::Pud => {}
        Level::P4d | Level::Pgd => {
            bits |= Entry::PAGE_SIZE;
            // For AMD, bit 8 (the place of G) is reserved there. A processor that says it is AMD's was seen to do
            // so. A PDPTE that points at a table may have the bit.
            if controls.vendor == Vendor::Amd {
                bits |= Entry::GLOBAL;
            }
        }
    }
    bits
}

/// Bits 51:MAXPHYADDR.
#[inline]
fn address_bits_beyond(maxphyaddr: u8) -> u64 {
    (1 << 52) - (1 << maxphyaddr)
}
