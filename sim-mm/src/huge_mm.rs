//! `include/linux/huge_mm.h`: which mappings may have large folios, and of which sizes. All of it follows from what the system is set to and
//! from the mapping, without an access.

use sim_mmu::{Level, VirtAddr};

use crate::kernel::Kernel;
use crate::registry::setting::Knob;
use crate::release::Release;
use crate::settings::{AnonOrders, ShmemOrders, ShmemOrdersWhere, ShmemThp, ShmemWriteHuge, Thp};
use crate::vm_flags::VmFlags;

/// A set of orders of large folios. Order 0 is never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders(u32);

impl Orders {
    /// No order.
    pub const NONE: Orders = Orders(0);

    /// One order.
    pub fn one(order: u8) -> Orders {
        Orders(1 << order & !1)
    }

    /// All orders up to this one.
    pub fn up_to(order: u8) -> Orders {
        Orders((2 << order) - 2)
    }

    fn no_more_than(self, order: u8) -> Orders {
        self.within(Orders::up_to(order))
    }

    fn no_less_than(self, order: u8) -> Orders {
        Orders(self.0 >> order << order)
    }

    fn within(self, others: Orders) -> Orders {
        Orders(self.0 & others.0)
    }

    fn with(self, others: Orders) -> Orders {
        Orders(self.0 | others.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this order is among them.
    pub fn contains(self, order: u8) -> bool {
        self.0 & 1 << order != 0
    }

    /// Each of them, the highest first.
    pub fn highest_first(self) -> impl Iterator<Item = u8> {
        std::iter::successors(self.highest(), move |order| self.no_more_than(order - 1).highest())
    }

    fn highest(self) -> Option<u8> {
        self.0.checked_ilog2().map(|order| order as u8)
    }

    /// The orders that a knob chooses which names sizes from that of order `least` on: none, one of them, or `all`.
    fn chosen<K: Knob>(knob: K, least: u8, all: Orders) -> Orders {
        match knob.index() {
            0 => Orders::NONE,
            last if last == K::VALUES.len() - 1 => all,
            nth => Orders::one(least + nth as u8 - 1).within(all),
        }
    }

    /// `shmem_get_orders_within_size()`: those up to the highest one whose block around `index` lies within a file of `size` pages.
    fn within_size(self, index: u64, size: u64) -> Orders {
        let fits = |order: &u8| (index + 1).next_multiple_of(1 << order) <= size;
        self.highest_first().find(fits).map_or(Orders::NONE, |highest| self.no_more_than(highest))
    }
}

impl Kernel {
    /// `hugepage_enabled()`: whether private memory with these flags is to have huge pages where they fit.
    pub fn asks_for_huge_pages(&self, flags: VmFlags) -> bool {
        match self.config.setting::<Thp>() {
            Thp::Never => false,
            Thp::Madvise => flags.contains(VmFlags::HUGEPAGE),
            Thp::Always => !flags.contains(VmFlags::NOHUGEPAGE),
        }
    }

    /// `shmem_allowable_huge_orders()`, `shmem_is_huge()` before v6.10, for a file of `size` pages: the orders of folios that it may get around
    /// `index`, in which a mapping with the flags `mapped` wants a page, if any does. No file in memory has a name here. So each mapping is of shared anonymous
    /// memory (`vma_is_anon_shmem()`), which has orders of its own besides.
    pub fn shmem_orders(&self, index: u64, size: u64, mapped: Option<VmFlags>) -> Orders {
        if mapped.is_some_and(|flags| flags.contains(VmFlags::NOHUGEPAGE)) {
            return Orders::NONE;
        }
        let global = self.shmem_huge_global_enabled(index, size, mapped);
        match mapped {
            Some(flags) => global.with(self.shmem_orders_by_size(index, size, flags, global)),
            None => global,
        }
    }

    /// `shmem_huge_global_enabled()`: what `shmem_enabled` says. Huge pages of shared anonymous memory follow it as well (`inherit`, as is usual).
    fn shmem_huge_global_enabled(&self, index: u64, size: u64, mapped: Option<VmFlags>) -> Orders {
        let huge = Orders::one(self.mmu.geometry.order(Level::Pmd));
        let orders = match self.config.setting::<ShmemWriteHuge>() {
            _ if mapped.is_some() => huge,
            ShmemWriteHuge::Huge => huge,
            ShmemWriteHuge::Written => Orders::NONE,
            ShmemWriteHuge::Orders => Orders::up_to(self.mmu.geometry.order(Level::Pmd)),
        };
        match self.config.setting::<ShmemThp>() {
            ShmemThp::Never | ShmemThp::Deny => return Orders::NONE,
            ShmemThp::Force => return huge,
            ShmemThp::Always => return orders,
            ShmemThp::WithinSize => {
                let within = orders.within_size(index, size);
                if !within.is_empty() {
                    return within;
                }
            }
            ShmemThp::Advise => {}
        }
        if mapped.is_some_and(|flags| flags.contains(VmFlags::HUGEPAGE)) { huge } else { Orders::NONE }
    }

    /// The orders that the sizes of their own add, where `shmem_enabled` allows those in `global`.
    fn shmem_orders_by_size(&self, index: u64, size: u64, flags: VmFlags, global: Orders) -> Orders {
        let all = Orders::up_to(self.mmu.geometry.order(Level::Pmd) - 1);
        let orders = Orders::chosen(self.config.setting::<ShmemOrders>(), 1, all);
        let by = self.config.setting::<ShmemOrdersWhere>();
        let is_refused = match self.config.setting::<ShmemThp>() {
            _ if self.config.kernel.version < Release::v(6, 11) => true,
            ShmemThp::Deny => true,
            // Only what inherits the word of the whole system obeys it.
            ShmemThp::Force => by != ShmemOrdersWhere::Inherit,
            _ => false,
        };
        let is_wanted = match by {
            _ if is_refused => false,
            ShmemOrdersWhere::Always => true,
            ShmemOrdersWhere::WithinSize => return orders.within_size(index, size),
            ShmemOrdersWhere::Advise => flags.contains(VmFlags::HUGEPAGE),
            ShmemOrdersWhere::Inherit => !global.is_empty(),
        };
        if is_wanted { orders } else { Orders::NONE }
    }

    /// `huge_anon_orders_always`: the orders of folios that faults on private memory map page by page. A huge page is none of them.
    pub fn anon_orders(&self) -> Orders {
        if self.config.kernel.version < Release::v(6, 8) {
            return Orders::NONE;
        }
        // THP_ORDERS_ALL_ANON: a folio of two pages has no room for its list of folios that are to be split.
        let all = Orders::up_to(self.mmu.geometry.order(Level::Pmd) - 1).no_less_than(2);
        Orders::chosen(self.config.setting::<AnonOrders>(), 2, all)
    }

    /// `thp_vma_allowable_orders()`: those of them that a mapping of private memory with these flags may have.
    pub fn anon_orders_of(&self, flags: VmFlags) -> Orders {
        if allows_large_folios(flags) { self.anon_orders() } else { Orders::NONE }
    }
}

/// Whether a mapping with these flags may have large folios at all.
pub fn allows_large_folios(flags: VmFlags) -> bool {
    !flags.intersects(VmFlags::SPECIAL | VmFlags::NOHUGEPAGE)
}

/// Whether a range has all of some block of the order.
pub fn has_block(order: u8, (start, end): (VirtAddr, VirtAddr)) -> bool {
    let span = VirtAddr::PAGE_SIZE << order;
    start.0.next_multiple_of(span) + span <= end.0
}

/// Whether a mapping that begins here, with page `pgoff` of its file, has the blocks of the file at blocks of addresses, so that one entry can
/// map one.
pub fn is_file_aligned(order: u8, start: VirtAddr, pgoff: u64) -> bool {
    (start.vpn().0 ^ pgoff) & ((1 << order) - 1) == 0
}

/// `thp_vma_suitable_order()`: the block of the order around an address begins here, if a range has all of it.
pub(crate) fn suitable_block(
    order: u8,
    address: VirtAddr,
    (start, end): (VirtAddr, VirtAddr),
) -> Option<VirtAddr> {
    let span = VirtAddr::PAGE_SIZE << order;
    let block = VirtAddr(address.0 & !(span - 1));
    (start <= block && block.0 + span <= end.0).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes stand in the rows of two knobs in their order. The names say what is chosen.
    #[test]
    fn the_rows_of_a_knob_are_the_orders_that_they_name() {
        fn rows<K: Knob>(least: u8) {
            let all = Orders::up_to(8);
            for knob in K::VALUES {
                let expected = match knob.name() {
                    "none" => Orders::NONE,
                    "all" => all,
                    name => {
                        let kib: u32 = name.trim_end_matches('k').parse().expect("a size");
                        Orders::one((kib / 4).ilog2() as u8)
                    }
                };
                assert_eq!(Orders::chosen(*knob, least, all), expected, "{}", knob.name());
            }
        }
        rows::<AnonOrders>(2);
        rows::<ShmemOrders>(1);
    }

    #[test]
    fn orders_are_told_from_the_highest_down() {
        assert_eq!(Orders::up_to(4).highest_first().collect::<Vec<_>>(), [4, 3, 2, 1]);
        assert_eq!(Orders::one(9).with(Orders::one(4)).highest_first().collect::<Vec<_>>(), [9, 4]);
        assert_eq!((Orders::one(0), Orders::NONE.highest_first().next()), (Orders::NONE, None));
    }
}
