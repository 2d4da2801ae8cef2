//! `include/linux/huge_mm.h`: which sizes large folios of private memory may have.

use sim_mmu::{Level, VirtAddr};

use crate::kernel::Kernel;
use crate::release::Release;
use crate::settings::AnonOrders;
use crate::vm_flags::VmFlags;

impl Kernel {
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
        let refused = VmFlags::SPECIAL | VmFlags::NOHUGEPAGE;
        self.anon_orders().filter(move |_| !flags.intersects(refused))
    }
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
