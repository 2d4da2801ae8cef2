//! The recount of the pool, and of the tables that address spaces share.

use std::collections::BTreeSet;

use sim_mmu::{Pfn, Vpn};

use crate::hugetlb_types::{Hstate, HugePageSize, Reservation};
use crate::kernel::Kernel;
use crate::miscount::Miscount;
use crate::mm_types::{MmId, Page};

impl Kernel {
    /// How many entries map a page at these places. One entry of a table that address spaces share is found at several.
    pub fn count_entries(&self, places: &[(MmId, Vpn)]) -> u64 {
        if !self.has_hugetlb() {
            return places.len() as u64;
        }
        let entry = |&(mm, vpn): &(MmId, Vpn)| {
            let root = Pfn(self.core().memory.get(self.mm(mm).pgd().loc()));
            let (table, level, _) = self.mmu.lowest_under(root, vpn.base());
            (table, self.mmu.geometry.index(vpn.base(), level))
        };
        places.iter().map(entry).collect::<BTreeSet<(Pfn, u32)>>().len() as u64
    }

    /// Whether a pool has all its pages.
    fn check_pool(&self, hstate: &Hstate) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let free = hstate.freelist.peek();
        let is_used = |head: &Page| memory.get(self.refcount(*head).loc()) > 0;
        let is_of_pool = |page: &Page| self.is_hugetlb(*page) && std::ptr::eq(self.hstate_of(*page), hstate);
        let heads = self.mem_map.pfns().map(Page).filter(is_of_pool);
        let has = heads.filter(|head| is_used(head) || free.contains(head)).count() as u64;
        let says = memory.get(hstate.nr_huge_pages.loc());
        if says != has {
            return Err(Miscount::HugePages { says, has });
        }
        match free.iter().copied().find(is_used) {
            Some(page) => Err(Miscount::FreeInUse { page }),
            None => Ok(()),
        }
    }

    /// Whether a pool counts what is set aside, and has it.
    fn check_set_aside(&self, size: HugePageSize) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let hstate = self.hugetlb.hstate(size);
        let is_of_size = |key: &Reservation| {
            memory.get(self.shmem.inodes.record(key.file as usize).hstate().loc()) == size.to_word()
        };
        let reservations = self.hugetlb.reservations.peek();
        let has = reservations.iter().filter(|(key, taken)| !**taken && is_of_size(key)).count() as u64;
        let (says, free) = (memory.get(hstate.resv_huge_pages.loc()), hstate.freelist.peek().len() as u64);
        if says != has || has > free { Err(Miscount::HugePagesSetAside { says, has, free }) } else { Ok(()) }
    }

    /// Whether the pools have all their pages, what is set aside is counted, and each table is counted as often as it is used. `tables` are those that entries lead to,
    /// as often as they do.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub(crate) fn check_hugetlb(&self, tables: &[Pfn]) -> Result<(), Miscount> {
        if !self.has_hugetlb() {
            return Ok(());
        }
        let memory = &self.core().memory;
        for size in [HugePageSize::Huge, HugePageSize::Gigantic] {
            self.check_pool(self.hugetlb.hstate(size))?;
            self.check_set_aside(size)?;
        }
        for table in tables {
            let users = tables.iter().filter(|other| *other == table).count() as u64;
            let count = memory.get(self.page(Page(*table)).pt_share_count().loc());
            if count + 1 != users {
                return Err(Miscount::TableUsers { table: *table, count, users });
            }
        }
        Ok(())
    }
}
