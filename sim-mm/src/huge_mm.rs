//! `include/linux/huge_mm.h`: which mappings may have large folios, and of which sizes. All of it follows from what the system is set to and
//! from the mapping, without an access.

use sim_mmu::{Level, VirtAddr};

use crate::kernel::Kernel;
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
        Orders(self.0 & Orders::up_to(order).0)
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
        (1..u32::BITS as u8).rev().filter(move |order| self.contains(*order))
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
        let highest = self.mmu.geometry.order(Level::Pmd) - 1;
        let orders = match self.config.setting::<ShmemOrders>() {
            ShmemOrders::None => return Orders::NONE,
            ShmemOrders::K8 => Orders::one(1),
            ShmemOrders::K16 => Orders::one(2),
            ShmemOrders::K32 => Orders::one(3),
            ShmemOrders::K64 => Orders::one(4),
            ShmemOrders::K128 => Orders::one(5),
            ShmemOrders::K256 => Orders::one(6),
            ShmemOrders::K512 => Orders::one(7),
            ShmemOrders::K1024 => Orders::one(8),
            ShmemOrders::All => Orders::up_to(highest),
        };
        let orders = orders.no_more_than(highest);
        let inherits = self.config.setting::<ShmemOrdersWhere>() == ShmemOrdersWhere::Inherit;
        let is_wanted = match self.config.setting::<ShmemThp>() {
            _ if self.config.kernel.version < Release::v(6, 11) => false,
            ShmemThp::Deny => false,
            // Only what inherits the word of the whole system obeys it.
            ShmemThp::Force => inherits,
            _ => match self.config.setting::<ShmemOrdersWhere>() {
                ShmemOrdersWhere::Always => true,
                ShmemOrdersWhere::WithinSize => return orders.within_size(index, size),
                ShmemOrdersWhere::Advise => flags.contains(VmFlags::HUGEPAGE),
                ShmemOrdersWhere::Inherit => !global.is_empty(),
            },
        };
        if is_wanted { orders } else { Orders::NONE }
    }

    /// `huge_anon_orders_always`: the orders of folios that faults on private memory map page by page, the largest first. A huge page is
    /// none of them.
    pub fn anon_orders(&self) -> impl Iterator<Item = u8> + use<> {
        let one = match self.config.setting::<AnonOrders>() {
            AnonOrders::None => Some(0),
            AnonOrders::K16 => Some(2),
            AnonOrders::K32 => Some(3),
            AnonOrders::K64 => Some(4),
            AnonOrders::K128 => Some(5),
            AnonOrders::K256 => Some(6),
            AnonOrders::K512 => Some(7),
            AnonOrders::K1024 => Some(8),
            AnonOrders::All => None,
        };
        let has_any = self.config.kernel.version >= Release::v(6, 8);
        // THP_ORDERS_ALL_ANON: a folio of two pages has no room for its list of folios that are to be split.
        let orders = 2..self.mmu.geometry.order(Level::Pmd);
        orders.rev().filter(move |order| has_any && one.is_none_or(|one| one == *order))
    }

    /// `thp_vma_allowable_orders()`: those of them that a mapping of private memory with these flags may have.
    pub fn anon_orders_of(&self, flags: VmFlags) -> impl Iterator<Item = u8> + use<> {
        self.anon_orders().filter(move |_| allows_large_folios(flags))
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
