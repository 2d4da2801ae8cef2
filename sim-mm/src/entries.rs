//! The loop of a page-table walk: `do { .. } while (ptep++, addr = next, addr != end)`.

use sim_mmu::{Geometry, Level, VirtAddr};

use crate::pgtable::TablePtr;

/// The entries of one table that map a range, each with its part of the range: see [`entries`].
#[derive(Debug)]
pub struct Entries<P> {
    geometry: Geometry,
    ptr: P,
    addr: VirtAddr,
    end: VirtAddr,
    is_over: bool,
}

/// Goes through a table from the entry at `ptr`, which maps `addr`, up to `end`. Each round has a pointer to its
/// entry, the address at which its part of the range begins, and the one at which it ends: `pmd_addr_end()` and its
/// kin.
///
/// As in C, the end of the range is looked at after a round, so that there is always a first one. A PTE's part
/// ends with its page, wherever the range does: a walk of an empty range passes its end without meeting it, and
/// goes on until its caller gives up.
pub fn entries<P: TablePtr>(geometry: Geometry, ptr: P, addr: VirtAddr, end: VirtAddr) -> Entries<P> {
    Entries { geometry, ptr, addr, end, is_over: false }
}

impl<P: TablePtr> Iterator for Entries<P> {
    type Item = (P, VirtAddr, VirtAddr);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let (ptr, addr) = (self.ptr, self.addr);
        let next = match P::LEVEL {
            Level::Pte => addr.plus_pages(1),
            level => self.geometry.addr_end(level, addr, self.end),
        };
        (self.ptr, self.addr, self.is_over) = (ptr.next(), next, next == self.end);
        Some((ptr, addr, next))
    }
}
