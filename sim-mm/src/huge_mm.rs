//! `include/linux/huge_mm.h`: which mappings may have large folios, and of which sizes. All of it follows from what the system is set to and
//! from the mapping, without an access.

use std::ops::Range;

use sim_mmu::{Level, VirtAddr};

use crate::kernel::Kernel;
use crate::release::Release;
use crate::settings::{AnonOrders, ShmemThp, ShmemWriteHuge, Thp};
use crate::vm_flags::VmFlags;

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
    /// `index`, in which a mapping with the flags `mapped` wants a page, if any does. Order 0 is not among them.
    pub fn shmem_orders(&self, index: u64, size: u64, mapped: Option<VmFlags>) -> Range<u8> {
        let none = 1..1;
        let highest = self.mmu.geometry.order(Level::Pmd);
        let huge = highest..highest + 1;
        if mapped.is_some_and(|flags| flags.contains(VmFlags::NOHUGEPAGE)) {
            return none;
        }
        let orders = match self.config.setting::<ShmemWriteHuge>() {
            _ if mapped.is_some() => huge.clone(),
            ShmemWriteHuge::Huge => huge.clone(),
            ShmemWriteHuge::Written => none.clone(),
            ShmemWriteHuge::Orders => 1..huge.end,
        };
        match self.config.setting::<ShmemThp>() {
            ShmemThp::Always => return orders,
            // shmem_get_orders_within_size()
            ShmemThp::WithinSize => {
                let fits = |order: &u8| (index + 1).next_multiple_of(1 << order) <= size;
                if let Some(highest) = orders.clone().rev().find(fits) {
                    return orders.start..highest + 1;
                }
            }
            ShmemThp::Advise => {}
            ShmemThp::Never => return none,
        }
        if mapped.is_some_and(|flags| flags.contains(VmFlags::HUGEPAGE)) { huge } else { none }
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
